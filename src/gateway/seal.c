/*
 * seal.c - the end of an answer: legacy signature, receipt, last bytes.
 * Source: interfaces.md sections 6 and 7; E3.
 */
#include <string.h>

#include "core/limits.h"
#include "gateway/rq.h"
#include "sys/clock.h"

/* The body of an answer that is not streamed, open for the tee fields. */
static struct err
write_body(struct rq *rq, struct buf *b)
{
	buf_clear(b);
	rq->answer.created_unix_s = rq->timestamp_unix_s;
	if (rq->provider != NULL)
		TRY(rq->provider->body(&rq->answer, buf_span(&rq->upstream_body), b));
	else
		echo_body(&rq->echo, &rq->answer, b);
	return buf_check(b);
}

/* What a provider that never streams has to say before the final chunk of a stream. */
static struct err
queue_events(struct rq *rq)
{
	struct buf b;
	struct err e;

	buf_init(&b, rq->out.max);
	e = rq->provider->body(&rq->answer, buf_span(&rq->upstream_body), &b);
	if (!failed(e) && !failed(e = buf_check(&b)))
		rq_queue(rq, buf_span(&b));
	buf_fini(&b);
	return e;
}

static void
on_signature(void *ctx, struct err e, struct span answer)
{
	struct rq *rq = ctx;

	rq->ticket = NULL;
	if (failed(e) || answer.n != sizeof(rq->signature)) {
		rq_fail_err(
		    rq, failed(e) ? FAIL(SYSTEM, "signature") : FAIL(SYSTEM, "signature length"));
	} else {
		memcpy(rq->signature, answer.p, answer.n);
		rq->has_signature = true;
		rq->step = RQ_STEP_seal;
	}
	rq_run(rq);
}

enum rq_next
rq_step_sign(struct rq *rq)
{
	struct err e = OK;

	rq->timestamp_unix_s = clock_unix_s();
	if (!rq->stream)
		e = write_body(rq, &rq->out);
	else if (!rq->events && rq->provider != NULL)
		e = queue_events(rq);
	if (!failed(e) && !rq->events) {
		buf_fini(&rq->upstream_body); /* up to 64 MiB: what counts is in line */
		/* That may have taken long, and the key holder signs no time of the past (K3). */
		if (clock_unix_s() > rq->timestamp_unix_s + 1)
			rq->timestamp_unix_s = clock_unix_s();
	}
	if (!failed(e))
		e = answer_output_hash(&rq->answer, rq->output_hash);
	if (failed(e)) {
		buf_clear(&rq->out);
		if (e.code == ERR_UPSTREAM && !rq->events && !rq->answer.blocked &&
		    rq_fail_upstream(rq, 200, buf_span(&rq->upstream_body)))
			return RQ_MORE;
		return rq_fail_answer(rq, e);
	}
	rq->has_output_hash = true;
	rq->outcome = RECEIPT_COMPLETE;
	rq->step = RQ_STEP_seal;
	if (rq->unsigned_answer)
		return RQ_MORE;
	if (failed(e = key_sign_chat(rq->loop->keys, rq->request_hash, rq->output_hash,
		       rq->timestamp_unix_s, on_signature, rq, &rq->ticket)))
		return rq_fail_err(rq, e);
	return RQ_WAIT;
}

/* What the receipt covers last: tee fields, or the error. Into line, hashed where it stands. */
static void
queue_ending(struct rq *rq)
{
	struct tee_fields tee = { .timestamp_unix_s = rq->timestamp_unix_s,
		.tee_id = rq->loop->gw->id.tee_id };
	struct buf *b = &rq->out;
	size_t from = b->n;

	memcpy(tee.request_hash, rq->request_hash, KECCAK_LEN);
	memcpy(tee.output_hash, rq->output_hash, KECCAK_LEN);
	if (rq->has_signature)
		tee.signature = span_of(rq->signature, sizeof(rq->signature));
	if (rq->outcome == RECEIPT_COMPLETE && rq->stream) {
		answer_put_final(&rq->answer, b, &tee);
		pay_put_block(rq, b);
		buf_fini(&rq->answer.pictures); /* they are in line */
	} else if (rq->outcome == RECEIPT_COMPLETE) {
		from = 0; /* the body is in line, not hashed yet: it is now, as a whole */
		answer_put_tee(b, &tee);
		pay_put_block(rq, b);
		buf_put_byte(b, '}');
	} else if (rq->head_sent) {
		buf_put_str(b, "data: ");
		failure_put_open(b, &rq->failure);
		buf_put_str(b, ",\"id\":\"");
		buf_put_str(b, rq->answer.id);
		buf_put_byte(b, '"');
	} else {
		buf_clear(b);
		from = 0;
		failure_put(b, &rq->failure);
	}
	sha256_update(rq->res, span_cut(buf_span(b), from, b->n));
}

static unsigned
status_of(const struct rq *rq)
{
	/* A failed stream was answered with 200 long before (R7). */
	return rq->failure.status != 0 && !rq->streaming ? rq->failure.status : 200;
}

/* What may take room in a receipt of RECEIPT_MAX_BYTES. */
enum {
	USAGE_IN_RECEIPT_BYTES = 1024,
	FINISH_IN_RECEIPT_BYTES = 1536,
	FINISH_IN_PAID_RECEIPT_BYTES = 512, /* what `payment` takes is not there */
};

/* As delivered; a provider's long details are left to the body, which `res` covers. */
static void
put_usage(struct rq *rq, struct buf *b)
{
	answer_put_usage(&rq->answer, b);
	if (b->n <= USAGE_IN_RECEIPT_BYTES)
		return;
	buf_clear(b);
	buf_put_str(b, "{\"prompt_tokens\":");
	buf_put_u64(b, rq->answer.prompt_tokens);
	buf_put_str(b, ",\"completion_tokens\":");
	buf_put_u64(b, rq->answer.completion_tokens);
	buf_put_byte(b, '}');
}

static void
put_members(struct rq *rq, struct buf *b)
{
	bool upstream = rq->provider != NULL && rq->called;
	uint8_t res[SHA256_LEN], up[SHA256_LEN];
	struct span adjusted[PARAM_COUNT];
	struct buf finish, usage;
	struct pay_text paid;
	struct receipt r = { .jti = span_str(rq->answer.id),
		.nonce = rq->nonce,
		.path = rq->endpoint == ENDPOINT_CHAT ? SPAN_LIT("/v1/chat/completions")
						      : SPAN_LIT("/v1/completions"),
		.model = rq->model_name,
		.provider = span_str(provider_name(rq->model->provider)),
		.status = status_of(rq),
		.req = rq->req_sha256,
		.res = res,
		.res_len = sha256_count(rq->res),
		.outcome = rq->outcome,
		.config = rq->settings->published->sha256,
		.adjusted = adjusted };

	buf_init(&finish, 4096);
	buf_init(&usage, 8192);
	sha256_peek(rq->res, res);
	sha256_peek(rq->up, up);
	if (upstream) {
		r.fwd = rq->fwd_sha256;
		if (rq->upstream_status != 0)
			r.up = up;
	}
	if (rq->has_peer) {
		r.upstream.host = span_str(rq->peer.host);
		r.upstream.request_id = rq->upstream_id;
		r.upstream.account = rq->upstream_account;
	}
	if (rq->has_peer && rq->peer.tls) {
		r.upstream.tls = span_str(rq->peer.version);
		r.upstream.spki = rq->peer.spki;
		r.upstream.cert = rq->peer.cert;
	}
	if (rq->answer.served_model[0] != '\0')
		r.served_model = span_str(rq->answer.served_model);
	else if (rq->provider == NULL)
		r.served_model = rq->model->name;
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if (rq->adjusted & UINT64_C(1) << p)
			adjusted[r.n_adjusted++] = span_str(param_name(p));
	answer_put_finish(&rq->answer, &finish);
	put_usage(rq, &usage);
	/* 128 choices that were all filtered: the list is left to the body, which `res` covers. */
	if (!failed(buf_check(&finish)) &&
	    finish.n <= (rq->pay.due ? FINISH_IN_PAID_RECEIPT_BYTES : FINISH_IN_RECEIPT_BYTES))
		r.finish_reason = buf_span(&finish);
	if (!failed(buf_check(&usage)) &&
	    !(rq->outcome == RECEIPT_FAILED && rq->answer.output_bytes == 0))
		r.usage = buf_span(&usage);
	if (rq->outcome == RECEIPT_TRUNCATED && !rq->has_output_hash)
		rq->has_output_hash = !failed(answer_output_hash(&rq->answer, rq->output_hash));
	if (rq->outcome != RECEIPT_FAILED && rq->has_output_hash) {
		r.request_hash = rq->request_hash;
		r.output_hash = rq->output_hash;
	}
	pay_claim(rq, &r, &paid);
	receipt_put_members(b, &r);
	buf_fini(&finish);
	buf_fini(&usage);
}

static void
on_receipt(void *ctx, struct err e, struct span answer)
{
	struct rq *rq = ctx;

	rq->ticket = NULL;
	if (!failed(e)) {
		buf_put(&rq->jws, answer);
		receipts_put(rq->loop->gw->receipts, span_str(rq->answer.id),
		    reply_request_id(&rq->reply), answer);
	}
	rq->step = RQ_STEP_deliver;
	rq_run(rq);
}

enum rq_next
rq_step_seal(struct rq *rq)
{
	struct buf members;
	struct err e = OK;

	pay_charge(rq);
	/* A client that left gets no ending: res covers what was in line before the cut (R6). */
	if (rq->outcome != RECEIPT_TRUNCATED && !rq->ended) {
		rq->ended = true;
		queue_ending(rq);
	}
	buf_init(&members, RECEIPT_MAX_BYTES);
	put_members(rq, &members);
	/* Bytes that are hashed but not in line must not be sealed. */
	e = rq->out.over ? FAIL(NOMEM, "answer") : buf_check(&members);
	if (!failed(e))
		e = key_sign_receipt(
		    rq->loop->keys, buf_span(&members), on_receipt, rq, &rq->ticket);
	buf_fini(&members);
	if (!failed(e))
		return RQ_WAIT;
	rq->step = RQ_STEP_deliver;
	return RQ_MORE;
}

/*
 * The rest of a stream: its receipt as the last member, and the sentinel (R5). False: there is no
 * receipt, hence no end, and the client must see that this is not an answer.
 */
static bool
end_stream(struct rq *rq)
{
	if (rq->jws.n == 0)
		return false;
	pay_file(rq);
	buf_put_str(&rq->out, ",\"tee_receipt\":\"");
	buf_put(&rq->out, buf_span(&rq->jws));
	buf_put_str(&rq->out, "\"}\n\n");
	if (rq->outcome == RECEIPT_COMPLETE)
		buf_put_str(&rq->out, "data: [DONE]\n\n");
	return !rq->out.over;
}

/* The body that is in line, or the refusal of a request that was not admitted. */
static void
begin_body(struct rq *rq)
{
	if (rq->admitted && rq->jws.n == 0) {
		rq_fail_err(rq, FAIL(SYSTEM, "the receipt could not be signed"));
		rq->outcome = RECEIPT_FAILED;
		rq->step = RQ_STEP_deliver;
	}
	if (!rq->admitted || rq->jws.n == 0) {
		buf_clear(&rq->out);
		failure_put(&rq->out, &rq->failure);
	}
	pay_file(rq);
	rq_open_body(rq, rq->failure.status != 0 ? rq->failure.status : 200);
}

enum rq_next
rq_step_deliver(struct rq *rq)
{
	if (!rq->finishing) /* it comes here again for each piece of what is sent */
		pay_commit(rq);
	if (rq->x == NULL) {
		rq->step = RQ_STEP_finish;
		return RQ_MORE;
	}
	if (rq->delivered)
		return RQ_WAIT; /* for rq_on_gone() */
	if (!rq->finishing) {
		rq->finishing = true;
		if (!rq->head_sent && !(rq->stream && rq->outcome == RECEIPT_COMPLETE)) {
			begin_body(rq);
		} else if (!end_stream(rq)) {
			rq->delivered = true;
			exchange_abort(rq->x);
			return RQ_WAIT;
		}
	}
	/* The connection takes a little at a time, so that a large answer is held once. */
	if (!rq_send(rq))
		return RQ_WAIT; /* for rq_on_room() */
	rq->delivered = true;
	exchange_end(rq->x);
	return RQ_WAIT;
}
