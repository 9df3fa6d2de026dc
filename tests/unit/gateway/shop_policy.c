/* shop_policy.c: what of policy.json concerns payments, and what is refused at the start. */
#include "gateway/shop_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define TERMS                                                                             \
	"\"caps\":[\"100\",\"200\"],\"network\":\"eip155:8453\",\"asset\":"               \
	"\"0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB\",\"asset_name\":\"OpenGradient\"," \
	"\"asset_version\":\"1\""

static const char whole[] =
    "{\"schema\":1,\"payment\":{" TERMS
    ",\"facilitator_headers\":{\"verify\":{\"X-A\":\"1\",\"X-B\":\"\"}},"
    "\"facilitators\":[\"https://a.example\",\"https://b.example/x\"]},"
    "\"price\":{\"url\":\"https://p.example/?x=1\",\"refresh_s\":7,\"max_age_s\":70},"
    "\"limits\":{\"open_sessions\":5,\"open_verifies\":6,\"session_idle_s\":8}}";

static void
reads(void **state)
{
	struct shop_policy p;

	assert_int_equal(shop_policy_read(&p, span_str(whole)).code, ERR_OK);
	assert_int_equal(p.terms.n_caps, 2);
	assert_int_equal(p.terms.chain_id, 8453);
	assert_string_equal(p.price_url, "https://p.example/?x=1");
	assert_int_equal(p.refresh_s, 7);
	assert_int_equal(p.max_age_s, 70);
	assert_int_equal(p.open_sessions, 5);
	assert_int_equal(p.open_verifies, 6);
	assert_int_equal(p.idle_s, 8);
	assert_string_equal(p.field[1][0], "X-A: 1");
	assert_string_equal(p.field[1][1], "X-B: ");
	assert_string_equal(p.field[1][2], "");
	assert_string_equal(p.field[2][0], "");
	assert_true(shop_policy_allows(&p, SPAN_LIT("https://a.example")));
	assert_true(shop_policy_allows(&p, SPAN_LIT("https://b.example/x")));
	assert_false(shop_policy_allows(&p, SPAN_LIT("https://b.example")));
	assert_false(shop_policy_allows(&p, SPAN_LIT("http://a.example")));
	assert_false(shop_policy_allows(&p, SPAN_LIT("")));
}

static void
has_defaults(void **state)
{
	struct shop_policy p;

	assert_int_equal(
	    shop_policy_read(&p, SPAN_LIT("{\"schema\":1,\"payment\":{" TERMS "}}")).code, ERR_OK);
	assert_string_equal(p.price_url, "");
	assert_int_equal(p.refresh_s, 300);
	assert_int_equal(p.max_age_s, 14400);
	assert_int_equal(p.open_sessions, 1000);
	assert_int_equal(p.idle_s, 100);
	assert_int_equal(p.n_facilitators, 0);
}

static const struct {
	const char *rule, *text;
} bad[] = {
	{ "no payment", "{\"schema\":1}" },
	{ "no JSON", "{" },
	{ "facilitators that are no array", "{\"payment\":{" TERMS ",\"facilitators\":{}}}" },
	{ "M6: a facilitator without TLS",
	    "{\"payment\":{" TERMS ",\"facilitators\":[\"http://a.example\"]}}" },
	{ "one that ends in a slash",
	    "{\"payment\":{" TERMS ",\"facilitators\":[\"https://a.example/\"]}}" },
	{ "one that is no text", "{\"payment\":{" TERMS ",\"facilitators\":[1]}}" },
	{ "nine of them",
	    "{\"payment\":{" TERMS ",\"facilitators\":[\"https://a\",\"https://a\",\"https://a\","
	    "\"https://a\",\"https://a\",\"https://a\",\"https://a\",\"https://a\",\"https://"
	    "a\"]}}" },
	{ "a field with a line break",
	    "{\"payment\":{" TERMS ",\"facilitator_headers\":{\"verify\":{\"X\":\"a\\nb\"}}}}" },
	{ "a field's name with a colon",
	    "{\"payment\":{" TERMS ",\"facilitator_headers\":{\"verify\":{\"X:\":\"a\"}}}}" },
	{ "five fields",
	    "{\"payment\":{" TERMS
	    ",\"facilitator_headers\":{\"settle\":{\"a\":\"1\",\"b\":\"1\",\"c\":"
	    "\"1\",\"d\":\"1\",\"e\":\"1\"}}}}" },
	{ "a price source that is no text", "{\"payment\":{" TERMS "},\"price\":{\"url\":1}}" },
	{ "never to be refreshed", "{\"payment\":{" TERMS "},\"price\":{\"refresh_s\":0}}" },
	{ "more than a day old", "{\"payment\":{" TERMS "},\"price\":{\"max_age_s\":86401}}" },
	{ "more sessions than the ledger may have",
	    "{\"payment\":{" TERMS "},\"limits\":{\"open_sessions\":10001}}" },
	{ "no session at all", "{\"payment\":{" TERMS "},\"limits\":{\"open_sessions\":0}}" },
	{ "half a session", "{\"payment\":{" TERMS "},\"limits\":{\"session_idle_s\":0.5}}" },
};

static void
refuses(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct shop_policy p;

		if (!failed(shop_policy_read(&p, span_str(bad[i].text))))
			fail_msg("%s", bad[i].rule);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
