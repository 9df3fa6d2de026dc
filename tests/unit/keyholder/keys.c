/* The keys and what they sign: K2, K3, R2, A3 of interfaces.md; opengradient.md 1. */
#include "keyholder/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/json.h"
#include "core/limits.h"
#include "crypto/jws.h"
#include "receipt/receipt.h"

enum { NOW = 1747000000 };

static struct keys *keys;
static struct buf identity;
static struct key_facts facts;
static struct pss_pub *signing;
static struct es256_pub receipt;

static int
set_up(void **state)
{
	struct key_request r = { .type = KEY_IDENTITY };

	buf_init(&identity, KEY_MESSAGE_MAX_BYTES);
	if (failed(keys_make(&keys, "local-simulation", NOW)) ||
	    failed(keys_answer(keys, &r, NOW, &identity)) ||
	    failed(key_facts_parse(&facts, buf_span(&identity))) ||
	    failed(pss_pub_parse(&signing, facts.signing_spki)) || facts.receipt_spki.n != 91)
		return 1;
	memcpy(receipt.x, facts.receipt_spki.p + 27, ES256_COORD_LEN);
	memcpy(receipt.y, facts.receipt_spki.p + 59, ES256_COORD_LEN);
	return 0;
}

static int
tear_down(void **state)
{
	pss_pub_free(signing);
	buf_fini(&identity);
	keys_free(keys);
	keys_free(NULL);
	return 0;
}

static void
identity_is_one(void **state)
{
	char tee_id[TEE_ID_LEN];
	struct buf bound;

	legacy_tee_id(facts.signing_spki, tee_id);
	assert_memory_equal(facts.tee_id, tee_id, TEE_ID_LEN);
	assert_memory_equal(facts.wallet_address, "0x", 2);
	/* R2 a. */
	buf_init(&bound, 256);
	buf_put_str(&bound, "tee-receipt-key-v1");
	buf_put(&bound, facts.receipt_spki);
	assert_int_equal(
	    pss_verify(signing, buf_span(&bound), facts.receipt_key_signature).code, ERR_OK);
	buf_fini(&bound);
	/* Outside an enclave clients check addresses, too: ::1 and 127.0.0.1 as SAN octets. */
	assert_true(span_find(facts.tls_cert, SPAN_LIT("\x87\x04\x7f\0\0\1"), 0) != SIZE_MAX);
}

static const struct {
	const char *rule;
	uint64_t timestamp;
	enum err_code want;
} times[] = {
	{ "K3: now", NOW, ERR_OK },
	{ "K3: 5 s ago", NOW - 5, ERR_OK },
	{ "K3: in 5 s", NOW + 5, ERR_OK },
	{ "K3: 6 s ago", NOW - 6, ERR_REFUSED },
	{ "K3: in 6 s", NOW + 6, ERR_REFUSED },
	{ "K3: 1970", 0, ERR_REFUSED },
	{ "K3: the end of time", UINT64_MAX, ERR_REFUSED },
};

static void
chats(void **state)
{
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct key_request r = { .type = KEY_CHAT, .timestamp_unix_s = times[i].timestamp };
		uint8_t msg[KECCAK_LEN];
		struct buf sig;

		buf_init(&sig, 1024);
		memset(r.request_hash, 1, KECCAK_LEN);
		memset(r.output_hash, 2, KECCAK_LEN);
		if (keys_answer(keys, &r, NOW, &sig).code != times[i].want)
			fail_msg("%s", times[i].rule);
		legacy_message(r.request_hash, r.output_hash, r.timestamp_unix_s, msg);
		if (times[i].want == ERR_OK)
			assert_int_equal(
			    pss_verify(signing, span_of(msg, sizeof(msg)), buf_span(&sig)).code,
			    ERR_OK);
		else
			assert_int_equal(sig.n, 0);
		buf_fini(&sig);
	}
}

static const struct {
	const char *rule;
	uint64_t now;
	uint32_t buffer_s;
	enum err_code want;
} beats[] = {
	{ "K3: the usual buffer", NOW, 300, ERR_OK },
	{ "K3: none", NOW, 0, ERR_OK },
	{ "K3: the largest", NOW, 1500, ERR_OK },
	{ "K3: a larger one", NOW, 1501, ERR_REFUSED },
	{ "no time before 1970", 299, 300, ERR_REFUSED },
};

/* opengradient.md 7; the layout of the message is held against the vectors in receipt/legacy.c. */
static void
heartbeats(void **state)
{
	for (size_t i = 0; i < sizeof(beats) / sizeof(beats[0]); i++) {
		struct key_request r = { .type = KEY_HEARTBEAT, .buffer_s = beats[i].buffer_s };
		uint8_t id[KECCAK_LEN], msg[KECCAK_LEN];
		struct key_heartbeat h;
		struct buf answer;

		buf_init(&answer, 1024);
		if (keys_answer(keys, &r, beats[i].now, &answer).code != beats[i].want)
			fail_msg("%s", beats[i].rule);
		if (beats[i].want == ERR_OK) {
			assert_int_equal(key_heartbeat_parse(&h, buf_span(&answer)).code, ERR_OK);
			assert_int_equal(h.timestamp_unix_s, beats[i].now - beats[i].buffer_s);
			keccak_256(facts.signing_spki, id);
			legacy_heartbeat(id, h.timestamp_unix_s, msg);
			assert_int_equal(pss_verify(signing, span_of(msg, sizeof(msg)),
					     span_of(h.signature, PSS_SIG_LEN))
					     .code,
			    ERR_OK);
		} else {
			assert_int_equal(answer.n, 0);
		}
		buf_fini(&answer);
	}
}

static const struct {
	const char *rule, *members;
	enum err_code want;
} receipts[] = {
	{ "R7: members of the worker", "{\"jti\":\"chatcmpl-1\",\"status\":200}", ERR_OK },
	{ "K3: iss is ours", "{\"jti\":\"a\",\"iss\":\"0x00\"}", ERR_REFUSED },
	{ "K3: iat is ours", "{\"iat\":1,\"jti\":\"a\"}", ERR_REFUSED },
	{ "K3: platform is ours", "{\"jti\":\"a\",\"platform\":\"aws-nitro\"}", ERR_REFUSED },
	{ "K3: platform, spelt with an escape", "{\"\\u0070latform\":\"aws-nitro\",\"jti\":\"a\"}",
	    ERR_REFUSED },
	{ "R8: a member twice", "{\"jti\":\"a\",\"jti\":\"b\"}", ERR_REFUSED },
	{ "not an object", "[]", ERR_REFUSED },
	{ "not JSON", "{\"jti\":", ERR_MALFORMED },
	{ "two objects", "{\"jti\":\"a\"}{\"jti\":\"b\"}", ERR_MALFORMED },
};

static void
receipt_members(void **state)
{
	for (size_t i = 0; i < sizeof(receipts) / sizeof(receipts[0]); i++) {
		struct key_request r = { .type = KEY_RECEIPT,
			.body = span_str(receipts[i].members) };
		struct buf jws, claims;
		struct json doc;
		uint64_t iat = 0;

		buf_init(&jws, KEY_MESSAGE_MAX_BYTES);
		buf_init(&claims, KEY_MESSAGE_MAX_BYTES);
		if (keys_answer(keys, &r, NOW, &jws).code != receipts[i].want)
			fail_msg("%s", receipts[i].rule);
		if (receipts[i].want == ERR_OK) {
			assert_int_equal(
			    jws_verify(buf_span(&jws), &receipt, RECEIPT_TYP, &claims).code,
			    ERR_OK);
			assert_int_equal(json_parse(&doc, buf_span(&claims), 64).code, ERR_OK);
			assert_true(
			    json_is(&doc, json_get(&doc, 0, "platform"), "local-simulation"));
			assert_true(json_is(&doc, json_get(&doc, 0, "jti"), "chatcmpl-1"));
			assert_true(span_eq(json_inner(&doc, json_get(&doc, 0, "iss")),
			    span_of(facts.tee_id, TEE_ID_LEN)));
			assert_true(json_u64(&doc, json_get(&doc, 0, "iat"), UINT64_MAX, &iat));
			assert_int_equal(iat, NOW);
			json_fini(&doc);
		}
		buf_fini(&jws);
		buf_fini(&claims);
	}
}

static void
configuration(void **state)
{
	struct key_request r = { .type = KEY_CONFIG, .body = SPAN_LIT("{\"mode\":\"local\"}") };
	struct buf jws, payload;

	buf_init(&jws, KEY_MESSAGE_MAX_BYTES);
	buf_init(&payload, KEY_MESSAGE_MAX_BYTES);
	assert_int_equal(keys_answer(keys, &r, NOW, &jws).code, ERR_OK);
	assert_int_equal(jws_verify(buf_span(&jws), &receipt, CONFIG_TYP, &payload).code, ERR_OK);
	assert_true(span_eq(buf_span(&payload), r.body)); /* R9: exactly those bytes */
	assert_int_equal(
	    jws_verify(buf_span(&jws), &receipt, RECEIPT_TYP, &payload).code, ERR_REFUSED);
	buf_fini(&jws);
	buf_fini(&payload);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_is_one),
		cmocka_unit_test(chats),
		cmocka_unit_test(heartbeats),
		cmocka_unit_test(receipt_members),
		cmocka_unit_test(configuration),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
