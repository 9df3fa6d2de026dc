/* judge.c and signed_answer.c: a gateway's keys sign something that does not fit what the client
 * holds. Each row changes one place before it is hashed and signed, so that only the rule that the
 * row names can catch it. */
#include "receipt/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "crypto/pss.h"
#include "receipt/legacy.h"
#include "receipt/signed_answer.h"
#include "texts.h"

static const char chat_request[] =
    "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char text_request[] = "{\"model\":\"echo\",\"prompt\":\"hi\"}";

/* A gateway: its two keys, and what clients archive of them. */
struct gateway {
	struct es256_key *key;
	struct pss_key *signer;
	struct receipt_anchor anchor;
	char id[TEE_ID_LEN];
};

static struct gateway gateway;

static int
start(void **state)
{
	assert_int_equal(es256_key_generate(&gateway.key).code, ERR_OK);
	assert_int_equal(pss_key_generate(&gateway.signer).code, ERR_OK);
	buf_init(&gateway.anchor.signing_spki, RSA_SPKI_MAX_BYTES);
	es256_key_pub(gateway.key, &gateway.anchor.key);
	assert_int_equal(pss_key_spki(gateway.signer, &gateway.anchor.signing_spki).code, ERR_OK);
	legacy_tee_id(buf_span(&gateway.anchor.signing_spki), gateway.id);
	return 0;
}

static int
stop(void **state)
{
	receipt_anchor_fini(&gateway.anchor);
	pss_key_free(gateway.signer);
	es256_key_free(gateway.key);
	return 0;
}

/* Appends the five fields for an answer "hi" to `request`, as members after others. */
static void
put_fields(struct buf *b, const char *request, enum canonical_form form)
{
	uint8_t request_hash[KECCAK_LEN], output_hash[KECCAK_LEN], message[KECCAK_LEN];
	uint8_t signature[PSS_SIG_LEN];

	assert_int_equal(
	    signed_answer_request_hash(span_str(request), form, request_hash).code, ERR_OK);
	keccak_256(SPAN_LIT("hi"), output_hash);
	legacy_message(request_hash, output_hash, 5, message);
	assert_int_equal(
	    pss_sign(gateway.signer, span_of(message, sizeof(message)), signature).code, ERR_OK);
	buf_put_str(b, ",\"tee_signature\":\"");
	b64_put(b, span_of(signature, sizeof(signature)));
	buf_put_str(b, "\",\"tee_request_hash\":\"");
	hex_put(b, span_of(request_hash, sizeof(request_hash)));
	buf_put_str(b, "\",\"tee_output_hash\":\"");
	hex_put(b, span_of(output_hash, sizeof(output_hash)));
	buf_put_str(b, "\",\"tee_timestamp\":5,\"tee_id\":\"");
	buf_put(b, span_of(gateway.id, sizeof(gateway.id)));
	buf_put_byte(b, '"');
}

/* The receipt of `content`, claims changed in one place, appended to jws. */
static void
put_receipt(struct buf *jws, const char *request, struct span content, enum receipt_outcome outcome,
    const char *from, const char *to)
{
	bool is_chat = request == chat_request;
	uint8_t req[SHA256_LEN], res[SHA256_LEN], request_hash[KECCAK_LEN], output_hash[KECCAK_LEN];
	struct receipt r = {
		.jti = SPAN_LIT("chatcmpl-1"),
		.path = is_chat ? SPAN_LIT("/v1/chat/completions") : SPAN_LIT("/v1/completions"),
		.model = SPAN_LIT("echo"),
		.provider = SPAN_LIT("echo"),
		.status = 200,
		.req = req,
		.res = res,
		.res_len = content.n,
		.outcome = outcome,
		.request_hash = outcome == RECEIPT_FAILED ? NULL : request_hash,
		.output_hash = outcome == RECEIPT_FAILED ? NULL : output_hash,
	};
	struct buf members, changed;

	sha256_of(span_str(request), req);
	sha256_of(content, res);
	assert_int_equal(signed_answer_request_hash(span_str(request),
			     is_chat ? CANONICAL_CHAT : CANONICAL_COMPLETION, request_hash)
			     .code,
	    ERR_OK);
	keccak_256(SPAN_LIT("hi"), output_hash);
	buf_init(&members, RECEIPT_MAX_BYTES);
	receipt_put_members(&members, &r);
	changed = text_with(buf_span(&members), from, to);
	assert_int_equal(receipt_sign(jws, gateway.key, span_of(gateway.id, TEE_ID_LEN),
			     SPAN_LIT("local-simulation"), 7, buf_span(&changed))
			     .code,
	    ERR_OK);
	buf_fini(&changed);
	buf_fini(&members);
}

static struct buf
answer_body(const char *request)
{
	struct buf b;

	buf_init(&b, TEXT_MAX_BYTES);
	buf_put_str(&b, "{\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,");
	buf_put_str(&b,
	    request == chat_request ? "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"}"
				    : "\"text\":\"hi\"");
	buf_put_str(&b, ",\"finish_reason\":\"stop\"}]");
	put_fields(&b, request, request == chat_request ? CANONICAL_CHAT : CANONICAL_COMPLETION);
	buf_put_byte(&b, '}');
	return b;
}

/* "": any rule will do. */
static bool
mentions(const char *what, const char *why)
{
	return *why == '\0' || span_find(span_str(what), span_str(why), 0) != SIZE_MAX;
}

static void
judge(const char *rule, const struct receipt_case *held, struct span jws, const char *why,
    struct receipt_verdict *v)
{
	struct err e = receipt_judge(v, &gateway.anchor, jws, held);

	if (why == NULL && failed(e))
		fail_msg("%s: %s", rule, e.what);
	if (why != NULL && (!failed(e) || !mentions(e.what, why)))
		fail_msg("%s: %s", rule, failed(e) ? e.what : "verified");
}

static const struct {
	const char *rule, *request, *body_from, *body_to, *claim_from, *claim_to;
	const char *why; /* a part of the rule that catches it; NULL: verified */
} bodies[] = {
	{ "as it stands", chat_request, "", "", "", "", NULL },
	{ "completions", text_request, "", "", "", "", NULL },
	{ "S1: TEE-Signature: none", chat_request, "\"tee_signature\"", "\"other\"", "", "", NULL },
	{ "R7: the other endpoint's form of the request hash", chat_request, "", "",
	    "/v1/chat/completions", "/v1/completions", "" },
	{ "R7: jti of another answer", chat_request, "", "", "chatcmpl-1", "chatcmpl-2",
	    "R7: jti is not the id" },
	{ "R7: another id in the answer", chat_request, "chatcmpl-1", "chatcmpl-2", "", "",
	    "R7: jti is not the id" },
	{ "R7: no id in the answer", chat_request, "\"id\"", "\"ie\"", "", "",
	    "R7: the response has no id" },
	{ "R7: an id that is no text", chat_request, "\"chatcmpl-1\"", "1", "", "",
	    "R7: jti is not the id" },
	{ "R7: req of another request", chat_request, "", "", "\"req\":\"", "\"other\":\"",
	    "claim req" },
	{ "R7: status of an error", chat_request, "", "", "\"status\":200", "\"status\":502",
	    "R7: the status" },
	{ "R7: res_len", chat_request, "", "", "\"res_len\":", "\"res_len\":1", "R7: res_len" },
	{ "R7: no pair", chat_request, "", "", "\"hash\"", "\"hass\"", "the hash pair is missing" },
	{ "R7: failed, with a pair", chat_request, "", "", "\"complete\"", "\"failed\"",
	    "a hash pair is claimed" },
	{ "S1: a text that was not hashed", chat_request, "\"hi\"", "\"ho\"", "", "",
	    "hash.output is of another output" },
	{ "S1: tee_request_hash", chat_request, "\"tee_request_hash\":\"",
	    "\"tee_request_hash\":"
	    "\"0000000000000000000000000000000000000000000000000000000000000000"
	    "\",\"x\":\"",
	    "", "", "tee_request_hash is not hash.request" },
	{ "S1: tee_output_hash", chat_request, "\"tee_output_hash\":\"",
	    "\"tee_output_hash\":\"0000000000000000000000000000000000000000000000000000000000000000"
	    "\",\"x\":\"",
	    "", "", "tee_output_hash is not hash.output" },
	{ "S1: tee_id", chat_request, "\"tee_id\":\"",
	    "\"tee_id\":\"0x0000000000000000000000000000000000000000000000000000000000000000\","
	    "\"x\":\"",
	    "", "", "tee_id is not iss" },
	{ "4.1: hashes of another request", chat_request, "\"tee_request_hash\":\"",
	    "\"tee_request_hash\":"
	    "\"0000000000000000000000000000000000000000000000000000000000000000"
	    "\",\"x\":\"",
	    "\"request\":\"",
	    "\"request\":\"0000000000000000000000000000000000000000000000000000000000000000\","
	    "\"x\":\"",
	    "hash.request is of another request" },
	{ "S1: the time that was signed", chat_request, "\"tee_timestamp\":5",
	    "\"tee_timestamp\":6", "", "", "tee_signature does not fit" },
	{ "S1: a signature of another key", chat_request, "\"tee_signature\":\"",
	    "\"tee_signature\":\"AAAA\",\"x\":\"", "", "", "tee_signature does not fit" },
	{ "S1: no fields at all", chat_request, "\"tee_id\"", "\"tee_ie\"", "", "", "tee_id" },
	{ "S1: two outputs, one reader takes the first", chat_request, "\"tee_output_hash\"",
	    "\"tee_output_hash\":\"\",\"tee_output_hash\"", "", "", "" },
	{ "not JSON", chat_request, "{\"id\"", "{id", "", "", "" },
};

static void
untrue_bodies(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct buf body = answer_body(bodies[i].request);
		struct buf changed = text_with(
		    buf_span(&body), bodies[i].body_from, bodies[i].body_to);
		struct receipt_case held = { span_str(bodies[i].request), buf_span(&changed),
			SPAN_NONE };
		struct receipt_verdict v;
		struct buf jws;

		buf_init(&jws, RECEIPT_MAX_BYTES);
		put_receipt(&jws, bodies[i].request, buf_span(&changed), RECEIPT_COMPLETE,
		    bodies[i].claim_from, bodies[i].claim_to);
		judge(bodies[i].rule, &held, buf_span(&jws), bodies[i].why, &v);
		buf_fini(&jws);
		buf_fini(&changed);
		buf_fini(&body);
	}
}

/* A receipt of one gateway does not pass as another's, though the receipt key is the same. */
static void
issuer(void **state)
{
	struct buf body = answer_body(chat_request), jws, other;
	struct receipt_case held = { span_str(chat_request), buf_span(&body), SPAN_NONE };
	struct receipt_verdict v;
	struct pss_key *signer;

	buf_init(&jws, RECEIPT_MAX_BYTES);
	put_receipt(&jws, chat_request, buf_span(&body), RECEIPT_COMPLETE, "", "");
	assert_int_equal(pss_key_generate(&signer).code, ERR_OK);
	other = gateway.anchor.signing_spki;
	buf_init(&gateway.anchor.signing_spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(pss_key_spki(signer, &gateway.anchor.signing_spki).code, ERR_OK);
	judge("R2: iss", &held, buf_span(&jws), "R2: iss is not", &v);
	buf_fini(&gateway.anchor.signing_spki);
	gateway.anchor.signing_spki = other;
	judge("its own", &held, buf_span(&jws), NULL, &v);
	pss_key_free(signer);
	buf_fini(&jws);
	buf_fini(&body);
}

/* R1: a receipt has at most 6 KiB, whoever signed it. */
static void
too_long(void **state)
{
	struct buf body = answer_body(chat_request), jws, payload, claims;
	struct receipt_case held = { span_str(chat_request), buf_span(&body), SPAN_NONE };
	char later[4096] = "{\"later\":\"";
	struct receipt_verdict v;

	buf_init(&jws, 2 * RECEIPT_MAX_BYTES);
	buf_init(&payload, RECEIPT_MAX_BYTES);
	put_receipt(&jws, chat_request, buf_span(&body), RECEIPT_COMPLETE, "", "");
	assert_int_equal(
	    jws_verify(buf_span(&jws), &gateway.anchor.key, RECEIPT_TYP, &payload).code, ERR_OK);
	memset(later + 10, 'a', sizeof(later) - 10 - sizeof("\","));
	memcpy(later + sizeof(later) - sizeof("\","), "\",", sizeof("\","));
	claims = text_with(buf_span(&payload), "{", later);
	buf_clear(&jws);
	assert_int_equal(jws_sign(&jws, gateway.key, RECEIPT_TYP, buf_span(&claims)).code, ERR_OK);
	assert_true(claims.n < RECEIPT_MAX_BYTES && jws.n > RECEIPT_MAX_BYTES);
	judge("R1: 6 KiB", &held, buf_span(&jws), "at most 6 KiB", &v);
	buf_fini(&claims);
	buf_fini(&payload);
	buf_fini(&jws);
	buf_fini(&body);
}

#define DELTA(id) \
	"data: {\"id\":\"" id "\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define ENDED                                                                              \
	"data: "                                                                           \
	"{\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":" \
	"\"stop\"}]"
#define DONE "\"}\n\ndata: [DONE]\n\n"

static const struct {
	const char *rule, *from, *to; /* of the content */
	enum receipt_outcome outcome;
	const char *claim_from, *claim_to, *tail, *why;
} streams[] = {
	{ "as it stands", "", "", RECEIPT_COMPLETE, "", "", DONE, NULL },
	{ "R5: complete without [DONE]", "", "", RECEIPT_COMPLETE, "", "", "\"}\n\n",
	    "[DONE] is missing" },
	{ "R5: more after [DONE]", "", "", RECEIPT_COMPLETE, "", "", DONE DONE,
	    "does not end with its receipt" },
	{ "E3: failed with [DONE]", "", "", RECEIPT_FAILED, "", "", DONE, "E3: failed" },
	{ "E3: failed", "", "", RECEIPT_FAILED, "", "", "\"}\n\n", NULL },
	{ "R7: the status of a failed stream", "", "", RECEIPT_FAILED, "\"status\":200",
	    "\"status\":502", "\"}\n\n", "R7: the status" },
	{ "R6: truncated within its own stream", "", "", RECEIPT_TRUNCATED, "", "", DONE,
	    "R6: truncated" },
	{ "R7: an event of another answer", "chatcmpl-1", "chatcmpl-2", RECEIPT_COMPLETE, "", "",
	    DONE, "R7: jti is not the id" },
	{ "R7: an event without id is fine", "{\"id\"", "{\"ie\"", RECEIPT_COMPLETE, "", "", DONE,
	    NULL },
	{ "R5: a delta that was not hashed", "\"hi\"", "\"ho\"", RECEIPT_COMPLETE, "", "", DONE,
	    "hash.output is of another output" },
	{ "an event that is no JSON", "", "data: x\n\n", RECEIPT_COMPLETE, "", "", DONE, "" },
	{ "a comment is only bytes", "", ": x\n\n", RECEIPT_COMPLETE, "", "", DONE, NULL },
	{ "an early end", "", "data: [DONE]\n\n", RECEIPT_COMPLETE, "", "", DONE, "" },
};

static struct buf
stream_content(void)
{
	struct buf b;

	buf_init(&b, TEXT_MAX_BYTES);
	buf_put_str(&b, DELTA("chatcmpl-1") ENDED);
	put_fields(&b, chat_request, CANONICAL_CHAT);
	return b;
}

static void
untrue_streams(void **state)
{
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		struct buf plain = stream_content();
		struct buf all = text_with(buf_span(&plain), streams[i].from, streams[i].to);
		struct receipt_case held = { .request = span_str(chat_request) };
		struct receipt_verdict v;
		struct buf jws;

		buf_init(&jws, RECEIPT_MAX_BYTES);
		put_receipt(&jws, chat_request, buf_span(&all), streams[i].outcome,
		    streams[i].claim_from, streams[i].claim_to);
		buf_put_str(&all, ",\"tee_receipt\":\"");
		buf_put(&all, buf_span(&jws));
		buf_put_str(&all, streams[i].tail);
		held.response = buf_span(&all);
		judge(streams[i].rule, &held, buf_span(&jws), streams[i].why, &v);
		buf_fini(&jws);
		buf_fini(&all);
		buf_fini(&plain);
	}
}

/* The stream ends with a receipt, but the client was given another of the same content. */
static void
two_receipts(void **state)
{
	struct buf all = stream_content(), first, second;
	struct receipt_case held = { .request = span_str(chat_request) };
	struct receipt_verdict v;

	buf_init(&first, RECEIPT_MAX_BYTES);
	buf_init(&second, RECEIPT_MAX_BYTES);
	put_receipt(&first, chat_request, buf_span(&all), RECEIPT_COMPLETE, "", "");
	put_receipt(&second, chat_request, buf_span(&all), RECEIPT_COMPLETE, "", "");
	buf_put_str(&all, ",\"tee_receipt\":\"");
	buf_put(&all, buf_span(&first));
	buf_put_str(&all, DONE);
	held.response = buf_span(&all);
	judge("its own", &held, buf_span(&first), NULL, &v);
	judge("another", &held, buf_span(&second), "ends with another receipt", &v);
	buf_fini(&second);
	buf_fini(&first);
	buf_fini(&all);
}

/* V5: the client may hold less than was queued, never more, and never something else. */
static void
truncated(void **state)
{
	struct buf all = stream_content(), jws;
	struct receipt_case held = { .request = span_str(chat_request) };
	struct span queued = span_cut(buf_span(&all), 0, sizeof(DELTA("chatcmpl-1")) + 9);
	struct receipt_verdict v;

	buf_init(&jws, RECEIPT_MAX_BYTES);
	put_receipt(&jws, chat_request, queued, RECEIPT_TRUNCATED, "", "");
	for (size_t n = 0; n <= all.n; n++) {
		held.response = span_cut(buf_span(&all), 0, n);
		judge("V5", &held, buf_span(&jws), n <= queued.n ? NULL : "R7: res_len", &v);
		if (n <= queued.n) {
			assert_int_equal(v.outcome, RECEIPT_TRUNCATED);
			assert_int_equal(v.covered, n == queued.n);
		}
	}
	held.response = queued;
	all.p[queued.n - 1] ^= 1;
	judge(
	    "V5: compared when equal in length", &held, buf_span(&jws), "R7: res is the hash", &v);
	held.request = SPAN_LIT("{}");
	judge("V5: the request is compared", &held, buf_span(&jws), "R7: req", &v);
	buf_fini(&jws);
	buf_fini(&all);
}

/* A refusal after admission has a receipt too: an error body needs no id and has no hashes. */
static void
failed_body(void **state)
{
	static const char body[] = "{\"error\":{\"message\":\"m\",\"type\":\"upstream_error\"}}";
	struct receipt_case held = { span_str(chat_request), span_str(body), SPAN_NONE };
	struct receipt_verdict v;
	struct buf jws;

	buf_init(&jws, RECEIPT_MAX_BYTES);
	put_receipt(
	    &jws, chat_request, span_str(body), RECEIPT_FAILED, "\"status\":200", "\"status\":502");
	judge("R4: failed before the first byte", &held, buf_span(&jws), NULL, &v);
	assert_int_equal(v.outcome, RECEIPT_FAILED);
	held.response = SPAN_LIT("{}");
	judge("R7: another body", &held, buf_span(&jws), "R7: res_len", &v);
	buf_fini(&jws);
}

static const struct {
	const char *rule, *request, *from, *to, *why;
} answers[] = {
	{ "as it stands", chat_request, "", "", NULL },
	{ "completions", text_request, "", "", NULL },
	{ "4.3: not covered: the id", chat_request, "chatcmpl-1", "chatcmpl-2", NULL },
	{ "4.3: another text", chat_request, "\"hi\"", "\"ho\"", "tee_output_hash" },
	{ "4.3: another finish", chat_request, "\"stop\"", "\"tool_calls\"", NULL },
	{ "4.3: another time", chat_request, "\"tee_timestamp\":5", "\"tee_timestamp\":6",
	    "tee_signature does not fit" },
	{ "1: another tee_id", chat_request, "\"tee_id\":\"",
	    "\"tee_id\":\"0x0000000000000000000000000000000000000000000000000000000000000000\","
	    "\"x\":\"",
	    "tee_id is not" },
	{ "S1: nothing is signed", chat_request, "\"tee_signature\"", "\"other\"",
	    "no tee_signature" },
	{ "4.1: another request hash", chat_request, "\"tee_request_hash\":\"",
	    "\"tee_request_hash\":"
	    "\"0000000000000000000000000000000000000000000000000000000000000000"
	    "\",\"x\":\"",
	    "tee_request_hash is of another" },
	{ "an error", chat_request, "{\"id\"", "{\"error\":{},\"id\"", "" },
};

static void
legacy_answers(void **state)
{
	struct span spki = buf_span(&gateway.anchor.signing_spki);

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct buf body = answer_body(answers[i].request);
		struct buf changed = text_with(buf_span(&body), answers[i].from, answers[i].to);
		struct signed_answer v;
		struct err e;

		e = signed_answer_judge(&v, spki, span_str(answers[i].request), buf_span(&changed));
		if (answers[i].why == NULL ? failed(e)
					   : !failed(e) || !mentions(e.what, answers[i].why))
			fail_msg("%s: %s", answers[i].rule, failed(e) ? e.what : "verified");
		buf_fini(&changed);
		buf_fini(&body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(untrue_bodies),
		cmocka_unit_test(issuer),
		cmocka_unit_test(too_long),
		cmocka_unit_test(untrue_streams),
		cmocka_unit_test(two_receipts),
		cmocka_unit_test(truncated),
		cmocka_unit_test(failed_body),
		cmocka_unit_test(legacy_answers),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
