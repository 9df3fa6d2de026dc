/*
 * h1.h - HTTP/1.1: one connection's requests, read strictly and answered in order, one at a time.
 *
 * Bytes come in by h1_bytes(), output leaves through a link; there is no socket and no clock
 * here. Callbacks of exchange_ops happen inside the functions below only.
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/span.h"
#include "http/link.h"
#include "http/wire.h"

enum h1_state {
	H1_IDLE,   /* no byte of a request yet */
	H1_HEAD,   /* reading a head */
	H1_BODY,   /* the handler has the head and waits for the body */
	H1_ANSWER, /* nothing is taken in until the answer has left */
	H1_CLOSED, /* the link was told to end */
};

/* Invariant: x is set in HEAD, BODY and ANSWER only; rest has bytes in ANSWER only. */
struct h1 {
	struct wire_host *host;
	struct link *link;
	struct h1_exchange *x;
	struct buf rest; /* pipelined behind the request that is being answered */
	size_t rest_at;	 /* consumed of it */
	enum h1_state state;
	bool tls;
	bool eof; /* the peer ended its side during an answer */
};

/* A fresh connection; starts the idle deadline. */
void h1_init(struct h1 *h, struct wire_host *host, struct link *link, bool tls);
/* The peer sent bytes. */
void h1_bytes(struct h1 *h, struct span in);
/* The peer will send no more: its last byte has been given to h1_bytes(). */
void h1_eof(struct h1 *h);
/*
 * The peer ended its side while we were not reading; h1_eof() may still follow. It may still read
 * (RFC 9112 9.6), or have gone altogether: the two look alike until something is sent.
 */
void h1_hangup(struct h1 *h);
/* A flush that followed kick(), or later progress of it. */
void h1_flushed(struct h1 *h);
void h1_deadline(struct h1 *h);
/* Closes the connection if it is idle; host->draining sees to the others. */
void h1_drain(struct h1 *h);
/* The link is dead or must die: the last call. Safe twice. */
void h1_lost(struct h1 *h);

#endif
