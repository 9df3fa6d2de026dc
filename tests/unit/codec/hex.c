/* hex.c: two digits a byte, strict both ways. */
#include "codec/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *rule, *text;
	size_t n;
	enum err_code want;
} rows[] = {
	{ "nothing", "", 0, ERR_OK },
	{ "lower case", "00ff1a", 3, ERR_OK },
	{ "upper case is read too", "00FF1A", 3, ERR_OK },
	{ "an odd number of digits", "00f", 1, ERR_MALFORMED },
	{ "too few digits", "00ff", 3, ERR_MALFORMED },
	{ "too many digits", "00ff1a00", 3, ERR_MALFORMED },
	{ "a prefix is not digits", "0x0f", 2, ERR_MALFORMED },
	{ "white space", "00 f", 2, ERR_MALFORMED },
	{ "byte after '9'", "0:", 1, ERR_MALFORMED },
	{ "byte before 'a'", "0`", 1, ERR_MALFORMED },
	{ "byte after 'f'", "g0", 1, ERR_MALFORMED },
	{ "byte before 'A'", "0@", 1, ERR_MALFORMED },
	{ "control byte that case folding would turn into a digit", "\x10\x11", 1, ERR_MALFORMED },
};

static void
strict(void **state)
{
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint8_t out[4] = { 0xee, 0xee, 0xee, 0xee };

		if (hex_parse(out, rows[r].n, span_str(rows[r].text)).code != rows[r].want)
			fail_msg("%s", rows[r].rule);
		if (rows[r].want != ERR_OK && out[0] != 0xee)
			fail_msg("%s: output touched", rows[r].rule);
	}
}

static void
round_trip(void **state)
{
	uint8_t all[256], back[256];
	struct buf text;

	buf_init(&text, 512);
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	hex_put(&text, SPAN_NONE);
	hex_put(&text, span_of(all, sizeof(all)));
	assert_int_equal(buf_check(&text).code, ERR_OK);
	assert_memory_equal(text.p, "000102030405060708090a0b0c0d0e0f10", 34);
	assert_int_equal(hex_parse(back, sizeof(back), buf_span(&text)).code, ERR_OK);
	assert_memory_equal(back, all, sizeof(all));
	hex_put(&text, span_of(all, 1));
	assert_int_equal(buf_check(&text).code, ERR_TOO_LARGE);
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strict),
		cmocka_unit_test(round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
