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

/*
 * Answers in the handler's place and ends the connection. If an answer has begun already, it is
 * cut off instead. The exchange is gone afterwards.
 */
void h1_refuse(struct h1 *h, struct http_fault fault);
/* What is known of the head, from its request line on. */
struct span h1_head_bytes(const struct h1_exchange *x);
/* Nothing more is read before the answer has left: neither the rest of a body nor a request. */
void h1_stop_reading(struct h1 *h);
/* Ends the exchange: on_gone if it is due, memory wiped. h->x is NULL afterwards. */
void h1_gone(struct h1 *h, bool delivered);

#endif
