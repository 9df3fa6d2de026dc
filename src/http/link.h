/*
 * link.h - what a wire form needs from below: bytes out, a deadline, an end. server.c stands on
 * sockets; tests and fuzz targets stand on memory.
 *
 * What comes from below are calls of the wire form: h1_bytes(), h1_flushed(), ...
 */
#ifndef HTTP_LINK_H
#define HTTP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

struct link;

struct link_ops {
	/* Bytes that wait for the kernel. */
	size_t (*queued)(const struct link *l);
	/* Flush soon and then call h1_flushed(), from the loop; never from inside. */
	void (*kick)(struct link *l);
	/* Whether more input is wanted. While it is not, a peer that ends is told by h1_hangup(). */
	void (*reading)(struct link *l, bool on);
	uint64_t (*now_ms)(const struct link *l);
	/* Calls h1_deadline() at that time of now_ms(), once; 0: never. Replaces the last one. */
	void (*deadline)(struct link *l, uint64_t at_ms);
	/*
	 * Ends the link when its output has left. linger: the client may still be sending; what
	 * comes is read and dropped for a while, because a reset would take the answer with it.
	 */
	void (*finish)(struct link *l, bool linger);
	/*
	 * Ends the link now; output that waits is lost. reset: the peer must not take the end for
	 * the end of an answer.
	 */
	void (*cut)(struct link *l, bool reset);
};

struct link {
	const struct link_ops *ops;
	struct buf *out; /* output is put here, then kick() */
};

#endif
