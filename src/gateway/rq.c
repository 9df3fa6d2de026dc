#include "gateway/rq.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/limits.h"
#include "crypto/rng.h"
#include "gateway/enclave.h"
#include "http/budget.h"
#include "receipt/canonical.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/metrics.h"

static const char *const route_names[] = {
	[ENDPOINT_CHAT] = "/v1/chat/completions",
	[ENDPOINT_COMPLETIONS] = "/v1/completions",
};

enum rq_next
rq_fail(struct rq *rq, unsigned status, const char *type, const char *code, const char *fmt, ...)
{
	va_list ap;

	rq->failure = (struct failure){ .status = status, .type = type, .code = code };
	va_start(ap, fmt);
	vsnprintf(rq->failure.message, sizeof(rq->failure.message), fmt, ap);
	va_end(ap);
	rq->outcome = RECEIPT_FAILED;
	/* Before admission there is nothing to attest (E2). */
	rq->step = rq->admitted ? RQ_STEP_seal : RQ_STEP_deliver;
	return RQ_MORE;
}

enum rq_next
rq_fail_err(struct rq *rq, struct err e)
{
	switch (e.code) {
	case ERR_OK:
		break;
	case ERR_MALFORMED:
	case ERR_REFUSED:
		return rq_fail(rq, 400, "invalid_request_error", "invalid_value",
		    "The request cannot be taken (%s).", e.what);
	case ERR_TOO_LARGE:
		return rq_fail(rq, 413, "invalid_request_error", "too_large",
		    "The request is too large (%s).", e.what);
	case ERR_UPSTREAM:
		return rq_fail(rq, 502, "upstream_error", "upstream_error",
		    "The provider's answer cannot be used (%s).", e.what);
	case ERR_TIMEOUT:
		return rq_fail(rq, 504, "upstream_timeout", "upstream_timeout",
		    "The answer did not come in time (%s).", e.what);
	case ERR_BUSY:
		rq_fail(
		    rq, 503, "overloaded_error", "overloaded", "Too many requests (%s).", e.what);
		rq->failure.retry_after_s = 1;
		return RQ_MORE;
	case ERR_NOMEM:
		rq_fail(rq, 503, "overloaded_error", "overloaded",
		    "The request needs more memory than it may have (%s).", e.what);
		rq->failure.retry_after_s = 1;
		return RQ_MORE;
	case ERR_SYSTEM:
		break;
	}
	return rq_fail(rq, 500, "server_error", "internal_error", "The gateway failed (%s).",
	    e.what == NULL ? "unknown" : e.what);
}

enum rq_next
rq_fail_answer(struct rq *rq, struct err e)
{
	if (rq->answer.blocked)
		return rq_fail(rq, 400, "invalid_request_error", "content_policy_violation",
		    "A policy of the model's provider lets no such picture be made.");
	return rq_fail_err(rq, e);
}

bool
rq_fail_upstream(struct rq *rq, unsigned status, struct span said)
{
	struct upstream_refusal in = { .status = status,
		.body = said,
		.retry_after = rq->retry_after,
		.retry_after_ms = rq->retry_after_ms,
		.now_unix_s = clock_unix_s(),
		.key = settings_key(rq->settings, rq->model->provider) };
	struct upstream_error e;
	struct span code, param;

	upstream_error_read(&e, &in);
	if (status == 200 && !e.read)
		return false;
	if (e.policy && rq->model->kind != MODEL_CHAT)
		snprintf(e.code, sizeof(e.code), "content_policy_violation");
	code = arena_copy(&rq->arena, span_str(e.code));
	param = arena_copy(&rq->arena, span_str(e.param));
	rq_fail(rq, e.status, e.type, code.n > 0 ? (const char *)code.p : NULL, "%s", e.message);
	rq->failure.param = param.n > 0 ? (const char *)param.p : NULL;
	rq->failure.retry_after_s = e.retry_after_s;
	return true;
}

bool
rq_hold(struct rq *rq, size_t n)
{
	if (n > rq->budget && !budget_take(n - rq->budget))
		return false;
	if (n < rq->budget)
		budget_give(rq->budget - n);
	rq->budget = n;
	return true;
}

void
rq_queue(struct rq *rq, struct span bytes)
{
	sha256_update(rq->res, bytes);
	buf_put(&rq->out, bytes);
}

static void
put_adjusted(struct rq *rq, struct buf *b)
{
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if (rq->adjusted & UINT64_C(1) << p) {
			buf_put_str(b, b->n > 0 ? ", " : "");
			buf_put_str(b, param_name(p));
		}
}

/* The head of an answer after admission: what a client reads before the body. */
static void
send_head(struct rq *rq, unsigned status, const char *content_type, uint64_t length)
{
	struct buf adjusted;
	char retry[16];

	buf_init(&adjusted, 2048);
	if (rq->admitted && rq->adjusted != 0) {
		put_adjusted(rq, &adjusted);
		reply_add(&rq->reply, "TEE-Adjusted", buf_span(&adjusted));
	}
	if (rq->admitted && rq->pay.token[0] != '\0')
		reply_add(&rq->reply, "X-Upto-Session", span_str(rq->pay.token));
	if (rq->pay.required.n > 0)
		reply_add(&rq->reply, "PAYMENT-REQUIRED", rq->pay.required);
	if (rq->jws.n > 0 && length != EXCHANGE_STREAM)
		reply_add(&rq->reply, "TEE-Receipt", buf_span(&rq->jws));
	if (rq->failure.retry_after_s > 0) {
		snprintf(retry, sizeof(retry), "%u", rq->failure.retry_after_s);
		reply_add(&rq->reply, "Retry-After", span_str(retry));
	}
	if (length == EXCHANGE_STREAM)
		reply_add(&rq->reply, "X-Accel-Buffering", SPAN_LIT("no"));
	reply_add(&rq->reply, "Content-Type", span_str(content_type));
	exchange_head(rq->x, status, rq->reply.field, rq->reply.n, length);
	buf_fini(&adjusted);
	rq->head_sent = true;
}

static void
open_stream(struct rq *rq)
{
	if (rq->head_sent)
		return;
	send_head(rq, 200, "text/event-stream; charset=utf-8", EXCHANGE_STREAM);
	rq->streaming = true;
	metric_add(METRIC_STREAMS_OPEN, NULL, NULL, 1);
}

void
rq_flush(struct rq *rq)
{
	if (rq->x == NULL || rq->out.n == 0)
		return;
	open_stream(rq);
	exchange_write(rq->x, buf_span(&rq->out));
	buf_clear(&rq->out);
}

bool
rq_send(struct rq *rq)
{
	size_t room;

	open_stream(rq);
	while (rq->out_at < rq->out.n && (room = exchange_room(rq->x)) > 0) {
		size_t left = rq->out.n - rq->out_at, n = left < room ? left : room;

		exchange_write(rq->x, span_cut(buf_span(&rq->out), rq->out_at, rq->out_at + n));
		rq->out_at += n;
	}
	if (rq->out_at < rq->out.n)
		return false;
	buf_fini(&rq->out); /* the connection has it */
	rq->out_at = 0;
	return true;
}

void
rq_keep_alive(struct rq *rq)
{
	rq_queue(rq, SPAN_LIT(": keep-alive\n\n"));
	rq_flush(rq);
}

void
rq_open_body(struct rq *rq, unsigned status)
{
	send_head(rq, status, "application/json", rq->out.n);
}

/* --- steps --- */

static bool
nonce_fits(struct span s)
{
	if (s.n < 16 || s.n > 64)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '-')
			return false;
	}
	return true;
}

static enum rq_next
refused(struct rq *rq, const char *code, const char *field, const char *want)
{
	rq_fail(rq, 400, "invalid_request_error", code, "%s must be %s.", field, want);
	rq->failure.param = field;
	return RQ_MORE;
}

static enum rq_next
check_head(struct rq *rq, const struct http_head *head)
{
	bool many, twice = false;
	struct span type = http_field_get(head, "content-type", &many);
	struct span signature, nonce;

	if (type.p == NULL || many || !http_type_is(type, "application/json"))
		return rq_fail(rq, 415, "invalid_request_error", "unsupported_media_type",
		    "Content-Type must be application/json.");
	if (http_field_get(head, "content-encoding", &many).p != NULL)
		return rq_fail(rq, 415, "invalid_request_error", "unsupported_media_type",
		    "Content-Encoding is not supported; send the body as it is.");
	signature = http_field_get(head, "tee-signature", &many);
	twice = twice || many;
	nonce = http_field_get(head, "tee-nonce", &many);
	if (twice ||
	    (signature.p != NULL && !span_eq(signature, SPAN_LIT("rsa")) &&
		!span_eq(signature, SPAN_LIT("none"))))
		return refused(rq, "invalid_value", "TEE-Signature", "rsa or none");
	if (many || (nonce.p != NULL && !nonce_fits(nonce)))
		return refused(rq, "invalid_value", "TEE-Nonce", "16 to 64 base64url characters");
	rq->unsigned_answer = span_eq(signature, SPAN_LIT("none"));
	if (nonce.p != NULL && (rq->nonce = arena_copy(&rq->arena, nonce)).p == NULL)
		return rq_fail_err(rq, FAIL(NOMEM, "arena"));
	return RQ_WAIT;
}

static enum rq_next
step_head(struct rq *rq)
{
	return RQ_WAIT; /* for rq_on_body() */
}

/* Canonical bytes and their hash, before the request touches anything else (R2). */
static struct err
hash_request(struct rq *rq)
{
	struct arena scratch;
	struct buf text;
	struct err e;

	arena_init(&scratch, REQUEST_ARENA_BYTES);
	/* Escaping makes six bytes of one at most; of most, and of pictures, it makes nothing. */
	buf_init(&text, 6 * (size_t)BODY_MAX_BYTES + 4096);
	buf_reserve(&text, rq->body.n + 256);
	e = canonical_put(&text,
	    rq->endpoint == ENDPOINT_CHAT ? CANONICAL_CHAT : CANONICAL_COMPLETION, &rq->request.doc,
	    &scratch);
	if (!failed(e) && !failed(e = buf_check(&text)))
		keccak_256(buf_span(&text), rq->request_hash);
	buf_fini(&text);
	arena_fini(&scratch);
	return e;
}

static bool
admitted_by(struct rq *rq, struct refusal *no)
{
	const struct provider *provider = rq->provider;

	if (!parts_fit(&rq->request.parts, rq->model, provider != NULL && provider->fetches, no))
		return false;
	if (provider == NULL)
		return echo_admit(&rq->request, &rq->adjusted, no);
	return provider->admit(&rq->request, rq->model, &rq->adjusted, no);
}

static enum rq_next
find_model(struct rq *rq)
{
	char near[256];
	struct refusal no = { 0 };

	rq->model = models_find(&rq->loop->gw->models, rq->request.model, near, sizeof(near));
	if (rq->model == NULL) {
		rq_fail(rq, 404, "not_found_error", "model_not_found", "No such model.%s%s%s",
		    near[0] != '\0' ? " Near names: " : "", near, near[0] != '\0' ? "." : "");
		rq->failure.param = "model";
		return RQ_MORE;
	}
	rq->upstream = &rq->loop->gw->upstream[rq->model->provider];
	rq->provider = provider_for(rq->model);
	if (admitted_by(rq, &no))
		return RQ_WAIT;
	failure_from_refusal(&rq->failure, &no);
	rq->failure.param = (const char *)arena_copy(&rq->arena, span_str(no.param)).p;
	rq->outcome = RECEIPT_FAILED;
	rq->step = RQ_STEP_deliver;
	return RQ_MORE;
}

static enum rq_next
grant(struct rq *rq)
{
	if (!enclave_clock_trusted(rq->loop->enclave))
		return rq_fail(rq, 503, "server_error", "clock_untrusted",
		    "The clock of this enclave cannot be trusted.");
	if (rq->provider != NULL && !settings_provisioned(rq->settings))
		return rq_fail(rq, 503, "server_error", "not_provisioned",
		    "This gateway was given no provider's key yet.");
	if (!settings_serve(rq->settings, rq->model->provider))
		return rq_fail(rq, 503, "server_error", "provider_not_configured",
		    "The provider %s has no key on this gateway.",
		    provider_name(rq->model->provider));
	if (!key_client_has_room(rq->loop->keys))
		return rq_fail_err(rq, FAIL(BUSY, "the signing queue is full"));
	rq->step = RQ_STEP_price;
	return RQ_MORE;
}

static enum rq_next
step_begin(struct rq *rq)
{
	struct span model;
	char uuid[UUID_LEN];

	rng_uuid(uuid);
	answer_init(&rq->answer, &rq->request, uuid, clock_unix_s());
	if (rq->pay.due) /* S4: an estimate is never above the reservation */
		rq->answer.completion_most = rq->pay.limit * rq->request.n;
	if (rq->provider != NULL && rq->provider->begin != NULL)
		rq->provider->begin(&rq->answer, &rq->request, rq->model);
	/* The receipt may be written after the client, and with it the body, is gone. */
	model = arena_copy(&rq->arena, rq->answer.model);
	if (model.p == NULL || (rq->res = sha256_new()) == NULL || (rq->up = sha256_new()) == NULL)
		return rq_fail_err(rq, FAIL(NOMEM, "request"));
	rq->answer.model = model;
	rq->model_name = arena_copy(&rq->arena, rq->request.model);
	if (rq->model_name.p == NULL)
		return rq_fail_err(rq, FAIL(NOMEM, "request"));
	rq->stream = rq->request.stream;
	rq->events = rq->stream && rq->provider != NULL && !rq->provider->never_streams;
	if (rq->model->kind != MODEL_CHAT) /* interfaces.md 13: a picture is one event */
		sse_init(&rq->sse, ANSWER_MAX_BYTES);
	rq->admitted = true;
	rq->admitted_us = clock_monotonic_us();
	rq->step = RQ_STEP_dial;
	return RQ_MORE;
}

static enum rq_next
step_admit(struct rq *rq)
{
	struct refusal no = { 0 };
	struct err e;

	rq->settings = gateway_settings(rq->loop->gw);
	sha256_of(rq->body, rq->req_sha256);
	if (!request_parse(&rq->request, rq->endpoint, rq->body, &rq->arena, &no)) {
		failure_from_refusal(&rq->failure, &no);
		rq->failure.param = (const char *)arena_copy(&rq->arena, span_str(no.param)).p;
		rq->outcome = RECEIPT_FAILED;
		rq->step = RQ_STEP_deliver;
		return RQ_MORE;
	}
	rq->parsed = true;
	if (find_model(rq) == RQ_MORE)
		return RQ_MORE;
	if (failed(e = hash_request(rq)))
		return rq_fail_err(rq, e);
	return grant(rq);
}

static void
log_line(struct rq *rq)
{
	static const char *const outcomes[] = { "complete", "truncated", "failed" };
	uint64_t now = clock_monotonic_us();
	const struct model *m = rq->model;
	unsigned status = rq->failure.status != 0 && !rq->streaming ? rq->failure.status : 200;
	char charged[U256_DIGITS];
	struct log_field f[] = {
		LOG_TEXT("request_id", reply_request_id(&rq->reply)),
		LOG_TEXT("route", span_str(route_names[rq->endpoint])),
		LOG_TEXT("model", m == NULL ? SPAN_LIT("-") : m->name),
		LOG_TEXT("provider", span_str(m == NULL ? "-" : provider_name(m->provider))),
		LOG_NUMBER("status", status),
		LOG_NUMBER("upstream_status", rq->upstream_status),
		LOG_TEXT("outcome", span_str(rq->admitted ? outcomes[rq->outcome] : "refused")),
		LOG_TEXT("error", span_str(rq->failure.code == NULL ? "" : rq->failure.code)),
		LOG_NUMBER("prompt_tokens", rq->answer.prompt_tokens),
		LOG_NUMBER("completion_tokens", rq->answer.completion_tokens),
		LOG_TEXT("charged", u256_text(rq->pay.charged, charged)),
		LOG_NUMBER("bytes_in", rq->body_bytes),
		LOG_NUMBER("bytes_out", rq->res == NULL ? 0 : sha256_count(rq->res)),
		LOG_NUMBER("t_admit", (rq->admitted_us - rq->began_us) / 1000),
		LOG_NUMBER("t_first_byte", (rq->first_byte_us - rq->began_us) / 1000),
		LOG_NUMBER("t_total", (now - rq->began_us) / 1000),
	};
	char number[16];

	f[5].absent = rq->upstream_status == 0;
	f[7].absent = rq->failure.code == NULL;
	f[10].absent = !rq->pay.due || rq->loop->gw->opt->enclave; /* F3 */
	f[13].absent = rq->admitted_us == 0;
	f[14].absent = rq->first_byte_us == 0;
	log_fields(LOG_INFO, f, sizeof(f) / sizeof(f[0]));
	snprintf(number, sizeof(number), "%u", status);
	metric_add(METRIC_REQUESTS, route_names[rq->endpoint], number, 1);
	metric_observe(METRIC_REQUEST_SECONDS, NULL, (double)(now - rq->began_us) / 1e6);
	if (m != NULL && rq->admitted) {
		const char *provider = provider_name(m->provider);

		metric_add(METRIC_TOKENS, provider, "input", (int64_t)rq->answer.prompt_tokens);
		metric_add(
		    METRIC_TOKENS, provider, "output", (int64_t)rq->answer.completion_tokens);
	}
}

static enum rq_next
step_finish(struct rq *rq)
{
	log_line(rq);
	pay_fini(rq);
	if (rq->streaming)
		metric_add(METRIC_STREAMS_OPEN, NULL, NULL, -1);
	if (rq->call != NULL)
		egress_cancel(rq->call);
	if (rq->ticket != NULL)
		key_cancel(rq->ticket);
	if (rq->watch != NULL)
		uv_close((uv_handle_t *)rq->watch, (uv_close_cb)free);
	answer_fini(&rq->answer);
	if (rq->parsed)
		request_fini(&rq->request);
	sse_fini(&rq->sse);
	buf_fini(&rq->forward);
	buf_fini(&rq->upstream_body);
	buf_fini(&rq->out);
	buf_fini(&rq->jws);
	sha256_free(rq->res);
	sha256_free(rq->up);
	arena_fini(&rq->arena);
	budget_give(rq->budget);
	crowd_leave(&rq->loop->crowd);
	rq->magic = 0;
	free(rq);
	return RQ_DONE;
}

static enum rq_next
step_price(struct rq *rq)
{
	return rq_step_price(rq);
}

static enum rq_next
step_pay(struct rq *rq)
{
	return rq_step_pay(rq);
}

static enum rq_next
step_reserve(struct rq *rq)
{
	return rq_step_reserve(rq);
}

static enum rq_next
step_dial(struct rq *rq)
{
	return rq_step_dial(rq);
}

static enum rq_next
step_relay(struct rq *rq)
{
	return rq_step_relay(rq);
}

static enum rq_next
step_sign(struct rq *rq)
{
	return rq_step_sign(rq);
}

static enum rq_next
step_seal(struct rq *rq)
{
	return rq_step_seal(rq);
}

static enum rq_next
step_deliver(struct rq *rq)
{
	return rq_step_deliver(rq);
}

static const struct {
	const char *name;
	enum rq_next (*run)(struct rq *rq);
} steps[] = {
#define RQ_ROW(name, what) [RQ_STEP_##name] = { #name, step_##name },
	RQ_STEPS(RQ_ROW)
#undef RQ_ROW
};

void
rq_run(struct rq *rq)
{
	enum rq_next next;

	do {
		assert(rq->magic == RQ_MAGIC);
		if (log_wants(LOG_DEBUG))
			log_msg(
			    LOG_DEBUG, "rq=%.64s %s", rq->reply.request_id, steps[rq->step].name);
		next = steps[rq->step].run(rq);
	} while (next == RQ_MORE);
}

/* --- from the wire --- */

struct rq *
rq_begin(
    struct loop *loop, struct exchange *x, const struct http_head *head, enum endpoint endpoint)
{
	struct rq *rq = calloc(1, sizeof(*rq));

	if (rq == NULL)
		return NULL;
	*rq = (struct rq){ .magic = RQ_MAGIC,
		.step = RQ_STEP_head,
		.loop = loop,
		.x = x,
		.head = head,
		.endpoint = endpoint,
		.began_us = clock_monotonic_us() };
	reply_begin(&rq->reply, head, true);
	arena_init(&rq->arena, REQUEST_ARENA_BYTES);
	/* Short messages grow when they are translated. */
	buf_init(&rq->forward, 2 * (size_t)BODY_MAX_BYTES + 4096);
	buf_init(&rq->upstream_body, ANSWER_MAX_BYTES);
	/* A legacy completion has its text twice (S3). */
	buf_init(&rq->out, 2 * (size_t)ANSWER_MAX_BYTES + (1 << 20));
	buf_init(&rq->jws, RECEIPT_MAX_BYTES);
	sse_init(&rq->sse, SSE_EVENT_MAX_BYTES);
	crowd_enter(&loop->crowd);
	if (check_head(rq, head) == RQ_MORE) {
		rq_run(rq);
		return rq;
	}
	if (head->content_length != UINT64_MAX && head->content_length > BODY_MAX_BYTES) {
		rq_fail(rq, 413, "invalid_request_error", "too_large",
		    "The body is larger than %u bytes.", BODY_MAX_BYTES);
		rq_run(rq);
		return rq;
	}
	exchange_want_body(x, BODY_MAX_BYTES);
	return rq;
}

void
rq_on_body(struct rq *rq, struct span body)
{
	rq->body = body;
	rq->body_bytes = body.n;
	rq->step = RQ_STEP_admit;
	rq_run(rq);
}

void
rq_on_wire_error(struct rq *rq, const struct failure *f)
{
	rq->failure = *f;
	rq->outcome = RECEIPT_FAILED;
	rq->step = RQ_STEP_deliver;
	rq_run(rq);
}

void
rq_on_room(struct rq *rq)
{
	if (rq->call != NULL)
		egress_resume(rq->call);
	else if (rq->step == RQ_STEP_relay || rq->step == RQ_STEP_deliver)
		rq_run(rq);
}

/*
 * The client ended its side: it may still read, and then gets its answer (FLT-18). One that has
 * gone resets at the comment. Behind the ending no byte may come (R5), and none need: what follows
 * it is about to be written. A full connection needs no comment either.
 */
void
rq_on_hangup(struct rq *rq)
{
	if (rq->streaming && !rq->ended && exchange_room(rq->x) > 0)
		rq_keep_alive(rq);
}

void
rq_on_gone(struct rq *rq, bool delivered)
{
	rq->x = NULL;
	rq->head = NULL;
	if (rq->finishing || !rq->admitted || rq->outcome == RECEIPT_FAILED) {
		if (!rq->finishing && rq->step == RQ_STEP_seal && rq->admitted)
			return; /* the receipt of a failure is under way; it is kept, not sent */
		rq->step = RQ_STEP_finish;
		rq_run(rq);
		return;
	}
	if (rq->call != NULL) {
		rq->unsent = !egress_sent(rq->call);
		egress_cancel(rq->call);
	}
	rq->call = NULL;
	if (rq->ticket != NULL)
		key_cancel(rq->ticket);
	rq->ticket = NULL;
	rq->outcome = RECEIPT_TRUNCATED;
	rq->step = RQ_STEP_seal;
	rq_run(rq);
}
