/*
 * relay.c - from the provider to the client: dial, and pass on what comes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/limits.h"
#include "gateway/rq.h"
#include "sys/clock.h"
#include "sys/metrics.h"

enum {
	REFUSAL_MAX_BYTES = 64 << 10, /* what is read of a body that is no answer */
	/* How long a provider that has said all may take to close (FLT-10, FLT-12). */
	SENTINEL_GRACE_MS = 500,
	USAGE_GRACE_MS = 750,
	FINISH_GRACE_MS = 5000, /* usage may still come */
};

static void on_head(void *ctx, struct egress_call *c, unsigned status);
static bool on_body(void *ctx, struct egress_call *c, struct span bytes);
static void on_done(void *ctx, struct egress_call *c, enum egress_fault fault);

static const struct egress_ops ops = { on_head, on_body, on_done };

/* Reasoning models may think for minutes before they say a word, and so do those that draw. */
static uint32_t
first_byte_ms(const struct rq *rq)
{
	const struct deadlines *d = &rq->loop->gw->deadlines;

	if (rq->model->kind != MODEL_CHAT)
		return d->image_first_byte_ms;
	return rq->model->reasoning ? d->reasoning_first_byte_ms : d->first_byte_ms;
}

static uint32_t
gap_ms(const struct rq *rq)
{
	const struct deadlines *d = &rq->loop->gw->deadlines;

	return rq->model->reasoning ? d->reasoning_gap_ms : d->gap_ms;
}

/* The whole URL, with a NUL; NULL: no memory. */
static const char *
url_of(struct rq *rq)
{
	const struct upstream *up = rq->upstream;
	struct span url = SPAN_NONE;
	struct buf b;

	buf_init(&b, 4096);
	buf_put_str(&b, up->base_url);
	rq->provider->path(&b, rq->model, rq->events);
	if (!failed(buf_check(&b)))
		url = arena_copy(&rq->arena, buf_span(&b));
	buf_fini(&b);
	return (const char *)url.p;
}

/* From here on the body lives in what is sent on: pictures are held once. */
static void
drop_request(struct rq *rq)
{
	request_fini(&rq->request);
	rq->parsed = false;
	rq->body = SPAN_NONE;
	exchange_drop_body(rq->x);
}

/* The provider's words for the request; a second attempt finds them there. */
static struct err
encode(struct rq *rq)
{
	if (rq->called)
		return OK;
	buf_reserve(&rq->forward, rq->body.n + 1024);
	rq->provider->encode(&rq->forward, &rq->request, rq->model, rq->adjusted);
	TRY(buf_check(&rq->forward));
	sha256_of(buf_span(&rq->forward), rq->fwd_sha256);
	drop_request(rq);
	rq->called = true;
	return OK;
}

static enum rq_next
dial_upstream(struct rq *rq)
{
	const struct upstream *up = rq->upstream;
	const char *fields[] = { (const char *)up->auth.p, "Content-Type: application/json",
		rq->events ? "Accept: text/event-stream" : "Accept: application/json",
		rq->provider->field, NULL };
	struct egress_request r = { .url = url_of(rq),
		.field = fields,
		.connect_ms = rq->loop->gw->deadlines.connect_ms,
		.first_byte_ms = first_byte_ms(rq),
		/* Of a stream we watch the events: bytes of comments are no progress. */
		.gap_ms = rq->events ? first_byte_ms(rq) + gap_ms(rq) : gap_ms(rq),
		.total_ms = rq->loop->gw->deadlines.total_ms,
		.never_pauses = !rq->events,
		.ops = &ops,
		.ctx = rq };
	struct err e;

	if (r.url == NULL)
		return rq_fail_err(rq, FAIL(NOMEM, "url"));
	if (failed(e = encode(rq)))
		return rq_fail_err(rq, e);
	r.body = buf_span(&rq->forward);
	if (failed(e = egress_start(rq->loop->egress, &r, &rq->call)))
		return rq_fail_err(rq, e);
	rq->step = RQ_STEP_relay;
	return RQ_WAIT;
}

enum rq_next
rq_step_dial(struct rq *rq)
{
	struct err e;

	if (rq->provider != NULL)
		return dial_upstream(rq);
	if (failed(e = echo_begin(&rq->echo, &rq->request, &rq->arena)))
		return rq_fail_err(rq, e);
	rq->step = RQ_STEP_relay;
	return RQ_MORE;
}

/* The model in the gateway itself: as many words as there is room for. */
static enum rq_next
relay_echo(struct rq *rq)
{
	struct buf event;
	struct err e = OK;
	bool more = true;

	if (!rq->stream) {
		rq->step = RQ_STEP_sign;
		return RQ_MORE; /* sign writes the body: it holds the time of signing */
	}
	buf_init(&event, rq->out.max);
	while (more && !failed(e) && exchange_room(rq->x) > 0) {
		buf_clear(&event);
		if (rq->first_byte_us == 0)
			rq->first_byte_us = clock_monotonic_us();
		more = echo_next(&rq->echo, &rq->answer, &event);
		e = buf_check(&event);
		rq_queue(rq, buf_span(&event));
		rq_flush(rq);
	}
	buf_fini(&event);
	if (failed(e))
		return rq_fail_err(rq, e);
	if (more)
		return RQ_WAIT; /* rq_on_room() */
	rq->step = RQ_STEP_sign;
	return RQ_MORE;
}

/* What the end of the provider's answer means (S6). */
static enum rq_next
relay_ended(struct rq *rq)
{
	if (rq->upstream_status != 200) {
		rq_fail_upstream(rq, rq->upstream_status, buf_span(&rq->upstream_body));
		return RQ_MORE;
	}
	if (rq->no_events) {
		if (rq_fail_upstream(rq, 200, buf_span(&rq->upstream_body)))
			return RQ_MORE;
		return rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider's answer is no event stream.");
	}
	if (rq->events && !answer_finished(&rq->answer))
		return rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider closed the stream early.");
	rq->step = RQ_STEP_sign;
	return RQ_MORE;
}

enum rq_next
rq_step_relay(struct rq *rq)
{
	if (rq->provider == NULL)
		return relay_echo(rq);
	return rq->upstream_done ? relay_ended(rq) : RQ_WAIT;
}

/* --- from egress --- */

/* The rest of what the provider would send is of no use. */
static void
hang_up(struct rq *rq)
{
	egress_cancel(rq->call);
	rq->call = NULL;
	rq_run(rq);
}

/* When the stream has been silent for too long. */
static uint64_t
silence_due_ms(const struct rq *rq)
{
	if (rq->sentinel)
		return rq->event_ms + SENTINEL_GRACE_MS;
	if (answer_finished(&rq->answer))
		return rq->event_ms + (rq->answer.usage.n > 0 ? USAGE_GRACE_MS : FINISH_GRACE_MS);
	return rq->event_ms + (rq->any_event ? gap_ms(rq) : first_byte_ms(rq));
}

static void on_watch(uv_timer_t *t);

static void
watch_on(struct rq *rq)
{
	uint64_t now = uv_now(&rq->loop->uv), due = silence_due_ms(rq);
	uint64_t alive = rq->sent_ms + rq->loop->gw->deadlines.keep_alive_ms;

	if (alive < due)
		due = alive;
	uv_timer_start(rq->watch, on_watch, due > now ? due - now : 1, 0);
}

static void
silence(struct rq *rq)
{
	if (rq->sentinel || answer_finished(&rq->answer))
		rq->upstream_done = true;
	else
		rq_fail(rq, 504, "upstream_timeout", "upstream_timeout",
		    "The provider fell silent in the middle of its answer.");
	hang_up(rq);
}

/* Looks after a stream: events must come, and the client must hear something (E4). */
static void
on_watch(uv_timer_t *t)
{
	struct rq *rq = t->data;
	uint64_t now = uv_now(&rq->loop->uv);

	if (rq->call == NULL || rq->step != RQ_STEP_relay)
		return;
	if (rq->paused) /* the silence is our own */
		rq->event_ms = now;
	if (now >= silence_due_ms(rq)) {
		silence(rq);
		return;
	}
	if (now >= rq->sent_ms + rq->loop->gw->deadlines.keep_alive_ms) {
		rq->sent_ms = now;
		if (!rq->paused && exchange_room(rq->x) > 0)
			rq_keep_alive(rq);
	}
	watch_on(rq);
}

/* False: no memory, and nobody watches. */
static bool
watch_begin(struct rq *rq)
{
	if ((rq->watch = malloc(sizeof(*rq->watch))) == NULL)
		return false;
	if (uv_timer_init(&rq->loop->uv, rq->watch) != 0) {
		free(rq->watch);
		rq->watch = NULL;
		return false;
	}
	rq->watch->data = rq;
	rq->event_ms = rq->sent_ms = uv_now(&rq->loop->uv);
	watch_on(rq);
	return true;
}

static struct span
keep_field(struct rq *rq, struct egress_call *c, const char *name)
{
	struct span value = name == NULL ? SPAN_NONE : egress_field(c, name);

	return value.p == NULL ? SPAN_NONE : arena_copy(&rq->arena, value);
}

/* An answer without a type may be a stream: its bytes will tell. */
static bool
is_event_stream(struct span type)
{
	size_t end = span_find(type, SPAN_LIT(";"), 0);

	return type.p == NULL ||
	    span_eq_nocase(span_trim(span_cut(type, 0, end == SIZE_MAX ? type.n : end)),
		SPAN_LIT("text/event-stream"));
}

/* An answer that is a stream of events. */
static bool
streams(const struct rq *rq)
{
	return rq->events && rq->upstream_status == 200 && !rq->no_events;
}

static void
on_head(void *ctx, struct egress_call *c, unsigned status)
{
	struct rq *rq = ctx;
	const struct egress_peer *peer = egress_peer(c);
	char text[16];

	rq->upstream_status = status;
	if (peer != NULL) {
		rq->peer = *peer;
		rq->has_peer = true;
	}
	rq->upstream_id = keep_field(rq, c, rq->provider->request_id_field);
	rq->upstream_account = keep_field(rq, c, rq->provider->account_field);
	rq->retry_after = keep_field(rq, c, "retry-after");
	rq->retry_after_ms = keep_field(rq, c, "retry-after-ms");
	rq->no_events = rq->events && !is_event_stream(egress_field(c, "content-type"));
	snprintf(text, sizeof(text), "%u", status);
	metric_add(METRIC_UPSTREAM_REQUESTS, provider_name(rq->model->provider), text, 1);
	if (status < 200) {
		/* 101: what follows is another protocol, and may have no end (RFC 9110 15.2.2). */
		rq->upstream_done = true;
		hang_up(rq);
	} else if (streams(rq) && !watch_begin(rq)) {
		rq_fail_err(rq, FAIL(NOMEM, "timer"));
		hang_up(rq);
	}
}

/* One event: what it says is put in line. An error that the provider tells is noted at once. */
static struct err
take_event(struct rq *rq, struct span data)
{
	enum stream_state state = STREAM_MORE;
	struct buf event;
	struct err e;

	buf_init(&event, rq->out.max);
	e = rq->provider->event(&rq->answer, data, &event, &state);
	if (!failed(e) && failed(buf_check(&event)))
		e = FAIL(NOMEM, "event");
	if (!failed(e) && event.n > 0)
		rq_queue(rq, buf_span(&event));
	buf_fini(&event);
	rq->sentinel = state == STREAM_DONE;
	rq->any_event = true;
	rq->event_ms = uv_now(&rq->loop->uv);
	if (failed(e)) {
		/* What was said before goes first: then this is no answer with a status any more. */
		rq_flush(rq);
		if (state != STREAM_FAILED || !rq_fail_upstream(rq, 200, data))
			rq_fail_answer(rq, e);
	}
	return e;
}

/* The provider's stream, event by event. */
static struct err
take_events(struct rq *rq, struct span bytes)
{
	struct span data;

	while (!rq->sentinel) {
		if (failed(sse_next(&rq->sse, &bytes, &data))) {
			struct err e = FAIL(UPSTREAM, "upstream: an event past its bound");

			rq_flush(rq);
			rq_fail_err(rq, e);
			return e;
		}
		if (data.p == NULL)
			break;
		TRY(take_event(rq, data));
	}
	return OK;
}

/* A refusal's body, as far as it is worth reading. */
static bool
take_refusal(struct rq *rq, struct span bytes)
{
	size_t room = REFUSAL_MAX_BYTES - rq->upstream_body.n;

	buf_put(&rq->upstream_body, span_cut(bytes, 0, bytes.n < room ? bytes.n : room));
	return bytes.n <= room;
}

/*
 * A body that is held whole, and what is made of it: the answer in line, then with the connection.
 * There are never more copies than this.
 */
static struct err
take_body(struct rq *rq, struct span bytes)
{
	const size_t copies = rq->endpoint == ENDPOINT_COMPLETIONS ? 3 : 2;
	struct err e = OK;

	buf_put(&rq->upstream_body, bytes);
	if (rq->upstream_body.over)
		e = FAIL(UPSTREAM, "upstream: the body is too large");
	else if (!rq_hold(rq, copies * rq->upstream_body.n))
		e = FAIL(BUSY, "memory");
	if (failed(e)) {
		/* At once: else those that still fit would be refused with it. */
		buf_fini(&rq->upstream_body);
		rq_hold(rq, 0);
		rq_fail_err(rq, e);
	}
	return e;
}

/*
 * Pays for a stream that holds more than a stream should. A long event is paid for while it comes,
 * with the copies it will have (line, data, in line, with the connection): when it is whole it
 * must not be refused any more.
 */
static struct err
pay_stream(struct rq *rq)
{
	size_t coming = 4 * (rq->sse.line.n + rq->sse.data.n);
	size_t held = rq->sse.line.cap + rq->sse.data.cap + rq->out.n;
	struct err e = FAIL(BUSY, "memory");

	if (held < coming)
		held = coming;
	if (rq_hold(rq, held > STREAM_HIGH_BYTES ? held : 0))
		return OK;
	sse_fini(&rq->sse);
	rq_hold(rq, 0);
	rq_flush(rq);
	rq_fail_err(rq, e);
	return e;
}

static void
first_byte(struct rq *rq)
{
	if (rq->first_byte_us != 0)
		return;
	rq->first_byte_us = clock_monotonic_us();
	metric_observe(METRIC_FIRST_BYTE_SECONDS, provider_name(rq->model->provider),
	    (double)(rq->first_byte_us - rq->admitted_us) / 1e6);
}

static bool
on_body(void *ctx, struct egress_call *c, struct span bytes)
{
	struct rq *rq = ctx;
	struct err e;

	rq->paused = rq->events && rq->head_sent && exchange_room(rq->x) == 0;
	if (rq->paused)
		return false;
	first_byte(rq);
	sha256_update(rq->up, bytes);
	if (rq->upstream_status != 200 || rq->no_events) {
		if (!take_refusal(rq, bytes)) {
			rq->upstream_done = true;
			hang_up(rq);
		}
		return true;
	}
	e = rq->events ? take_events(rq, bytes) : take_body(rq, bytes);
	if (!failed(e) && rq->events)
		e = pay_stream(rq);
	if (failed(e)) {
		hang_up(rq);
		return true;
	}
	if (rq->out.n > 0)
		rq->sent_ms = uv_now(&rq->loop->uv);
	rq_flush(rq);
	/* The waits are shorter once all is said. */
	if (streams(rq) && answer_finished(&rq->answer))
		watch_on(rq);
	return true;
}

static void
fail_fault(struct rq *rq, enum egress_fault fault)
{
	if (fault == EGRESS_TLS)
		rq_fail(rq, 502, "upstream_error", "upstream_tls",
		    "The provider's TLS identity could not be verified.");
	else if (fault == EGRESS_TIMEOUT)
		rq_fail(rq, 504, "upstream_timeout", "upstream_timeout",
		    "The provider did not answer in time.");
	else if (fault == EGRESS_CONNECT)
		rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider could not be reached.");
	else
		rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider's answer broke off.");
}

static bool
is_json(struct span text)
{
	struct json doc;

	if (failed(json_parse(&doc, text, JSON_MAX_NODES)))
		return false;
	json_fini(&doc);
	return true;
}

/*
 * A last event without its blank line counts (providers.md 12, rule 8). Behind all finish reasons a
 * piece of one is no fault: the answer was complete before (S6).
 */
static struct err
take_last_event(struct rq *rq)
{
	struct span data;

	if (failed(sse_end(&rq->sse, &data)) || data.p == NULL)
		return OK;
	if (answer_finished(&rq->answer) && !is_json(data))
		return OK;
	TRY(take_event(rq, data));
	rq_flush(rq);
	return OK;
}

static void
on_done(void *ctx, struct egress_call *c, enum egress_fault fault)
{
	struct rq *rq = ctx;
	bool said = rq->upstream_status != 0 && (rq->upstream_status != 200 || rq->no_events);

	rq->call = NULL;
	/* E4: nothing was sent, so it may be sent again; once, and nothing else ever is. */
	if (fault == EGRESS_CONNECT && !rq->retried) {
		rq->retried = true;
		rq->step = RQ_STEP_dial;
		rq_run(rq);
		return;
	}
	rq->upstream_done = true;
	buf_fini(&rq->forward);
	if (fault == EGRESS_NONE && streams(rq) && !rq->sentinel) {
		if (failed(take_last_event(rq))) {
			rq_run(rq);
			return;
		}
	}
	/* A refusal that broke off is a refusal; a stream is over when every choice is (S6). */
	if (fault != EGRESS_NONE && !said && !(streams(rq) && answer_finished(&rq->answer)))
		fail_fault(rq, fault);
	rq_run(rq);
}
