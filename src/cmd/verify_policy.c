#include "cmd/verify_policy.h"

#include <stdio.h>
#include <time.h>

#include "attest/root.h"
#include "cmd/verify_files.h"
#include "cmd/verify_time.h"
#include "codec/hex.h"

enum { MAX_AGE_DEFAULT_S = 300, MAX_AGE_MAX_S = 10 * 366 * 24 * 3600 };

/* Hex digits of either case, any even number up to 2 * ATTEST_MEMBER_MAX_BYTES. */
static int
read_hex(const struct options *o, enum option which, uint8_t *bytes, struct span *out)
{
	struct span text = span_str(o->value[which]);

	if (text.p == NULL)
		return 0;
	if (text.n > 2 * ATTEST_MEMBER_MAX_BYTES || failed(hex_parse(bytes, text.n / 2, text)))
		return options_usage(options_name(which), "takes hex digits, two a byte");
	*out = span_of(bytes, text.n / 2);
	return 0;
}

static int
read_root(struct verify_policy *p, const char *path)
{
	struct buf pem;
	int status = EXIT_NOT_CHECKED;

	if (path == NULL) {
		p->attest.root_der = attest_root_aws();
		return 0;
	}
	buf_init(&pem, FILE_MAX_BYTES);
	if (file_read(path, &pem)) {
		status = failed(attest_root_from_pem(&p->root, file_bytes(&pem)))
		    ? options_usage("--root", "takes one certificate in PEM")
		    : 0;
		p->attest.root_der = buf_span(&p->root);
		p->custom_root = !span_eq(p->attest.root_der, attest_root_aws());
	}
	buf_fini(&pem);
	return status;
}

/* N=HEX, expected beside whatever a file says. */
static int
read_single_pcrs(struct attest_pcrs *e, const struct options *o)
{
	for (size_t i = 0; i < o->n_pcr; i++) {
		struct span text = span_str(o->pcr[i]);
		size_t equals = span_find(text, SPAN_LIT("="), 0);
		uint64_t index;
		struct err err;

		if (equals == SIZE_MAX ||
		    !span_u64(span_cut(text, 0, equals), PCR_COUNT - 1, &index) ||
		    failed(err = attest_pcrs_add(e, index, span_cut(text, equals + 1, text.n))))
			return options_usage(
			    "--pcr", "takes N=HEX, N 0 to 31, 96 hex digits, once");
	}
	return 0;
}

int
verify_policy_read_pcrs(struct attest_pcrs *e, const char *path)
{
	int status = EXIT_NOT_CHECKED;
	struct buf text;
	struct err err;

	buf_init(&text, FILE_MAX_BYTES);
	if (file_read(path, &text)) {
		status = 0;
		if (failed(err = attest_pcrs_read(e, file_bytes(&text)))) {
			fprintf(stderr, "tee-verify: --pcrs %s: %s\n", path, err.what);
			status = EXIT_USAGE;
		}
	}
	buf_fini(&text);
	return status;
}

static int
read_pcrs(struct verify_policy *p, const struct options *o)
{
	bool waived = o->allow[SKIP_PCRS] || o->allow[SKIP_ATTESTATION];
	int status;

	p->attest.pcrs = p->pcrs;
	p->attest.n_pcrs = o->n_pcrs > 0 ? o->n_pcrs : o->n_pcr > 0;
	for (size_t i = 0; i < p->attest.n_pcrs; i++) {
		if ((status = read_single_pcrs(&p->pcrs[i], o)) != 0 ||
		    (i < o->n_pcrs &&
			(status = verify_policy_read_pcrs(&p->pcrs[i], o->pcrs[i])) != 0))
			return status;
		if (!attest_pcrs_suffice(&p->pcrs[i]) && !waived)
			return options_usage("--pcrs or --pcr",
			    "must fix PCR0, or PCR1 and PCR2 (interfaces.md V2)");
	}
	if (p->attest.n_pcrs == 0 && !waived)
		return options_usage(
		    "--pcrs or --pcr", "is missing, or --allow-skip pcrs (interfaces.md V2)");
	return 0;
}

static int
read_times(struct verify_policy *p, const struct options *o)
{
	const char *at = o->value[OPTION_AT], *age = o->value[OPTION_MAX_AGE];

	p->attest.at_unix_s = (uint64_t)time(NULL);
	p->attest.max_age_s = MAX_AGE_DEFAULT_S;
	if (at != NULL && !time_parse(span_str(at), &p->attest.at_unix_s))
		return options_usage("--at", "takes 2026-01-31T12:00:00Z or @UNIX-SECONDS");
	if (age != NULL && !span_u64(span_str(age), MAX_AGE_MAX_S, &p->attest.max_age_s))
		return options_usage("--max-age", "takes seconds");
	return 0;
}

int
verify_policy_init(struct verify_policy *p, const struct options *o)
{
	int status;

	*p = (struct verify_policy){ 0 };
	buf_init(&p->root, ATTEST_MEMBER_MAX_BYTES);
	p->attest.allow_debug = o->value[OPTION_ALLOW_DEBUG] != NULL;
	if ((status = read_hex(o, OPTION_NONCE, p->nonce, &p->attest.nonce)) != 0 ||
	    (status = read_hex(o, OPTION_USER_DATA, p->user_data, &p->attest.user_data)) != 0 ||
	    (status = read_times(p, o)) != 0 || (status = read_pcrs(p, o)) != 0)
		return status;
	return read_root(p, o->value[OPTION_ROOT]);
}

void
verify_policy_fini(struct verify_policy *p)
{
	buf_fini(&p->root);
}

/*
 * What the document says, for people and for machines.
 */
static void
fact_hex(struct report *r, const char *name, struct span bytes)
{
	struct buf hex;

	if (bytes.p == NULL)
		return;
	buf_init(&hex, 2 * ATTEST_MEMBER_MAX_BYTES);
	hex_put(&hex, bytes);
	report_fact(r, name, bytes.n > 0 ? buf_span(&hex) : SPAN_LIT(""));
	buf_fini(&hex);
}

static void
describe(struct report *r, const struct verify_policy *p, const struct attest_document *d)
{
	static const uint8_t zero[PCR_LEN];
	char text[TIME_TEXT_LEN + 1];

	report_fact(r, "root", p->custom_root ? SPAN_LIT("custom") : SPAN_LIT("aws-nitro"));
	report_fact(r, "module_id", d->module_id);
	time_print(d->timestamp_ms / 1000, text);
	report_fact(r, "signed_at", span_str(text));
	for (unsigned i = 0; i < PCR_COUNT; i++) {
		char name[8];

		/* Locked and unused: most are. */
		if (d->pcr[i].p == NULL || (i > 2 && span_eq(d->pcr[i], span_of(zero, PCR_LEN))))
			continue;
		(void)snprintf(name, sizeof(name), "pcr%u", i);
		fact_hex(r, name, d->pcr[i]);
	}
	fact_hex(r, "nonce", d->nonce);
	fact_hex(r, "user_data", d->user_data);
	fact_hex(r, "public_key", d->public_key);
}

struct err
verify_policy_judge(const struct verify_policy *p, const struct attest_policy *a,
    struct span document, struct attest_document *d, struct report *r)
{
	static const struct span simulation = SPAN_LIT("local-simulation-");
	struct attest_verdict verdict;
	struct err e = attest_verify(&verdict, d, a, document);

	report_check(r, verdict.check, ATTEST_N_CHECKS);
	if (d->module_id.p != NULL)
		describe(r, p, d);
	TRY(e);
	report_member(r, "root", p->custom_root ? SPAN_LIT("custom") : SPAN_LIT("aws-nitro"));
	if (p->custom_root || span_starts(d->module_id, simulation))
		report_note(r, "NOT HARDWARE: the document's root is not AWS's");
	if (attest_document_debug(d))
		report_note(r, "DEBUG MODE: the enclave's memory is open to its host");
	return OK;
}
