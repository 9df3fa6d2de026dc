/* shop.c: what an enclave may sell, and when (M6, M7); no enclave is needed to ask. */
#include "gateway/shop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "sys/clock.h"

static struct options opt;
static struct gateway gw;
static struct loop loop;
static struct settings settings;
static struct shop *shop;

static const char policy[] =
    "{\"payment\":{\"caps\":[\"100\"],\"network\":\"eip155:8453\",\"asset\":"
    "\"0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB\",\"asset_name\":\"O\",\"asset_version\":\"1\","
    "\"facilitators\":[\"https://a.example\"]}}";

static int
set_up(void **state)
{
	struct facilitator_client_options client = { .terms = &gw.policy.terms };

	opt = (struct options){ .enclave = true, .payments = true, .fixed_price_usd = "0.1" };
	gw = (struct gateway){ .opt = &opt, .boot_us = clock_monotonic_us() };
	loop = (struct loop){ .gw = &gw };
	settings = (struct settings){ .payments = true };
	assert_int_equal(shop_policy_read(&gw.policy, span_str(policy)).code, ERR_OK);
	assert_int_equal(facilitator_client_new(&loop.facilitator, &client).code, ERR_OK);
	assert_int_equal(shop_new(&shop, &gw).code, ERR_OK);
	return 0;
}

static int
tear_down(void **state)
{
	shop_free(shop);
	facilitator_client_free(loop.facilitator);
	return 0;
}

static void
an_enclave_waits(void **state)
{
	unsigned s = shop_closed_s(shop);

	assert_true(s >= 59 && s <= 60);
	gw.boot_us -= UINT64_C(61000000);
	assert_int_equal(shop_closed_s(shop), 0);
	gw.boot_us += UINT64_C(61000000);
	opt.enclave = false;
	assert_int_equal(shop_closed_s(shop), 0);
}

static void
an_enclave_asks_whom_the_policy_names(void **state)
{
	static const struct {
		const char *rule, *url;
		bool enclave, local;
	} rows[] = {
		{ "the one on the list", "https://a.example", true, true },
		{ "another", "https://b.example", false, true },
		{ "the same without TLS", "http://a.example", false, true },
		{ "below it", "https://a.example/x", false, true },
		{ "none", "", false, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(
		    settings.facilitator_url, sizeof(settings.facilitator_url), "%s", rows[i].url);
		opt.enclave = true;
		if ((shop_facilitator(&loop, &settings) != NULL) != rows[i].enclave)
			fail_msg("%s, in an enclave", rows[i].rule);
		opt.enclave = false;
		if ((shop_facilitator(&loop, &settings) != NULL) != rows[i].local)
			fail_msg("%s, in local mode", rows[i].rule);
	}
	assert_null(shop_facilitator(&loop, NULL));
}

static void
bounds_verifies(void **state)
{
	unsigned n = 0;

	while (shop_verify_begin(shop))
		n++;
	assert_int_equal(n, gw.policy.open_verifies);
	shop_verify_end(shop);
	assert_true(shop_verify_begin(shop));
	assert_false(shop_verify_begin(shop));
}

/* Before the facilitator has said who settles there are terms, but nothing to sign. */
static void
sells_nothing_unsaid(void **state)
{
	struct x402_terms t;
	struct price price;

	assert_true(address_parse(
	    &settings.pay_to_address, SPAN_LIT("0x9deEBB5D1b22e4a6e027977CeAd13893A7E4cC1a")));
	assert_false(shop_terms(shop, &settings, &t));
	assert_true(address_eq(&t.pay_to, &settings.pay_to_address));
	assert_int_equal(t.n_caps, 1);
	assert_true(shop_price(shop, &price));
	assert_true(span_eq(token_price_text(&price.usd), SPAN_LIT("0.1")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_enclave_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    an_enclave_asks_whom_the_policy_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds_verifies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sells_nothing_unsaid, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
