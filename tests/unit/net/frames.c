/* frames.c - lengths and frames on a stream, cut anywhere, and those that end it. */
#include "net/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { MAX = 1514 };

static struct frames in, out;

static void
feed(const void *p, size_t n)
{
	size_t room;
	uint8_t *to = frames_room(&in, &room);

	assert_true(n <= room);
	memcpy(to, p, n);
	frames_add(&in, n);
}

static void
put(uint8_t fill, size_t n)
{
	uint8_t *slot = frames_slot(&out);

	assert_non_null(slot);
	memset(slot, fill, n);
	frames_put(&out, n);
}

static int
setup(void **state)
{
	frames_init(&in, MAX);
	frames_init(&out, MAX);
	return 0;
}

static void
the_length_is_little_endian(void **state)
{
	put('x', 0x0102);
	assert_int_equal(frames_pending(&out).n, 2 + 0x0102);
	assert_int_equal(frames_pending(&out).p[0], 0x02);
	assert_int_equal(frames_pending(&out).p[1], 0x01);
	assert_int_equal(frames_pending(&out).p[2], 'x');
}

/* Three frames, however the stream is cut. */
static void
split_anywhere(void **state)
{
	static const size_t length[] = { 1, 60, MAX };

	for (size_t step = 1; step <= 200; step++) {
		struct span left, frame;
		size_t got = 0;

		setup(NULL);
		for (size_t i = 0; i < 3; i++)
			put((uint8_t)('a' + i), length[i]);
		while ((left = frames_pending(&out)).n > 0) {
			size_t n = left.n < step ? left.n : step;

			feed(left.p, n);
			frames_sent(&out, n);
			while (frames_next(&in, &frame) == FRAMES_ONE) {
				assert_true(got < 3);
				assert_int_equal(frame.n, length[got]);
				assert_int_equal(frame.p[0], 'a' + (int)got);
				assert_int_equal(frame.p[frame.n - 1], 'a' + (int)got);
				got++;
			}
		}
		assert_int_equal(got, 3);
	}
}

static void
lengths(void **state)
{
	static const struct {
		const char *rule;
		uint8_t head[2];
		enum frames_verdict want;
	} rows[] = {
		{ "6.1: an empty frame is an error", { 0, 0 }, FRAMES_BROKEN },
		{ "one byte", { 1, 0 }, FRAMES_MORE },
		{ "the longest", { MAX & 0xff, MAX >> 8 }, FRAMES_MORE },
		{ "one more", { (MAX + 1) & 0xff, (MAX + 1) >> 8 }, FRAMES_BROKEN },
		{ "all ones", { 0xff, 0xff }, FRAMES_BROKEN },
	};
	struct span frame;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		frames_clear(&in);
		feed(rows[i].head, 1);
		assert_int_equal(frames_next(&in, &frame), FRAMES_MORE);
		feed(rows[i].head + 1, 1);
		if (frames_next(&in, &frame) != rows[i].want)
			fail_msg("%s", rows[i].rule);
		/* and so it stays */
		if (frames_next(&in, &frame) != rows[i].want)
			fail_msg("%s, again", rows[i].rule);
	}
}

/* Slots until it is full; after part was sent, the room is found again. */
static void
full(void **state)
{
	size_t n = 0, first;

	while (frames_slot(&out) != NULL) {
		put('x', MAX);
		n++;
	}
	assert_int_equal(n, FRAMES_ROOM_BYTES / (MAX + FRAME_HEAD_BYTES));
	first = frames_pending(&out).n;
	frames_sent(&out, MAX + FRAME_HEAD_BYTES + 1);
	put('y', MAX);
	assert_int_equal(frames_pending(&out).n, first - 1);
	assert_int_equal(frames_pending(&out).p[0], MAX >> 8);
	frames_sent(&out, first - 1);
	assert_int_equal(frames_pending(&out).n, 0);
}

static void
the_longest_link(void **state)
{
	struct span frame;

	frames_init(&in, FRAME_MAX_BYTES);
	frames_init(&out, FRAME_MAX_BYTES);
	put('z', FRAME_MAX_BYTES);
	feed(frames_pending(&out).p, frames_pending(&out).n);
	assert_int_equal(frames_next(&in, &frame), FRAMES_ONE);
	assert_int_equal(frame.n, FRAME_MAX_BYTES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_length_is_little_endian, setup),
		cmocka_unit_test_setup(split_anywhere, setup),
		cmocka_unit_test_setup(lengths, setup),
		cmocka_unit_test_setup(full, setup),
		cmocka_unit_test_setup(the_longest_link, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
