/*
 * tee-verify - checks what a gateway answered, offline: the legacy fields of a response, or a
 * receipt. Links the pure half only. Source: interfaces.md section 10; docs/verification.md.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd/report.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/pss.h"
#include "receipt/anchor.h"
#include "receipt/judge.h"
#include "receipt/legacy.h"
#include "receipt/signed_answer.h"

enum { FILE_MAX_BYTES = 64 << 20, KID_MAX_BYTES = 64 };
enum { NONCE_MIN_BYTES = 16, NONCE_MAX_BYTES = 64 };

static const char help[] =
    "usage: tee-verify response --request F --response F --key PEM [--json]\n"
    "       tee-verify receipt --request F --response F [--receipt F|-] --jwks F\n"
    "                  [--receipt-nonce N] [--require-complete] [--allow-skip NAME]... [--json]\n"
    "       tee-verify --help | --version\n"
    "\n"
    "response   the tee_* fields of an answer (a body or a stream) fit the request, the text\n"
    "           that was delivered, and the signing key\n"
    "receipt    the receipt fits the request, the response and the receipt key; without\n"
    "           --receipt it is taken from the end of the stream\n"
    "\n"
    "--request F         the request's body, byte for byte\n"
    "--response F        the response's body, byte for byte, after transfer decoding\n"
    "--key PEM           the signing key (member public_key of /signing-key)\n"
    "--receipt F         the receipt (header TEE-Receipt, or /v1/receipts/{id}); - reads it from\n"
    "                    standard input\n"
    "--jwks F            the key set (/.well-known/jwks.json), archived with the receipt\n"
    "--receipt-nonce N   the receipt must be for this TEE-Nonce\n"
    "--require-complete  a truncated or failed answer is not verified\n"
    "--allow-skip NAME   succeed although a check is skipped: attestation (nothing then says what\n"
    "                    runs behind the key; includes pcrs), pcrs, request\n"
    "--json              every check and its verdict as one JSON object\n"
    "\n"
    "Exit status: 0 verified, 1 not verified, 2 usage, 3 could not check.\n";

/*
 * Options. A command takes those of its mask.
 */
enum { FOR_RESPONSE = 1, FOR_RECEIPT = 2, FOR_BOTH = FOR_RESPONSE | FOR_RECEIPT };
enum skip { SKIP_PCRS, SKIP_ATTESTATION, SKIP_REQUEST, N_SKIPS };

static const char *const skip_names[N_SKIPS] = { "pcrs", "attestation", "request" };

#define OPTIONS(OPTION)                                            \
	OPTION(REQUEST, "--request", FOR_BOTH, true)               \
	OPTION(RESPONSE, "--response", FOR_BOTH, true)             \
	OPTION(KEY, "--key", FOR_RESPONSE, true)                   \
	OPTION(RECEIPT, "--receipt", FOR_RECEIPT, true)            \
	OPTION(JWKS, "--jwks", FOR_RECEIPT, true)                  \
	OPTION(NONCE, "--receipt-nonce", FOR_RECEIPT, true)        \
	OPTION(COMPLETE, "--require-complete", FOR_RECEIPT, false) \
	OPTION(ALLOW_SKIP, "--allow-skip", FOR_RECEIPT, true)      \
	OPTION(JSON, "--json", FOR_BOTH, false)                    \
	OPTION(HELP, "--help", FOR_BOTH, false)

enum option {
#define OPTION_ENUM(id, name, mask, value) OPTION_##id,
	OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
	    N_OPTIONS
};

static const struct {
	const char *name;
	int mask;
	bool has_value;
} option_table[N_OPTIONS] = {
#define OPTION_ROW(id, name, mask, value) { name, mask, value },
	OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

struct options {
	const char *value[N_OPTIONS]; /* NULL: not given; "" for those without a value */
	bool allow[N_SKIPS];
};

static int
usage(const char *name, const char *problem)
{
	fprintf(stderr, "tee-verify: %s %s; see tee-verify --help\n", name, problem);
	return EXIT_USAGE;
}

/* The option that `arg` names, `--name` or `--name=value`; N_OPTIONS when there is none. */
static enum option
find_option(const char *arg, int mask, const char **inline_value)
{
	*inline_value = NULL;
	for (int i = 0; i < N_OPTIONS; i++) {
		size_t n = strlen(option_table[i].name);

		if ((option_table[i].mask & mask) == 0 ||
		    strncmp(arg, option_table[i].name, n) != 0)
			continue;
		if (arg[n] == '=')
			*inline_value = arg + n + 1;
		if (arg[n] == '=' || arg[n] == '\0')
			return (enum option)i;
	}
	return N_OPTIONS;
}

static int
allow_skip(struct options *o, const char *name)
{
	for (int i = 0; i < N_SKIPS; i++) {
		if (span_eq(span_str(name), span_str(skip_names[i]))) {
			o->allow[i] = true;
			return 0;
		}
	}
	return usage("--allow-skip", "takes pcrs, attestation or request");
}

/* 0, or the exit status of a usage error, which has been printed. */
static int
parse_options(struct options *o, int mask, int argc, char **argv)
{
	*o = (struct options){ 0 };
	for (int i = 0; i < argc; i++) {
		const char *value;
		enum option found = find_option(argv[i], mask, &value);
		int bad;

		if (found == N_OPTIONS)
			return usage(argv[i], "is not an option of this command");
		if (!option_table[found].has_value && value != NULL)
			return usage(option_table[found].name, "takes no value");
		if (option_table[found].has_value && value == NULL) {
			if (++i == argc)
				return usage(option_table[found].name, "needs a value");
			value = argv[i];
		}
		if (found == OPTION_ALLOW_SKIP) {
			if ((bad = allow_skip(o, value)) != 0)
				return bad;
			continue;
		}
		if (o->value[found] != NULL)
			return usage(option_table[found].name, "is given twice");
		o->value[found] = value != NULL ? value : "";
	}
	return 0;
}

static int
need(const struct options *o, enum option which)
{
	return o->value[which] != NULL ? 0 : usage(option_table[which].name, "is missing");
}

/*
 * Files.
 */
static bool
read_stream(FILE *f, const char *path, struct buf *out)
{
	uint8_t chunk[16384];
	size_t n;

	while (!out->over && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(out, span_of(chunk, n));
	if (ferror(f)) {
		fprintf(stderr, "tee-verify: cannot read %s: %s\n", path, strerror(errno));
		return false;
	}
	if (failed(buf_check(out))) {
		fprintf(stderr, "tee-verify: %s: above 64 MiB\n", path);
		return false;
	}
	return true;
}

/* The whole file into an empty buffer; false after having said why not. */
static bool
read_file(const char *path, struct buf *out)
{
	FILE *f;
	bool ok;

	if ((f = fopen(path, "rb")) == NULL) {
		fprintf(stderr, "tee-verify: cannot open %s: %s\n", path, strerror(errno));
		return false;
	}
	ok = read_stream(f, path, out);
	fclose(f);
	return ok;
}

static bool
read_receipt(const char *path, struct buf *out)
{
	if (span_eq(span_str(path), SPAN_LIT("-")))
		return read_stream(stdin, "standard input", out);
	return read_file(path, out);
}

/* A span that is there even when the file is empty. */
static struct span
file_bytes(const struct buf *b)
{
	return b->n > 0 ? buf_span(b) : SPAN_LIT("");
}

/*
 * tee-verify response
 */
static struct err
judge_response(struct report *r, struct span pem, struct span request, struct span response)
{
	struct signed_answer answer = { 0 };
	struct pss_pub *key = NULL;
	struct buf spki;
	struct err e;

	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	if (!failed(e = pss_pub_from_pem(&key, pem, &spki))) {
		e = signed_answer_judge(&answer, buf_span(&spki), request, response);
		report_check(r, answer.check, SIGNED_ANSWER_N_CHECKS);
	}
	pss_pub_free(key);
	buf_fini(&spki);
	TRY(e);
	buf_put_str(&r->outcome, "outcome complete, signed by ");
	buf_put(&r->outcome, span_of(answer.fields.tee_id, TEE_ID_LEN));
	buf_put_str(&r->outcome, ", tee_timestamp ");
	buf_put_u64(&r->outcome, answer.fields.timestamp_unix_s);
	report_member(r, "outcome", SPAN_LIT("complete"));
	report_member(r, "signed_by", span_of(answer.fields.tee_id, TEE_ID_LEN));
	report_member_u64(r, "tee_timestamp", answer.fields.timestamp_unix_s);
	return OK;
}

static int
run_response(const struct options *o)
{
	struct buf request, response, key;
	struct report r;
	int status;

	if ((status = need(o, OPTION_REQUEST)) != 0 || (status = need(o, OPTION_RESPONSE)) != 0 ||
	    (status = need(o, OPTION_KEY)) != 0)
		return status;
	report_init(&r);
	buf_init(&request, FILE_MAX_BYTES);
	buf_init(&response, FILE_MAX_BYTES);
	buf_init(&key, FILE_MAX_BYTES);
	status = EXIT_NOT_CHECKED;
	if (read_file(o->value[OPTION_REQUEST], &request) &&
	    read_file(o->value[OPTION_RESPONSE], &response) &&
	    read_file(o->value[OPTION_KEY], &key))
		status = report_finish(&r, o->value[OPTION_JSON] != NULL,
		    judge_response(
			&r, file_bytes(&key), file_bytes(&request), file_bytes(&response)));
	buf_fini(&key);
	buf_fini(&response);
	buf_fini(&request);
	report_fini(&r);
	return status;
}

/*
 * tee-verify receipt
 */

/* The receipt as its own file, or else at the end of the stream. */
static struct err
find_receipt(const struct buf *file, struct span response, bool from_file, struct span *jws)
{
	struct span content;
	bool done;

	if (from_file) {
		*jws = span_trim(file_bytes(file));
		return OK;
	}
	if (!receipt_is_stream(response))
		return FAIL(REFUSED,
		    "interfaces.md R4: the response is no stream, so its receipt is in the header "
		    "TEE-Receipt: use --receipt");
	return receipt_split_stream(response, &content, jws, &done);
}

static struct err
read_anchor(struct report *r, struct receipt_anchor *anchor, struct span jwks, struct span jws)
{
	struct check vouched = { "receipt_key", "interfaces.md R2, R3",
		"the signing key vouches for the receipt key of the key set", CHECK_FAILED };
	struct buf kid;
	struct err e;

	buf_init(&kid, KID_MAX_BYTES);
	if (!failed(e = receipt_kid(jws, &kid)) &&
	    !failed(e = receipt_anchor_read(anchor, jwks, buf_span(&kid))))
		vouched.verdict = CHECK_PASSED;
	buf_fini(&kid);
	report_check(r, &vouched, 1);
	return e;
}

/* V2: what was not checked must have been allowed, by name. */
static struct err
judge_skips(struct report *r, const struct options *o)
{
	const struct check skipped[] = {
		{ "attestation", "interfaces.md R3, V3",
		    "an attestation document binds the receipt key", CHECK_SKIPPED },
		{ "pcrs", "interfaces.md V2", "its measurements are the expected ones",
		    CHECK_SKIPPED },
	};

	report_check(r, skipped, sizeof(skipped) / sizeof(skipped[0]));
	if (!o->allow[SKIP_ATTESTATION])
		return FAIL(REFUSED,
		    "interfaces.md V2: attestation was not checked (--allow-skip attestation "
		    "takes the signing key's word alone)");
	return OK;
}

static void
describe_receipt(struct report *r, const struct receipt_verdict *v, struct span spki)
{
	const char *outcome = receipt_outcome_name(v->outcome);
	char id[TEE_ID_LEN];

	legacy_tee_id(spki, id);
	buf_put_str(&r->outcome, "outcome ");
	buf_put_str(&r->outcome, outcome);
	buf_put_str(&r->outcome, ", receipt ");
	buf_put_str(&r->outcome, v->jti);
	buf_put_str(&r->outcome, ", signed by ");
	buf_put(&r->outcome, span_of(id, sizeof(id)));
	report_member(r, "outcome", span_str(outcome));
	report_member(r, "receipt", span_str(v->jti));
	report_member(r, "signed_by", span_of(id, sizeof(id)));
	report_member_u64(r, "iat", v->iat_unix_s);
	report_member_bool(r, "covered", v->covered);
	report_member(r, "platform", span_str(v->hardware ? "aws-nitro" : "local-simulation"));
	if (!v->covered)
		report_note(r, "truncated: response not covered");
	if (!v->hardware)
		report_note(r, "NOT HARDWARE: platform local-simulation");
}

static struct err
judge_receipt(struct report *r, const struct options *o, const struct receipt_case *held,
    const struct buf *receipt_file, struct span jwks)
{
	struct receipt_anchor anchor = { 0 };
	struct receipt_verdict verdict;
	struct span jws;
	struct err e;

	TRY(find_receipt(receipt_file, held->response, o->value[OPTION_RECEIPT] != NULL, &jws));
	TRY(read_anchor(r, &anchor, jwks, jws));
	e = receipt_judge(&verdict, &anchor, jws, held);
	report_check(r, verdict.check, RECEIPT_N_CHECKS);
	if (!failed(e)) {
		describe_receipt(r, &verdict, buf_span(&anchor.signing_spki));
		e = judge_skips(r, o);
	}
	receipt_anchor_fini(&anchor);
	TRY(e);
	if (o->value[OPTION_COMPLETE] != NULL && verdict.outcome != RECEIPT_COMPLETE)
		return FAIL(
		    REFUSED, "interfaces.md V1: the outcome is not complete (--require-complete)");
	return OK;
}

static bool
is_nonce(struct span s)
{
	static const struct span marks = SPAN_LIT("-_");

	if (s.n < NONCE_MIN_BYTES || s.n > NONCE_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i], folded = (uint8_t)(c | 0x20);

		if (!(folded >= 'a' && folded <= 'z') && !(c >= '0' && c <= '9') &&
		    memchr(marks.p, c, marks.n) == NULL)
			return false;
	}
	return true;
}

static int
check_receipt_options(const struct options *o)
{
	int status;

	if (o->value[OPTION_REQUEST] == NULL && !o->allow[SKIP_REQUEST])
		return usage("--request", "is missing (or --allow-skip request)");
	if ((status = need(o, OPTION_RESPONSE)) != 0 || (status = need(o, OPTION_JWKS)) != 0)
		return status;
	if (o->value[OPTION_NONCE] != NULL && !is_nonce(span_str(o->value[OPTION_NONCE])))
		return usage("--receipt-nonce", "takes 16 to 64 base64url characters");
	/* V2: no expectation of PCRs, and none waived, is a question half asked. */
	if (!o->allow[SKIP_PCRS] && !o->allow[SKIP_ATTESTATION])
		return usage("--allow-skip", "is missing: attestation, or pcrs (interfaces.md V2)");
	return 0;
}

static int
run_receipt(const struct options *o)
{
	struct buf request, response, receipt, jwks;
	struct receipt_case held = { 0 };
	struct report r;
	int status;

	if ((status = check_receipt_options(o)) != 0)
		return status;
	report_init(&r);
	buf_init(&request, FILE_MAX_BYTES);
	buf_init(&response, FILE_MAX_BYTES);
	buf_init(&receipt, FILE_MAX_BYTES);
	buf_init(&jwks, FILE_MAX_BYTES);
	status = EXIT_NOT_CHECKED;
	if ((o->value[OPTION_REQUEST] == NULL || read_file(o->value[OPTION_REQUEST], &request)) &&
	    read_file(o->value[OPTION_RESPONSE], &response) &&
	    (o->value[OPTION_RECEIPT] == NULL ||
		read_receipt(o->value[OPTION_RECEIPT], &receipt)) &&
	    read_file(o->value[OPTION_JWKS], &jwks)) {
		if (o->value[OPTION_REQUEST] != NULL)
			held.request = file_bytes(&request);
		held.response = file_bytes(&response);
		if (o->value[OPTION_NONCE] != NULL)
			held.nonce = span_str(o->value[OPTION_NONCE]);
		status = report_finish(&r, o->value[OPTION_JSON] != NULL,
		    judge_receipt(&r, o, &held, &receipt, file_bytes(&jwks)));
	}
	buf_fini(&jwks);
	buf_fini(&receipt);
	buf_fini(&response);
	buf_fini(&request);
	report_fini(&r);
	return status;
}

static const struct {
	const char *name;
	int mask;
	int (*run)(const struct options *);
} commands[] = {
	{ "response", FOR_RESPONSE, run_response },
	{ "receipt", FOR_RECEIPT, run_receipt },
};

static int
print(const char *text)
{
	return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : EXIT_NOT_CHECKED;
}

int
main(int argc, char **argv)
{
	struct span name = span_str(argc > 1 ? argv[1] : "");
	struct options o;
	int bad;

	if (argc < 2)
		return usage("a command", "is missing");
	if (span_eq(name, SPAN_LIT("--help")))
		return print(help);
	if (span_eq(name, SPAN_LIT("--version")))
		return print("tee-verify " TEE_VERSION "\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!span_eq(name, span_str(commands[i].name)))
			continue;
		if ((bad = parse_options(&o, commands[i].mask, argc - 2, argv + 2)) != 0)
			return bad;
		return o.value[OPTION_HELP] != NULL ? print(help) : commands[i].run(&o);
	}
	return usage(argv[1], "is not a command");
}
