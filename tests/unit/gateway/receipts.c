#include "gateway/receipts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static bool
has(struct receipts *r, const char *id, const char *jws)
{
	struct buf b;
	bool hit;

	buf_init(&b, 256);
	hit = receipts_get(r, span_str(id), &b) && span_eq(buf_span(&b), span_str(jws));
	buf_fini(&b);
	return hit;
}

static void
put(struct receipts *r, const char *id, const char *request_id, const char *jws)
{
	receipts_put(r, span_str(id), span_str(request_id), span_str(jws));
}

static void
finds_by_both_names(void **state)
{
	struct receipts *r;

	assert_false(failed(receipts_new(&r, 1 << 16)));
	put(r, "chatcmpl-1", "request-1", "one");
	put(r, "chatcmpl-2", NULL, "two");
	assert_true(has(r, "chatcmpl-1", "one") && has(r, "request-1", "one"));
	assert_true(has(r, "chatcmpl-2", "two"));
	assert_false(has(r, "chatcmpl-3", "") || has(r, "", ""));
	receipts_free(r);
}

/* H3: first use of a request id wins. */
static void
first_request_id_wins(void **state)
{
	struct receipts *r;

	assert_false(failed(receipts_new(&r, 1 << 16)));
	put(r, "a", "same", "one");
	put(r, "b", "same", "two");
	assert_true(has(r, "same", "one") && has(r, "b", "two"));
	receipts_free(r);
}

static void
old_ones_make_room(void **state)
{
	struct receipts *r;
	char id[32], name[32];

	assert_false(failed(receipts_new(&r, 4096)));
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "id-%u", i);
		snprintf(name, sizeof(name), "name-%u", i % 7);
		put(r, id, name, id);
		assert_true(has(r, id, id));
	}
	assert_false(has(r, "id-0", "id-0"));
	assert_true(has(r, "id-999", "id-999") && has(r, "id-990", "id-990"));
	receipts_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_by_both_names),
		cmocka_unit_test(first_request_id_wins),
		cmocka_unit_test(old_ones_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
