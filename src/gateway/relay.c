/*
 * relay.c - from the provider to the client: dial, and pass on what comes.
 */
#include <stdio.h>

#include "core/limits.h"
#include "gateway/rq.h"
#include "http/budget.h"
#include "sys/clock.h"
#include "sys/metrics.h"

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
	if (rq->upstream_status != 200)
		return rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider answered with status %u.", rq->upstream_status);
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
	snprintf(text, sizeof(text), "%u", status);
	metric_add(METRIC_UPSTREAM_REQUESTS, provider_name(rq->model->provider), text, 1);
}

/* The provider's stream, event by event. */
static struct err
take_events(struct rq *rq, struct span bytes)
{
	struct buf event;
	struct span data;
	struct err e = OK;

	buf_init(&event, rq->out.max);
	while (!failed(e) && !rq->sentinel) {
		enum stream_state state = STREAM_MORE;

		if (failed(e = sse_next(&rq->sse, &bytes, &data)) || data.p == NULL)
			break;
		buf_clear(&event);
		e = rq->upstream->provider->event(&rq->answer, data, &event, &state);
		if (!failed(e))
			e = buf_check(&event);
		if (!failed(e) && event.n > 0)
			rq_queue(rq, buf_span(&event));
		rq->sentinel = state == STREAM_DONE;
	}
	buf_fini(&event);
	return e;
}

static bool
on_body(void *ctx, struct egress_call *c, struct span bytes)
{
	struct rq *rq = ctx;
	struct err e = OK;

	if (rq->stream && rq->head_sent && exchange_room(rq->x) == 0)
		return false;
	if (rq->first_byte_us == 0) {
		rq->first_byte_us = clock_monotonic_us();
		metric_observe(METRIC_FIRST_BYTE_SECONDS, provider_name(rq->model->provider),
		    (double)(rq->first_byte_us - rq->admitted_us) / 1e6);
	}
	sha256_update(rq->up, bytes);
	if (rq->upstream_status != 200)
		return true;
	if (rq->stream) {
		e = take_events(rq, bytes);
	} else {
		buf_put(&rq->upstream_body, bytes);
		if (rq->upstream_body.over)
			e = FAIL(UPSTREAM, "upstream: the body is too large");
		else if (!budget_take(bytes.n))
			e = FAIL(BUSY, "memory");
		else
			rq->budget += bytes.n;
	}
	if (!failed(e)) {
		rq_flush(rq);
		return true;
	}
	egress_cancel(c);
	rq->call = NULL;
	rq_fail_err(rq, e);
	rq_run(rq);
	return true;
}

static void
on_done(void *ctx, struct egress_call *c, enum egress_fault fault)
{
	struct rq *rq = ctx;
	enum stream_state state;
	struct span data = SPAN_NONE;
	struct err e = OK;

	rq->call = NULL;
	rq->upstream_done = true;
	/* A last event without its blank line counts (providers.md 12, rule 8). */
	if (rq->stream && rq->upstream_status == 200 && !rq->sentinel) {
		struct buf event;

		buf_init(&event, rq->out.max);
		e = sse_end(&rq->sse, &data);
		if (!failed(e) && data.p != NULL)
			e = rq->upstream->provider->event(&rq->answer, data, &event, &state);
		if (!failed(e) && !failed(e = buf_check(&event)) && event.n > 0) {
			rq_queue(rq, buf_span(&event));
			rq_flush(rq);
		}
		buf_fini(&event);
	}
	if (failed(e)) {
		rq_fail_err(rq, e);
	} else if (fault != EGRESS_NONE && !(rq->stream && answer_finished(&rq->answer))) {
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
	rq_run(rq);
}
