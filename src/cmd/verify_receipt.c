/*
 * tee-verify receipt: a receipt against request, response and receipt key.
 */
#include <string.h>

#include "cmd/report.h"
#include "cmd/verify.h"
#include "cmd/verify_files.h"
#include "core/buf.h"
#include "receipt/anchor.h"
#include "receipt/judge.h"
#include "receipt/legacy.h"

enum { KID_MAX_BYTES = 64, NONCE_MIN_BYTES = 16, NONCE_MAX_BYTES = 64 };

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
		return options_usage("--request", "is missing (or --allow-skip request)");
	if ((status = options_need(o, OPTION_RESPONSE)) != 0 ||
	    (status = options_need(o, OPTION_JWKS)) != 0)
		return status;
	if (o->value[OPTION_NONCE] != NULL && !is_nonce(span_str(o->value[OPTION_NONCE])))
		return options_usage("--receipt-nonce", "takes 16 to 64 base64url characters");
	/* V2: no expectation of PCRs, and none waived, is a question half asked. */
	if (!o->allow[SKIP_PCRS] && !o->allow[SKIP_ATTESTATION])
		return options_usage(
		    "--allow-skip", "is missing: attestation, or pcrs (interfaces.md V2)");
	return 0;
}

int
verify_receipt(const struct options *o)
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
	if ((o->value[OPTION_REQUEST] == NULL || file_read(o->value[OPTION_REQUEST], &request)) &&
	    file_read(o->value[OPTION_RESPONSE], &response) &&
	    (o->value[OPTION_RECEIPT] == NULL ||
		file_read_or_stdin(o->value[OPTION_RECEIPT], &receipt)) &&
	    file_read(o->value[OPTION_JWKS], &jwks)) {
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
