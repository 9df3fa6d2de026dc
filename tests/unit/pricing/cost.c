#include "pricing/cost.h"

#include "../vectors.h"

static struct vectors vectors;

static struct u256
units(const char *text)
{
	struct u256 v;

	assert_true(u256_parse(&v, span_str(text)));
	return v;
}

static void
expect_text(const char *rule, struct buf *b, struct span want)
{
	if (failed(buf_check(b)) || !span_eq(buf_span(b), want))
		fail_msg("%s: %.*s instead of %.*s", rule, (int)b->n, b->p, (int)want.n, want.p);
	buf_clear(b);
}

static uint64_t
count(struct vectors *v, uint32_t at, const char *name)
{
	uint64_t n;

	assert_true(json_u64(&v->doc, vectors_get(v, at, name), UINT64_MAX, &n));
	return n;
}

/* cost.json, to the byte. */
static void
costs_of_the_reference(void **state)
{
	uint32_t list;
	size_t seen = 0;
	struct buf b;

	buf_init(&b, 512);
	vectors_open(&vectors, "signing/cost.json");
	list = vectors_get(&vectors, 0, "vectors");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c), seen++) {
		struct cost_counts use = { .prompt_tokens = count(&vectors, c, "prompt_tokens"),
			.completion_tokens = count(&vectors, c, "completion_tokens") };
		struct span price = vectors_text(&vectors, c, "opg_price_usd");
		struct tariff t = { 0 };
		struct token_price p;
		struct u256 cost;
		char want[256];

		assert_false(failed(pico_usd_parse(
		    &t.input_pico_usd, vectors_text(&vectors, c, "input_price_usd"))));
		assert_false(failed(pico_usd_parse(
		    &t.output_pico_usd, vectors_text(&vectors, c, "output_price_usd"))));
		assert_false(failed(token_price_parse(&p, price)));
		cost = cost_units(&t, &p, &use);
		u256_put(&b, cost);
		expect_text("cost_opg", &b, vectors_text(&vectors, c, "cost_opg"));
		cost_put_usd(&b, &p, cost);
		expect_text("cost_usd", &b, vectors_text(&vectors, c, "cost_usd"));
		expect_text("opg_price_usd", (buf_put(&b, token_price_text(&p)), &b), price);
		cost_put_block(&b, &p, cost);
		(void)snprintf(want, sizeof(want),
		    "{\"cost_opg\":\"%s\",\"cost_usd\":\"%s\",\"opg_price_usd\":\"%s\"}",
		    (const char *)vectors_text(&vectors, c, "cost_opg").p,
		    (const char *)vectors_text(&vectors, c, "cost_usd").p, (const char *)price.p);
		expect_text("S5: the block", &b, span_str(want));
	}
	assert_int_equal(seen, 7);
	vectors_close(&vectors);
	buf_fini(&b);
}

static const struct {
	const char *rule, *text;
	enum err_code want;
	uint64_t pico;
} tariffs[] = {
	{ "a price", "0.00000125", ERR_OK, 1250000 },
	{ "one pico-dollar", "0.000000000001", ERR_OK, 1 },
	{ "zeros behind it", "0.0000000000010000", ERR_OK, 1 },
	{ "nothing", "0", ERR_OK, 0 },
	{ "nothing, in many zeros", "0.0000000000000000000", ERR_OK, 0 },
	{ "whole dollars", "12", ERR_OK, 12000000000000 },
	{ "the largest", "999999.999999999999", ERR_OK, 999999999999999999 },
	{ "above it", "1000000", ERR_TOO_LARGE, 0 },
	{ "far above it", "100000000000000000000000000000000000", ERR_TOO_LARGE, 0 },
	{ "less than a pico-dollar", "0.0000000000001", ERR_TOO_LARGE, 0 },
	{ "empty", "", ERR_MALFORMED, 0 },
	{ "a sign", "-1", ERR_MALFORMED, 0 },
	{ "a leading zero", "01", ERR_MALFORMED, 0 },
	{ "no digit before the point", ".5", ERR_MALFORMED, 0 },
	{ "no digit behind the point", "5.", ERR_MALFORMED, 0 },
	{ "two points", "0.0.1", ERR_MALFORMED, 0 },
	{ "an exponent", "1e-6", ERR_MALFORMED, 0 },
	{ "a comma", "0,1", ERR_MALFORMED, 0 },
	{ "a space", "0.1 ", ERR_MALFORMED, 0 },
	{ "not a number", "NaN", ERR_MALFORMED, 0 },
};

static void
reads_tariffs(void **state)
{
	for (size_t i = 0; i < sizeof(tariffs) / sizeof(tariffs[0]); i++) {
		uint64_t pico = 77;
		struct err e = pico_usd_parse(&pico, span_str(tariffs[i].text));

		if (e.code != tariffs[i].want || pico != (failed(e) ? 77 : tariffs[i].pico))
			fail_msg("%s: %s", tariffs[i].rule, e.what);
	}
}

static const struct {
	const char *rule, *text;
	enum err_code want;
	const char *shown;
} prices[] = {
	{ "a price", "0.0712345678901234567", ERR_OK, "0.0712345678901234567" },
	{ "whole dollars", "3", ERR_OK, "3" },
	{ "zeros behind it stay", "0.10", ERR_OK, "0.10" },
	{ "as a double is printed", "7.1e-05", ERR_OK, "0.000071" },
	{ "a capital E", "7.1E-5", ERR_OK, "0.000071" },
	{ "an exponent that adds zeros", "1.5e3", ERR_OK, "1500" },
	{ "an exponent with a plus", "15e+2", ERR_OK, "1500" },
	{ "30 decimals", "0.000000000000000000000000000001", ERR_OK,
	    "0.000000000000000000000000000001" },
	{ "31 decimals", "0.0000000000000000000000000000001", ERR_TOO_LARGE, NULL },
	{ "31 decimals, by exponent", "1e-31", ERR_TOO_LARGE, NULL },
	{ "28 digits", "0.1234567890123456789012345678", ERR_OK, "0.1234567890123456789012345678" },
	{ "29 digits", "0.12345678901234567890123456789", ERR_TOO_LARGE, NULL },
	{ "the largest", "999999999.9999999999999999999", ERR_OK, "999999999.9999999999999999999" },
	{ "10^9", "1000000000", ERR_TOO_LARGE, NULL },
	{ "10^9, by exponent", "1e9", ERR_TOO_LARGE, NULL },
	{ "an exponent past all bounds", "1e999", ERR_TOO_LARGE, NULL },
	{ "four digits of exponent", "1e1000", ERR_MALFORMED, NULL },
	{ "zero", "0", ERR_REFUSED, NULL },
	{ "zero, with a point", "0.000", ERR_REFUSED, NULL },
	{ "zero, with an exponent", "0e5", ERR_REFUSED, NULL },
	{ "below zero", "-0.1", ERR_MALFORMED, NULL },
	{ "a plus", "+0.1", ERR_MALFORMED, NULL },
	{ "empty", "", ERR_MALFORMED, NULL },
	{ "no exponent behind e", "1e", ERR_MALFORMED, NULL },
	{ "a sign alone", "1e-", ERR_MALFORMED, NULL },
	{ "text behind it", "0.1 USD", ERR_MALFORMED, NULL },
	{ "hex", "0x1", ERR_MALFORMED, NULL },
	{ "infinity", "Infinity", ERR_MALFORMED, NULL },
};

static void
reads_prices(void **state)
{
	for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
		struct token_price p = { .scale = 77 };
		struct err e = token_price_parse(&p, span_str(prices[i].text));

		if (e.code != prices[i].want)
			fail_msg("%s: %s", prices[i].rule, e.what);
		if (failed(e))
			assert_int_equal(p.scale, 77);
		else if (!span_eq(token_price_text(&p), span_str(prices[i].shown)))
			fail_msg("%s: %.*s", prices[i].rule, (int)p.text_len, p.text);
	}
}

static const struct tariff dear = { .input_pico_usd = 999999999999999999,
	.output_pico_usd = 999999999999999999,
	.image_pico_usd = 999999999999999999 };
static const struct tariff gpt = { .input_pico_usd = 2000000, .output_pico_usd = 8000000 };
static const struct tariff images = { .image_pico_usd = 39000000000 };

static void
bounds(void **state)
{
	struct cost_counts most = { UINT64_MAX, UINT64_MAX, UINT64_MAX }, none = { 0 };
	struct token_price cheap, dime;
	struct u256 cost;

	assert_false(
	    failed(token_price_parse(&cheap, SPAN_LIT("0.000000000000000000000000000001"))));
	assert_false(failed(token_price_parse(&dime, SPAN_LIT("0.1"))));
	/* PAY-13: absurd counts at absurd prices have an exact cost: 3 (2^64-1) (10^18-1) 10^36. */
	cost = cost_units(&dear, &cheap, &most);
	assert_int_equal(
	    u256_cmp(cost,
		units(
		    "55340232221128654789659767778871345155000000000000000000000000000000000000")),
	    0);
	assert_true(u256_is_zero(cost_units(&dear, &cheap, &none)));
	/* n * limit beyond all sense is a bound that no cap covers, not a small number. */
	cost = cost_worst(&dear, &cheap, UINT64_MAX, UINT32_MAX, UINT64_MAX);
	assert_int_equal(u256_cmp(cost, U256_MAX), 0);
	/* M2: images x price. 3 x 0.039 USD at 0.10 USD = 1.17 OPG. */
	cost = cost_units(&images, &dime, &(struct cost_counts){ .images = 3 });
	assert_int_equal(u256_cmp(cost, units("1170000000000000000")), 0);
	/* M2: 1000 tokens in, 2 x 4096 out. (0.002 + 0.065536) USD = 0.67536 OPG. */
	cost = cost_worst(&gpt, &dime, 1000, 2, 4096);
	assert_int_equal(u256_cmp(cost, units("675360000000000000")), 0);
}

/* M3: what cost_output_limit() sells fits, and one token more does not. */
static void
sells_what_fits(void **state)
{
	static const char *const price_texts[] = { "0.1", "0.0712345678901234567", "3",
		"0.3333333333", "7.1e-05", "123456.789" };
	static const char *const remainders[] = { "0", "1", "99999999999999999",
		"100000000000000000", "1000000000000000000", "10000000000000000000",
		"123456789012345678901234567890" };
	static const uint64_t prompts[] = { 0, 1, 1000, 300000 };
	static const uint32_t ns[] = { 1, 2, 128 };
	size_t bought = 0, refused = 0;

	for (size_t i = 0; i < 6 * 7 * 4 * 3; i++) {
		uint64_t prompt = prompts[i % 4], limit;
		uint32_t n = ns[i / 4 % 3];
		struct u256 left = units(remainders[i / 12 % 7]);
		struct token_price p;

		assert_false(failed(token_price_parse(&p, span_str(price_texts[i / 84]))));
		if (!cost_output_limit(&gpt, &p, prompt, n, left, 1u << 30, &limit)) {
			assert_int_equal(limit, 0);
			assert_true(u256_cmp(cost_worst(&gpt, &p, prompt, n, 0), left) > 0);
			refused++;
			continue;
		}
		assert_true(u256_cmp(cost_worst(&gpt, &p, prompt, n, limit), left) <= 0);
		assert_true(limit <= 1u << 30);
		if (limit < 1u << 30)
			assert_true(u256_cmp(cost_worst(&gpt, &p, prompt, n, limit + 1), left) > 0);
		bought++;
	}
	assert_true(bought > 100 && refused > 20);
}

static void
sells_free_output(void **state)
{
	struct token_price p;
	uint64_t limit = 77;

	assert_false(failed(token_price_parse(&p, SPAN_LIT("0.1"))));
	assert_true(
	    cost_output_limit(&(struct tariff){ 0 }, &p, 10, 1, U256_ZERO, UINT64_MAX, &limit));
	assert_int_equal(limit, UINT64_MAX);
	assert_true(cost_output_limit(&gpt, &p, 10, 1, U256_MAX, 4096, &limit));
	assert_int_equal(limit, 4096);
}

/* Python: format(Decimal(units) / 10**18 * Decimal(price), "f") with 28 digits. */
static const struct {
	const char *rule, *units, *price, *usd;
} dollars[] = {
	{ "zero has the price's decimals", "0", "0.37", "0.00" },
	{ "zero at a whole price", "0", "3", "0" },
	{ "one unit", "1", "0.1", "0.0000000000000000001" },
	{ "one token", "1000000000000000000", "0.10", "0.10" },
	{ "ten tokens", "10000000000000000000", "0.1", "1.0" },
	{ "half to even, down", "5000000000000000000", "1.000000000000000000000000001",
	    "5.000000000000000000000000005" },
	{ "up to a digit more", "1000000000000000001", "999999999.9999999999999999999",
	    "1000000000.000000001000000000" },
	{ "more than 28 digits of units", "123456789012345678901234567890123456", "0.33",
	    "40740740374074074.03740740741" },
};

static void
prints_dollars(void **state)
{
	struct buf b;

	buf_init(&b, 256);
	for (size_t i = 0; i < sizeof(dollars) / sizeof(dollars[0]); i++) {
		struct token_price p;

		assert_false(failed(token_price_parse(&p, span_str(dollars[i].price))));
		cost_put_usd(&b, &p, units(dollars[i].units));
		expect_text(dollars[i].rule, &b, span_str(dollars[i].usd));
	}
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(costs_of_the_reference),
		cmocka_unit_test(reads_tariffs),
		cmocka_unit_test(reads_prices),
		cmocka_unit_test(bounds),
		cmocka_unit_test(sells_what_fits),
		cmocka_unit_test(sells_free_output),
		cmocka_unit_test(prints_dollars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
