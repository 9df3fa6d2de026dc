/*
 * h2_stream.h - one request of HTTP/2 and its answer. Private to h2*.c.
 */
#ifndef HTTP_H2_STREAM_H
#define HTTP_H2_STREAM_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/buf.h"
#include "http/h2.h"
#include "http/head.h"
#include "http/wire.h"

enum {
	H2_STREAMS_MAX = 128,		/* stack.md "Flow control" */
	H2_CONN_HIGH_BYTES = 256 << 10, /* all streams' output that waits */
	H2_STALL_BYTES = 1024,		/* less in write_stall_ms is a stall: drips do not count */
	/* Of its connection's output each stream has this for itself: stalled ones starve none. */
	H2_RESERVE_BYTES = H2_CONN_HIGH_BYTES / 2 / H2_STREAMS_MAX,
	H2_POOL_BYTES = H2_CONN_HIGH_BYTES / 2,
};

struct h2_stream {
	struct exchange base;
	struct h2 *h2;
	TAILQ_ENTRY(h2_stream) all;
	int32_t id;
	void *handler;
	bool began;	/* on_head was called: on_gone is due */
	bool parsed;	/* request was filled, in part if it was refused */
	size_t charged; /* taken from the budget */

	/* The head: a request line and fields as HTTP/1.1 has them, for head_parse(). */
	struct buf pseudo; /* values of :method, :path and :authority, one after the other */
	struct span_at {
		size_t from, n;
		bool is;
	} method, target, authority;
	struct buf text;
	size_t list_bytes, n_list; /* RFC 9113 6.5.2; also of the trailers */
	bool lined;		   /* text has its request line */
	bool host_seen;
	struct http_fault fault; /* found while reading; answered when the head is whole */

	/* The request's body. */
	bool wants_body;
	bool whole; /* the request has been read to its end */
	uint64_t body_max;
	uint64_t body_start_ms;
	struct buf body;

	/* The answer. */
	bool headed, ended, aborted;
	bool bodyless;	/* HEAD, 204, 304: what is written is swallowed */
	bool full;	/* exchange_room() was 0; on_room is due */
	bool last_sent; /* END_STREAM has been given to the link */
	bool closed;	/* the session has forgotten the stream: it is on the list `leaving` */
	uint64_t answer_left; /* bytes still to be written; EXCHANGE_STREAM: not known */
	struct buf out;	      /* waits for the client's window; .. */
	size_t out_at;	      /* .. up to here it has left */
	size_t moved;	      /* since the stall deadline was set */
	uint64_t due_ms;      /* body or write stall; 0: none */
	uint64_t end_at;      /* h2.put behind the last byte, when closed */

	/* From here on nothing is cleared: it is large, and set before use. */
	struct head_request request;
};

extern const struct wire_ops h2_wire;

static inline uint64_t
h2_now_ms(const struct h2 *h)
{
	return h->link->ops->now_ms(h->link);
}

/* Makes the link call h2_deadline() at that time, or before. */
void h2_due(struct h2 *h, uint64_t at_ms);
/* Pays from a purse; false when it is empty. */
bool h2_spend(struct h2 *h, struct h2_purse *purse);
/* GOAWAY with ENHANCE_YOUR_CALM, at the end of the frame that is being read. */
void h2_calm(struct h2 *h);

/* -- h2_head.c -- */

/*
 * A field of a head or of trailers. Returns 0, or NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE when the
 * peer does not stop: the stream is reset, and the rest of the block costs no more calls.
 */
int h2_head_field(struct h2_stream *x, struct span name, struct span value, bool sound);
/* The block is whole: judges it. */
struct http_fault h2_head_whole(struct h2_stream *x, bool has_body);

/* -- h2_body.c -- */

/* Holds the budget to what the stream has in memory. False when there is not so much. */
bool h2_charge(struct h2_stream *x);
void h2_body_start(struct h2_stream *x);
void h2_body_data(struct h2_stream *x, struct span data);
/* When the body will be late if no further byte comes: the total, or the minimum rate. */
uint64_t h2_body_late_ms(const struct h2_stream *x);
/* The request has been read to its end. */
void h2_body_whole(struct h2_stream *x);

/* -- h2_answer.c -- */

/* Answers in the handler's place, or resets when an answer has begun. */
void h2_refuse(struct h2_stream *x, struct http_fault fault);
/* For the session: the next piece of the answer. */
ssize_t h2_answer_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
    uint32_t *flags, nghttp2_data_source *source, void *ctx);
/* Bytes that wait for the client's window. */
static inline size_t
h2_waiting(const struct h2_stream *x)
{
	return x->out.n - x->out_at;
}
/* Resets the stream unless its answer has left. */
void h2_reset(struct h2_stream *x, uint32_t code);

#endif
