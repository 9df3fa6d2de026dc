/*
 * What a key holder signs and a client judges. Input: one byte, then
 * 'm': members as a worker might send them: whatever they are, the key holder's claims stay its own;
 * else: a response as a client might hold it, with a receipt that fits its bytes, so that what reads
 * responses is reached: it verifies as complete only if the text is what was hashed.
 */
#include <stdlib.h>

#include "codec/json.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "receipt/claims.h"
#include "receipt/judge.h"
#include "receipt/legacy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct es256_key *key;
static struct receipt_anchor anchor;
static char id[TEE_ID_LEN];

/* The seeds name this tee_id: keccak-256 of "any bytes". */
static void
start(void)
{
	if (key != NULL)
		return;
	if (failed(es256_key_generate(&key)))
		abort();
	es256_key_pub(key, &anchor.key);
	buf_init(&anchor.signing_spki, 16);
	buf_put_str(&anchor.signing_spki, "any bytes");
	legacy_tee_id(buf_span(&anchor.signing_spki), id);
}

static struct err
sign(struct buf *jws, struct span members)
{
	return receipt_sign(
	    jws, key, span_of(id, sizeof(id)), SPAN_LIT("local-simulation"), 7, members);
}

/* iss, iat and platform are what we said, in the only reading that there is. */
static void
check_ours(struct span payload)
{
	struct json doc;
	uint64_t iat;

	if (failed(json_parse(&doc, payload, JSON_MAX_NODES)) || failed(json_no_duplicates(&doc)) ||
	    !json_is(&doc, json_get(&doc, 0, "platform"), "local-simulation") ||
	    !json_u64(&doc, json_get(&doc, 0, "iat"), 7, &iat) || iat != 7)
		abort();
	json_fini(&doc);
}

static void
try_members(struct span members)
{
	struct receipt_claims c;
	struct buf jws, payload;
	struct err e;

	buf_init(&jws, RECEIPT_MAX_BYTES);
	buf_init(&payload, RECEIPT_MAX_BYTES);
	if (!failed(sign(&jws, members))) {
		if (failed(jws_verify(buf_span(&jws), &anchor.key, RECEIPT_TYP, &payload)))
			abort();
		check_ours(buf_span(&payload));
		e = receipt_claims_read(&c, buf_span(&payload));
		if (!failed(e) && (c.iat_unix_s != 7 || c.jti.n == 0 || c.status > 599))
			abort();
	}
	buf_fini(&payload);
	buf_fini(&jws);
}

/* The response whose content is `content`: itself, or a stream that ends with `jws`. */
static struct buf
whole_response(struct span content, bool stream, struct span jws, bool done)
{
	struct buf b;

	buf_init(&b, content.n + 2 * RECEIPT_MAX_BYTES);
	buf_put(&b, content);
	if (stream) {
		buf_put_str(&b, ",\"tee_receipt\":\"");
		buf_put(&b, jws);
		buf_put_str(&b, done ? "\"}\n\ndata: [DONE]\n\n" : "\"}\n\n");
	}
	return b;
}

/* Members that fit the content and, as far as it says any, its hashes. */
static void
put_members(struct buf *members, struct span content, enum receipt_outcome outcome,
    const struct legacy_fields *f)
{
	uint8_t res[SHA256_LEN], req[SHA256_LEN] = { 0 };
	struct receipt r = {
		.jti = SPAN_LIT("chatcmpl-1"),
		.path = SPAN_LIT("/v1/chat/completions"),
		.model = content, /* whatever bytes a stranger's string has */
		.provider = SPAN_LIT("echo"),
		.status = 200,
		.req = req,
		.res = res,
		.res_len = content.n,
		.outcome = outcome,
		.request_hash = outcome == RECEIPT_COMPLETE ? f->request_hash : NULL,
		.output_hash = outcome == RECEIPT_COMPLETE ? f->output_hash : NULL,
	};

	sha256_of(content, res);
	receipt_put_members(members, &r);
}

static void
try_response(struct span content, bool stream, enum receipt_outcome outcome)
{
	bool done = outcome == RECEIPT_COMPLETE, answer;
	struct buf response = whole_response(content, stream, SPAN_LIT("x"), done), members, jws;
	uint8_t delivered[KECCAK_LEN] = { 0 };
	struct legacy_fields f = { 0 };
	struct receipt_case held = { 0 };
	struct receipt_verdict v;

	answer = !failed(legacy_read(buf_span(&response), &f, delivered)) &&
	    span_eq(span_of(delivered, KECCAK_LEN), span_of(f.output_hash, KECCAK_LEN));
	buf_fini(&response);
	buf_init(&members, RECEIPT_MAX_BYTES);
	buf_init(&jws, RECEIPT_MAX_BYTES);
	put_members(&members, content, outcome, &f);
	if (failed(buf_check(&members)) || failed(sign(&jws, buf_span(&members))))
		abort();
	response = whole_response(content, stream, buf_span(&jws), done);
	held.response = response.n > 0 ? buf_span(&response) : SPAN_LIT("");
	if (!failed(receipt_judge(&v, &anchor, buf_span(&jws), &held)) &&
	    (!v.covered || v.outcome != outcome || (outcome == RECEIPT_COMPLETE && !answer)))
		abort();
	buf_fini(&response);
	buf_fini(&jws);
	buf_fini(&members);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest;

	if (size == 0)
		return 0;
	start();
	rest = span_of(data + 1, size - 1);
	if (data[0] == 'm')
		try_members(rest);
	else
		try_response(rest, data[0] >= 's', (enum receipt_outcome)(data[0] % 3));
	return 0;
}
