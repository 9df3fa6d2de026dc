/*
 * tee-verify response: the legacy fields of an answer, against the signing key.
 */
#include <stdlib.h>

#include "cmd/report.h"
#include "cmd/verify.h"
#include "cmd/verify_binding.h"
#include "cmd/verify_files.h"
#include "cmd/verify_session.h"
#include "codec/json.h"
#include "core/buf.h"
#include "crypto/pss.h"
#include "receipt/signed_answer.h"

enum { KEYS_MAX_NODES = 4096, ARENA_BYTES = 1 << 20 };

/* Signed by the key whose SPKI this is. */
static struct err
judge_response(struct report *r, struct span spki, struct span request, struct span response)
{
	struct signed_answer answer = { 0 };
	struct err e = signed_answer_judge(&answer, spki, request, response);

	report_check(r, answer.check, SIGNED_ANSWER_N_CHECKS);
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

/* The key of --key is the anchor itself. */
static struct err
key_from_pem(struct span pem, struct buf *spki)
{
	struct pss_pub *key = NULL;
	struct err e = pss_pub_from_pem(&key, pem, spki);

	pss_pub_free(key);
	return e;
}

/* public_key of /signing-key. */
static struct err
key_from_answer(struct span text, struct buf *spki)
{
	struct arena arena;
	struct json doc;
	struct span pem;
	struct err e;

	TRY(json_parse(&doc, text, KEYS_MAX_NODES));
	arena_init(&arena, ARENA_BYTES);
	if (!failed(e = json_no_duplicates(&doc)) &&
	    !failed(e = json_string(&doc, json_get(&doc, 0, "public_key"), &arena, &pem)))
		e = key_from_pem(pem, spki);
	arena_fini(&arena);
	json_fini(&doc);
	return e;
}

/* The key of a gateway counts when its document names it. */
static struct err
key_from_gateway(
    struct session *s, const struct verify_policy *p, struct report *r, struct buf *spki)
{
	struct check named = { "attested_signing_key", "opengradient.md 2",
		"user_data names the key of /signing-key", CHECK_FAILED };
	struct buf text;
	struct err e;

	TRY(session_open(s, p, r));
	buf_init(&text, FETCH_BODY_MAX_BYTES);
	if (!failed(e = session_get(s, r, "/signing-key", &text)) &&
	    !failed(e = key_from_answer(buf_span(&text), spki)) &&
	    !failed(e = binding_signing_key(&s->d, buf_span(spki))))
		named.verdict = CHECK_PASSED;
	buf_fini(&text);
	report_check(r, &named, 1);
	return e;
}

static int
run(const struct options *o, const struct verify_policy *p, struct session *s)
{
	struct buf request, response, key, spki;
	int status = EXIT_NOT_CHECKED;
	struct report r;
	struct err e;

	report_init(&r);
	buf_init(&request, FILE_MAX_BYTES);
	buf_init(&response, FILE_MAX_BYTES);
	buf_init(&key, FILE_MAX_BYTES);
	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	if (file_read(o->value[OPTION_REQUEST], &request) &&
	    file_read(o->value[OPTION_RESPONSE], &response) &&
	    (s != NULL || file_read(o->value[OPTION_KEY], &key))) {
		e = s != NULL ? key_from_gateway(s, p, &r, &spki)
			      : key_from_pem(file_bytes(&key), &spki);
		if (!failed(e))
			e = judge_response(
			    &r, buf_span(&spki), file_bytes(&request), file_bytes(&response));
		status = report_finish(&r, o->value[OPTION_JSON] != NULL, e);
	}
	buf_fini(&spki);
	buf_fini(&key);
	buf_fini(&response);
	buf_fini(&request);
	report_fini(&r);
	return status;
}

static int
run_with_gateway(const struct options *o)
{
	struct verify_policy *p = malloc(sizeof(*p));
	struct session s = { 0 };
	int status;

	if (p == NULL)
		return EXIT_NOT_CHECKED;
	if ((status = verify_policy_init(p, o)) == 0 && (status = session_init(&s, o)) == 0)
		status = run(o, p, &s);
	session_fini(&s);
	verify_policy_fini(p);
	free(p);
	return status;
}

int
verify_response(const struct options *o)
{
	int status;

	if ((status = options_need(o, OPTION_REQUEST)) != 0 ||
	    (status = options_need(o, OPTION_RESPONSE)) != 0)
		return status;
	if ((o->value[OPTION_KEY] != NULL) == (o->value[OPTION_URL] != NULL))
		return options_usage("--key or --url",
		    o->value[OPTION_URL] != NULL ? "is one too many" : "is missing");
	return o->value[OPTION_URL] != NULL ? run_with_gateway(o) : run(o, NULL, NULL);
}
