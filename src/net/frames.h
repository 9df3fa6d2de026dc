/*
 * frames.h - Ethernet frames on a stream, as gvproxy takes and gives them: a length of two bytes,
 * little endian, then the frame. Bytes to frames and back; no descriptor.
 * Source: nitro-attestation.md 6.1.
 */
#ifndef NET_FRAMES_H
#define NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

enum {
	FRAME_HEAD_BYTES = 2,
	FRAME_MIN_BYTES = 14, /* the Ethernet header; less is no frame */
	FRAME_MAX_BYTES = UINT16_MAX,
	FRAMES_ROOM_BYTES = 256 << 10,
};

/*
 * One direction. Invariant: from <= to <= FRAMES_ROOM_BYTES, and 14 <= frame_max <= 65535. What is
 * not read yet is p[from, to).
 */
struct frames {
	size_t from, to, frame_max;
	uint8_t p[FRAMES_ROOM_BYTES];
};

/* frame_max: the longest frame of this link, the Ethernet header included. */
void frames_init(struct frames *f, size_t frame_max);
void frames_clear(struct frames *f);

/* --- from the stream --- */

/* Where further bytes of the stream go, at least one; the content moves to the front. */
uint8_t *frames_room(struct frames *f, size_t *n);
void frames_add(struct frames *f, size_t n);

enum frames_verdict {
	FRAMES_MORE,   /* the next frame is not whole yet */
	FRAMES_ONE,    /* *frame is it, until the next call of frames_room() */
	FRAMES_BROKEN, /* a length of 0, or above frame_max: the stream cannot be followed any more */
};
enum frames_verdict frames_next(struct frames *f, struct span *frame);

/* --- to the stream --- */

/* Where a frame of up to frame_max bytes may be put; NULL: send first. */
uint8_t *frames_slot(struct frames *f);
/* The frame in the slot has n bytes, 1 to frame_max. */
void frames_put(struct frames *f, size_t n);
/* What is to be sent, and that n bytes of it were. */
struct span frames_pending(const struct frames *f);
void frames_sent(struct frames *f, size_t n);

#endif
