#include "core/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void
reserves_what_it_is_told(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_reserve(&b, 300);
	assert_int_equal(b.cap, 300);
	assert_int_equal(b.n, 0);
	for (unsigned i = 0; i < 300; i++)
		buf_put_byte(&b, (uint8_t)i);
	assert_int_equal(b.cap, 300);
	buf_reserve(&b, 100);
	assert_int_equal(b.cap, 400);
	assert_int_equal(b.p[299], 299 & 0xff);
	buf_reserve(&b, 50); /* there is room already */
	assert_int_equal(b.cap, 400);
	buf_fini(&b);
}

static void
reserves_nothing_past_its_bound(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	buf_put_str(&b, "ten bytes.");
	buf_reserve(&b, 91);
	assert_false(failed(buf_check(&b))); /* only a put fails */
	buf_put(&b, span_of("x", 1));
	assert_int_equal(b.n, 11);
	buf_reserve(&b, SIZE_MAX);
	assert_int_equal(b.n, 11);
	assert_null(buf_grow(&b, 90));
	assert_true(failed(buf_check(&b)));
	buf_fini(&b);
}

/* Past a MiB a buffer has pages of its own: its bytes are the same. */
static void
grows_large(void **state)
{
	const size_t n = ((size_t)5 << 20) + 7;
	struct buf b;

	buf_init(&b, n);
	for (size_t i = 0; i < n; i += 1000) {
		uint8_t part[1000];

		for (size_t k = 0; k < sizeof(part); k++)
			part[k] = (uint8_t)((i + k) * 31 >> 3);
		buf_put(&b, span_of(part, n - i < sizeof(part) ? n - i : sizeof(part)));
	}
	assert_int_equal(b.n, n);
	assert_int_equal(b.cap, n);
	for (size_t i = 0; i < n; i++)
		if (b.p[i] != (uint8_t)(i * 31 >> 3))
			fail_msg("byte %zu", i);
	buf_drop(&b, n - 3);
	assert_int_equal(b.p[0], (uint8_t)((n - 3) * 31 >> 3));
	buf_clear(&b);
	buf_put_str(&b, "again");
	assert_true(span_eq(buf_span(&b), SPAN_LIT("again")));
	buf_fini(&b);
	buf_fini(&b);
	buf_reserve(&b, (size_t)2 << 20);
	assert_int_equal(b.cap, (size_t)2 << 20);
	buf_put_str(&b, "x");
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_large),
		cmocka_unit_test(reserves_what_it_is_told),
		cmocka_unit_test(reserves_nothing_past_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
