#include "http/h1.h"

#include <assert.h>
#include <stdlib.h>

#include "core/limits.h"
#include "core/wipe.h"
#include "http/budget.h"
#include "http/h1_exchange.h"

enum {
	SPARE_MAX = 32,
	REST_MAX_BYTES = 1 << 20, /* above any single read */
};

static struct h1_exchange *
exchange_take(struct h1 *h)
{
	struct wire_host *host = h->host;
	struct h1_exchange *x = host->spare;

	if (x != NULL) {
		host->spare = x->next_spare;
		host->n_spare--;
	} else if ((x = malloc(sizeof(*x))) == NULL) {
		return NULL;
	}
	memset(x, 0, offsetof(struct h1_exchange, request));
	x->base.wire = &h1_wire;
	x->base.origin = (struct exchange_origin){ .tls = h->tls, .loop = host->loop_index };
	x->h1 = h;
	buf_init(&x->heap, HEAD_MAX_BYTES);
	return x;
}

static void
exchange_release(struct wire_host *host, struct h1_exchange *x)
{
	/* Both may hold somebody's prompt or key. */
	wipe(x->head_inline,
	    x->head_n < sizeof(x->head_inline) ? x->head_n : sizeof(x->head_inline));
	if (x->heap.p != NULL)
		budget_give(HEAD_MAX_BYTES);
	buf_fini(&x->heap);
	buf_fini(&x->body);
	budget_give(x->body_charged);
	if (host->n_spare < SPARE_MAX) {
		x->next_spare = host->spare;
		host->spare = x;
		host->n_spare++;
	} else {
		free(x);
	}
}

void
wire_host_fini(struct wire_host *w)
{
	assert(w->exchanges == 0);
	while (w->spare != NULL) {
		struct h1_exchange *x = w->spare;

		w->spare = x->next_spare;
		free(x);
	}
	w->n_spare = 0;
}

void
h1_gone(struct h1 *h, bool delivered)
{
	struct h1_exchange *x = h->x;

	if (x == NULL)
		return;
	h->x = NULL;
	if (x->began) {
		h->host->exchanges--;
		h->host->ops->on_gone(x->handler, delivered);
	}
	exchange_release(h->host, x);
}

static void
cut(struct h1 *h, bool reset)
{
	h->state = H1_CLOSED;
	h->link->ops->cut(h->link, reset);
}

static void
finish(struct h1 *h, bool linger)
{
	h->state = H1_CLOSED;
	h->link->ops->finish(h->link, linger);
}

/*
 * During an answer we read on only to learn that the client leaves (its close_notify shows in no
 * other way). The first bytes of another request end that: what is held stays one read long.
 */
static void
read_during_answer(struct h1 *h)
{
	h->link->ops->reading(h->link, h->x->whole && h->rest.n == 0);
}

void
h1_stop_reading(struct h1 *h)
{
	h->state = H1_ANSWER;
	h1_set_deadline(h, 0);
	read_during_answer(h);
}

static void
become_idle(struct h1 *h)
{
	h->state = H1_IDLE;
	h1_set_deadline(h, h1_now_ms(h) + h->host->limits.keepalive_idle_ms);
	h->link->ops->reading(h->link, true);
}

void
h1_init(struct h1 *h, struct wire_host *host, struct link *link, bool tls)
{
	*h = (struct h1){ .host = host, .link = link, .tls = tls };
	buf_init(&h->rest, REST_MAX_BYTES);
	become_idle(h);
}

/* -- head -- */

static bool
head_store(struct h1_exchange *x, struct span bytes)
{
	if (x->heap.p == NULL && bytes.n <= sizeof(x->head_inline) - x->head_n) {
		memcpy(x->head_inline + x->head_n, bytes.p, bytes.n);
	} else {
		if (x->heap.p == NULL) {
			if (!budget_take(HEAD_MAX_BYTES))
				return false;
			buf_put(&x->heap, span_of(x->head_inline, x->head_n));
		}
		buf_put(&x->heap, bytes);
		if (x->heap.p == NULL)
			budget_give(HEAD_MAX_BYTES);
		if (failed(buf_check(&x->heap)))
			return false;
	}
	x->head_n += bytes.n;
	return true;
}

/* Cuts what was stored to n bytes: the rest is somebody's body. */
static void
head_forget(struct h1_exchange *x, size_t n)
{
	if (x->heap.p != NULL)
		buf_truncate(&x->heap, n); /* wiped with the rest */
	else
		wipe(x->head_inline + n, x->head_n - n);
	x->head_n = n;
}

/* All that came since the last message. */
static struct span
head_bytes(const struct h1_exchange *x)
{
	return span_of(x->heap.p != NULL ? x->heap.p : x->head_inline, x->head_n);
}

struct span
h1_head_bytes(const struct h1_exchange *x)
{
	size_t start = x->scan.start < x->head_n ? x->scan.start : x->head_n;

	return span_cut(head_bytes(x), start, x->head_n);
}

/* The head is whole: judge it and hand it over. more_came: bytes of what follows are here. */
static void
begin(struct h1 *h, bool more_came)
{
	struct h1_exchange *x = h->x;
	struct http_fault fault;

	x->parsed = true;
	fault = head_parse(&x->request, h1_head_bytes(x));
	if (fault.status != 0) {
		h1_refuse(h, fault);
		return;
	}
	h1_set_deadline(h, 0);
	x->whole = !x->request.head.has_body;
	x->began = true;
	h->host->exchanges++;
	h->state = H1_ANSWER;
	x->handler = h->host->ops->on_head(h->host->ctx, &x->base, &x->request.head);
	if (x->wants_body && !x->headed && !x->aborted) {
		if (x->whole)
			h1_body_whole(h);
		else if (!h1_body_start(h, more_came))
			return;
	}
	if (h->state == H1_ANSWER)
		h1_stop_reading(h);
}

/*
 * Stores bytes of a head and looks for its end. Mostly all of it is in `in`: then it is looked at
 * before it is copied, and nothing of the body is. *take: how many bytes of `in` belong to it.
 */
static enum head_state
find_head(struct h1_exchange *x, struct span in, size_t *take, struct http_fault *fault)
{
	const size_t before = x->head_n;
	struct span seen = span_cut(in, 0, *take);
	enum head_state found;
	size_t end;

	*fault = HTTP_FAULT(503, "out of memory for heads");
	if (before > 0) {
		if (!head_store(x, seen))
			return HEAD_BAD;
		seen = head_bytes(x);
	}
	found = head_scan(&x->scan, seen, &end, fault);
	if (found == HEAD_WHOLE)
		*take = end - before;
	if (before > 0 && found == HEAD_WHOLE)
		head_forget(x, end);
	if (before == 0 && !head_store(x, span_cut(in, 0, *take)))
		return HEAD_BAD;
	if (found == HEAD_MORE && seen.n == HEAD_MAX_BYTES) {
		*fault = HTTP_FAULT(431, "head too large");
		return HEAD_BAD;
	}
	return found;
}

/* Takes bytes of a head; returns how many. */
static size_t
read_head(struct h1 *h, struct span in)
{
	struct h1_exchange *x = h->x;
	struct http_fault fault;
	size_t take;

	if (x == NULL && (x = h->x = exchange_take(h)) == NULL) {
		cut(h, false);
		return in.n;
	}
	take = HEAD_MAX_BYTES - x->head_n;
	take = in.n < take ? in.n : take;
	switch (find_head(x, in, &take, &fault)) {
	case HEAD_BAD:
		h1_refuse(h, fault);
		return in.n;
	case HEAD_WHOLE:
		begin(h, take < in.n);
		return take;
	case HEAD_MORE:
		break;
	}
	if (h->state == H1_IDLE && x->scan.start == x->head_n) {
		h1_gone(h, false); /* empty lines are not a request yet */
	} else if (h->state == H1_IDLE) {
		h->state = H1_HEAD;
		h1_set_deadline(h, h1_now_ms(h) + h->host->limits.head_ms);
	}
	return take;
}

/* -- events -- */

/* Takes what can be taken now; returns the bytes that belong to a later request. */
static size_t
consume(struct h1 *h, struct span in)
{
	while (in.n > 0 && h->state <= H1_BODY) {
		size_t n = h->state == H1_BODY ? h1_body_read(h, in) : read_head(h, in);

		in = span_cut(in, n, in.n);
	}
	return h->state == H1_ANSWER ? in.n : 0;
}

void
h1_bytes(struct h1 *h, struct span in)
{
	const size_t kept = h->rest.n;
	size_t left;

	if (h->state == H1_CLOSED)
		return;
	left = consume(h, in);
	if (left > 0)
		h->link->ops->reading(h->link, false);
	if (left == 0 || (h->x != NULL && h->x->close))
		return;
	if (budget_take(left)) {
		buf_put(&h->rest, span_cut(in, in.n - left, in.n));
		if (h->rest.n == kept + left)
			return;
		budget_give(left);
	}
	h1_gone(h, false);
	cut(h, false);
}

static void
forget_rest(struct h1 *h)
{
	budget_give(h->rest.n);
	buf_fini(&h->rest);
	h->rest_at = 0;
}

/* The answer has left: go on with what the client sent meanwhile. */
static void
next(struct h1 *h)
{
	become_idle(h);
	if (h->rest.n > 0) {
		size_t left = consume(h, span_cut(buf_span(&h->rest), h->rest_at, h->rest.n));

		h->rest_at = h->rest.n - left;
		if (left == 0)
			forget_rest(h);
	}
	if (h->state == H1_ANSWER)
		read_during_answer(h);
	if (h->eof)
		h1_eof(h);
	if (h->state == H1_IDLE && h->host->draining)
		finish(h, false);
}

void
h1_flushed(struct h1 *h)
{
	struct h1_exchange *x = h->x;
	size_t queued = h->link->ops->queued(h->link);

	if (x == NULL)
		return;
	if (x->full && queued <= STREAM_LOW_BYTES && !x->ended && !x->aborted) {
		x->full = false;
		h->host->ops->on_room(x->handler);
		queued = h->link->ops->queued(h->link);
	}
	if (x->aborted) {
		bool reset = x->headed && x->framing == H1_TO_END;

		h1_gone(h, false);
		cut(h, reset);
	} else if (x->ended && queued == 0) {
		bool close = x->close, linger = !x->whole;

		h1_gone(h, true);
		if (close)
			finish(h, linger);
		else
			next(h);
	}
}

void
h1_eof(struct h1 *h)
{
	switch (h->state) {
	case H1_IDLE:
		finish(h, false);
		break;
	case H1_HEAD:
	case H1_BODY:
		h1_refuse(h, HTTP_FAULT(400, "RFC 9112 8: the request ends early"));
		break;
	case H1_ANSWER:
		h->eof = true;
		h1_hangup(h);
		break;
	case H1_CLOSED:
		break;
	}
}

void
h1_hangup(struct h1 *h)
{
	struct h1_exchange *x = h->x;

	/*
	 * A client that is gone resets at the next byte it gets, and its upstream call can be
	 * cancelled; one that only ended its side skips an interim answer and gets its own. Into an
	 * answer that has begun only the handler can write.
	 */
	if (h->state != H1_ANSWER || x->ended || x->aborted)
		return;
	if (!x->headed && !x->request.http10) {
		buf_put(h->link->out, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
		h->link->ops->kick(h->link);
	} else if (x->headed && h->host->ops->on_hangup != NULL) {
		h->host->ops->on_hangup(x->handler);
	}
}

void
h1_deadline(struct h1 *h)
{
	switch (h->state) {
	case H1_IDLE:
		finish(h, false);
		break;
	case H1_HEAD:
		h1_refuse(h, HTTP_FAULT(408, "the head came too slowly"));
		break;
	case H1_BODY:
		if (h1_now_ms(h) >= h1_body_late_ms(h->x))
			h1_refuse(h, HTTP_FAULT(408, "the body came too slowly"));
		else
			h1_set_deadline(h, h1_body_late_ms(h->x));
		break;
	case H1_ANSWER:
	case H1_CLOSED:
		break;
	}
}

void
h1_drain(struct h1 *h)
{
	if (h->state == H1_IDLE)
		finish(h, false);
}

void
h1_lost(struct h1 *h)
{
	h->state = H1_CLOSED;
	h1_gone(h, false);
	forget_rest(h);
}
