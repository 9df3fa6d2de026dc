#include "core/u256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define MAX_TEXT "115792089237316195423570985008687907853269984665640564039457584007913129639935"

static struct u256
number(const char *text)
{
	struct u256 v;

	if (!u256_parse(&v, span_str(text)))
		fail_msg("%s is no number", text);
	return v;
}

static void
expect(const char *rule, struct u256 got, const char *want)
{
	char room[U256_DIGITS];
	struct span text = u256_text(got, room);

	if (!span_eq(text, span_str(want)))
		fail_msg("%s: %.*s instead of %s", rule, (int)text.n, text.p, want);
}

static const struct {
	const char *rule, *text;
	bool ok;
} decimals[] = {
	{ "zero", "0", true },
	{ "one", "1", true },
	{ "a cap", "100000000000000000", true },
	{ "above 64 bits", "18446744073709551616", true },
	{ "the largest", MAX_TEXT, true },
	{ "2^256", "115792089237316195423570985008687907853269984665640564039457584007913129639936",
	    false },
	{ "79 digits",
	    "1000000000000000000000000000000000000000000000000000000000000000000000000000000",
	    false },
	{ "78 digits above it",
	    "999999999999999999999999999999999999999999999999999999999999999999999999999999",
	    false },
	{ "nothing", "", false },
	{ "a leading zero", "01", false },
	{ "two zeros", "00", false },
	{ "a sign", "+5", false },
	{ "below zero", "-1", false },
	{ "a space before", " 1", false },
	{ "a space behind", "1 ", false },
	{ "an exponent", "1e17", false },
	{ "a fraction", "1.0", false },
	{ "hex", "0x1", false },
	{ "a digit of another script", "\xd9\xa1", false },
};

static void
reads_decimals(void **state)
{
	for (size_t i = 0; i < sizeof(decimals) / sizeof(decimals[0]); i++) {
		struct u256 v = u256_of(77);
		bool ok = u256_parse(&v, span_str(decimals[i].text));

		if (ok != decimals[i].ok)
			fail_msg("%s", decimals[i].rule);
		expect(decimals[i].rule, v, ok ? decimals[i].text : "77");
	}
}

static const struct {
	const char *rule, *text, *want;
} hexes[] = {
	{ "zero", "0x0", "0" },
	{ "both cases", "0xaBcDeF", "11259375" },
	{ "leading zeros", "0x000000ff", "255" },
	{ "all bits", "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	    MAX_TEXT },
	{ "65 digits", "0x0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	    NULL },
	{ "no digit", "0x", NULL },
	{ "no prefix", "ff", NULL },
	{ "an upper-case prefix", "0Xff", NULL },
	{ "no hex digit", "0xfg", NULL },
	{ "a sign", "0x-1", NULL },
	{ "nothing", "", NULL },
};

static void
reads_hex(void **state)
{
	for (size_t i = 0; i < sizeof(hexes) / sizeof(hexes[0]); i++) {
		struct u256 v = u256_of(77);

		if (u256_parse_hex(&v, span_str(hexes[i].text)) != (hexes[i].want != NULL))
			fail_msg("%s", hexes[i].rule);
		expect(hexes[i].rule, v, hexes[i].want == NULL ? "77" : hexes[i].want);
	}
}

/* Numbers from Python's integers. want NULL: it does not fit. */
static const struct {
	char op;
	const char *a, *b, *want;
} sums[] = {
	{ '+', "0", "0", "0" },
	{ '+', "18446744073709551615", "1", "18446744073709551616" },
	{ '+', "340282366920938463463374607431768211455", "1",
	    "340282366920938463463374607431768211456" },
	{ '+', MAX_TEXT, "0", MAX_TEXT },
	{ '+', MAX_TEXT, "1", NULL },
	{ '+', MAX_TEXT, MAX_TEXT, NULL },
	{ '-', "18446744073709551616", "1", "18446744073709551615" },
	{ '-', "340282366920938463463374607431768211456", "18446744073709551615",
	    "340282366920938463444927863358058659841" },
	{ '-', MAX_TEXT, MAX_TEXT, "0" },
	{ '-', "0", "1", NULL },
	{ '-', "18446744073709551616", MAX_TEXT, NULL },
	{ '*', "0", MAX_TEXT, "0" },
	{ '*', "1", MAX_TEXT, MAX_TEXT },
	{ '*', "18446744073709551615", "18446744073709551615",
	    "340282366920938463426481119284349108225" },
	{ '*', "340282366920938463463374607431768211455", "340282366920938463463374607431768211457",
	    MAX_TEXT },
	{ '*', "340282366920938463463374607431768211456", "340282366920938463463374607431768211456",
	    NULL },
	{ '*', MAX_TEXT, "2", NULL },
	{ '*', "2", MAX_TEXT, NULL },
	{ '/', "0", "7", "0" },
	{ '/', "7", "7", "1" },
	{ '/', "6", "7", "0" },
	{ '/', MAX_TEXT, "1", MAX_TEXT },
	{ '/', MAX_TEXT, MAX_TEXT, "1" },
	{ '/', MAX_TEXT, "10",
	    "11579208923731619542357098500868790785326998466564056403945758400791312963993" },
	{ '/', MAX_TEXT,
	    "57896044618658097711785492504343953926634992332820282019728792003956564819968", "1" },
	{ '/', "6000000000000000000000000000000000", "370000000000000000", "16216216216216216" },
	{ '%', "6000000000000000000000000000000000", "370000000000000000", "80000000000000000" },
	{ '%', MAX_TEXT,
	    "57896044618658097711785492504343953926634992332820282019728792003956564819968",
	    "57896044618658097711785492504343953926634992332820282019728792003956564819967" },
	{ '%', MAX_TEXT, "340282366920938463463374607431768211457", "0" },
	{ '^', "0", "7", "0" },
	{ '^', "1", "7", "1" },
	{ '^', "7", "7", "1" },
	{ '^', "8", "7", "2" },
	{ '^', MAX_TEXT, "1", MAX_TEXT },
	{ '^', MAX_TEXT, "2",
	    "57896044618658097711785492504343953926634992332820282019728792003956564819968" },
};

static void
calculates(void **state)
{
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		struct u256 a = number(sums[i].a), b = number(sums[i].b), out = u256_of(77), rest;
		bool fits = true;
		char rule[256];

		(void)snprintf(rule, sizeof(rule), "%s %c %s", sums[i].a, sums[i].op, sums[i].b);
		switch (sums[i].op) {
		case '+':
			fits = u256_add(&out, a, b);
			break;
		case '-':
			fits = u256_sub(&out, a, b);
			break;
		case '*':
			fits = u256_mul(&out, a, b);
			break;
		case '/':
			out = u256_div(a, b, NULL);
			break;
		case '%':
			(void)u256_div(a, b, &rest);
			out = rest;
			break;
		case '^':
			out = u256_div_up(a, b);
			break;
		default:
			fail();
		}
		if (fits != (sums[i].want != NULL))
			fail_msg("%s: fits", rule);
		expect(rule, out, fits ? sums[i].want : "0");
	}
}

/* Whatever a and b are: q * b + rest is a again, rest is below b, bytes and text come back. */
static void
agrees_with_itself(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;

	for (int round = 0; round < 20000; round++) {
		struct u256 n[2], q, rest, back;
		uint8_t bytes[U256_BYTES];
		char room[U256_DIGITS];

		for (int k = 0; k < 2; k++) {
			for (int i = 0; i < 4; i++) {
				seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
				n[k].limb[i] = seed % 5 == 0 ? 0 : seed % 7 == 0 ? ~0ull : seed;
			}
			/* Of every length. */
			for (unsigned cut = (unsigned)(seed >> 60) % 4; cut > 0; cut--)
				n[k].limb[4 - cut] = 0;
		}
		if (u256_is_zero(n[1]))
			n[1] = u256_of(1);
		q = u256_div(n[0], n[1], &rest);
		assert_true(u256_cmp(rest, n[1]) < 0);
		assert_true(u256_mul(&back, q, n[1]));
		assert_true(u256_add(&back, back, rest));
		assert_int_equal(u256_cmp(back, n[0]), 0);
		assert_int_equal(u256_cmp(u256_div_up(n[0], n[1]), q), u256_is_zero(rest) ? 0 : 1);
		u256_store(n[0], bytes);
		assert_int_equal(u256_cmp(u256_load(bytes), n[0]), 0);
		assert_true(u256_parse(&back, u256_text(n[0], room)));
		assert_int_equal(u256_cmp(back, n[0]), 0);
		if (u256_add(&back, n[0], n[1])) {
			assert_true(u256_cmp(back, n[0]) > 0);
			assert_true(u256_sub(&back, back, n[1]));
			assert_int_equal(u256_cmp(back, n[0]), 0);
		}
		assert_int_equal(
		    u256_cmp(u256_min(n[0], n[1]), n[0]), u256_cmp(n[0], n[1]) > 0 ? -1 : 0);
	}
}

static void
converts(void **state)
{
	static const uint8_t bytes[U256_BYTES] = { 0x01, [30] = 0x02, [31] = 0x03 };
	struct buf b;
	uint64_t v = 7;

	expect("big-endian", u256_load(bytes),
	    "452312848583266388373324160190187140051835877600158453279131187530910663171");
	assert_true(u256_u64(u256_of(UINT64_MAX), &v));
	assert_int_equal(v, UINT64_MAX);
	assert_false(u256_u64(number("18446744073709551616"), &v));
	assert_int_equal(v, UINT64_MAX);
	expect("10^0", u256_ten_to(0), "1");
	expect("10^18", u256_ten_to(18), "1000000000000000000");
	expect("10^77", u256_ten_to(77),
	    "100000000000000000000000000000000000000000000000000000000000000000000000000000");
	buf_init(&b, U256_DIGITS);
	u256_put(&b, U256_MAX);
	assert_true(span_eq(buf_span(&b), span_str(MAX_TEXT)));
	u256_put(&b, U256_ZERO);
	assert_true(failed(buf_check(&b)));
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_decimals),
		cmocka_unit_test(reads_hex),
		cmocka_unit_test(calculates),
		cmocka_unit_test(agrees_with_itself),
		cmocka_unit_test(converts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
