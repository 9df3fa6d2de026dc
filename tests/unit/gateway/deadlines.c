#include "gateway/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *rule, *policy;
	uint32_t gap_ms; /* 0: an error */
} rows[] = {
	{ "providers.md 2.5: the default", "{\"schema\":1}", 60000 },
	{ "limits of other things", "{\"limits\":{\"open_sessions\":1}}", 60000 },
	{ "a policy's own", "{\"limits\":{\"upstream_gap_ms\":5}}", 5 },
	{ "an hour at most", "{\"limits\":{\"upstream_gap_ms\":3600000}}", 3600000 },
	{ "more than an hour", "{\"limits\":{\"upstream_gap_ms\":3600001}}", 0 },
	{ "zero would be no deadline", "{\"limits\":{\"upstream_gap_ms\":0}}", 0 },
	{ "text", "{\"limits\":{\"upstream_gap_ms\":\"5\"}}", 0 },
	{ "a fraction", "{\"limits\":{\"upstream_total_ms\":1.5}}", 0 },
	{ "null", "{\"limits\":{\"upstream_connect_ms\":null}}", 0 },
	{ "no JSON", "limits", 0 },
};

static void
reads(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct deadlines d;
		struct err e = deadlines_read(&d, span_str(rows[i].policy));

		if (failed(e) != (rows[i].gap_ms == 0))
			fail_msg("%s: %s", rows[i].rule, e.what);
		if (failed(e))
			continue;
		assert_int_equal(d.gap_ms, rows[i].gap_ms);
		assert_int_equal(d.reasoning_first_byte_ms, 300000);
		assert_int_equal(d.image_first_byte_ms, 180000);
		assert_int_equal(d.keep_alive_ms, 15000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
