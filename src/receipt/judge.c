#include "receipt/judge.h"

#include <assert.h>

#include "codec/json.h"
#include "codec/sse.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "receipt/claims.h"
#include "receipt/legacy.h"
#include "receipt/signed_answer.h"

struct judging {
	struct span jws;
	const struct receipt_anchor *anchor;
	const struct receipt_case *held;
	struct receipt_verdict *v;
	struct buf payload;
	struct receipt_claims claims; /* borrows payload */
	/* The response: content is what `res` covers, ended whether a receipt came after it. */
	struct span content;
	bool streamed, ended, done;
	struct legacy_fields fields;
	uint8_t delivered[KECCAK_LEN];
};

bool
receipt_is_stream(struct span response)
{
	return span_starts(response, SPAN_LIT("data:")) ||
	    span_starts(response, SPAN_LIT("event:")) || span_starts(response, SPAN_LIT(":"));
}

struct err
receipt_split_stream(struct span response, struct span *content, struct span *jws, bool *done)
{
	static const struct span member = SPAN_LIT(",\"tee_receipt\":"), quote = SPAN_LIT("\"");
	static const struct span end = SPAN_LIT("\"}\n\n"), last = SPAN_LIT("data: [DONE]\n\n");
	size_t at = span_rfind(response, member), close;
	struct span tail;

	if (at == SIZE_MAX)
		return FAIL(REFUSED, "interfaces.md R5: no receipt in the stream; was it cut?");
	tail = span_cut(response, at + member.n, response.n);
	if (!span_starts(tail, quote))
		return FAIL(MALFORMED, "interfaces.md R5: tee_receipt is not a string");
	tail = span_cut(tail, 1, tail.n);
	if ((close = span_find(tail, quote, 0)) == SIZE_MAX)
		return FAIL(MALFORMED, "interfaces.md R5: the stream was cut within its receipt");
	*content = span_cut(response, 0, at);
	*jws = span_cut(tail, 0, close);
	tail = span_cut(tail, close, tail.n);
	if (!span_starts(tail, end))
		return FAIL(MALFORMED, "interfaces.md R5: tee_receipt does not end its event");
	tail = span_cut(tail, end.n, tail.n);
	*done = span_eq(tail, last);
	if (!*done && tail.n != 0)
		return FAIL(MALFORMED, "interfaces.md R5: more than [DONE] after the receipt");
	return OK;
}

static struct err
check_signature(struct judging *j, enum check_verdict *verdict)
{
	if (j->jws.n > RECEIPT_MAX_BYTES)
		return FAIL(TOO_LARGE, "interfaces.md R1: a receipt has at most 6 KiB");
	return jws_verify(j->jws, &j->anchor->key, RECEIPT_TYP, &j->payload);
}

static struct err
check_claims(struct judging *j, enum check_verdict *verdict)
{
	struct receipt_verdict *v = j->v;

	TRY(receipt_claims_read(&j->claims, buf_span(&j->payload)));
	assert(j->claims.jti.n < sizeof(v->jti)); /* a claim's rule */
	memcpy(v->jti, j->claims.jti.p, j->claims.jti.n);
	v->jti[j->claims.jti.n] = '\0';
	v->outcome = j->claims.outcome;
	v->hardware = span_eq(j->claims.platform, SPAN_LIT("aws-nitro"));
	v->iat_unix_s = j->claims.iat_unix_s;
	return OK;
}

static struct err
check_issuer(struct judging *j, enum check_verdict *verdict)
{
	char id[TEE_ID_LEN];

	legacy_tee_id(buf_span(&j->anchor->signing_spki), id);
	if (!span_eq(j->claims.iss, span_of(id, sizeof(id))))
		return FAIL(REFUSED, "interfaces.md R2: iss is not the signing key's tee_id");
	return OK;
}

static struct err
check_nonce(struct judging *j, enum check_verdict *verdict)
{
	if (j->held->nonce.p == NULL) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (j->claims.nonce.p == NULL || !span_eq(j->claims.nonce, j->held->nonce))
		return FAIL(REFUSED, "interfaces.md R7: the receipt is not for this nonce");
	return OK;
}

static bool
is_digest_of(const uint8_t want[static SHA256_LEN], struct span bytes)
{
	uint8_t digest[SHA256_LEN];

	sha256_of(bytes, digest);
	return span_eq(span_of(digest, SHA256_LEN), span_of(want, SHA256_LEN));
}

static struct err
check_request(struct judging *j, enum check_verdict *verdict)
{
	if (j->held->request.p == NULL) {
		*verdict = CHECK_SKIPPED;
		return OK;
	}
	if (!is_digest_of(j->claims.req, j->held->request))
		return FAIL(REFUSED, "interfaces.md R7: req is the hash of another request");
	return OK;
}

/* What the client holds of a stream: with its receipt at the end, or not to the end. */
static struct err
find_content(struct judging *j)
{
	struct span response = j->held->response, content, embedded;

	j->content = response;
	j->streamed = receipt_is_stream(response);
	if (!j->streamed || failed(receipt_split_stream(response, &content, &embedded, &j->done)))
		return OK;
	j->ended = true;
	j->content = content;
	if (!span_eq(embedded, j->jws))
		return FAIL(REFUSED, "interfaces.md R5: the stream ends with another receipt");
	return OK;
}

static struct err
check_outcome(struct judging *j, enum check_verdict *verdict)
{
	enum receipt_outcome outcome = j->claims.outcome;

	TRY(find_content(j));
	/* A cut stream has no receipt in it: it was made after the client had left. */
	if (outcome == RECEIPT_TRUNCATED && j->ended)
		return FAIL(REFUSED, "interfaces.md R6: truncated, but the stream has its end");
	if (outcome != RECEIPT_TRUNCATED && j->streamed && !j->ended)
		return FAIL(REFUSED, "interfaces.md R5: the stream does not end with its receipt");
	if (outcome == RECEIPT_COMPLETE && j->streamed && !j->done)
		return FAIL(REFUSED, "interfaces.md R5: complete, but [DONE] is missing");
	if (outcome == RECEIPT_FAILED && j->done)
		return FAIL(REFUSED, "interfaces.md E3: failed, but [DONE] follows");
	if ((outcome == RECEIPT_COMPLETE || j->streamed) && j->claims.status != 200)
		return FAIL(
		    REFUSED, "interfaces.md R7: the status of an answer or a stream is 200");
	if (outcome == RECEIPT_COMPLETE && !j->claims.has_pair)
		return FAIL(REFUSED, "interfaces.md R7: complete, but the hash pair is missing");
	if (outcome == RECEIPT_FAILED && j->claims.has_pair)
		return FAIL(REFUSED, "interfaces.md R7: failed, but a hash pair is claimed");
	return OK;
}

static struct err
check_response(struct judging *j, enum check_verdict *verdict)
{
	j->v->covered = j->content.n == j->claims.res_len;
	if (j->claims.outcome == RECEIPT_TRUNCATED && j->content.n < j->claims.res_len) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (!j->v->covered)
		return FAIL(REFUSED, "interfaces.md R7: res_len is not the response's length");
	if (!is_digest_of(j->claims.res, j->content))
		return FAIL(REFUSED, "interfaces.md R7: res is the hash of another response");
	return OK;
}

/* `body` is a JSON object; an id in it is the receipt's. */
static struct err
compare_id(struct judging *j, struct span body, bool *found)
{
	struct json doc;
	uint32_t id;
	bool fits;

	TRY(json_parse(&doc, body, JSON_MAX_NODES));
	id = json_get(&doc, 0, "id");
	fits = id == JSON_NONE || json_is(&doc, id, j->v->jti);
	*found |= id != JSON_NONE;
	json_fini(&doc);
	return fits ? OK : FAIL(REFUSED, "interfaces.md R7: jti is not the id in the response");
}

static struct err
compare_event_ids(struct judging *j, struct sse *reader, bool *found)
{
	struct span in = j->held->response, event;

	for (;;) {
		TRY(sse_next(reader, &in, &event));
		if (event.p == NULL)
			return OK;
		if (!span_eq(event, SPAN_LIT("[DONE]")))
			TRY(compare_id(j, event, found));
	}
}

static struct err
check_id(struct judging *j, enum check_verdict *verdict)
{
	struct span response = j->held->response;
	bool found = false;
	struct sse reader;
	struct err e;

	/* Only an answer has an id: a body of error need not. A cut response may end anywhere. */
	if (j->claims.outcome == RECEIPT_TRUNCATED) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (j->streamed) {
		sse_init(&reader, response.n);
		e = compare_event_ids(j, &reader, &found);
		sse_fini(&reader);
	} else {
		e = compare_id(j, response, &found);
	}
	if (!failed(e) && !found) {
		*verdict = CHECK_NONE;
		if (j->claims.outcome == RECEIPT_COMPLETE)
			return FAIL(REFUSED, "interfaces.md R7: the response has no id");
	}
	return e;
}

static bool
same_hash(const uint8_t a[static KECCAK_LEN], const uint8_t b[static KECCAK_LEN])
{
	return span_eq(span_of(a, KECCAK_LEN), span_of(b, KECCAK_LEN));
}

static struct err
check_fields(struct judging *j, enum check_verdict *verdict)
{
	const struct legacy_fields *f = &j->fields;

	if (j->claims.outcome != RECEIPT_COMPLETE) {
		*verdict = CHECK_NONE;
		return OK;
	}
	TRY(legacy_read(j->held->response, &j->fields, j->delivered));
	if (!span_eq(span_of(f->tee_id, TEE_ID_LEN), j->claims.iss))
		return FAIL(REFUSED, "interfaces.md R7: tee_id is not iss");
	if (!same_hash(f->request_hash, j->claims.request_hash))
		return FAIL(REFUSED, "interfaces.md R7: tee_request_hash is not hash.request");
	if (!same_hash(f->output_hash, j->claims.output_hash))
		return FAIL(REFUSED, "interfaces.md R7: tee_output_hash is not hash.output");
	return OK;
}

static struct err
check_request_hash(struct judging *j, enum check_verdict *verdict)
{
	enum canonical_form form = span_eq(j->claims.path, SPAN_LIT("/v1/completions"))
	    ? CANONICAL_COMPLETION
	    : CANONICAL_CHAT;
	uint8_t hash[KECCAK_LEN];

	if (!j->claims.has_pair || j->held->request.p == NULL) {
		*verdict = j->claims.has_pair ? CHECK_SKIPPED : CHECK_NONE;
		return OK;
	}
	TRY(signed_answer_request_hash(j->held->request, form, hash));
	if (!same_hash(hash, j->claims.request_hash))
		return FAIL(REFUSED, "opengradient.md 4.1: hash.request is of another request");
	return OK;
}

static struct err
check_output_hash(struct judging *j, enum check_verdict *verdict)
{
	if (j->claims.outcome != RECEIPT_COMPLETE) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (!same_hash(j->delivered, j->claims.output_hash))
		return FAIL(REFUSED, "opengradient.md 4.3: hash.output is of another output");
	return OK;
}

/* Absent when the client asked for none (S1); the receipt then speaks alone. */
static struct err
check_tee_signature(struct judging *j, enum check_verdict *verdict)
{
	if (j->claims.outcome != RECEIPT_COMPLETE || !j->fields.has_signature) {
		*verdict = CHECK_NONE;
		return OK;
	}
	return signed_answer_signature(&j->fields, buf_span(&j->anchor->signing_spki));
}

static const struct {
	struct check check;
	struct err (*run)(struct judging *, enum check_verdict *);
} steps[] = {
#define STEP(name, source, what) { { #name, source, what, CHECK_PENDING }, check_##name },
	RECEIPT_CHECKS(STEP)
#undef STEP
};

struct err
receipt_judge(struct receipt_verdict *v, const struct receipt_anchor *a, struct span jws,
    const struct receipt_case *c)
{
	struct judging j = { .jws = jws, .anchor = a, .held = c, .v = v };
	struct err e = OK;

	*v = (struct receipt_verdict){ 0 };
	buf_init(&j.payload, RECEIPT_MAX_BYTES);
	for (size_t i = 0; i < RECEIPT_N_CHECKS; i++)
		v->check[i] = steps[i].check;
	for (size_t i = 0; i < RECEIPT_N_CHECKS && !failed(e); i++) {
		enum check_verdict verdict = CHECK_PASSED;

		e = steps[i].run(&j, &verdict);
		v->check[i].verdict = failed(e) ? CHECK_FAILED : verdict;
	}
	buf_fini(&j.payload);
	return e;
}
