/*
 * Frames of the host. The input's first byte says how much comes at a time, its second how long a
 * frame may be. What is cut is what a reader of the whole would cut; put in line again, the bytes
 * are the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "net/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frames in, out;

/* False: broken. *read counts the stream's bytes that were cut. */
static bool
cut(struct span all, size_t *read)
{
	enum frames_verdict v;
	struct span frame;
	uint8_t *slot;

	while ((v = frames_next(&in, &frame)) == FRAMES_ONE) {
		size_t n = (size_t)all.p[*read] | (size_t)all.p[*read + 1] << 8;

		if (n == 0 || n > in.frame_max || frame.n != n ||
		    !span_eq(frame, span_cut(all, *read + 2, *read + 2 + n)))
			abort();
		*read += 2 + n;
		if ((slot = frames_slot(&out)) == NULL)
			abort();
		memcpy(slot, frame.p, frame.n);
		frames_put(&out, frame.n);
		if (!span_eq(frames_pending(&out), span_cut(all, *read - 2 - n, *read)))
			abort();
		frames_sent(&out, 2 + n);
	}
	return v != FRAMES_BROKEN;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, read = 0;
	struct span all;

	if (size < 2)
		return 0;
	step = (size_t)data[0] + 1;
	frames_init(&in, FRAME_MIN_BYTES + (size_t)data[1] * 256);
	frames_init(&out, in.frame_max);
	all = span_of(data + 2, size - 2);
	for (size_t at = 0; at < all.n;) {
		size_t room, n = all.n - at < step ? all.n - at : step;
		uint8_t *to = frames_room(&in, &room);

		if (room < n)
			abort();
		memcpy(to, all.p + at, n);
		frames_add(&in, n);
		at += n;
		if (!cut(all, &read))
			return 0;
	}
	if (in.to - in.from != all.n - read)
		abort();
	return 0;
}
