#include "net/frames.h"

#include <assert.h>
#include <string.h>

void
frames_init(struct frames *f, size_t frame_max)
{
	assert(frame_max >= FRAME_MIN_BYTES && frame_max <= FRAME_MAX_BYTES);
	f->frame_max = frame_max;
	frames_clear(f);
}

void
frames_clear(struct frames *f)
{
	f->from = f->to = 0;
}

static void
move_to_front(struct frames *f)
{
	memmove(f->p, f->p + f->from, f->to - f->from);
	f->to -= f->from;
	f->from = 0;
}

uint8_t *
frames_room(struct frames *f, size_t *n)
{
	/* After frames_next() said FRAMES_MORE less than a frame is left, which is cheap to move. */
	move_to_front(f);
	*n = FRAMES_ROOM_BYTES - f->to;
	assert(*n > 0);
	return f->p + f->to;
}

void
frames_add(struct frames *f, size_t n)
{
	assert(n <= FRAMES_ROOM_BYTES - f->to);
	f->to += n;
}

enum frames_verdict
frames_next(struct frames *f, struct span *frame)
{
	const uint8_t *p = f->p + f->from;
	size_t have = f->to - f->from, n;

	if (have < FRAME_HEAD_BYTES)
		return FRAMES_MORE;
	n = (size_t)p[0] | (size_t)p[1] << 8;
	if (n == 0 || n > f->frame_max)
		return FRAMES_BROKEN;
	if (have < FRAME_HEAD_BYTES + n)
		return FRAMES_MORE;
	*frame = span_of(p + FRAME_HEAD_BYTES, n);
	f->from += FRAME_HEAD_BYTES + n;
	return FRAMES_ONE;
}

uint8_t *
frames_slot(struct frames *f)
{
	const size_t want = FRAME_HEAD_BYTES + f->frame_max;

	if (FRAMES_ROOM_BYTES - f->to < want && FRAMES_ROOM_BYTES - (f->to - f->from) >= want)
		move_to_front(f);
	return FRAMES_ROOM_BYTES - f->to < want ? NULL : f->p + f->to + FRAME_HEAD_BYTES;
}

void
frames_put(struct frames *f, size_t n)
{
	assert(n > 0 && n <= f->frame_max);
	f->p[f->to] = (uint8_t)n;
	f->p[f->to + 1] = (uint8_t)(n >> 8);
	f->to += FRAME_HEAD_BYTES + n;
}

struct span
frames_pending(const struct frames *f)
{
	return span_of(f->p + f->from, f->to - f->from);
}

void
frames_sent(struct frames *f, size_t n)
{
	assert(n <= f->to - f->from);
	f->from += n;
	if (f->from == f->to)
		frames_clear(f);
}
