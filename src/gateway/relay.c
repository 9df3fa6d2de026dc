/*
 * relay.c - from the provider to the client: dial, and pass on what comes.
 */
#include <stdio.h>

#include "core/limits.h"
#include "gateway/rq.h"
#include "http/budget.h"
#include "sys/clock.h"
#include "sys/metrics.h"

/* What is read of a body that is no answer. */
enum { REFUSAL_MAX_BYTES = 64 << 10 };

static void on_head(void *ctx, struct egress_call *c, unsigned status);
static bool on_body(void *ctx, struct egress_call *c, struct span bytes);
static void on_done(void *ctx, struct egress_call *c, enum egress_fault fault);

static const struct egress_ops ops = { on_head, on_body, on_done };

static enum rq_next
dial_upstream(struct rq *rq)
{
	const struct upstream *up = rq->upstream;
	const char *fields[] = { (const char *)up->auth.p, "Content-Type: application/json",
		rq->stream ? "Accept: text/event-stream" : "Accept: application/json", NULL };
	struct egress_request r = { .url = up->url,
		.field = fields,
		.connect_ms = UPSTREAM_CONNECT_MS,
		.first_byte_ms = UPSTREAM_FIRST_BYTE_MS,
		.gap_ms = UPSTREAM_GAP_MS,
		.total_ms = UPSTREAM_TOTAL_MS,
		.never_pauses = !rq->stream,
		.ops = &ops,
		.ctx = rq };
	struct err e;

	if (!rq->called)
		up->provider->encode(&rq->forward, &rq->request, rq->model, rq->adjusted);
	if (failed(e = buf_check(&rq->forward)))
		return rq_fail_err(rq, e);
	r.body = buf_span(&rq->forward);
	sha256_of(r.body, rq->fwd_sha256);
	rq->called = true;
	if (failed(e = egress_start(rq->loop->egress, &r, &rq->call)))
		return rq_fail_err(rq, e);
	rq->step = RQ_STEP_relay;
	return RQ_WAIT;
}

enum rq_next
rq_step_dial(struct rq *rq)
{
	struct err e;

	if (rq->upstream->provider != NULL)
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
	if (rq->stream && !answer_finished(&rq->answer))
		return rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider closed the stream early.");
	rq->step = RQ_STEP_sign;
	return RQ_MORE;
}

enum rq_next
rq_step_relay(struct rq *rq)
{
	if (rq->upstream->provider == NULL)
		return relay_echo(rq);
	return rq->upstream_done ? relay_ended(rq) : RQ_WAIT;
}

/* --- from egress --- */

static struct span
keep_field(struct rq *rq, struct egress_call *c, const char *name)
{
	struct span value = egress_field(c, name);

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
	rq->upstream_id = keep_field(rq, c, rq->upstream->provider->request_id_field);
	rq->upstream_account = keep_field(rq, c, rq->upstream->provider->account_field);
	rq->retry_after = keep_field(rq, c, "retry-after");
	rq->retry_after_ms = keep_field(rq, c, "retry-after-ms");
	rq->no_events = rq->stream && !is_event_stream(egress_field(c, "content-type"));
	snprintf(text, sizeof(text), "%u", status);
	metric_add(METRIC_UPSTREAM_REQUESTS, provider_name(rq->model->provider), text, 1);
}

/* A stream's bytes are under way, or an answer that began well may still become one. */
static bool
streams(const struct rq *rq)
{
	return rq->stream && rq->upstream_status == 200 && !rq->no_events;
}

/* One event: what it says is put in line. An error that the provider tells is noted at once. */
static struct err
take_event(struct rq *rq, struct span data)
{
	enum stream_state state = STREAM_MORE;
	struct buf event;
	struct err e;

	buf_init(&event, rq->out.max);
	e = rq->upstream->provider->event(&rq->answer, data, &event, &state);
	if (!failed(e) && failed(buf_check(&event)))
		e = FAIL(NOMEM, "event");
	if (!failed(e) && event.n > 0)
		rq_queue(rq, buf_span(&event));
	buf_fini(&event);
	rq->sentinel = state == STREAM_DONE;
	if (failed(e)) {
		/* What was said before goes first: then this is no answer with a status any more. */
		rq_flush(rq);
		if (state != STREAM_FAILED || !rq_fail_upstream(rq, 200, data))
			rq_fail_err(rq, e);
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

static struct err
take_body(struct rq *rq, struct span bytes)
{
	struct err e = OK;

	buf_put(&rq->upstream_body, bytes);
	if (rq->upstream_body.over)
		e = FAIL(UPSTREAM, "upstream: the body is too large");
	else if (!budget_take(bytes.n))
		e = FAIL(BUSY, "memory");
	else
		rq->budget += bytes.n;
	if (failed(e))
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

/* The rest of what the provider would send is of no use. */
static void
hang_up(struct rq *rq)
{
	egress_cancel(rq->call);
	rq->call = NULL;
	rq_run(rq);
}

static bool
on_body(void *ctx, struct egress_call *c, struct span bytes)
{
	struct rq *rq = ctx;
	struct err e;

	if (rq->stream && rq->head_sent && exchange_room(rq->x) == 0)
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
	e = rq->stream ? take_events(rq, bytes) : take_body(rq, bytes);
	if (failed(e))
		hang_up(rq);
	else
		rq_flush(rq);
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

/* A last event without its blank line counts (providers.md 12, rule 8). */
static struct err
take_last_event(struct rq *rq)
{
	struct span data;

	if (failed(sse_end(&rq->sse, &data)) || data.p == NULL)
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
