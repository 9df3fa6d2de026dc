#include "gateway/shop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "payment/settle.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/metrics.h"

enum {
	TICK_MS = 1000,
	SUPPORTED_REFRESH_S = 240,
	SUPPORTED_RETRY_MAX_S = 60,
	DOUBT_S = 5,	      /* asked again at most so often */
	START_WAIT_MS = 5000, /* for the first offer */
	CLOSED_S = 60,	      /* M7 */
};

/* What a facilitator said of itself last. */
struct said {
	bool known;
	char url[SETTINGS_URL_MAX + 1]; /* who said it */
	struct address facilitator, before;
	bool has_before;
	uint64_t before_until_s;
	bool gas_sponsoring;
};

struct shop {
	struct gateway *gw;
	struct price_feed *feed;
	struct token_price fixed;
	char price_url[SHOP_URL_MAX + 160], contract[ADDRESS_LEN + 1];
	struct settler *settler;
	uv_timer_t tick;
	bool ticking;

	/* Loop 0's. */
	struct facilitator_call *asking;
	char asked[SETTINGS_URL_MAX + 1];
	uint64_t due_us; /* monotonic */
	unsigned failures;
	bool tried;

	atomic_bool doubt;
	atomic_uint verifies;
	pthread_mutex_t mutex;
	struct said said;
};

/* --- the facilitator ----------------------------------------------------------------------- */

static bool
may_ask(const struct gateway *gw, const struct settings *settings)
{
	return settings != NULL && settings->facilitator_url[0] != '\0' &&
	    (!gw->opt->enclave ||
		shop_policy_allows(&gw->policy, span_str(settings->facilitator_url)));
}

struct facilitator_client *
shop_facilitator(struct loop *l, const struct settings *settings)
{
	if (!may_ask(l->gw, settings) ||
	    failed(facilitator_client_point(l->facilitator, settings->facilitator_url)))
		return NULL;
	return l->facilitator;
}

static void
note(struct shop *s, const struct facilitator_supported *now)
{
	struct said *said = &s->said;
	bool same = said->known && address_eq(&said->facilitator, &now->facilitator);

	pthread_mutex_lock(&s->mutex);
	/* Clients hold offers with the address before; permits to it are still good for a while. */
	if (said->known && !same) {
		said->before = said->facilitator;
		said->has_before = true;
		said->before_until_s = clock_unix_s() + s->gw->policy.terms.max_timeout_s;
	}
	said->known = true;
	said->facilitator = now->facilitator;
	said->gas_sponsoring = now->gas_sponsoring;
	snprintf(said->url, sizeof(said->url), "%s", s->asked);
	pthread_mutex_unlock(&s->mutex);
	if (!same)
		log_msg(LOG_INFO, "facilitator: %s settles", s->asked);
}

static void
on_supported(void *ctx, const struct facilitator_supported *now, const char *why)
{
	struct shop *s = ctx;
	uint64_t wait_s = SUPPORTED_REFRESH_S;

	s->asking = NULL;
	s->tried = true;
	if (now != NULL) {
		s->failures = 0;
		note(s, now);
	} else {
		/* While nothing can be sold it is asked every second. */
		wait_s = s->said.known ? UINT64_C(1) << (s->failures < 6 ? s->failures : 6) : 1;
		if (wait_s > SUPPORTED_RETRY_MAX_S)
			wait_s = SUPPORTED_RETRY_MAX_S;
		if (s->failures++ % 64 == 0)
			log_msg(LOG_WARN, "facilitator: %s", why);
	}
	s->due_us = clock_monotonic_us() + wait_s * 1000000 - TICK_MS * 1000 / 2;
}

static void
ask(struct shop *s, const struct settings *settings)
{
	struct facilitator_client *f = shop_facilitator(&s->gw->loop[0], settings);

	if (f == NULL) {
		s->tried = true;
		return;
	}
	snprintf(s->asked, sizeof(s->asked), "%s", settings->facilitator_url);
	s->asking = facilitator_client_supported(f, on_supported, s);
}

static void
look(struct shop *s)
{
	const struct settings *settings = gateway_settings(s->gw);
	uint64_t now = clock_monotonic_us();

	if (atomic_load(&s->doubt) && s->due_us > now + DOUBT_S * 1000000) {
		atomic_store(&s->doubt, false);
		s->due_us = now + DOUBT_S * 1000000;
	}
	if (s->asking != NULL || settings == NULL)
		return;
	if (now >= s->due_us || strcmp(s->asked, settings->facilitator_url) != 0)
		ask(s, settings);
}

static void
on_tick(uv_timer_t *t)
{
	look(t->data);
}

void
shop_doubt(struct shop *s)
{
	atomic_store(&s->doubt, true);
}

/*
 * The settler's calls go where today's settings point: a provisioning in local mode may replace the
 * facilitator of the environment, and nobody else will settle what that one verified.
 */
static struct facilitator_client *
for_settler(struct shop *s)
{
	return shop_facilitator(&s->gw->loop[0], gateway_settings(s->gw));
}

static struct facilitator_call *
settle(void *self, const struct facilitator_payment *payment, struct u256 amount,
    facilitator_done done, void *ctx)
{
	struct facilitator_client *f = for_settler(self);

	return f == NULL ? NULL : facilitator_client_as(f).settle(f, payment, amount, done, ctx);
}

static struct facilitator_call *
poll_job(void *self, struct span job, const struct facilitator_payment *payment, struct u256 expect,
    facilitator_done done, void *ctx)
{
	struct facilitator_client *f = for_settler(self);

	return f == NULL ? NULL : facilitator_client_as(f).poll(f, job, payment, expect, done, ctx);
}

static struct facilitator_call *
verify(void *self, const struct facilitator_payment *payment, facilitator_done done, void *ctx)
{
	struct facilitator_client *f = for_settler(self);

	return f == NULL ? NULL : facilitator_client_as(f).verify(f, payment, done, ctx);
}

/* --- life ---------------------------------------------------------------------------------- */

/* Local mode's other source gets the policy's question: which token, in which currency. */
static void
name_source(struct shop *s)
{
	const struct gateway *gw = s->gw;

	address_text(&gw->policy.terms.asset, s->contract);
	if (gw->opt->price_url != NULL)
		snprintf(s->price_url, sizeof(s->price_url),
		    "%.512s?contract_addresses=%s&vs_currencies=usd", gw->opt->price_url,
		    s->contract);
	else
		snprintf(s->price_url, sizeof(s->price_url), "%s", gw->policy.price_url);
}

struct err
shop_new(struct shop **out, struct gateway *gw)
{
	struct shop *s = calloc(1, sizeof(*s));
	struct price_feed_options feed = { .refresh_s = gw->policy.refresh_s,
		.max_age_s = gw->policy.max_age_s };
	struct err e;

	*out = NULL;
	if (s == NULL)
		return FAIL(NOMEM, "shop");
	s->gw = gw;
	pthread_mutex_init(&s->mutex, NULL);
	name_source(s);
	feed.url = s->price_url;
	feed.contract = s->contract;
	if (gw->opt->fixed_price_usd != NULL) {
		e = token_price_parse(&s->fixed, span_str(gw->opt->fixed_price_usd));
		feed.fixed = &s->fixed;
		if (failed(e)) {
			shop_free(s);
			return e;
		}
	}
	if (failed(e = price_feed_new(&s->feed, &feed))) {
		shop_free(s);
		return e;
	}
	*out = s;
	return OK;
}

static void
on_waited(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static void
on_closed(uv_handle_t *h)
{
	*(bool *)h->data = true;
}

/* Runs loop 0 until both have answered or failed, or the time is over. */
static struct err
wait_for_offer(struct shop *s)
{
	uv_loop_t *loop = &s->gw->loop[0].uv;
	bool over = false, closed = false;
	uv_timer_t timer;

	if (uv_timer_init(loop, &timer) != 0)
		return FAIL(SYSTEM, "shop: timer");
	timer.data = &over;
	uv_timer_start(&timer, on_waited, START_WAIT_MS, 0);
	while (!over && !(price_feed_tried(s->feed) && s->tried))
		uv_run(loop, UV_RUN_ONCE);
	timer.data = &closed;
	uv_close((uv_handle_t *)&timer, on_closed);
	while (!closed)
		uv_run(loop, UV_RUN_NOWAIT);
	return OK;
}

struct err
shop_start(struct shop *s)
{
	struct loop *l = &s->gw->loop[0];
	struct settler_options settler = { .loop = &l->uv,
		.ledger = s->gw->ledger,
		.facilitator = { .self = s,
		    .settle = settle,
		    .poll = poll_job,
		    .verify = verify,
		    .cancel = facilitator_client_as(l->facilitator).cancel },
		.now_s = clock_unix_s };

	TRY(price_feed_start(s->feed, &l->uv, l->egress));
	s->tick.data = s;
	if (uv_timer_init(&l->uv, &s->tick) != 0)
		return FAIL(SYSTEM, "shop: timer");
	s->ticking = true;
	if (uv_timer_start(&s->tick, on_tick, 0, TICK_MS) != 0)
		return FAIL(SYSTEM, "shop: timer");
	TRY(settler_new(&s->settler, &settler));
	/* Not provisioned: there is nobody to ask yet. */
	return gateway_settings(s->gw) == NULL ? OK : wait_for_offer(s);
}

void
shop_drain(struct shop *s, void (*done)(void *ctx), void *ctx)
{
	if (s == NULL || s->settler == NULL)
		done(ctx);
	else
		settler_drain(s->settler, done, ctx);
}

void
shop_stop(struct shop *s)
{
	if (s == NULL)
		return;
	settler_free(s->settler);
	s->settler = NULL;
	price_feed_stop(s->feed);
	if (s->ticking)
		uv_close((uv_handle_t *)&s->tick, NULL);
	s->ticking = false;
	/* facilitator.cancel() would do, but the client goes next and ends all calls. */
	s->asking = NULL;
}

void
shop_free(struct shop *s)
{
	if (s == NULL)
		return;
	price_feed_free(s->feed);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

/* --- from any loop ------------------------------------------------------------------------- */

const struct shop_policy *
shop_policy(const struct shop *s)
{
	return &s->gw->policy;
}

struct ledger *
shop_ledger(const struct shop *s)
{
	return s->gw->ledger;
}

bool
shop_price(struct shop *s, struct price *out)
{
	return price_feed_get(s->feed, out);
}

struct price_feed *
shop_feed(struct shop *s)
{
	return s == NULL ? NULL : s->feed;
}

bool
shop_terms(struct shop *s, const struct settings *settings, struct x402_terms *t)
{
	const struct said *said = &s->said;
	bool known;

	*t = s->gw->policy.terms;
	t->pay_to = settings->pay_to_address;
	pthread_mutex_lock(&s->mutex);
	known = said->known && strcmp(said->url, settings->facilitator_url) == 0;
	if (known) {
		t->facilitator = said->facilitator;
		t->facilitator_before = said->before;
		t->has_facilitator_before = said->has_before &&
		    clock_unix_s() < said->before_until_s;
		t->gas_sponsoring = said->gas_sponsoring;
	}
	pthread_mutex_unlock(&s->mutex);
	return known;
}

bool
shop_verify_begin(struct shop *s)
{
	if (atomic_fetch_add(&s->verifies, 1) < s->gw->policy.open_verifies)
		return true;
	shop_verify_end(s);
	return false;
}

void
shop_verify_end(struct shop *s)
{
	atomic_fetch_sub(&s->verifies, 1);
}

unsigned
shop_closed_s(const struct shop *s)
{
	uint64_t now = clock_monotonic_us(), open = s->gw->boot_us + CLOSED_S * UINT64_C(1000000);

	return !s->gw->opt->enclave || now >= open ? 0 : (unsigned)((open - now) / 1000000) + 1;
}

uint64_t
shop_refuse_until_s(const struct shop *s)
{
	return s->gw->refuse_until_s;
}

void
shop_measure(struct shop *s)
{
	char digits[U256_DIGITS];
	struct ledger_stats stats;

	if (s == NULL)
		return;
	ledger_stats(s->gw->ledger, &stats);
	metric_set(METRIC_UNSETTLED, u256_text(stats.owed, digits));
}

void
shop_put_offers(const struct gateway *gw, struct buf *b)
{
	const struct x402_terms *t = &gw->policy.terms;
	const struct address *pay_to = &gw->opt->pay_to;

	for (size_t i = 0; i < t->n_caps; i++) {
		buf_put_str(b, "offer: upto ");
		u256_put(b, t->cap[i]);
		buf_put_str(b, " of ");
		address_put(b, &t->asset);
		buf_put_str(b, " on ");
		buf_put(b, t->network);
		buf_put_str(b, " to ");
		address_put(b, pay_to);
		buf_put_byte(b, '\n');
	}
}
