/*
 * posted.h - a POST that is no inference: a small body, read whole, then its route's.
 */
#ifndef GATEWAY_POSTED_H
#define GATEWAY_POSTED_H

#include "gateway/call.h"

#define POSTED_MAGIC 0x70730001u

struct posted {
	unsigned magic;
	struct call call;
	/* Has the whole body, borrowed until the client is gone: answers now, or sets `work`. */
	void (*run)(struct posted *p, struct span body);
	/* What answers later; it is told, once, when the client is gone before. */
	void *work;
	void (*on_gone)(void *work);
};

/* Asks for the body. NULL: no memory, and the exchange is cut off. `route` as in struct call. */
struct posted *posted_begin(struct loop *loop, struct exchange *x, const struct http_head *head,
    const char *route, size_t max_bytes, void (*run)(struct posted *p, struct span body));

/* From the wire side (struct exchange_ops). */
void posted_on_body(struct posted *p, struct span body);
void posted_on_gone(struct posted *p);
void posted_on_wire_error(struct posted *p, const struct failure *f);

#endif
