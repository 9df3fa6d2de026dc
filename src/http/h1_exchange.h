/*
 * h1_exchange.h - one request of HTTP/1.1 and its answer. Private to h1*.c.
 */
#ifndef HTTP_H1_EXCHANGE_H
#define HTTP_H1_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "http/chunked.h"
#include "http/h1.h"
#include "http/head.h"
#include "http/wire.h"

enum h1_framing {
	H1_LENGTH,  /* Content-Length */
	H1_CHUNKED, /* a stream for HTTP/1.1 */
	H1_TO_END,  /* a stream for HTTP/1.0: the end of the connection ends it */
};

struct h1_exchange {
	struct exchange base;
	struct h1 *h1;
	struct h1_exchange *next_spare;
	void *handler;
	bool parsed; /* request was filled, in part if it was refused */
	bool began;  /* on_head was called: on_gone is due */

	struct head_scan scan;
	size_t head_n;	 /* bytes of the head so far */
	struct buf heap; /* the head, when head_inline is too small */

	/* The request's body. */
	bool wants_body;
	bool whole; /* the request has been read to its end */
	uint64_t body_max, body_left;
	uint64_t body_start_ms;
	struct chunked chunked;
	struct buf body;
	size_t body_charged; /* taken from the budget */

	/* The answer. */
	bool headed, ended, aborted;
	bool bodyless; /* HEAD, 204, 304: what is written is swallowed */
	bool close;    /* the connection ends behind it */
	bool full;     /* exchange_room() was 0; on_room is due */
	enum h1_framing framing;
	uint64_t answer_left; /* H1_LENGTH: bytes still to be written */

	/* From here on nothing is cleared between requests: it is large, and set before use. */
	struct head_request request;
	uint8_t head_inline[2048];
};

extern const struct wire_ops h1_wire;

static inline uint64_t
h1_now_ms(const struct h1 *h)
{
	return h->link->ops->now_ms(h->link);
}

static inline void
h1_set_deadline(struct h1 *h, uint64_t at_ms)
{
	h->link->ops->deadline(h->link, at_ms);
}

/* -- h1_body.c -- */

/*
 * The handler wants a body that has not ended yet. more_came: bytes of it are here already, so
 * nobody waits for 100 Continue. Returns false when the request was refused.
 */
bool h1_body_start(struct h1 *h, bool more_came);
/* Takes bytes of the body; returns how many. */
size_t h1_body_read(struct h1 *h, struct span in);
/* The request has been read to its end: on_body. */
void h1_body_whole(struct h1 *h);
/* When the body will be late if no further byte comes: the total, or the minimum rate. */
uint64_t h1_body_late_ms(const struct h1_exchange *x);

/* -- h1_answer.c -- */

/*
 * Answers in the handler's place and ends the connection. If an answer has begun already, it is
 * cut off instead. The exchange is gone afterwards.
 */
void h1_refuse(struct h1 *h, struct http_fault fault);

/* -- h1.c -- */

/* What is known of the head, from its request line on. */
struct span h1_head_bytes(const struct h1_exchange *x);
/* Nothing more is read before the answer has left: neither the rest of a body nor a request. */
void h1_stop_reading(struct h1 *h);
/* Ends the exchange: on_gone if it is due, memory wiped. h->x is NULL afterwards. */
void h1_gone(struct h1 *h, bool delivered);

#endif
