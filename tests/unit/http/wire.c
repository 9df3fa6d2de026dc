/* What is the same on both wire forms: which values of fields leave us. */
#include "http/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { LONGEST = 40 };

/* RFC 9110 5.5: HTAB, SP to "~" and bytes above ASCII; wherever another byte stands. */
static bool
may_leave(unsigned c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static void
values(void **state)
{
	uint8_t text[LONGEST];

	for (size_t n = 1; n <= LONGEST; n++)
		for (size_t at = 0; at < n; at++)
			for (unsigned c = 0; c < 256; c++) {
				struct http_field f = { SPAN_LIT("x"), span_of(text, n) };

				memset(text, 'a', n);
				text[at] = (uint8_t)c;
				if (wire_field_is_sound(&f) != may_leave(c))
					fail_msg("byte %u at %zu of %zu", c, at, n);
			}
}

static void
without(void **state)
{
	const struct http_field empty = { SPAN_LIT("x"), SPAN_NONE };
	const struct http_field nameless = { SPAN_NONE, SPAN_LIT("value") };

	assert_true(wire_field_is_sound(&empty));
	assert_false(wire_field_is_sound(&nameless));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(values), cmocka_unit_test(without) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
