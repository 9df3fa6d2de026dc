#include "http/h2.h"

#include <assert.h>
#include <stdlib.h>

#include "core/limits.h"
#include "http/budget.h"
#include "http/h2_stream.h"

enum {
	OUT_MAX_BYTES = 1 << 30,	 /* above any answer and a stream's high mark */
	PUMP_HIGH_BYTES = 64 << 10,	 /* in line at the link; the rest waits in its streams */
	STREAM_WINDOW_BYTES = 256 << 10, /* a body over a long way; the budget bounds the sum */
	CONN_WINDOW_BYTES = 1 << 20,
	DRAIN_PING_MS = 1000, /* for the answer that says the client has seen the first GOAWAY */
	/*
	 * Streams that end without an answer, whoever resets them (CVE-2023-44487, CVE-2025-8671),
	 * and refused ones. A page of tabs that are closed at once is below it.
	 */
	RESETS_MOST = 100,
	RESETS_PER_S = 1,
	/* PING, SETTINGS, empty DATA ...: frames that ask for work and move no request. */
	IDLE_FRAMES_MOST = 500,
	IDLE_FRAMES_PER_S = 20,
	IDLE_FRAMES_PER_DATA = 2,   /* window updates that a DATA frame of ours may cause */
	IDLE_MAX_BYTES = 256 << 10, /* above a head with all its CONTINUATION frames */
};

/* -- purses -- */

static void
purse_init(struct h2_purse *p, uint32_t most, uint32_t per_s, uint64_t now_ms)
{
	*p = (struct h2_purse){ .left = most, .most = most, .per_s = per_s, .at_ms = now_ms };
}

bool
h2_spend(struct h2 *h, struct h2_purse *p)
{
	const uint64_t now = h2_now_ms(h), s = (now - p->at_ms) / 1000;

	if (s > 0) {
		uint64_t more = s < p->most ? s * p->per_s : p->most;

		p->left = more < p->most - p->left ? p->left + (uint32_t)more : p->most;
		p->at_ms += s * 1000;
	}
	if (p->left == 0)
		return false;
	p->left--;
	return true;
}

/* -- the end of a session -- */

static void
bye(struct h2 *h, uint32_t code)
{
	if (h->over)
		return;
	h->over = true;
	if (nghttp2_session_terminate_session(h->session, code) != 0)
		h->broken = true;
	h->link->ops->kick(h->link);
}

void
h2_calm(struct h2 *h)
{
	bye(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* -- streams -- */

static struct h2_stream *
stream_new(struct h2 *h, int32_t id)
{
	struct h2_stream *x = malloc(sizeof(*x));

	if (x == NULL)
		return NULL;
	memset(x, 0, offsetof(struct h2_stream, request));
	x->request.head = (struct http_head){ .path = SPAN_NONE };
	x->base.wire = &h2_wire;
	x->base.origin = (struct exchange_origin){ .tls = true, .loop = h->host->loop_index };
	x->h2 = h;
	x->id = id;
	buf_init(&x->pseudo, HEAD_MAX_BYTES);
	buf_init(&x->text, 0);
	buf_init(&x->body, 0);
	buf_init(&x->out, OUT_MAX_BYTES);
	if (!h2_charge(x) || nghttp2_session_set_stream_user_data(h->session, id, x) != 0) {
		budget_give(x->charged);
		free(x);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&h->open, x, all);
	h->idle_ms = 0;
	return x;
}

/* Ends the exchange: on_gone if it is due, memory wiped. */
static void
stream_gone(struct h2_stream *x, bool delivered)
{
	struct h2 *h = x->h2;
	const size_t waiting = h2_waiting(x);

	TAILQ_REMOVE(x->closed ? &h->leaving : &h->open, x, all);
	if (h->reading == x)
		h->reading = NULL;
	if (!x->closed && h->session != NULL)
		nghttp2_session_set_stream_user_data(h->session, x->id, NULL);
	h->pooled -= waiting > H2_RESERVE_BYTES ? waiting - H2_RESERVE_BYTES : 0;
	if (x->began) {
		h->host->exchanges--;
		h->host->ops->on_gone(x->handler, delivered);
	}
	buf_fini(&x->pseudo);
	buf_fini(&x->text);
	buf_fini(&x->body);
	buf_fini(&x->out);
	budget_give(x->charged);
	free(x);
}

static void
all_gone(struct h2_streams *list)
{
	while (!TAILQ_EMPTY(list))
		stream_gone(TAILQ_FIRST(list), false);
}

/* The head is whole: judge it and hand it over. */
static void
begin(struct h2_stream *x, bool whole)
{
	/* One after the other within an urgency would let one slow answer hold up all. */
	const nghttp2_extpri fair = { .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1 };
	struct h2 *h = x->h2;
	struct http_fault fault;

	nghttp2_session_change_extpri_stream_priority(h->session, x->id, &fair, 1);
	x->whole = whole;
	fault = h2_head_whole(x, !whole);
	if (fault.status != 0) {
		h2_refuse(x, fault);
		return;
	}
	x->began = true;
	h->host->exchanges++;
	x->handler = h->host->ops->on_head(h->host->ctx, &x->base, &x->request.head);
	if (!x->wants_body || x->headed || x->aborted)
		return;
	if (whole)
		h2_body_whole(x);
	else
		h2_body_start(x);
}

/* -- what the session tells -- */

static struct h2_stream *
stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct h2 *h = ctx;

	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		h->reading = stream_new(h, frame->hd.stream_id);
	else
		h->reading = stream_of(session, frame->hd.stream_id);
	if (h->reading == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	h->reading->list_bytes = h->reading->n_list = 0;
	h->head_ms = h2_now_ms(h) + h->host->limits.head_ms;
	h2_due(h, h->head_ms);
	return 0;
}

static int
field(struct h2 *h, nghttp2_rcbuf *name, nghttp2_rcbuf *value, bool sound)
{
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);

	if (h->reading == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return h2_head_field(h->reading, span_of(n.base, n.len), span_of(v.base, v.len), sound);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *ctx)
{
	return field(ctx, name, value, true);
}

/* Without this one nghttp2 would leave such a field out and go on. */
static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *ctx)
{
	return field(ctx, name, value, false);
}

static void
on_headers(struct h2 *h, const nghttp2_frame *frame)
{
	struct h2_stream *x = stream_of(h->session, frame->hd.stream_id);
	bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	h->reading = NULL;
	h->head_ms = 0;
	h->idle_bytes = 0;
	if (x != NULL && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		begin(x, whole);
	else if (x != NULL && whole)
		h2_body_whole(x);
}

/* RFC 9113 6.8: the client has seen that we go; what came before is what we serve. */
static void
drain_for_good(struct h2 *h)
{
	h->drain_ms = 0;
	nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
}

static int
on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct h2 *h = ctx;
	struct h2_stream *x;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers(h, frame);
		return 0;
	case NGHTTP2_DATA:
		x = stream_of(session, frame->hd.stream_id);
		if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
			if (x != NULL)
				h2_body_whole(x);
			return 0;
		}
		if (frame->hd.length > frame->data.padlen)
			return 0;
		break;
	case NGHTTP2_SETTINGS:
		if (!h->greeted && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
			h->greeted = true;
			h->idle_ms = 0; /* from here on it is the one between requests */
		}
		break;
	case NGHTTP2_PING:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && h->drain_ms != 0)
			drain_for_good(h);
		break;
	default:
		break;
	}
	if (!h2_spend(h, &h->idle_frames))
		h2_calm(h);
	return 0;
}

static int
on_data_chunk(
    nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *ctx)
{
	struct h2 *h = ctx;
	struct h2_stream *x = stream_of(session, id);

	h->idle_bytes = 0;
	if (x != NULL && n > 0)
		h2_body_data(x, span_of(p, n));
	return 0;
}

static int
on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct h2 *h = ctx;
	struct h2_stream *x = stream_of(session, frame->hd.stream_id);

	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		h->idle_frames.left += h->idle_frames.most - h->idle_frames.left <
			IDLE_FRAMES_PER_DATA
		    ? h->idle_frames.most - h->idle_frames.left
		    : IDLE_FRAMES_PER_DATA;
		break;
	case NGHTTP2_HEADERS:
		break;
	case NGHTTP2_RST_STREAM:
		/* Of a stream that we never heard of; on_stream_close() counts the others. */
		if (x == NULL && !h2_spend(h, &h->resets))
			h2_calm(h);
		return 0;
	default:
		return 0;
	}
	if (x == NULL || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	x->last_sent = true;
	/* RFC 9113 8.1: the answer is complete; the client need not send the rest. */
	if (!x->whole)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, x->id, NGHTTP2_NO_ERROR);
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
	struct h2 *h = ctx;
	struct h2_stream *x = stream_of(session, id);

	if (x == NULL)
		return 0;
	if (h->reading == x) {
		h->reading = NULL;
		h->head_ms = 0;
	}
	if (!x->last_sent) {
		stream_gone(x, false);
		if (!h2_spend(h, &h->resets))
			h2_calm(h);
		return 0;
	}
	nghttp2_session_set_stream_user_data(session, id, NULL);
	TAILQ_REMOVE(&h->open, x, all);
	x->closed = true;
	x->due_ms = 0;
	TAILQ_INSERT_TAIL(&h->leaving, x, all);
	return 0;
}

/* -- output -- */

/* Streams that have closed since the last time leave with the bytes given out until now. */
static void
mark_leaving(struct h2 *h)
{
	struct h2_stream *x = TAILQ_LAST(&h->leaving, h2_streams);

	for (; x != NULL && x->end_at == 0; x = TAILQ_PREV(x, h2_streams, all))
		x->end_at = h->put;
}

/* Moves frames to the link while it takes them. */
static void
pump(struct h2 *h)
{
	struct link *l = h->link;
	const uint8_t *p;
	ssize_t n;

	mark_leaving(h);
	while (!h->broken && (h->over || l->ops->queued(l) < PUMP_HIGH_BYTES)) {
		if ((n = nghttp2_session_mem_send(h->session, &p)) < 0)
			h->broken = true;
		if (n <= 0)
			break;
		buf_put(l->out, span_of(p, (size_t)n));
		h->put += (size_t)n;
		mark_leaving(h);
		l->ops->kick(l);
	}
}

/* Calls whoever waits for room. Returns whether there was one. */
static bool
offer_room(struct h2 *h)
{
	struct h2_stream *x;
	bool any = false;

	if (!h->some_full)
		return false;
	h->some_full = false;
	TAILQ_FOREACH(x, &h->open, all)
	{
		if (!x->full || x->ended || x->aborted)
			continue;
		if (!x->began || !x->headed || h2_waiting(x) > STREAM_LOW_BYTES ||
		    h2_wire.room(&x->base) == 0) {
			h->some_full = true;
			continue;
		}
		x->full = false;
		any = true;
		h->host->ops->on_room(x->handler);
	}
	return any;
}

/* The last bytes of some have left. */
static void
reap(struct h2 *h)
{
	const uint64_t left = h->put - h->link->ops->queued(h->link);
	struct h2_stream *x, *next;

	for (x = TAILQ_FIRST(&h->leaving); x != NULL; x = next) {
		next = TAILQ_NEXT(x, all);
		/* The end of a HEAD's answer may be on its way before its handler says so. */
		if (x->end_at != 0 && x->end_at <= left && (x->ended || x->aborted || !x->began))
			stream_gone(x, x->ended);
	}
}

static void
end(struct h2 *h, bool linger)
{
	nghttp2_session *session = h->session;

	h->session = NULL;
	h->over = true;
	all_gone(&h->open);
	all_gone(&h->leaving);
	nghttp2_session_del(session);
	h->link->ops->deadline(h->link, 0);
	h->link->ops->finish(h->link, linger);
}

/* After each call from below: output, room, what has left, and whether this is the end. */
static void
settle(struct h2 *h)
{
	bool idle;

	do
		pump(h);
	while (!h->broken && !h->over && offer_room(h));
	/* Nobody is served, and nobody will be. */
	if (h->host->draining && h->drain_ms == 0 && TAILQ_EMPTY(&h->open) && !h->over) {
		bye(h, NGHTTP2_NO_ERROR);
		pump(h);
	}
	if (h->over)
		all_gone(&h->open);
	reap(h);
	idle = TAILQ_EMPTY(&h->open) && TAILQ_EMPTY(&h->leaving);
	if (h->broken ||
	    (idle &&
		(h->over ||
		    (!nghttp2_session_want_read(h->session) &&
			!nghttp2_session_want_write(h->session))))) {
		end(h, true);
		return;
	}
	if (idle && h->idle_ms == 0 && !h->over) {
		h->idle_ms = h2_now_ms(h) +
		    (h->greeted ? h->host->limits.keepalive_idle_ms : h->host->limits.head_ms);
		h2_due(h, h->idle_ms);
	}
}

/* -- deadlines -- */

void
h2_due(struct h2 *h, uint64_t at_ms)
{
	/* Only moved forward: one that is put off finds out when the link calls. */
	if (h->armed_ms != 0 && h->armed_ms <= at_ms)
		return;
	h->armed_ms = at_ms;
	h->link->ops->deadline(h->link, at_ms);
}

static void
stream_late(struct h2_stream *x, uint64_t now)
{
	if (x->headed) {
		h2_reset(x, NGHTTP2_CANCEL); /* the client does not take its answer */
	} else if (now >= h2_body_late_ms(x)) {
		h2_refuse(x, HTTP_FAULT(408, "the body came too slowly"));
	} else {
		x->due_ms = h2_body_late_ms(x);
	}
}

void
h2_deadline(struct h2 *h)
{
	const uint64_t now = h2_now_ms(h);
	struct h2_stream *x;

	h->armed_ms = 0;
	if (h->session == NULL)
		return;
	if (h->head_ms != 0 && now >= h->head_ms) {
		h->head_ms = 0;
		h2_calm(h); /* the block must end before anything else can be read */
	}
	if (h->drain_ms != 0 && now >= h->drain_ms)
		drain_for_good(h);
	if (h->idle_ms != 0 && now >= h->idle_ms) {
		h->idle_ms = 0;
		bye(h, NGHTTP2_NO_ERROR);
	}
	TAILQ_FOREACH(x, &h->open, all)
	if (x->due_ms != 0 && now >= x->due_ms)
		stream_late(x, now);
	settle(h);
	/* What is over only waits for the kernel, and the link has a deadline for that. */
	if (h->session == NULL || h->over)
		return;
	TAILQ_FOREACH(x, &h->open, all)
	if (x->due_ms != 0)
		h2_due(h, x->due_ms);
	if (h->head_ms != 0)
		h2_due(h, h->head_ms);
	if (h->drain_ms != 0)
		h2_due(h, h->drain_ms);
	if (h->idle_ms != 0)
		h2_due(h, h->idle_ms);
}

/* -- events -- */

void
h2_bytes(struct h2 *h, struct span in)
{
	ssize_t n;

	if (h->session == NULL || h->over)
		return;
	h->idle_bytes += in.n;
	n = nghttp2_session_mem_recv(h->session, in.p, in.n);
	/* RFC 9113 3.4, and floods that nghttp2 sees itself: nothing is said any more. */
	if (n < 0)
		h->broken = true;
	else if (h->idle_bytes > IDLE_MAX_BYTES)
		h2_calm(h);
	settle(h);
}

void
h2_flushed(struct h2 *h)
{
	if (h->session != NULL)
		settle(h);
}

void
h2_eof(struct h2 *h)
{
	if (h->session != NULL)
		end(h, false);
}

void
h2_drain(struct h2 *h)
{
	if (h->session == NULL || h->over || h->told)
		return;
	h->told = true;
	if (!TAILQ_EMPTY(&h->open)) {
		nghttp2_submit_shutdown_notice(h->session);
		nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
		h->drain_ms = h2_now_ms(h) + DRAIN_PING_MS;
		h2_due(h, h->drain_ms);
	}
	h->link->ops->kick(h->link);
}

void
h2_lost(struct h2 *h)
{
	nghttp2_session *session = h->session;

	if (session == NULL)
		return;
	h->session = NULL;
	all_gone(&h->open);
	all_gone(&h->leaving);
	nghttp2_session_del(session);
}

/* -- start -- */

static int
session_new(struct h2 *h)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;
	int ret;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NGHTTP2_ERR_NOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	ret = nghttp2_option_new(&option);
	if (ret == 0) {
		/* A client that cannot set aside its own streams does not count on pushes either. */
		nghttp2_option_set_max_reserved_remote_streams(option, 0);
		ret = nghttp2_session_server_new2(&h->session, cb, h, option);
		nghttp2_option_del(option);
	}
	nghttp2_session_callbacks_del(cb);
	return ret;
}

struct err
h2_init(struct h2 *h, struct wire_host *host, struct link *link)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX_BYTES },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};

	*h = (struct h2){ .host = host, .link = link };
	TAILQ_INIT(&h->open);
	TAILQ_INIT(&h->leaving);
	purse_init(&h->resets, RESETS_MOST, RESETS_PER_S, h2_now_ms(h));
	purse_init(&h->idle_frames, IDLE_FRAMES_MOST, IDLE_FRAMES_PER_S, h2_now_ms(h));
	if (session_new(h) != 0)
		return FAIL(NOMEM, "h2: session");
	if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
		sizeof(settings) / sizeof(settings[0])) != 0 ||
	    nghttp2_session_set_local_window_size(
		h->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW_BYTES) != 0) {
		h2_lost(h);
		return FAIL(NOMEM, "h2: settings");
	}
	link->ops->reading(link, true);
	settle(h);
	return OK;
}
