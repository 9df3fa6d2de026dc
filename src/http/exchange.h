/*
 * exchange.h - one request and its answer, whatever the wire form (HTTP/1.1 or HTTP/2).
 *
 * The gateway sees exchanges only. An exchange belongs to one loop; every call and callback runs
 * on that loop's thread. The wire side never calls a handler from inside a call of the gateway:
 * callbacks come from the loop.
 *
 * Life: on_head once; then, if the handler asked for the body, on_body ...; then the handler
 * answers (exchange_head, exchange_write ..., exchange_end) at any time; on_room whenever queued
 * output fell to STREAM_LOW_BYTES after exchange_room() was 0; on_gone exactly once, last: after
 * the answer left, or as soon as the client is gone. After on_gone the pointer is dead.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

struct exchange;

/* Where the request arrived. */
struct exchange_origin {
	bool tls;
	unsigned loop; /* index of the loop, 0 ... */
};

struct http_field {
	struct span name, value; /* name as sent; value without outer white space */
};

/* The head of a request; borrowed until on_gone. */
struct http_head {
	struct span method, path, query; /* path without "?query"; query .p NULL when absent */
	const struct http_field *field;
	size_t n_fields;
	bool has_body;		 /* Content-Length > 0, or not known before it ends */
	uint64_t content_length; /* UINT64_MAX when not known */
};

/*
 * The value of the first field of this name; .p NULL when absent. *many (may be NULL): whether
 * there is another one.
 */
struct span http_field_get(const struct http_head *h, const char *name, bool *many);

struct exchange_ops {
	/*
	 * A head has arrived and passed the strictness rules. Either answer at once (an answer
	 * before the body was read closes an HTTP/1.1 connection after it), or call
	 * exchange_want_body(). Returns the handler's own pointer for the later calls.
	 */
	void *(*on_head)(void *server, struct exchange *x, const struct http_head *head);
	/* The whole body (also when empty); borrowed until on_gone or exchange_drop_body(). */
	void (*on_body)(void *handler, struct span body);
	/* There is room again (see exchange_room). */
	void (*on_room)(void *handler);
	/*
	 * HTTP/1.1: the client ended its side after the answer began and before it was complete. It
	 * may still read (RFC 9112 9.6), or have gone altogether: writing something tells, and if it
	 * has gone on_gone follows at once. May come twice. NULL: the next write is soon enough.
	 */
	void (*on_hangup)(void *handler);
	/* Last call. `delivered`: the whole answer was given to the kernel. */
	void (*on_gone)(void *handler, bool delivered);
	/*
	 * The wire refuses the request itself (400, 408, 413, 414, 417, 431, 501, 503): the server
	 * answers in its place with exchange_head, _write and _end before it returns; the
	 * connection ends behind the answer (HTTP/1.1), or the stream does (HTTP/2). `handler` is
	 * what on_head returned, NULL when it was not called: there is then no on_gone either, and
	 * of the head only the path is known (.p NULL when not even that). Otherwise on_gone(false)
	 * follows.
	 */
	void (*wire_error)(void *server, void *handler, struct exchange *x,
	    const struct http_head *head, unsigned status, const char *what);
};

/* Reads the body, at most max_bytes (413 above), then calls on_body. Call inside on_head only. */
void exchange_want_body(struct exchange *x, uint64_t max_bytes);

/* The body is of no use any more: its memory is given back, and what was borrowed is gone. */
void exchange_drop_body(struct exchange *x);

/*
 * Begins the answer. `length`: bytes of the body, or EXCHANGE_STREAM when not known (chunked on
 * HTTP/1.1). Fields are copied. Date, Connection, Content-Length and Transfer-Encoding are the
 * wire side's business. A HEAD request gets the head only; its body calls are swallowed.
 */
#define EXCHANGE_STREAM UINT64_MAX
void exchange_head(struct exchange *x, unsigned status, const struct http_field *field,
    size_t n_fields, uint64_t length);
/* Queues body bytes (copied). Never fails: the sender asks exchange_room() first. */
void exchange_write(struct exchange *x, struct span bytes);
/* The answer is complete. */
void exchange_end(struct exchange *x);
/* Cuts the answer off: the client must see that it is not complete (close, or RST_STREAM). */
void exchange_abort(struct exchange *x);
/* Bytes that may be queued before the sender should wait for on_room; 0 when full. */
size_t exchange_room(const struct exchange *x);

const struct exchange_origin *exchange_origin(const struct exchange *x);

#endif
