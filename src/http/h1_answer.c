#include "http/h1_exchange.h"

#include <assert.h>

#include "core/limits.h"
#include "http/budget.h"

static void
kick(struct h1_exchange *x)
{
	struct link *l = x->h1->link;

	l->ops->kick(l);
}

/* -- head -- */

static uint8_t *
copy(uint8_t *to, struct span s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

static size_t
digits(uint64_t v, uint64_t base, char out[static 20])
{
	char back[20];
	size_t n = 0;

	do {
		back[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v > 0);
	for (size_t i = 0; i < n; i++)
		out[i] = back[n - 1 - i];
	return n;
}

/* Everything but the caller's fields, in the order in which it is written. */
#define HEAD_VERSION "HTTP/1.1 "
#define HEAD_DATE    "\r\nDate: "
#define HEAD_LENGTH  "Content-Length: "
#define HEAD_CHUNKED "Transfer-Encoding: chunked\r\n"
#define HEAD_CLOSE   "Connection: close\r\n"
enum {
	HEAD_FIXED_BYTES = sizeof(HEAD_VERSION HEAD_DATE HEAD_LENGTH HEAD_CHUNKED HEAD_CLOSE) + 64 +
	    CLOCK_HTTP_LEN + 20,
};

/* One growth and plain copies: this runs for every answer. has_length: the length is said. */
static void
put_head(struct h1_exchange *x, unsigned status, const struct http_field *field, size_t n_fields,
    bool has_length, uint64_t length)
{
	struct buf *out = x->h1->link->out;
	size_t bound = HEAD_FIXED_BYTES, before = out->n;
	char scratch[20];
	uint8_t *p;

	for (size_t i = 0; i < n_fields; i++)
		bound += field[i].name.n + field[i].value.n + 4;
	if ((p = buf_grow(out, bound)) == NULL)
		return; /* the link sees it and ends */
	p = copy(p, SPAN_LIT(HEAD_VERSION));
	p = copy(p, wire_status(status, scratch));
	p = copy(p, SPAN_LIT(HEAD_DATE));
	p = copy(p, wire_date(x->h1->host));
	p = copy(p, SPAN_LIT("\r\n"));
	for (size_t i = 0; i < n_fields; i++) {
		/* A value that could split the answer is left out: it came from somewhere else. */
		if (!wire_field_is_sound(&field[i]))
			continue;
		p = copy(p, field[i].name);
		p = copy(p, SPAN_LIT(": "));
		p = copy(p, field[i].value);
		p = copy(p, SPAN_LIT("\r\n"));
	}
	if (has_length) {
		p = copy(p, SPAN_LIT(HEAD_LENGTH));
		p = copy(p, span_of(scratch, digits(length, 10, scratch)));
		p = copy(p, SPAN_LIT("\r\n"));
	} else if (x->framing == H1_CHUNKED) {
		p = copy(p, SPAN_LIT(HEAD_CHUNKED));
	}
	if (x->close)
		p = copy(p, SPAN_LIT(HEAD_CLOSE));
	p = copy(p, SPAN_LIT("\r\n"));
	assert((size_t)(p - out->p) <= before + bound);
	buf_truncate(out, (size_t)(p - out->p));
}

static void
h1_head(struct exchange *base, unsigned status, const struct http_field *field, size_t n_fields,
    uint64_t length)
{
	struct h1_exchange *x = (struct h1_exchange *)base;
	struct h1 *h = x->h1;
	bool silent = status < 200 || status == 204 || status == 304;

	assert(!x->headed);
	if (x->aborted)
		return;
	x->headed = true;
	/* What is left of the request could not be told from the next one, were it not read. */
	if (!x->whole)
		x->close = true;
	if (h->state == H1_BODY)
		h1_stop_reading(h);
	if (!x->request.keep_alive || h->host->draining)
		x->close = true;
	x->bodyless = silent || span_eq(x->request.head.method, SPAN_LIT("HEAD"));
	x->framing = H1_LENGTH;
	x->answer_left = length;
	if (length == EXCHANGE_STREAM && !silent) {
		x->framing = x->request.http10 ? H1_TO_END : H1_CHUNKED;
		if (x->framing == H1_TO_END)
			x->close = true;
	}
	put_head(x, status, field, n_fields, !silent && x->framing == H1_LENGTH, length);
	kick(x);
}

/* -- body -- */

static void
h1_write(struct exchange *base, struct span bytes)
{
	struct h1_exchange *x = (struct h1_exchange *)base;
	struct link *l = x->h1->link;
	char size[20];

	assert(x->headed || x->aborted);
	assert(!x->ended);
	if (x->aborted || x->bodyless || bytes.n == 0)
		return;
	if (x->framing == H1_LENGTH) {
		assert(bytes.n <= x->answer_left);
		x->answer_left -= bytes.n;
		buf_put(l->out, bytes);
	} else if (x->framing == H1_CHUNKED) {
		buf_put(l->out, span_of(size, digits(bytes.n, 16, size)));
		buf_put(l->out, SPAN_LIT("\r\n"));
		buf_put(l->out, bytes);
		buf_put(l->out, SPAN_LIT("\r\n"));
	} else {
		buf_put(l->out, bytes);
	}
	if (l->ops->queued(l) >= STREAM_HIGH_BYTES)
		x->full = true;
	kick(x);
}

static void
h1_end(struct exchange *base)
{
	struct h1_exchange *x = (struct h1_exchange *)base;

	assert(x->headed || x->aborted);
	if (x->aborted || x->ended)
		return;
	/* Fewer bytes than were announced: only a broken connection says so. */
	if (x->framing == H1_LENGTH && !x->bodyless && x->answer_left > 0) {
		x->aborted = true;
	} else {
		x->ended = true;
		if (x->framing == H1_CHUNKED && !x->bodyless)
			buf_put(x->h1->link->out, SPAN_LIT("0\r\n\r\n"));
	}
	kick(x);
}

static void
h1_abort(struct exchange *base)
{
	struct h1_exchange *x = (struct h1_exchange *)base;

	/* An answer that is complete stays so; it only may not have left yet. */
	if (!x->ended)
		x->aborted = true;
	kick(x);
}

static size_t
h1_room(const struct exchange *base)
{
	const struct h1_exchange *x = (const struct h1_exchange *)base;
	const struct link *l = x->h1->link;
	size_t queued = l->ops->queued(l);

	return queued < STREAM_HIGH_BYTES ? STREAM_HIGH_BYTES - queued : 0;
}

static void
h1_want_body(struct exchange *base, uint64_t max_bytes)
{
	struct h1_exchange *x = (struct h1_exchange *)base;

	x->wants_body = true;
	x->body_max = max_bytes;
}

static void
h1_drop_body(struct exchange *base)
{
	struct h1_exchange *x = (struct h1_exchange *)base;

	assert(x->whole);
	buf_fini(&x->body);
	budget_give(x->body_charged);
	x->body_charged = 0;
}

const struct wire_ops h1_wire = {
	.want_body = h1_want_body,
	.drop_body = h1_drop_body,
	.head = h1_head,
	.write = h1_write,
	.end = h1_end,
	.abort = h1_abort,
	.room = h1_room,
};

/* -- errors of the wire itself -- */

/* The server's spelling of a refusal. Of a head that was not judged, only the path is believed. */
static void
answer_refusal(struct h1 *h, struct http_fault fault)
{
	struct h1_exchange *x = h->x;
	struct http_head bare = { .path = x->parsed ? x->request.head.path
						    : head_path(h1_head_bytes(x)) };

	if (!x->parsed)
		x->request.head = bare;
	x->request.keep_alive = false;
	x->request.http10 = false;
	h->host->ops->wire_error(h->host->ctx, x->began ? x->handler : NULL, &x->base,
	    x->began ? &x->request.head : &bare, fault.status, fault.what);
	assert(x->ended);
}

void
h1_refuse(struct h1 *h, struct http_fault fault)
{
	struct h1_exchange *x = h->x;

	if (x->headed || x->aborted) {
		h1_gone(h, false);
		h->state = H1_CLOSED;
		h->link->ops->cut(h->link, true);
		return;
	}
	answer_refusal(h, fault);
	h1_gone(h, false);
	h->state = H1_CLOSED;
	h->link->ops->finish(h->link, true);
}
