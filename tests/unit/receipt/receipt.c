/* receipt.c: the writer, and the key holder's half of it. */
#include "receipt/receipt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/json.h"
#include "core/limits.h"
#include "crypto/jws.h"
#include "receipt/claims.h"

static const uint8_t ones[32] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
#define ONES_B64 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
#define ONES_HEX "0101010101010101010101010101010101010101010101010101010101010101"

static struct receipt
smallest(void)
{
	return (struct receipt){
		.jti = SPAN_LIT("chatcmpl-1"),
		.path = SPAN_LIT("/v1/chat/completions"),
		.model = SPAN_LIT("echo"),
		.provider = SPAN_LIT("echo"),
		.status = 200,
		.req = ones,
		.res = ones,
		.outcome = RECEIPT_FAILED,
	};
}

static void
assert_members(const char *rule, const struct receipt *r, const char *want)
{
	struct buf b;

	buf_init(&b, RECEIPT_MAX_BYTES);
	receipt_put_members(&b, r);
	assert_int_equal(buf_check(&b).code, ERR_OK);
	if (!span_eq(buf_span(&b), span_str(want)))
		fail_msg("%s: %.*s", rule, (int)b.n, (const char *)b.p);
	buf_fini(&b);
}

static void
members(void **state)
{
	const struct span adjusted[] = { SPAN_LIT("temperature"), SPAN_LIT("seed") };
	struct receipt r = smallest();

	assert_members("what is not known is left out", &r,
	    "{\"jti\":\"chatcmpl-1\",\"path\":\"/v1/chat/completions\",\"status\":200,"
	    "\"req\":\"" ONES_B64 "\",\"res\":\"" ONES_B64 "\",\"res_len\":0,\"model\":\"echo\","
	    "\"provider\":\"echo\",\"outcome\":\"failed\"}");
	r.nonce = SPAN_LIT("bm9uY2Utbm9uY2Utbm9uY2U");
	r.served_model = SPAN_LIT("say \"hi\"\n");
	r.res_len = UINT64_C(9007199254740991);
	r.fwd = r.up = r.config = r.request_hash = r.output_hash = ones;
	r.upstream.host = SPAN_LIT("api.example");
	r.upstream.tls = SPAN_LIT("TLSv1.3");
	r.upstream.spki = r.upstream.cert = ones;
	r.upstream.request_id = SPAN_LIT("req_1");
	r.upstream.account = SPAN_LIT("org");
	r.outcome = RECEIPT_COMPLETE;
	r.finish_reason = SPAN_LIT("[\"stop\",\"length\"]");
	r.usage = SPAN_LIT("{\"total_tokens\":6}");
	r.adjusted = adjusted;
	r.n_adjusted = 2;
	r.limit = 812;
	r.payment = (struct receipt_payment){ .scheme = SPAN_LIT("upto"),
		.network = SPAN_LIT("eip155:8453"),
		.asset = SPAN_LIT("0xAA"),
		.payer = SPAN_LIT("0xBB"),
		.pay_to = SPAN_LIT("0xCC"),
		.facilitator = SPAN_LIT("0xDD"),
		.permit_nonce = SPAN_LIT("7"),
		.cap = SPAN_LIT("100000000000000000"),
		.charged = SPAN_LIT("0"),
		.session_total = SPAN_LIT("840000000000000"),
		.price_usd = SPAN_LIT("0.1"),
		.price_unix_s = 1790000000 };
	assert_members("R7: order of the table", &r,
	    "{\"jti\":\"chatcmpl-1\",\"path\":\"/v1/chat/completions\",\"status\":200,"
	    "\"nonce\":\"bm9uY2Utbm9uY2Utbm9uY2U\",\"req\":\"" ONES_B64 "\",\"res\":\"" ONES_B64
	    "\",\"res_len\":9007199254740991,\"fwd\":\"" ONES_B64 "\",\"up\":\"" ONES_B64
	    "\",\"model\":\"echo\",\"provider\":\"echo\",\"served_model\":\"say \\\"hi\\\"\\n\","
	    "\"upstream\":{\"host\":\"api.example\",\"tls\":\"TLSv1.3\",\"spki\":\"" ONES_B64
	    "\",\"cert\":\"" ONES_B64 "\",\"request_id\":\"req_1\",\"account\":\"org\"},"
	    "\"outcome\":\"complete\",\"finish_reason\":[\"stop\",\"length\"],"
	    "\"usage\":{\"total_tokens\":6},\"adjusted\":[\"temperature\",\"seed\"],"
	    "\"limit\":812,\"payment\":{\"scheme\":\"upto\",\"network\":\"eip155:8453\","
	    "\"asset\":\"0xAA\",\"payer\":\"0xBB\",\"pay_to\":\"0xCC\",\"facilitator\":\"0xDD\","
	    "\"permit_nonce\":\"7\",\"cap\":\"100000000000000000\",\"charged\":\"0\","
	    "\"session_total\":\"840000000000000\",\"price_usd\":\"0.1\","
	    "\"price_time\":1790000000},"
	    "\"config\":\"" ONES_B64 "\",\"hash\":{\"request\":\"" ONES_HEX
	    "\",\"output\":\"" ONES_HEX "\"}}");
}

#define A64    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A120   A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define U_FFFD "\xef\xbf\xbd"

static const struct {
	const char *rule, *text, *want;
} foreign[] = {
	{ "nothing", "", "" },
	{ "R1: 128 bytes stay", A64 A64, A64 A64 },
	{ "R1: 129 bytes are cut", A64 A64 "b", A64 A64 },
	{ "a character that fits", A120 "123456\xc3\xa9", A120 "123456\xc3\xa9" },
	{ "a character of two bytes is not split", A120 "1234567\xc3\xa9", A120 "1234567" },
	{ "a character of four bytes is not split", A120 "12345\xf0\x9f\x98\x80", A120 "12345" },
	{ "nothing follows a cut",
	    A120 "1234567\xc3\xa9"
		 "b",
	    A120 "1234567" },
	{ "no UTF-8: a lone continuation byte",
	    "a\x80"
	    "b",
	    "a" U_FFFD "b" },
	{ "no UTF-8: an overlong form", "\xc0\xaf", U_FFFD U_FFFD },
	{ "no UTF-8: an overlong form of three bytes", "\xe0\x9f\xbf", U_FFFD U_FFFD U_FFFD },
	{ "no UTF-8: a surrogate", "\xed\xa0\x80", U_FFFD U_FFFD U_FFFD },
	{ "no UTF-8: above U+10FFFF", "\xf4\x90\x80\x80", U_FFFD U_FFFD U_FFFD U_FFFD },
	{ "no UTF-8: cut short", "a\xe4\xb8", "a" U_FFFD U_FFFD },
	{ "no UTF-8: a replacement is not split", A120 "123456\xff", A120 "123456" },
	{ "the last code point", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
};

static void
foreign_strings(void **state)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct receipt r = smallest();
		struct arena arena;
		struct span got;
		struct json doc;
		struct buf b;

		r.served_model = span_str(foreign[i].text);
		arena_init(&arena, 65536);
		buf_init(&b, RECEIPT_MAX_BYTES);
		receipt_put_members(&b, &r);
		assert_int_equal(json_parse(&doc, buf_span(&b), 256).code, ERR_OK);
		assert_int_equal(
		    json_string(&doc, json_get(&doc, 0, "served_model"), &arena, &got).code,
		    ERR_OK);
		if (!span_eq(got, span_str(foreign[i].want)))
			fail_msg("%s", foreign[i].rule);
		json_fini(&doc);
		buf_fini(&b);
		arena_fini(&arena);
	}
}

static void
writer_respects_the_bound(void **state)
{
	struct receipt r = smallest();

	for (size_t max = 0; max < 100; max++) {
		struct buf b;

		buf_init(&b, max);
		receipt_put_members(&b, &r);
		assert_int_equal(buf_check(&b).code, ERR_TOO_LARGE);
		buf_fini(&b);
	}
}

static const struct {
	const char *rule, *members;
	enum err_code want;
	const char *payload;
} signing[] = {
	{ "K3: ours come first", "{\"jti\":\"x\"}", ERR_OK,
	    "{\"iss\":\"0xab\",\"iat\":5,\"platform\":\"aws-nitro\",\"jti\":\"x\"}" },
	{ "no members", " { } ", ERR_OK,
	    "{\"iss\":\"0xab\",\"iat\":5,\"platform\":\"aws-nitro\"}" },
	{ "K3: iss", "{\"jti\":\"x\",\"iss\":\"0xcd\"}", ERR_REFUSED, NULL },
	{ "K3: iss spelled with an escape", "{\"\\u0069ss\":\"0xcd\"}", ERR_REFUSED, NULL },
	{ "K3: iat", "{\"iat\":6}", ERR_REFUSED, NULL },
	{ "K3: platform", "{\"platform\":null}", ERR_REFUSED, NULL },
	{ "deeper members are the worker's own", "{\"a\":{\"iss\":1}}", ERR_OK,
	    "{\"iss\":\"0xab\",\"iat\":5,\"platform\":\"aws-nitro\",\"a\":{\"iss\":1}}" },
	{ "R8: a name twice", "{\"a\":1,\"a\":1}", ERR_REFUSED, NULL },
	{ "R8: a name twice, deeper", "{\"a\":{\"b\":1,\"b\":1}}", ERR_REFUSED, NULL },
	{ "not an object", "[1]", ERR_REFUSED, NULL },
	{ "two objects", "{\"a\":1}{\"b\":1}", ERR_MALFORMED, NULL },
	{ "an object that closes early", "{\"a\":1},\"iss\":\"0xcd\"}", ERR_MALFORMED, NULL },
	{ "nothing", "", ERR_MALFORMED, NULL },
};

static void
key_holder_half(void **state)
{
	struct es256_key *key;
	struct es256_pub pub;

	assert_int_equal(es256_key_generate(&key).code, ERR_OK);
	es256_key_pub(key, &pub);
	for (size_t i = 0; i < sizeof(signing) / sizeof(signing[0]); i++) {
		struct buf jws, payload;
		struct err e;

		buf_init(&jws, 2 * RECEIPT_MAX_BYTES);
		buf_init(&payload, RECEIPT_MAX_BYTES);
		e = receipt_sign(&jws, key, SPAN_LIT("0xab"), SPAN_LIT("aws-nitro"), 5,
		    span_str(signing[i].members));
		if (e.code != signing[i].want || (failed(e) && jws.n != 0))
			fail_msg("%s: %d %s", signing[i].rule, e.code, e.what);
		if (!failed(e)) {
			assert_int_equal(
			    jws_verify(buf_span(&jws), &pub, RECEIPT_TYP, &payload).code, ERR_OK);
			if (!span_eq(buf_span(&payload), span_str(signing[i].payload)))
				fail_msg("%s: payload", signing[i].rule);
			buf_clear(&payload);
			assert_int_equal(
			    jws_verify(buf_span(&jws), &pub, CONFIG_TYP, &payload).code,
			    ERR_REFUSED);
		}
		buf_fini(&payload);
		buf_fini(&jws);
	}
	es256_key_free(key);
}

/* R1: a receipt has at most 6 KiB; what does not fit is refused, never cut. */
static void
size(void **state)
{
	struct es256_key *key;
	size_t largest = 0;

	assert_int_equal(es256_key_generate(&key).code, ERR_OK);
	for (size_t n = 4000; n < 5000; n++) {
		struct buf members, jws;
		struct err e;

		buf_init(&members, 8192);
		buf_init(&jws, 2 * RECEIPT_MAX_BYTES);
		buf_put_str(&members, "{\"a\":\"");
		memset(buf_grow(&members, n), 'a', n);
		buf_put_str(&members, "\"}");
		e = receipt_sign(
		    &jws, key, SPAN_LIT("0xab"), SPAN_LIT("aws-nitro"), 5, buf_span(&members));
		assert_int_equal(e.code, jws.n > 0 ? ERR_OK : ERR_TOO_LARGE);
		largest = jws.n > largest ? jws.n : largest;
		buf_fini(&jws);
		buf_fini(&members);
		if (failed(e))
			break;
	}
	assert_in_range(largest, RECEIPT_MAX_BYTES - 4, RECEIPT_MAX_BYTES);
	es256_key_free(key);
}

/* What the writer writes, the reader of claims reads. */
static void
round_trip(void **state)
{
	struct receipt r = smallest();
	struct receipt_claims c;
	struct es256_key *key;
	struct es256_pub pub;
	struct buf members, jws, payload;

	assert_int_equal(es256_key_generate(&key).code, ERR_OK);
	es256_key_pub(key, &pub);
	buf_init(&members, RECEIPT_MAX_BYTES);
	buf_init(&jws, RECEIPT_MAX_BYTES);
	buf_init(&payload, RECEIPT_MAX_BYTES);
	r.request_hash = r.output_hash = r.fwd = r.up = r.config = ones;
	r.upstream.host = SPAN_LIT("api.example");
	r.upstream.spki = ones;
	r.finish_reason = SPAN_LIT("null");
	r.usage = SPAN_LIT("{\"prompt_tokens\":3}");
	r.outcome = RECEIPT_TRUNCATED;
	r.res_len = 12;
	receipt_put_members(&members, &r);
	assert_int_equal(receipt_sign(&jws, key, SPAN_LIT("0x" ONES_HEX), SPAN_LIT("aws-nitro"), 7,
			     buf_span(&members))
			     .code,
	    ERR_OK);
	assert_int_equal(jws_verify(buf_span(&jws), &pub, RECEIPT_TYP, &payload).code, ERR_OK);
	assert_int_equal(receipt_claims_read(&c, buf_span(&payload)).code, ERR_OK);
	assert_true(span_eq(c.iss, SPAN_LIT("0x" ONES_HEX)));
	assert_true(span_eq(c.jti, r.jti));
	assert_null(c.nonce.p);
	assert_int_equal(c.iat_unix_s, 7);
	assert_int_equal(c.res_len, 12);
	assert_int_equal(c.outcome, RECEIPT_TRUNCATED);
	assert_true(c.has_pair);
	assert_memory_equal(c.output_hash, ones, sizeof(ones));
	buf_fini(&payload);
	buf_fini(&jws);
	buf_fini(&members);
	es256_key_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(foreign_strings),
		cmocka_unit_test(writer_respects_the_bound),
		cmocka_unit_test(key_holder_half),
		cmocka_unit_test(size),
		cmocka_unit_test(round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
