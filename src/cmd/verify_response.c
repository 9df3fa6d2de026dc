/*
 * tee-verify response: the legacy fields of an answer, against the signing key.
 */
#include "cmd/report.h"
#include "cmd/verify.h"
#include "cmd/verify_files.h"
#include "core/buf.h"
#include "crypto/pss.h"
#include "receipt/signed_answer.h"

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

int
verify_response(const struct options *o)
{
	struct buf request, response, key;
	struct report r;
	int status;

	if ((status = options_need(o, OPTION_REQUEST)) != 0 ||
	    (status = options_need(o, OPTION_RESPONSE)) != 0 ||
	    (status = options_need(o, OPTION_KEY)) != 0)
		return status;
	report_init(&r);
	buf_init(&request, FILE_MAX_BYTES);
	buf_init(&response, FILE_MAX_BYTES);
	buf_init(&key, FILE_MAX_BYTES);
	status = EXIT_NOT_CHECKED;
	if (file_read(o->value[OPTION_REQUEST], &request) &&
	    file_read(o->value[OPTION_RESPONSE], &response) &&
	    file_read(o->value[OPTION_KEY], &key))
		status = report_finish(&r, o->value[OPTION_JSON] != NULL,
		    judge_response(
			&r, file_bytes(&key), file_bytes(&request), file_bytes(&response)));
	buf_fini(&key);
	buf_fini(&response);
	buf_fini(&request);
	report_fini(&r);
	return status;
}
