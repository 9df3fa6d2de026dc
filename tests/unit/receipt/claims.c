/* claims.c: every claim has its type and range. Rows change one place of claims that are fine. */
#include "receipt/claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "texts.h"

#define HASH   "ZDpLKAaMfCD1YUyG3JIvippVUFoWIOKLlFEAq6v1iIE"
#define KECCAK "b6dcb455e14893352380fac47a9358b81016d73d2da5e594ee3c842b1eee5916"

static const char good[] =
    "{\"iss\":\"0x" KECCAK "\",\"jti\":\"chatcmpl-1\",\"iat\":1790000000,"
    "\"platform\":\"local-simulation\",\"path\":\"/v1/chat/completions\",\"status\":200,"
    "\"nonce\":\"bm9uY2Utbm9uY2Utbm9uY2U\",\"req\":\"" HASH "\",\"res\":\"" HASH
    "\",\"res_len\":928,\"fwd\":\"" HASH "\",\"up\":\"" HASH "\",\"model\":\"echo\","
    "\"provider\":\"openai\",\"served_model\":\"echo-1\",\"upstream\":{\"host\":\"h\","
    "\"tls\":\"TLSv1.3\",\"spki\":\"" HASH "\",\"cert\":\"" HASH "\",\"request_id\":\"r\","
    "\"account\":\"a\"},\"outcome\":\"complete\",\"finish_reason\":\"stop\","
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":3,\"total_tokens\":6,"
    "\"prompt_tokens_details\":{\"cached_tokens\":0}},\"adjusted\":[\"seed\"],\"limit\":100,"
    "\"payment\":{\"scheme\":\"upto\",\"network\":\"eip155:1\",\"asset\":\"0xa\",\"payer\":\"0xb\","
    "\"pay_to\":\"0xc\",\"facilitator\":\"https://f\",\"permit_nonce\":\"1\",\"cap\":\"100\","
    "\"charged\":\"0\",\"session_total\":\"7\",\"price_usd\":\"0.05\",\"price_time\":1790000000},"
    "\"config\":\"" HASH "\",\"hash\":{\"request\":\"" KECCAK "\",\"output\":\"" KECCAK "\"}}";

static const struct {
	const char *rule, *from, *to;
	enum err_code want;
} rows[] = {
	{ "as it stands", "", "", ERR_OK },
	{ "R7: later versions claim more", "{\"iss\"", "{\"later\":[1,{}],\"iss\"", ERR_OK },
	{ "R8: a claim twice", "{\"iss\"", "{\"jti\":\"x\",\"iss\"", ERR_MALFORMED },
	{ "R8: an unknown claim twice", "{\"iss\"", "{\"a\":1,\"a\":1,\"iss\"", ERR_MALFORMED },
	{ "R8: a claim twice, spelled with an escape", "{\"iss\"", "{\"\\u006ati\":1,\"iss\"",
	    ERR_MALFORMED },
	{ "R8: a member twice, deeper", "{\"host\"", "{\"host\":\"x\",\"host\"", ERR_MALFORMED },
	{ "RFC 8259: no JSON", "{\"iss\"", "[{\"iss\"", ERR_MALFORMED },

	{ "iss: absent", "\"iss\"", "\"isz\"", ERR_MALFORMED },
	{ "iss: without 0x", "\"0xb6", "\"00b6", ERR_MALFORMED },
	{ "iss: too short", "\"0xb6", "\"0xb", ERR_MALFORMED },
	{ "iss: no digit", "\"0xb6", "\"0xg6", ERR_MALFORMED },
	{ "jti: absent", "\"jti\"", "\"jtj\"", ERR_MALFORMED },
	{ "jti: empty", "chatcmpl-1", "", ERR_MALFORMED },
	{ "jti: a byte that could act on a terminal", "chatcmpl-1", "chatcmpl\\u001b",
	    ERR_MALFORMED },
	{ "jti: a space", "chatcmpl-1", "chatcmpl 1", ERR_MALFORMED },
	{ "jti: not a string", "\"chatcmpl-1\"", "1", ERR_MALFORMED },
	{ "iat: absent", "\"iat\"", "\"iau\"", ERR_MALFORMED },
	{ "iat: text", "1790000000,\"platform", "\"1790000000\",\"platform", ERR_MALFORMED },
	{ "iat: a fraction", "1790000000,\"platform", "1790000000.0,\"platform", ERR_MALFORMED },
	{ "iat: negative", "1790000000,\"platform", "-1,\"platform", ERR_MALFORMED },
	{ "iat: above 2^53", "1790000000,\"platform", "9007199254740992,\"platform",
	    ERR_MALFORMED },
	{ "platform: absent", "\"platform\"", "\"plattform\"", ERR_MALFORMED },
	{ "platform: another", "local-simulation", "aws-nitro2", ERR_MALFORMED },
	{ "platform: hardware", "local-simulation", "aws-nitro", ERR_OK },
	{ "path: absent", "\"path\"", "\"pat\"", ERR_MALFORMED },
	{ "path: the other endpoint", "/v1/chat/completions", "/v1/completions", ERR_OK },
	{ "path: no endpoint", "/v1/chat/completions", "/v1/models", ERR_MALFORMED },
	{ "status: absent", "\"status\"", "\"statu\"", ERR_MALFORMED },
	{ "status: the least", "200,\"nonce", "100,\"nonce", ERR_OK },
	{ "status: below", "200,\"nonce", "99,\"nonce", ERR_MALFORMED },
	{ "status: above", "200,\"nonce", "600,\"nonce", ERR_MALFORMED },
	{ "nonce: absent", "\"nonce\"", "\"nonc\"", ERR_OK },
	{ "nonce: null", "\"bm9uY2Utbm9uY2Utbm9uY2U\"", "null", ERR_MALFORMED },
	{ "nonce: 15 characters", "bm9uY2Utbm9uY2Utbm9uY2U", "bm9uY2Utbm9uY2U", ERR_MALFORMED },
	{ "nonce: padding", "bm9uY2Utbm9uY2Utbm9uY2U", "bm9uY2Utbm9uY2Utbm9uY2U=", ERR_MALFORMED },
	{ "req: absent", "\"req\"", "\"reg\"", ERR_MALFORMED },
	{ "req: padding", "\"req\":\"" HASH, "\"req\":\"" HASH "=", ERR_MALFORMED },
	{ "req: spare bits", "\"req\":\"ZDpLKAaMfCD1YUyG3JIvippVUFoWIOKLlFEAq6v1iIE",
	    "\"req\":\"ZDpLKAaMfCD1YUyG3JIvippVUFoWIOKLlFEAq6v1iIF", ERR_MALFORMED },
	{ "req: 31 bytes", "\"req\":\"ZDpL", "\"req\":\"ZD", ERR_MALFORMED },
	{ "req: 33 bytes", "\"req\":\"Z", "\"req\":\"ZZ", ERR_MALFORMED },
	{ "req: hex", "\"req\":\"" HASH, "\"req\":\"" KECCAK, ERR_MALFORMED },
	{ "req: empty", "\"req\":\"" HASH, "\"req\":\"", ERR_MALFORMED },
	{ "res: absent", "\"res\"", "\"ret\"", ERR_MALFORMED },
	{ "res: standard base64", "\"res\":\"Z", "\"res\":\"+", ERR_MALFORMED },
	{ "res_len: absent", "\"res_len\"", "\"res_ken\"", ERR_MALFORMED },
	{ "res_len: text", ":928,", ":\"928\",", ERR_MALFORMED },
	{ "res_len: an exponent", ":928,", ":9e2,", ERR_MALFORMED },
	{ "fwd: absent", "\"fwd\"", "\"fw\"", ERR_OK },
	{ "fwd: not 32 bytes", "\"fwd\":\"Z", "\"fwd\":\"", ERR_MALFORMED },
	{ "up: null", "\"up\":\"" HASH "\"", "\"up\":null", ERR_MALFORMED },
	{ "model: absent", "\"model\"", "\"mode\"", ERR_MALFORMED },
	{ "model: escapes are fine", "\"echo\"", "\"\\u0065cho\\n\"", ERR_OK },
	{ "provider: absent", "\"provider\"", "\"provide\"", ERR_MALFORMED },
	{ "served_model: a number", "\"echo-1\"", "1", ERR_MALFORMED },
	{ "upstream: text", "\"upstream\":{", "\"upstream\":\"h\",\"other\":{", ERR_MALFORMED },
	{ "upstream: no host", "\"host\"", "\"hose\"", ERR_MALFORMED },
	{ "upstream: more members", "{\"host\"", "{\"later\":1,\"host\"", ERR_OK },
	{ "upstream: spki is no hash", "\"spki\":\"Z", "\"spki\":\"", ERR_MALFORMED },
	{ "upstream: account is no text", "\"account\":\"a\"", "\"account\":[]", ERR_MALFORMED },
	{ "outcome: absent", "\"outcome\"", "\"outcom\"", ERR_MALFORMED },
	{ "outcome: truncated", "\"complete\"", "\"truncated\"", ERR_OK },
	{ "outcome: failed", "\"complete\"", "\"failed\"", ERR_OK },
	{ "outcome: another", "\"complete\"", "\"Complete\"", ERR_MALFORMED },
	{ "finish_reason: null", "\"stop\"", "null", ERR_OK },
	{ "finish_reason: n > 1", "\"stop\"", "[\"stop\",null]", ERR_OK },
	{ "finish_reason: a number", "\"stop\"", "1", ERR_MALFORMED },
	{ "finish_reason: nested", "\"stop\"", "[[\"stop\"]]", ERR_MALFORMED },
	{ "usage: null", "\"usage\":{", "\"usage\":null,\"other\":{", ERR_MALFORMED },
	{ "usage: estimated", "{\"prompt_tokens\"", "{\"estimated\":true,\"prompt_tokens\"",
	    ERR_OK },
	{ "usage: text", "\"prompt_tokens\":3", "\"prompt_tokens\":\"3\"", ERR_MALFORMED },
	{ "usage: negative", "\"total_tokens\":6", "\"total_tokens\":-6", ERR_MALFORMED },
	{ "adjusted: text", "[\"seed\"]", "\"seed\"", ERR_MALFORMED },
	{ "adjusted: a null", "[\"seed\"]", "[\"seed\",null]", ERR_MALFORMED },
	{ "limit: text", "\"limit\":100", "\"limit\":\"100\"", ERR_MALFORMED },
	{ "payment: null", "\"payment\":{", "\"payment\":null,\"other\":{", ERR_MALFORMED },
	{ "payment: an amount as a number", "\"cap\":\"100\"", "\"cap\":100", ERR_MALFORMED },
	{ "payment: an amount with a point", "\"cap\":\"100\"", "\"cap\":\"1.0\"", ERR_MALFORMED },
	{ "payment: an amount with a leading zero", "\"cap\":\"100\"", "\"cap\":\"0100\"",
	    ERR_MALFORMED },
	{ "payment: an empty amount", "\"charged\":\"0\"", "\"charged\":\"\"", ERR_MALFORMED },
	{ "payment: no payer", "\"payer\"", "\"payes\"", ERR_MALFORMED },
	{ "config: 31 bytes", "\"config\":\"ZDpL", "\"config\":\"ZD", ERR_MALFORMED },
	{ "hash: absent", "\"hash\"", "\"hass\"", ERR_OK },
	{ "hash: one half", "\"output\"", "\"outputs\"", ERR_MALFORMED },
	{ "hash: upper case", "\"request\":\"b6dc", "\"request\":\"B6DC", ERR_MALFORMED },
	{ "hash: with 0x", "\"request\":\"b6dc", "\"request\":\"0xb6dc", ERR_MALFORMED },
	{ "hash: text", "\"hash\":{", "\"hash\":\"x\",\"other\":{", ERR_MALFORMED },
};

static void
types(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text = text_with(span_str(good), rows[i].from, rows[i].to);
		struct receipt_claims c;
		struct err e = receipt_claims_read(&c, buf_span(&text));

		if (e.code != rows[i].want)
			fail_msg("%s: %d %s", rows[i].rule, e.code, e.what);
		buf_fini(&text);
	}
}

static void
lengths(void **state)
{
	static const struct {
		const char *rule, *from;
		size_t n;
		enum err_code want;
	} cases[] = {
		{ "jti of 128 bytes", "chatcmpl-1", 128, ERR_OK },
		{ "jti of 129 bytes", "chatcmpl-1", 129, ERR_MALFORMED },
		{ "nonce of 16 bytes", "bm9uY2Utbm9uY2Utbm9uY2U", 16, ERR_OK },
		{ "nonce of 64 bytes", "bm9uY2Utbm9uY2Utbm9uY2U", 64, ERR_OK },
		{ "nonce of 65 bytes", "bm9uY2Utbm9uY2Utbm9uY2U", 65, ERR_MALFORMED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char word[130] = { 0 };
		struct receipt_claims c;
		struct buf text;

		memset(word, 'a', cases[i].n);
		text = text_with(span_str(good), cases[i].from, word);
		if (receipt_claims_read(&c, buf_span(&text)).code != cases[i].want)
			fail_msg("%s", cases[i].rule);
		buf_fini(&text);
	}
}

static void
values(void **state)
{
	struct receipt_claims c;

	assert_string_equal(receipt_claims_read(&c, SPAN_LIT("[1]")).what,
	    "interfaces.md R7: the claims are not an object");
	assert_int_equal(receipt_claims_read(&c, span_str(good)).code, ERR_OK);
	assert_true(span_eq(c.iss, SPAN_LIT("0x" KECCAK)));
	assert_true(span_eq(c.jti, SPAN_LIT("chatcmpl-1")));
	assert_true(span_eq(c.platform, SPAN_LIT("local-simulation")));
	assert_true(span_eq(c.path, SPAN_LIT("/v1/chat/completions")));
	assert_true(span_eq(c.nonce, SPAN_LIT("bm9uY2Utbm9uY2Utbm9uY2U")));
	assert_int_equal(c.iat_unix_s, 1790000000);
	assert_int_equal(c.status, 200);
	assert_int_equal(c.res_len, 928);
	assert_int_equal(c.outcome, RECEIPT_COMPLETE);
	assert_int_equal(c.req[0], 0x64);
	assert_int_equal(c.res[31], 0x81);
	assert_true(c.has_pair);
	assert_int_equal(c.request_hash[0], 0xb6);
	assert_int_equal(c.output_hash[31], 0x16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),
		cmocka_unit_test(lengths),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
