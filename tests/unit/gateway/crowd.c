/* What a crowd of requests needed goes back to the kernel when all are gone, and not before. */
#include "gateway/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "sys/sanitized.h"

enum { CROWD = 256, PIECES = 4096, PIECE_BYTES = 16 << 10, LEFT_EACH = 16 };

static void *piece[PIECES];

static size_t
resident_bytes(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %zu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
enter(struct crowd *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		crowd_enter(c);
}

static void
leave(struct crowd *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		crowd_leave(c);
}

/* Pages that were written and are free, between pieces that stay. */
static void
leave_holes(void)
{
	for (size_t i = 0; i < PIECES; i++) {
		assert_non_null(piece[i] = malloc(PIECE_BYTES));
		memset(piece[i], (int)i, PIECE_BYTES);
	}
	for (size_t i = 0; i < PIECES; i++)
		if (i % LEFT_EACH != 0)
			free(piece[i]);
}

static void
free_rest(void)
{
	for (size_t i = 0; i < PIECES; i += LEFT_EACH)
		free(piece[i]);
}

static void
goes_back(void **state)
{
	const size_t most = (size_t)PIECES * PIECE_BYTES;
	struct crowd c;
	uv_loop_t loop;
	size_t before;

	if (SANITIZED) /* another allocator */
		skip();
	uv_loop_init(&loop);
	crowd_init(&c, &loop);
	leave_holes();
	before = resident_bytes();
	assert_true(before >= most * 3 / 4);

	enter(&c, CROWD - 1);
	leave(&c, CROWD - 1);
	assert_false(uv_loop_alive(&loop)); /* too few */

	enter(&c, CROWD);
	leave(&c, CROWD - 1);
	assert_false(uv_loop_alive(&loop)); /* one is still there */
	leave(&c, 1);
	assert_true(uv_loop_alive(&loop));
	enter(&c, 1);
	uv_run(&loop, UV_RUN_DEFAULT); /* another came meanwhile */
	assert_true(resident_bytes() >= before - most / 4);

	leave(&c, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(resident_bytes() < before - most * 3 / 4);
	assert_int_equal(c.most, 0);

	crowd_close(&c);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	free_rest();
}

/* A request may outlive its loop's timers during a stop. */
static void
closed(void **state)
{
	struct crowd c;
	uv_loop_t loop;

	uv_loop_init(&loop);
	crowd_init(&c, &loop);
	enter(&c, CROWD);
	crowd_close(&c);
	leave(&c, CROWD);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(c.here, 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(goes_back), cmocka_unit_test(closed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
