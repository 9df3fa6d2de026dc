/*
 * h2_answer.c - the answer on a stream of HTTP/2: what waits for the client's window, and for how
 * long.
 */
#include "http/h2_stream.h"

#include <assert.h>
#include <stdlib.h>

#include "core/limits.h"
#include "http/budget.h"

enum {
	ANSWER_FIELDS_MAX = 64,
	COMPACT_BYTES = 64 << 10, /* sent bytes that may stay in front of the queue */
};

static void
kick(struct h2_stream *x)
{
	struct link *l = x->h2->link;

	l->ops->kick(l);
}

void
h2_reset(struct h2_stream *x, uint32_t code)
{
	x->aborted = true;
	x->due_ms = 0;
	if (!x->closed)
		nghttp2_submit_rst_stream(x->h2->session, NGHTTP2_FLAG_NONE, x->id, code);
	kick(x);
}

/* -- head -- */

static nghttp2_nv
field_nv(struct span name, struct span value)
{
	/* nghttp2 copies both, and makes the name lower case. */
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
		value.n, NGHTTP2_NV_FLAG_NONE };
}

static size_t
digits(uint64_t v, char out[static 20])
{
	char back[20];
	size_t n = 0;

	do {
		back[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	for (size_t i = 0; i < n; i++)
		out[i] = back[n - 1 - i];
	return n;
}

static void
h2_head(struct exchange *base, unsigned status, const struct http_field *field, size_t n_fields,
    uint64_t length)
{
	struct h2_stream *x = (struct h2_stream *)base;
	const bool silent = status < 200 || status == 204 || status == 304;
	nghttp2_data_provider data = { .read_callback = h2_answer_read };
	nghttp2_nv nv[ANSWER_FIELDS_MAX + 3];
	char code[4], length_text[20];
	bool empty;
	size_t n = 0;

	assert(!x->headed && n_fields <= ANSWER_FIELDS_MAX);
	if (x->aborted)
		return;
	x->headed = true;
	x->due_ms = 0;
	x->bodyless = silent || span_eq(x->request.head.method, SPAN_LIT("HEAD"));
	x->answer_left = length;
	nv[n++] = field_nv(SPAN_LIT(":status"), span_cut(wire_status(status, code), 0, 3));
	nv[n++] = field_nv(SPAN_LIT("date"), wire_date(x->h2->host));
	for (size_t i = 0; i < n_fields; i++)
		/* A value that no recipient should see is left out: it came from elsewhere. */
		if (wire_field_is_sound(&field[i]))
			nv[n++] = field_nv(field[i].name, field[i].value);
	if (!silent && length != EXCHANGE_STREAM)
		nv[n++] = field_nv(
		    SPAN_LIT("content-length"), span_of(length_text, digits(length, length_text)));
	empty = x->bodyless || length == 0;
	if (nghttp2_submit_response(x->h2->session, x->id, nv, n, empty ? NULL : &data) != 0)
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
	kick(x);
}

/* -- body -- */

/* What waits was `before`; the pool holds what is above each stream's reserve. */
static void
account(struct h2_stream *x, size_t before)
{
	struct h2 *h = x->h2;
	const size_t now = h2_waiting(x);
	const bool had_room = h->pooled < H2_POOL_BYTES;
	struct h2_stream *other;

	h->pooled -= before > H2_RESERVE_BYTES ? before - H2_RESERVE_BYTES : 0;
	h->pooled += now > H2_RESERVE_BYTES ? now - H2_RESERVE_BYTES : 0;
	/* exchange_room() of the others may be 0 from here on: they are due a call. */
	if (had_room && h->pooled >= H2_POOL_BYTES) {
		TAILQ_FOREACH(other, &h->open, all)
		other->full = true;
		h->some_full = true;
	}
}

static void
clock_start(struct h2_stream *x)
{
	x->moved = 0;
	x->due_ms = h2_now_ms(x->h2) + x->h2->host->limits.write_stall_ms;
	h2_due(x->h2, x->due_ms);
}

static size_t
h2_room(const struct exchange *base)
{
	const struct h2_stream *x = (const struct h2_stream *)base;
	const size_t waiting = h2_waiting(x), pooled = x->h2->pooled;
	size_t room = waiting < H2_RESERVE_BYTES ? H2_RESERVE_BYTES - waiting : 0;

	if (waiting >= STREAM_HIGH_BYTES)
		return 0;
	if (pooled < H2_POOL_BYTES)
		room += H2_POOL_BYTES - pooled;
	return room < STREAM_HIGH_BYTES - waiting ? room : STREAM_HIGH_BYTES - waiting;
}

static void
h2_write(struct exchange *base, struct span bytes)
{
	struct h2_stream *x = (struct h2_stream *)base;
	const size_t before = h2_waiting(x);

	assert(x->headed || x->aborted);
	assert(!x->ended);
	if (x->aborted || x->bodyless || bytes.n == 0)
		return;
	if (x->answer_left != EXCHANGE_STREAM) {
		assert(bytes.n <= x->answer_left);
		x->answer_left -= bytes.n;
	}
	buf_put(&x->out, bytes);
	if (failed(buf_check(&x->out))) {
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	account(x, before);
	if (before == 0)
		clock_start(x);
	if (h2_room(base) == 0)
		x->full = x->h2->some_full = true;
	nghttp2_session_resume_data(x->h2->session, x->id); /* if it was put off */
	kick(x);
}

static void
h2_end(struct exchange *base)
{
	struct h2_stream *x = (struct h2_stream *)base;

	assert(x->headed || x->aborted);
	if (x->aborted || x->ended)
		return;
	/* Fewer bytes than were announced: only a reset says so. */
	if (x->answer_left != EXCHANGE_STREAM && !x->bodyless && x->answer_left > 0) {
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	x->ended = true;
	if (!x->closed)
		nghttp2_session_resume_data(x->h2->session, x->id);
	kick(x);
}

static void
h2_abort(struct exchange *base)
{
	struct h2_stream *x = (struct h2_stream *)base;

	/* An answer that is complete stays so; it only may not have left yet. */
	if (!x->ended && !x->aborted)
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
}

static void
h2_want_body(struct exchange *base, uint64_t max_bytes)
{
	struct h2_stream *x = (struct h2_stream *)base;

	x->wants_body = true;
	x->body_max = max_bytes;
}

static void
h2_drop_body(struct exchange *base)
{
	struct h2_stream *x = (struct h2_stream *)base;
	const size_t held = x->body.cap;

	assert(x->whole);
	buf_fini(&x->body);
	budget_give(held);
	x->charged -= held;
}

const struct wire_ops h2_wire = {
	.want_body = h2_want_body,
	.drop_body = h2_drop_body,
	.head = h2_head,
	.write = h2_write,
	.end = h2_end,
	.abort = h2_abort,
	.room = h2_room,
};

ssize_t
h2_answer_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *ctx)
{
	struct h2_stream *x = nghttp2_session_get_stream_user_data(session, id);
	const size_t before = x != NULL ? h2_waiting(x) : 0;
	size_t n = before < max ? before : max;

	if (x == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* gone before its answer */
	if (n == 0 && !x->ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n > 0)
		memcpy(to, x->out.p + x->out_at, n);
	x->out_at += n;
	account(x, before);
	if (x->out_at == x->out.n) {
		buf_clear(&x->out);
		x->out_at = 0;
		x->due_ms = 0;
	} else {
		if ((x->moved += n) >= H2_STALL_BYTES)
			clock_start(x);
		if (x->out_at >= COMPACT_BYTES && x->out_at >= x->out.n / 2) {
			buf_drop(&x->out, x->out_at);
			x->out_at = 0;
		}
	}
	if (x->ended && h2_waiting(x) == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* -- errors of the wire itself -- */

void
h2_refuse(struct h2_stream *x, struct http_fault fault)
{
	struct h2 *h = x->h2;
	struct http_head bare = { .path = SPAN_NONE };

	if (!h2_spend(h, &h->resets))
		h2_calm(h);
	if (x->headed || x->aborted) {
		h2_reset(x, NGHTTP2_CANCEL);
		return;
	}
	x->due_ms = 0;
	bare.path = x->parsed ? x->request.head.path : head_path(buf_span(&x->text));
	if (!x->parsed)
		x->request.head = bare;
	h->host->ops->wire_error(h->host->ctx, x->began ? x->handler : NULL, &x->base,
	    x->began ? &x->request.head : &bare, fault.status, fault.what);
	assert(x->ended || x->aborted);
	if (x->began) {
		x->began = false; /* the answer goes on without its handler */
		h->host->exchanges--;
		h->host->ops->on_gone(x->handler, false);
	}
}
