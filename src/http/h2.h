/*
 * h2.h - HTTP/2 (RFC 9113): one connection's requests, side by side, over nghttp2.
 *
 * Bytes come in by h2_bytes(), output leaves through a link; there is no socket and no clock
 * here. Callbacks of exchange_ops happen inside the functions below only. A head is judged by
 * the same code as one of HTTP/1.1 (head.h), so that the verdicts are the same.
 */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/err.h"
#include "core/span.h"
#include "http/link.h"
#include "http/wire.h"

struct h2_stream;
TAILQ_HEAD(h2_streams, h2_stream);

/* What a peer may spend, and what it gets back with time. */
struct h2_purse {
	uint32_t left, most, per_s;
	uint64_t at_ms; /* of the last refill */
};

/* Invariant: session is NULL once the link was told to end; no stream is left then. */
struct h2 {
	struct wire_host *host;
	struct link *link;
	struct nghttp2_session *session;
	struct h2_streams open;	   /* streams of the session */
	struct h2_streams leaving; /* the session has closed them; their last bytes are in line */
	struct h2_stream *reading; /* its head is under way; the session reads one at a time */
	size_t pooled;		   /* bytes that streams hold above their reserve */
	bool some_full;		   /* a stream may be `full`: only then they are looked through */
	uint64_t put;		   /* bytes given to the link since the start */
	uint64_t armed_ms, idle_ms, head_ms, drain_ms; /* deadlines; 0: none */
	struct h2_purse resets, idle_frames;
	size_t idle_bytes; /* since a frame that moved a request on */
	bool told;	   /* the first GOAWAY of h2_drain() is out */
	bool greeted;	   /* the client's preface has come */
	bool over;	   /* the session ends: nothing more is read */
	bool broken;	   /* without a word: its state is not to be used */
};

/*
 * A fresh connection; starts its deadlines. Errors: NOMEM: the link must be closed, and h2_lost()
 * is allowed.
 */
MUST_USE struct err h2_init(struct h2 *h, struct wire_host *host, struct link *link);
/* The peer sent bytes. */
void h2_bytes(struct h2 *h, struct span in);
/* The peer will send no more. Nobody half-closes HTTP/2: it has left. */
void h2_eof(struct h2 *h);
/* A flush that followed kick(), or later progress of it. */
void h2_flushed(struct h2 *h);
void h2_deadline(struct h2 *h);
/* Tells the client to go elsewhere (two GOAWAYs), and ends when the streams under way have. */
void h2_drain(struct h2 *h);
/* The link is dead or must die: the last call. Safe twice. */
void h2_lost(struct h2 *h);

#endif
