/* clock.c - forms of time, against dates worked out elsewhere (date -u -d @N). */
#include "sys/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *rule;
	uint64_t unix_ms;
	const char *rfc3339, *iso, *http;
} rows[] = {
	{ "the epoch", 0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00+00:00",
	    "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ "RFC 9110 5.6.7: its own example", 784111777000, "1994-11-06T08:49:37.000Z",
	    "1994-11-06T08:49:37+00:00", "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ "milliseconds keep leading zeros", 1795379394007, "2026-11-22T20:29:54.007Z",
	    "2026-11-22T20:29:54+00:00", "Sun, 22 Nov 2026 20:29:54 GMT" },
	{ "milliseconds are cut, not rounded", 1709251199999, "2024-02-29T23:59:59.999Z",
	    "2024-02-29T23:59:59+00:00", "Thu, 29 Feb 2024 23:59:59 GMT" },
	{ "2100 is no leap year", 4107542400000, "2100-03-01T00:00:00.000Z",
	    "2100-03-01T00:00:00+00:00", "Mon, 01 Mar 2100 00:00:00 GMT" },
	{ "past year 9999 the last second stands", UINT64_MAX - 615, "9999-12-31T23:59:59.000Z",
	    "9999-12-31T23:59:59+00:00", "Fri, 31 Dec 9999 23:59:59 GMT" },
};

static void
test_forms(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[32];

		print_message("%s\n", rows[i].rule);
		/* The byte behind the text must stay: no NUL is written. */
		out[CLOCK_RFC3339_LEN] = '#';
		clock_rfc3339(rows[i].unix_ms, out);
		assert_memory_equal(out, rows[i].rfc3339, CLOCK_RFC3339_LEN);
		assert_int_equal(out[CLOCK_RFC3339_LEN], '#');
		out[CLOCK_ISO_LEN] = '#';
		clock_iso(rows[i].unix_ms / 1000, out);
		assert_memory_equal(out, rows[i].iso, CLOCK_ISO_LEN);
		assert_int_equal(out[CLOCK_ISO_LEN], '#');
		out[CLOCK_HTTP_LEN] = '#';
		clock_http(rows[i].unix_ms / 1000, out);
		assert_memory_equal(out, rows[i].http, CLOCK_HTTP_LEN);
		assert_int_equal(out[CLOCK_HTTP_LEN], '#');
	}
}

static void
test_now(void **state)
{
	uint64_t before = clock_monotonic_us(), s = clock_unix_s(), ms = clock_unix_ms();

	assert_true(s >= 1700000000);
	assert_true(ms / 1000 >= s && ms / 1000 <= s + 1);
	assert_true(clock_monotonic_us() >= before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
