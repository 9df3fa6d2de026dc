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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserves_what_it_is_told),
		cmocka_unit_test(reserves_nothing_past_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
