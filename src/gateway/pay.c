/*
 * pay.c - from a valid request to one that is paid for: its price, its payment, its reservation.
 */
#include "gateway/pay.h"

#include "codec/hex.h"
#include "core/limits.h"
#include "core/wipe.h"
#include "gateway/rq.h"
#include "gateway/shop.h"
#include "sys/clock.h"
#include "sys/metrics.h"
#include "x402/check.h"

enum {
	LIMIT_DEFAULT = 4096, /* C7 */
	LIMIT_LEAST = 16,     /* M3: an answer shorter than this is none */
	RESERVE_TRIES = 3,    /* others reserve meanwhile */
	FRAME_TOKENS = 4,     /* around a message */
	FRAMES_FREE = 32,     /* messages whose frames are not counted */
	REQUIRED_MAX_BYTES = 8192,
	LATE_MS = 1000,
	ENDING_S = 5, /* for an answer that is cut off: to be sealed, and clocks tick in seconds */
};

static const char exhausted[] = "Session expired or exhausted";

/* --- refusals ------------------------------------------------------------------------------ */

/* Where the client reached us, as the operator says; never what a Host field says (PAY-20). */
static void
put_url(struct buf *b, const struct rq *rq)
{
	const struct options_address *a = &rq->loop->gw->opt->plain;

	if (rq->settings->public_url[0] != '\0') {
		buf_put_str(b, rq->settings->public_url);
	} else {
		buf_put_str(b, "http://");
		buf_put(b, a->host);
		buf_put_byte(b, ':');
		buf_put_u64(b, a->port);
	}
	buf_put_str(b, rq->endpoint == ENDPOINT_CHAT ? "/v1/chat/completions" : "/v1/completions");
}

/* M2: the most that it can cost with this output limit; pictures have a price of their own. */
static struct u256
worst(const struct rq *rq, uint64_t limit)
{
	const struct pay *p = &rq->pay;
	struct cost_counts pictures = { .images = rq->request.n };

	if (rq->model->kind == MODEL_IMAGE_ENDPOINT)
		return cost_units(&p->tariff, &p->price.usd, &pictures);
	return cost_worst(&p->tariff, &p->price.usd, p->prompt_tokens, rq->request.n, limit);
}

/* M1: the smallest cap that covers this request. */
static struct u256
offered_cap(const struct rq *rq)
{
	return x402_cap_for(&rq->pay.terms, worst(rq, rq->pay.limit));
}

/* 402 with an offer, always (E2). `error` is PaymentRequired's, `code` the error object's. */
static enum rq_next
refuse_payment(struct rq *rq, const char *code, const char *error, const char *message)
{
	struct buf header, url;

	buf_init(&header, REQUIRED_MAX_BYTES);
	buf_init(&url, SETTINGS_URL_MAX + 64);
	put_url(&url, rq);
	x402_put_required_header(&header, &rq->pay.terms, offered_cap(rq), error, buf_span(&url),
	    rq->endpoint == ENDPOINT_CHAT ? "Chat completion" : "Completion");
	if (!failed(buf_check(&header)))
		rq->pay.required = arena_copy(&rq->arena, buf_span(&header));
	buf_fini(&url);
	buf_fini(&header);
	if (rq->pay.required.p == NULL)
		return rq_fail_err(rq, FAIL(NOMEM, "payment"));
	return rq_fail(rq, 402, "payment_required", code, "%s", message);
}

static enum rq_next
refuse_locally(struct rq *rq, const char *code, const char *error, const char *message)
{
	metric_add(METRIC_PAYMENTS, "refused_local", NULL, 1);
	return refuse_payment(rq, code, error, message);
}

/* One answer for all that is wrong with a session's secret (PAY-19). */
static enum rq_next
refuse_session(struct rq *rq)
{
	return refuse_locally(rq, "session_expired", exhausted, "Session expired or exhausted.");
}

static enum rq_next
busy(struct rq *rq, const char *code, const char *message, unsigned retry_after_s)
{
	rq_fail(rq, 503, "overloaded_error", code, "%s", message);
	rq->failure.retry_after_s = retry_after_s;
	return RQ_MORE;
}

static enum rq_next
facilitator_gone(struct rq *rq, unsigned retry_after_s)
{
	metric_add(METRIC_PAYMENTS, "unavailable", NULL, 1);
	rq_fail(rq, 503, "server_error", "facilitator_unavailable",
	    "The payment service is unavailable.");
	rq->failure.retry_after_s = retry_after_s > 0 ? retry_after_s : 5;
	return RQ_MORE;
}

static enum rq_next
refuse_verdict(struct rq *rq, enum ledger_verdict v)
{
	switch (v) {
	case LEDGER_SHORT:
		return refuse_locally(rq, "payment_required", exhausted,
		    "What is left of the payment does not cover this request.");
	case LEDGER_SPENT:
		return refuse_locally(rq, "permit2_invalid_nonce", "permit2_invalid_nonce",
		    "This payment was settled, or is being settled.");
	case LEDGER_OTHER_ROUTE:
		return refuse_locally(rq, "payment_of_another_route",
		    "No matching payment requirements", "This payment was used at another path.");
	case LEDGER_TOO_LATE:
		return refuse_locally(rq, x402_code(X402_EXPIRED),
		    "Payment authorization deadline missing or too soon",
		    "The payment's deadline is too soon.");
	case LEDGER_TOO_FAR:
		return refuse_locally(rq, x402_code(X402_TOO_LATE), x402_error(X402_TOO_LATE),
		    "The payment's deadline is too far away.");
	case LEDGER_BEFORE_BOOT:
		return refuse_locally(rq, x402_code(X402_BEFORE_START),
		    x402_error(X402_BEFORE_START),
		    "This payment may have been used before this gateway was started.");
	case LEDGER_BARRED:
		return refuse_locally(rq, "payer_barred", "payer_barred",
		    "An earlier payment of this payer could not be settled.");
	case LEDGER_OVERLOADED:
		return busy(rq, "overloaded", "Too many payments are open.", 10);
	default:
		return refuse_session(rq);
	}
}

/* --- price --------------------------------------------------------------------------------- */

static enum rq_next
unsupported(struct rq *rq, const char *param)
{
	struct span name = arena_copy(&rq->arena, span_str(param));

	rq_fail(rq, 400, "invalid_request_error", "unsupported_parameter",
	    "%s has no price: it is not supported on paid routes.", param);
	rq->failure.param = (const char *)name.p;
	return RQ_MORE;
}

/* C5, M2: what no price covers is not sold. */
static enum rq_next
check_priced(struct rq *rq)
{
	static const enum param unpriced[] = { PARAM_SERVICE_TIER, PARAM_WEB_SEARCH_OPTIONS,
		PARAM_AUDIO, PARAM_PREDICTION, PARAM_BEST_OF, PARAM_MODALITIES };
	const struct request *r = &rq->request;
	enum part_kind kind;

	if (r->unknown != JSON_NONE) {
		char name[65];

		refusal_name(name, json_inner(&r->doc, r->unknown));
		return unsupported(rq, name);
	}
	for (size_t i = 0; i < sizeof(unpriced) / sizeof(unpriced[0]); i++)
		if ((r->present & UINT64_C(1) << unpriced[i]) != 0 &&
		    (unpriced[i] != PARAM_MODALITIES || rq->model->kind == MODEL_CHAT))
			return unsupported(rq, param_name(unpriced[i]));
	/* What a picture is made from is in the picture's price. */
	if (rq->model->kind != MODEL_IMAGE_ENDPOINT &&
	    !parts_max_tokens(&r->parts, rq->model, &rq->pay.prompt_tokens, &kind))
		return unsupported(rq, r->parts.first[kind]);
	return RQ_WAIT;
}

/*
 * M2: no text has more tokens than bytes. Tools and the answer's schema are read by the model like a
 * prompt, and so may be what else stands in a message. The few tokens around each message are in the
 * slack of its text; they are not when there are thousands of messages without any.
 */
static uint64_t
prompt_bound(const struct request *r)
{
	static const enum param read_too[] = { PARAM_TOOLS, PARAM_RESPONSE_FORMAT };
	uint64_t bytes = r->prompt_bytes + r->other_bytes;

	if (r->n_messages > FRAMES_FREE)
		bytes += (uint64_t)(r->n_messages - FRAMES_FREE) * FRAME_TOKENS;
	for (size_t i = 0; i < sizeof(read_too) / sizeof(read_too[0]); i++)
		if (r->at[read_too[i]] != JSON_NONE)
			bytes += json_raw(&r->doc, r->at[read_too[i]]).n;
	return bytes;
}

static uint64_t
least_limit(const struct pay *p)
{
	return p->limit < LIMIT_LEAST ? p->limit : LIMIT_LEAST;
}

static enum rq_next
exceeds_cap(struct rq *rq)
{
	const bool pictures = rq->model->kind == MODEL_IMAGE_ENDPOINT;

	rq_fail(rq, 400, "invalid_request_error", "exceeds_payment_cap", "%s",
	    pictures ? "The pictures cost more than the largest payment."
		     : "The prompt and 16 tokens of answer cost more than the largest payment.");
	rq->failure.param = pictures ? "n" : rq->endpoint == ENDPOINT_CHAT ? "messages" : "prompt";
	return RQ_MORE;
}

/* Of models that are in the table: their prices were read before. */
static struct err
read_tariff(struct tariff *t, const struct model *model)
{
	TRY(pico_usd_parse(&t->input_pico_usd, model->input_usd));
	TRY(pico_usd_parse(&t->output_pico_usd, model->output_usd));
	return model->kind == MODEL_IMAGE_ENDPOINT
	    ? pico_usd_parse(&t->image_pico_usd, model->image_usd)
	    : OK;
}

enum rq_next
rq_step_price(struct rq *rq)
{
	struct shop *shop = rq->loop->gw->shop;
	struct pay *p = &rq->pay;
	bool settled_for;

	rq->step = RQ_STEP_begin;
	if (shop == NULL || !rq->settings->payments || rq->provider == NULL)
		return RQ_MORE; /* nobody pays here, or for this (A7) */
	if (shop_closed_s(shop) > 0)
		return busy(
		    rq, "overloaded", "This gateway has just started.", shop_closed_s(shop));
	if (check_priced(rq) == RQ_MORE)
		return RQ_MORE;
	/* Before /verify: what has no price is not worth a call (x402.md 5). */
	if (!shop_price(shop, &p->price))
		return busy(
		    rq, "price_unavailable", "Pricing unavailable: the token has no price.", 30);
	if (failed(read_tariff(&p->tariff, rq->model)))
		return rq_fail_err(rq, FAIL(SYSTEM, "the model has no price"));
	settled_for = shop_terms(shop, rq->settings, &p->terms);
	if (rq->request.output_limit == UINT64_MAX)
		rq->request.output_limit = LIMIT_DEFAULT;
	p->limit = rq->request.output_limit;
	p->pictures = rq->request.n;
	p->prompt_tokens += prompt_bound(&rq->request);
	if (u256_cmp(worst(rq, least_limit(p)), x402_largest_cap(&p->terms)) > 0)
		return exceeds_cap(rq);
	if (!settled_for)
		return facilitator_gone(rq, 0);
	p->due = true;
	rq->step = RQ_STEP_pay;
	return RQ_MORE;
}

/* --- pay ----------------------------------------------------------------------------------- */

static void
put_token(struct pay *p)
{
	struct buf text;

	buf_init(&text, PAY_TOKEN_LEN);
	hex_put(&text, span_of(p->session.secret, LEDGER_SECRET_LEN));
	if (p->bears && text.n == PAY_TOKEN_LEN)
		memcpy(p->token, text.p, PAY_TOKEN_LEN);
	buf_fini(&text);
	wipe(p->session.secret, sizeof(p->session.secret));
}

static enum rq_next
joined(struct rq *rq)
{
	rq->pay.joined = true;
	put_token(&rq->pay);
	rq->step = RQ_STEP_reserve;
	return RQ_MORE;
}

/* Reads and judges a payment here (x402.md 4.5). RQ_WAIT: it is good as far as can be seen. */
static enum rq_next
judge(struct rq *rq, struct span value, bool many)
{
	struct pay *p = &rq->pay;
	struct x402_times when = { .now_unix_s = clock_unix_s(),
		.margin_s = X402_SESSION_MARGIN_S,
		.after_unix_s = shop_refuse_until_s(rq->loop->gw->shop) };
	struct x402_verdict v = x402_payment_read(&p->payment, value, many, &rq->arena);

	if (v.reason == X402_FINE)
		v = x402_check(&p->payment, &p->terms, &when);
	if (v.reason == X402_FINE)
		return RQ_WAIT;
	if (v.reason == X402_NOMEM)
		return rq_fail_err(rq, FAIL(NOMEM, "payment"));
	if (v.reason == X402_ABSENT)
		return refuse_payment(
		    rq, x402_code(v.reason), x402_error(v.reason), "Payment required.");
	if (v.reason == X402_FACILITATOR)
		shop_doubt(rq->loop->gw->shop);
	return refuse_locally(rq, x402_code(v.reason), x402_error(v.reason),
	    v.what != NULL ? v.what : "The payment cannot be used.");
}

/* By the secret of an open session; a payment beside it must be its payer's (M5). */
static enum rq_next
pay_by_session(struct rq *rq, struct span secret, bool many, struct span payment, bool two)
{
	struct pay *p = &rq->pay;
	uint8_t bytes[LEDGER_SECRET_LEN];
	enum ledger_verdict v = LEDGER_GONE;

	if (payment.p != NULL && judge(rq, payment, two) == RQ_MORE)
		return RQ_MORE;
	if (!many && p->bears && secret.n == PAY_TOKEN_LEN &&
	    !failed(hex_parse(bytes, sizeof(bytes), secret)))
		v = ledger_join(shop_ledger(rq->loop->gw->shop), bytes, (uint8_t)rq->endpoint,
		    clock_unix_s(), &p->session);
	wipe(bytes, sizeof(bytes));
	if (v != LEDGER_OK)
		return refuse_session(rq);
	if (payment.p != NULL &&
	    (x402_contract_signed(&p->payment) ||
		!span_eq(span_of(p->payment.payer.b, ADDRESS_BYTES),
		    span_of(p->session.key.payer, ADDRESS_BYTES)))) {
		wipe(p->session.secret, sizeof(p->session.secret));
		return refuse_locally(rq, "payer_mismatch", "payer_mismatch",
		    "The payment's payer is not the session's.");
	}
	return joined(rq);
}

/* What the ledger is to know of this permit; it borrows the payment. */
static void
fill_permit(struct rq *rq)
{
	struct pay *p = &rq->pay;
	const struct x402_payment *from = &p->payment;
	struct ledger_permit *to = &p->permit;

	*to = (struct ledger_permit){ .key = { .chain_id = p->terms.chain_id,
					  .nonce = from->nonce },
		.terms = { .cap = from->amount, .max_timeout_s = p->terms.max_timeout_s },
		.route = (uint8_t)rq->endpoint,
		.eager = from->sponsored,
		.payload = from->text };
	memcpy(to->key.payer, from->payer.b, ADDRESS_BYTES);
	memcpy(to->terms.asset, p->terms.asset.b, ADDRESS_BYTES);
	memcpy(to->terms.pay_to, p->terms.pay_to.b, ADDRESS_BYTES);
	memcpy(to->terms.facilitator, from->facilitator.b, ADDRESS_BYTES);
	/* x402_check() saw that both fit: they are near now. */
	(void)u256_u64(from->valid_after, &to->valid_after_s);
	(void)u256_u64(from->deadline, &to->deadline_s);
}

static enum rq_next
open_session(struct rq *rq)
{
	struct pay *p = &rq->pay;
	enum ledger_verdict v = ledger_open(
	    shop_ledger(rq->loop->gw->shop), &p->permit, clock_unix_s(), &p->session);

	return v == LEDGER_OK ? joined(rq) : refuse_verdict(rq, v);
}

static enum rq_next
refused_by(struct rq *rq, const struct facilitator_outcome *o)
{
	metric_add(METRIC_PAYMENTS, "refused_facilitator", NULL, 1);
	if (span_eq(span_str(o->reason), span_str(x402_code(X402_FACILITATOR))))
		shop_doubt(rq->loop->gw->shop);
	/* The reason lives as long as this call: it goes into the arena. */
	return refuse_payment(rq, (const char *)arena_copy(&rq->arena, span_str(o->reason)).p,
	    o->reason, "The payment service refused the payment.");
}

static void
on_verified(void *ctx, const struct facilitator_outcome *o)
{
	struct rq *rq = ctx;

	if (o->result == FACILITATOR_AGREED) {
		metric_add(METRIC_PAYMENTS, "verified", NULL, 1);
		open_session(rq);
	} else if (o->result == FACILITATOR_REFUSED) {
		refused_by(rq, o);
	} else if (span_eq(span_str(o->reason), SPAN_LIT("facilitator_error"))) {
		metric_add(METRIC_PAYMENTS, "unavailable", NULL, 1);
		rq_fail(rq, 502, "server_error", "facilitator_error",
		    "The payment service gave an answer that cannot be used.");
	} else {
		facilitator_gone(rq, o->retry_after_s);
	}
	rq_run(rq);
}

static enum rq_next
ask_facilitator(struct rq *rq)
{
	struct shop *shop = rq->loop->gw->shop;
	struct facilitator_client *client = shop_facilitator(rq->loop, rq->settings);
	struct pay *p = &rq->pay;
	struct facilitator_payment payment = {
		.key = p->permit.key, .terms = p->permit.terms, .payload = p->permit.payload
	};

	struct err e;

	if (client == NULL)
		return facilitator_gone(rq, 0);
	e = verify_begin(&rq->loop->verifies, &p->verify, shop, client, &payment, on_verified, rq);
	return failed(e) ? rq_fail_err(rq, e) : RQ_WAIT;
}

enum rq_next
rq_step_pay(struct rq *rq)
{
	const struct options *opt = rq->loop->gw->opt;
	struct pay *p = &rq->pay;
	bool many, two, contrary;
	struct span secret = http_field_get(rq->head, "x-upto-session", &many);
	struct span payment = http_field_get(rq->head, "payment-signature", &two);
	struct span type;
	enum ledger_verdict v;

	/* Behind nitriding the daemon has the TLS. */
	p->bears = !opt->enclave || opt->nitriding.n > 0 || exchange_origin(rq->x)->tls;
	/* One that says two things has said private, perhaps. */
	type = http_field_get(rq->head, "x-settlement-type", &contrary);
	p->filing = rq->unsigned_answer || contrary ? SETTLE_DATA_PRIVATE
						    : settle_data_type_of(type);
	if (secret.p != NULL)
		return pay_by_session(rq, secret, many, payment, two);
	if (judge(rq, payment, two) == RQ_MORE)
		return RQ_MORE;
	fill_permit(rq);
	v = ledger_look(shop_ledger(rq->loop->gw->shop), &p->permit, clock_unix_s());
	if (v == LEDGER_OK && !x402_contract_signed(&p->payment))
		return open_session(rq); /* its signature is the proof, and was checked here */
	if (v == LEDGER_OK || v == LEDGER_FRESH)
		return ask_facilitator(rq);
	return refuse_verdict(rq, v);
}

/* --- reserve ------------------------------------------------------------------------------- */

/* M3: what the provider is asked for becomes less, and what depends on it may change. */
static enum rq_next
lower_limit(struct rq *rq, uint64_t limit)
{
	struct refusal no = { 0 };
	struct pay *p = &rq->pay;
	enum param named = rq->request.at[PARAM_MAX_COMPLETION_TOKENS] != JSON_NONE
	    ? PARAM_MAX_COMPLETION_TOKENS
	    : PARAM_MAX_TOKENS;

	p->limit = limit;
	p->limited = true;
	rq->request.output_limit = limit;
	if (!rq->provider->admit(&rq->request, rq->model, &rq->adjusted, &no))
		return refuse_verdict(rq, LEDGER_SHORT);
	rq->adjusted |= UINT64_C(1) << named;
	return RQ_WAIT;
}

enum rq_next
rq_step_reserve(struct rq *rq)
{
	struct ledger *ledger = shop_ledger(rq->loop->gw->shop);
	struct pay *p = &rq->pay;
	uint64_t limit = p->limit;

	for (unsigned i = 0; i < RESERVE_TRIES; i++) {
		struct u256 left;
		enum ledger_verdict v = ledger_reserve(
		    ledger, &p->session, worst(rq, limit), clock_unix_s(), &p->hold, &left);

		if (v == LEDGER_OK) {
			if (limit < p->limit && lower_limit(rq, limit) == RQ_MORE)
				return RQ_MORE;
			rq->step = RQ_STEP_begin;
			return RQ_MORE;
		}
		if (v != LEDGER_SHORT)
			return refuse_verdict(rq, v);
		if (rq->model->kind == MODEL_IMAGE_ENDPOINT)
			break;
		if (!cost_output_limit(&p->tariff, &p->price.usd, p->prompt_tokens, rq->request.n,
			left, p->limit, &limit) ||
		    limit < least_limit(p))
			break;
	}
	return refuse_verdict(rq, LEDGER_SHORT);
}

uint32_t
pay_total_ms(const struct rq *rq, uint32_t total_ms)
{
	uint64_t now = clock_unix_s() + ENDING_S, until = rq->pay.hold.until_s, left;

	if (!rq->pay.due)
		return total_ms;
	left = until > now ? (until - now) * 1000 : LATE_MS;
	return left < total_ms ? (uint32_t)left : total_ms;
}

void
pay_fini(struct rq *rq)
{
	struct pay *p = &rq->pay;

	if (!p->due)
		return;
	verify_leave(&p->verify);
	ledger_release(shop_ledger(rq->loop->gw->shop), &p->hold);
	wipe(p->token, sizeof(p->token));
	wipe(p->session.secret, sizeof(p->session.secret));
}
