/*
 * tee-verify receipt: a receipt against request, response and receipt key.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd/report.h"
#include "cmd/verify.h"
#include "cmd/verify_binding.h"
#include "cmd/verify_files.h"
#include "cmd/verify_session.h"
#include "core/buf.h"
#include "receipt/anchor.h"
#include "receipt/judge.h"
#include "receipt/legacy.h"

enum { KID_MAX_BYTES = 64, NONCE_MIN_BYTES = 16, NONCE_MAX_BYTES = 64 };

struct judging {
	const struct options *o;
	const struct verify_policy *policy;
	struct session *session; /* NULL: from files alone */
	struct report *r;
	struct buf *jwks;
};

struct held_files {
	struct buf request, response, receipt, jwks;
};

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
skip_attestation(struct report *r, const struct options *o)
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
		    "interfaces.md V2: attestation was not checked: the key set has no document "
		    "(--allow-skip attestation takes the signing key's word alone)");
	return OK;
}

/* What runs behind the keys: the gateway's document of now, or the one that the key set carries. */
static struct err
judge_attestation(struct judging *j, const struct receipt_anchor *anchor)
{
	struct attest_policy archived = binding_archived_policy(j->policy);
	struct attest_document d;

	if (j->session != NULL)
		return binding_judge(&j->session->d, anchor, j->r);
	if (!anchor->has_attestation || j->o->allow[SKIP_ATTESTATION])
		return skip_attestation(j->r, j->o);
	TRY(verify_policy_judge(j->policy, &archived, buf_span(&anchor->attestation), &d, j->r));
	return binding_judge(&d, anchor, j->r);
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
judge_receipt(struct judging *j, const struct receipt_case *held, const struct buf *receipt_file)
{
	const char *const *given = j->o->value;
	struct receipt_anchor anchor = { 0 };
	struct receipt_verdict verdict;
	struct span jws;
	struct err e;

	TRY(find_receipt(receipt_file, held->response, given[OPTION_RECEIPT] != NULL, &jws));
	if (j->session != NULL) {
		TRY(session_open(j->session, j->policy, j->r));
		TRY(session_get(j->session, j->r, "/.well-known/jwks.json", j->jwks));
	}
	TRY(read_anchor(j->r, &anchor, file_bytes(j->jwks), jws));
	e = receipt_judge(&verdict, &anchor, jws, held);
	report_check(j->r, verdict.check, RECEIPT_N_CHECKS);
	if (!failed(e)) {
		describe_receipt(j->r, &verdict, buf_span(&anchor.signing_spki));
		e = judge_attestation(j, &anchor);
	}
	receipt_anchor_fini(&anchor);
	TRY(e);
	if (given[OPTION_COMPLETE] != NULL && verdict.outcome != RECEIPT_COMPLETE)
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
		return options_usage("--request", "is missing (or --allow-skip request)");
	if ((status = options_need(o, OPTION_RESPONSE)) != 0)
		return status;
	if ((o->value[OPTION_JWKS] != NULL) == (o->value[OPTION_URL] != NULL))
		return options_usage("--jwks or --url",
		    o->value[OPTION_URL] != NULL ? "is one too many" : "is missing");
	if (o->value[OPTION_RECEIPT_NONCE] != NULL &&
	    !is_nonce(span_str(o->value[OPTION_RECEIPT_NONCE])))
		return options_usage("--receipt-nonce", "takes 16 to 64 base64url characters");
	/* The document of a key set answers no nonce of ours, and is judged at its own time (V3). */
	return o->value[OPTION_URL] != NULL ? 0 : options_need_url(o);
}

/* Everything that is held in files; false after having said what could not be read. */
static bool
read_held(const struct options *o, struct held_files *f, struct receipt_case *held)
{
	const char *const *given = o->value;

	if ((given[OPTION_REQUEST] != NULL && !file_read(given[OPTION_REQUEST], &f->request)) ||
	    !file_read(given[OPTION_RESPONSE], &f->response) ||
	    (given[OPTION_RECEIPT] != NULL &&
		!file_read_or_stdin(given[OPTION_RECEIPT], &f->receipt)) ||
	    (given[OPTION_JWKS] != NULL && !file_read(given[OPTION_JWKS], &f->jwks)))
		return false;
	if (given[OPTION_REQUEST] != NULL)
		held->request = file_bytes(&f->request);
	held->response = file_bytes(&f->response);
	if (given[OPTION_RECEIPT_NONCE] != NULL)
		held->nonce = span_str(given[OPTION_RECEIPT_NONCE]);
	return true;
}

static int
run(const struct options *o, const struct verify_policy *p, struct session *s)
{
	struct held_files files;
	struct receipt_case held = { 0 };
	struct report r;
	struct judging j = { o, p, s, &r, &files.jwks };
	int status = EXIT_NOT_CHECKED;

	report_init(&r);
	buf_init(&files.request, FILE_MAX_BYTES);
	buf_init(&files.response, FILE_MAX_BYTES);
	buf_init(&files.receipt, FILE_MAX_BYTES);
	buf_init(&files.jwks, FILE_MAX_BYTES);
	if (read_held(o, &files, &held))
		status = report_finish(
		    &r, o->value[OPTION_JSON] != NULL, judge_receipt(&j, &held, &files.receipt));
	buf_fini(&files.jwks);
	buf_fini(&files.receipt);
	buf_fini(&files.response);
	buf_fini(&files.request);
	report_fini(&r);
	return status;
}

int
verify_receipt(const struct options *o)
{
	struct verify_policy *p;
	struct session s = { 0 };
	int status;

	if ((status = check_receipt_options(o)) != 0)
		return status;
	if ((p = malloc(sizeof(*p))) == NULL)
		return EXIT_NOT_CHECKED;
	if ((status = verify_policy_init(p, o)) == 0) {
		if (o->value[OPTION_URL] == NULL)
			status = run(o, p, NULL);
		else if ((status = session_init(&s, o)) == 0)
			status = run(o, p, &s);
	}
	session_fini(&s);
	verify_policy_fini(p);
	free(p);
	return status;
}
