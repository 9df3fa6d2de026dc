/*
 * charge.c - what an answer costs in the end, and who is told: ledger, receipt, client, facilitator.
 */
#include <string.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "core/limits.h"
#include "gateway/pay.h"
#include "gateway/rq.h"
#include "gateway/shop.h"
#include "sys/clock.h"
#include "sys/log.h"

/*
 * M4: an answer that was complete, or that the client left, is paid for; so is one that failed after
 * something of it was delivered. One that failed before is free, also when the client leaves while
 * the provider still says why, or is not reached yet.
 */
static bool
costs(const struct rq *rq)
{
	switch (rq->outcome) {
	case RECEIPT_COMPLETE:
		return true;
	case RECEIPT_TRUNCATED:
		return rq->called && !rq->unsent &&
		    (rq->upstream_status == 0 || rq->upstream_status == 200);
	case RECEIPT_FAILED:
		return rq->streaming && rq->answer.output_bytes > 0;
	}
	return false;
}

/* Reported counts first, else S4's. */
static struct u256
cost_now(struct rq *rq)
{
	const struct pay *p = &rq->pay;
	struct cost_counts use = { 0 };
	struct buf usage;

	if (!costs(rq))
		return U256_ZERO;
	buf_init(&usage, 8192);
	answer_put_usage(&rq->answer, &usage); /* makes the estimate where there is no report */
	buf_fini(&usage);
	if (rq->model->kind == MODEL_IMAGE_ENDPOINT) {
		/* Who leaves before they come has had them drawn: the provider bills each. */
		use.images = rq->answer.n_pictures;
		if (use.images == 0 && rq->outcome == RECEIPT_TRUNCATED)
			use.images = p->pictures;
	} else {
		use.prompt_tokens = rq->answer.prompt_tokens;
		use.completion_tokens = rq->answer.completion_tokens;
	}
	return cost_units(&p->tariff, &p->price.usd, &use);
}

void
pay_charge(struct rq *rq)
{
	struct pay *p = &rq->pay;
	struct u256 cost;

	if (!p->due)
		return;
	cost = cost_now(rq);
	if (u256_cmp(cost, p->hold.amount) > 0)
		log_msg(LOG_WARN,
		    "charge: rq=%.64s reported more than it may: charged what was reserved",
		    rq->reply.request_id);
	if (ledger_charge(shop_ledger(rq->loop->gw->shop), &p->hold, cost, &p->charged,
		&p->session_total) == LEDGER_LATE)
		log_msg(LOG_WARN, "charge: rq=%.64s came after its permit's settlement",
		    rq->reply.request_id);
}

void
pay_commit(struct rq *rq)
{
	struct ledger *ledger;
	struct pay *p = &rq->pay;

	if (!p->due)
		return;
	ledger = shop_ledger(rq->loop->gw->shop);
	if (rq->jws.n == 0)
		ledger_release(ledger, &p->hold);
	else if (ledger_commit(ledger, &p->hold, clock_unix_s()) == LEDGER_LATE)
		log_msg(LOG_WARN, "charge: rq=%.64s was lost: its permit was settled without it",
		    rq->reply.request_id);
}

void
pay_put_block(const struct rq *rq, struct buf *b)
{
	if (!rq->pay.due)
		return;
	buf_put_str(b, ",\"opengradient\":");
	cost_put_block(b, &rq->pay.price.usd, rq->pay.charged);
}

/* EIP-55, into `text`. */
static struct span
spell(const uint8_t bytes[static ADDRESS_BYTES], char text[static ADDRESS_LEN])
{
	struct address a;

	memcpy(a.b, bytes, ADDRESS_BYTES);
	address_text(&a, text);
	return span_of(text, ADDRESS_LEN);
}

void
pay_claim(const struct rq *rq, struct receipt *r, struct pay_text *text)
{
	const struct pay *p = &rq->pay;
	const struct payment_terms *t = &p->session.terms;

	if (!p->due)
		return;
	if (p->limited)
		r->limit = p->limit;
	r->payment = (struct receipt_payment){ .scheme = SPAN_LIT("upto"),
		.network = p->terms.network,
		.asset = spell(t->asset, text->asset),
		.payer = spell(p->session.key.payer, text->payer),
		.pay_to = spell(t->pay_to, text->pay_to),
		.facilitator = spell(t->facilitator, text->facilitator),
		.permit_nonce = u256_text(p->session.key.nonce, text->nonce),
		.cap = u256_text(t->cap, text->cap),
		.charged = u256_text(p->charged, text->charged),
		.session_total = u256_text(p->session_total, text->total),
		.price_usd = token_price_text(&p->price.usd),
		.price_unix_s = p->price.unix_s };
}

/*
 * The answer as JSON, for those who file it whole: the body, or the final event as it is before its
 * receipt.
 */
static void
put_answer(struct buf *b, const struct rq *rq)
{
	struct span out = buf_span(&rq->out);
	size_t event = rq->stream ? span_rfind(out, SPAN_LIT("data: ")) : SIZE_MAX;

	if (event == SIZE_MAX) {
		buf_put(b, out);
		return;
	}
	buf_put(b, span_cut(out, event + 6, out.n));
	buf_put_byte(b, '}');
}

void
pay_file(struct rq *rq)
{
	const struct pay *p = &rq->pay;
	enum settle_data_type type = p->filing;
	struct facilitator_client *client;
	struct buf in, out, signature, answer;
	struct settle_data d = { .tee_id = span_of(rq->loop->gw->id.tee_id, TEE_ID_LEN),
		.tee_timestamp_unix_s = rq->timestamp_unix_s,
		.timestamp_unix_s = rq->timestamp_unix_s,
		.input = rq->body };

	if (!p->due || type == SETTLE_DATA_PRIVATE || !rq->has_signature ||
	    rq->outcome != RECEIPT_COMPLETE ||
	    (client = shop_facilitator(rq->loop, rq->settings)) == NULL)
		return;
	buf_init(&in, 2 * KECCAK_LEN);
	buf_init(&out, 2 * KECCAK_LEN);
	buf_init(&signature, 4 * sizeof(rq->signature));
	buf_init(&answer, FILING_MAX_BYTES);
	if (type == SETTLE_DATA_INDIVIDUAL)
		put_answer(&answer, rq);
	if (answer.over) /* too long for a head, and so would be what it is filed with */
		type = SETTLE_DATA_BATCH;
	d.output = buf_span(&answer);
	hex_put(&in, span_of(rq->request_hash, KECCAK_LEN));
	hex_put(&out, span_of(rq->output_hash, KECCAK_LEN));
	b64_put(&signature, span_of(rq->signature, sizeof(rq->signature)));
	d.input_hash = buf_span(&in);
	d.output_hash = buf_span(&out);
	d.tee_signature = buf_span(&signature);
	memcpy(d.payer.b, p->session.key.payer, ADDRESS_BYTES);
	facilitator_client_file(client, type, &d);
	buf_fini(&answer);
	buf_fini(&signature);
	buf_fini(&out);
	buf_fini(&in);
}
