#include "payment/settle.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "codec/hex.h"
#include "core/limits.h"
#include "core/wipe.h"
#include "sys/log.h"
#include "sys/metrics.h"

struct call {
	struct settler *s;
	struct facilitator_call *call; /* NULL: this place is free */
	struct ledger_task task;
};

struct settler {
	struct settler_options opt;
	uv_timer_t timer;
	unsigned busy;
	uint64_t pause_until_s; /* the facilitator asked us to wait */
	bool down;		/* its last answer was none: said once */
	bool draining;
	uint64_t drain_until_ms; /* of the loop's clock */
	void (*drained)(void *ctx);
	void *drained_ctx;
	struct call call[SETTLE_CALLS_MAX];
};

enum { DRAIN_PERIOD_MS = 100 };

/* --- what is told --- */

/* One line; addresses and nonce are the chain's, not the client's request. */
static void
say(enum log_level level, const char *result, const struct permit_key *key, struct u256 amount,
    const char *why, const char *reason, struct span transaction)
{
	char amount_text[U256_DIGITS], nonce_text[U256_DIGITS];
	struct buf payer;

	buf_init(&payer, 2 + 2 * EVM_ADDRESS_LEN);
	buf_put_str(&payer, "0x");
	hex_put(&payer, span_of(key->payer, EVM_ADDRESS_LEN));
	log_fields(level,
	    (struct log_field[]){
		LOG_TEXT("settlement", span_str(result)),
		LOG_TEXT("amount", u256_text(amount, amount_text)),
		LOG_NUMBER("chain", key->chain_id),
		LOG_TEXT("payer", buf_span(&payer)),
		LOG_TEXT("nonce", u256_text(key->nonce, nonce_text)),
		{ .key = "why", .text = span_str(why), .absent = why == NULL },
		{ .key = "reason", .text = span_str(reason), .absent = reason == NULL },
		{ .key = "transaction", .text = transaction, .absent = transaction.n == 0 },
	    },
	    8);
	buf_fini(&payer);
}

static void
say_task(enum log_level level, const char *result, const struct ledger_task *t,
    const struct facilitator_outcome *o)
{
	say(level, result, &t->key, t->amount, ledger_why_name(t->why), o->reason, o->transaction);
}

/* An outage is one line, not one for each session that waits. */
static void
note_reachable(struct settler *s, const struct facilitator_outcome *o)
{
	bool down = o->result == FACILITATOR_UNAVAILABLE;

	if (down && !s->down)
		log_msg(LOG_WARN, "settlement: the facilitator does not answer: %s", o->reason);
	else if (!down && s->down)
		log_msg(LOG_INFO, "settlement: the facilitator answers again");
	s->down = down;
}

/* --- what becomes of a task --- */

static void
on_settled(struct settler *s, const struct ledger_task *t, const struct facilitator_outcome *o,
    uint64_t now_s)
{
	if (t->action == LEDGER_ASK) {
		ledger_unspent(s->opt.ledger, t, now_s);
		return;
	}
	ledger_settled(s->opt.ledger, t, now_s);
	metric_add(METRIC_SETTLEMENTS, "settled", NULL, 1);
	say(LOG_INFO, "settled", &t->key, t->amount, ledger_why_name(t->why), NULL, o->transaction);
}

static void
on_unknown(struct settler *s, const struct ledger_task *t, const struct facilitator_outcome *o,
    uint64_t now_s)
{
	ledger_unknown(s->opt.ledger, t, now_s, o->retry_after_s);
	if (t->action == LEDGER_ASK)
		return; /* the lost answer has had its line */
	metric_add(METRIC_SETTLEMENTS, "pending", NULL, 1);
	if (o->overcharged)
		say_task(LOG_ERROR, "overcharged", t, o);
	else
		say_task(LOG_WARN, "unknown", t, o);
}

static void
on_refused(struct settler *s, const struct ledger_task *t, const struct facilitator_outcome *o,
    uint64_t now_s)
{
	/* A permit that does not verify any more: settled by the lost call, or pulled away. */
	if (t->action == LEDGER_ASK) {
		on_unknown(s, t, o, now_s);
		return;
	}
	ledger_failed(s->opt.ledger, t, o->payer_caused ? LEDGER_PAYER : LEDGER_REFUSED, now_s, 0);
	metric_add(METRIC_SETTLEMENTS, "failed", NULL, 1);
	say_task(LOG_WARN, "failed", t, o);
}

static void
on_pending(struct settler *s, const struct ledger_task *t, const struct facilitator_outcome *o,
    uint64_t now_s)
{
	bool named = o->job.n > 0 && o->job.n <= LEDGER_JOB_MAX_BYTES;

	if (t->action == LEDGER_ASK || (t->action == LEDGER_SETTLE && !named)) {
		on_unknown(s, t, o, now_s); /* a job that we cannot ask for */
		return;
	}
	if (t->action == LEDGER_SETTLE)
		metric_add(METRIC_SETTLEMENTS, "pending", NULL, 1);
	ledger_pending(s->opt.ledger, t, t->action == LEDGER_SETTLE ? o->job : SPAN_NONE, now_s);
}

static void
on_unavailable(struct settler *s, const struct ledger_task *t, const struct facilitator_outcome *o,
    uint64_t now_s)
{
	uint32_t pause_s = o->retry_after_s;

	if (pause_s > SETTLE_BACKOFF_MAX_S)
		pause_s = SETTLE_BACKOFF_MAX_S;
	s->pause_until_s = now_s + (pause_s > 0 ? pause_s : 1);
	ledger_failed(s->opt.ledger, t, LEDGER_UNAVAILABLE, now_s, o->retry_after_s);
}

static void
conclude(struct settler *s, const struct ledger_task *t, const struct facilitator_outcome *o)
{
	uint64_t now_s = s->opt.now_s();

	note_reachable(s, o);
	switch (o->result) {
	case FACILITATOR_AGREED:
		on_settled(s, t, o, now_s);
		break;
	case FACILITATOR_REFUSED:
		on_refused(s, t, o, now_s);
		break;
	case FACILITATOR_PENDING:
		on_pending(s, t, o, now_s);
		break;
	case FACILITATOR_UNAVAILABLE:
		on_unavailable(s, t, o, now_s);
		break;
	case FACILITATOR_UNKNOWN:
		on_unknown(s, t, o, now_s);
		break;
	}
}

static void
vacate(struct call *c)
{
	wipe(&c->task, sizeof(c->task));
	c->call = NULL;
	c->s->busy--;
}

static void
on_done(void *ctx, const struct facilitator_outcome *o)
{
	struct call *c = ctx;
	struct settler *s = c->s;

	conclude(s, &c->task, o);
	vacate(c);
	settler_nudge(s);
}

/* --- looking --- */

static struct facilitator_call *
start(struct call *c)
{
	const struct facilitator *f = &c->s->opt.facilitator;
	const struct ledger_task *t = &c->task;
	struct facilitator_payment p = {
		.key = t->key, .terms = t->terms, .payload = span_of(t->payload, t->payload_n)
	};

	switch (t->action) {
	case LEDGER_SETTLE:
		return f->settle(f->self, &p, t->amount, on_done, c);
	case LEDGER_POLL:
		return f->poll(f->self, span_str(t->job), &p, t->amount, on_done, c);
	case LEDGER_ASK:
		return f->verify(f->self, &p, on_done, c);
	}
	return NULL;
}

static void
start_what_is_due(struct settler *s, uint64_t now_s)
{
	static const struct facilitator_outcome no_memory = { .result = FACILITATOR_UNAVAILABLE,
		.reason = "no_memory" };

	for (struct call *c = s->call; c < s->call + SETTLE_CALLS_MAX; c++) {
		if (now_s < s->pause_until_s)
			return;
		if (c->call != NULL)
			continue;
		if (!ledger_claim(s->opt.ledger, now_s, s->draining, &c->task))
			return;
		s->busy++;
		if ((c->call = start(c)) == NULL) {
			conclude(s, &c->task, &no_memory);
			vacate(c);
		}
	}
}

static void
write_off(struct settler *s, uint64_t now_s)
{
	struct ledger_loss loss;

	while (ledger_write_off(s->opt.ledger, now_s, &loss)) {
		metric_add(METRIC_SETTLEMENTS, "written_off", NULL, 1);
		say(LOG_WARN, "written_off", &loss.key, loss.amount, NULL,
		    loss.unknown ? "outcome_unknown" : "deadline", SPAN_NONE);
	}
}

/* Whether anything may still come of what is owed. */
static bool
hope(struct settler *s, uint64_t now_s)
{
	struct ledger_loss loss;
	uint32_t cursor = 0;

	while (ledger_unsettled(s->opt.ledger, &cursor, now_s, &loss))
		if (!loss.hopeless)
			return true;
	return false;
}

static void
end_drain(struct settler *s, uint64_t now_s)
{
	struct ledger_loss loss;
	uint32_t cursor = 0;

	while (ledger_unsettled(s->opt.ledger, &cursor, now_s, &loss))
		say(LOG_WARN, "unsettled", &loss.key, loss.amount,
		    ledger_why_name(LEDGER_WHY_SHUTDOWN), loss.unknown ? "outcome_unknown" : NULL,
		    SPAN_NONE);
	uv_timer_stop(&s->timer);
	s->drained(s->drained_ctx);
}

static void
on_timer(uv_timer_t *timer)
{
	struct settler *s = timer->data;
	uint64_t now_s = s->opt.now_s();

	write_off(s, now_s);
	start_what_is_due(s, now_s);
	if (!s->draining)
		return;
	if (uv_now(s->opt.loop) >= s->drain_until_ms || (s->busy == 0 && !hope(s, now_s)))
		end_drain(s, now_s);
}

/* --- life --- */

static unsigned
period_ms(const struct settler *s)
{
	if (s->opt.period_ms != 0)
		return s->opt.period_ms;
	return s->draining ? DRAIN_PERIOD_MS : SETTLE_PERIOD_MS;
}

struct err
settler_new(struct settler **out, const struct settler_options *opt)
{
	struct settler *s;

	*out = NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return FAIL(NOMEM, "settler");
	s->opt = *opt;
	for (size_t i = 0; i < SETTLE_CALLS_MAX; i++)
		s->call[i].s = s;
	if (uv_timer_init(opt->loop, &s->timer) != 0) {
		free(s);
		return FAIL(SYSTEM, "settler: timer");
	}
	s->timer.data = s;
	uv_timer_start(&s->timer, on_timer, 0, period_ms(s));
	*out = s;
	return OK;
}

void
settler_nudge(struct settler *s)
{
	if (uv_is_active((uv_handle_t *)&s->timer))
		uv_timer_start(&s->timer, on_timer, 0, period_ms(s));
}

void
settler_drain(struct settler *s, void (*done)(void *ctx), void *ctx)
{
	unsigned ms = s->opt.shutdown_ms != 0 ? s->opt.shutdown_ms : SETTLE_SHUTDOWN_MS;

	assert(!s->draining);
	s->draining = true;
	s->drain_until_ms = uv_now(s->opt.loop) + ms;
	s->drained = done;
	s->drained_ctx = ctx;
	settler_nudge(s);
}

static void
on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
settler_free(struct settler *s)
{
	if (s == NULL)
		return;
	for (struct call *c = s->call; c < s->call + SETTLE_CALLS_MAX; c++)
		if (c->call != NULL) {
			s->opt.facilitator.cancel(c->call);
			vacate(c);
		}
	uv_close((uv_handle_t *)&s->timer, on_closed);
}
