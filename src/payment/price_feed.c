#include "payment/price_feed.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "core/limits.h"
#include "net/api.h"
#include "pricing/quote.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/metrics.h"

enum { RETRY_S = 10, RETRY_AFTER_MAX_S = 3600, TICK_MS = 1000, REASON_BYTES = 48 };

struct known {
	struct price price;
	bool any;
	uint64_t got_us; /* monotonic: a host that sets the clock makes no price younger */
	uint64_t fetches, errors;
	unsigned failures; /* in a row */
	char last_error[REASON_BYTES];
};

struct price_feed {
	struct price_feed_options opt;
	uv_timer_t timer; /* once a second: asks when it is due, and tells the age */
	bool started;
	struct egress *egress;
	struct api_call *call;
	uint64_t due_us; /* monotonic; when to ask next */
	int64_t age_told_s;

	pthread_mutex_t mutex;
	struct known known; /* written by the loop that asks, read by all */
};

static uint64_t
age_s(const struct price_feed *f)
{
	return (clock_monotonic_us() - f->known.got_us) / 1000000;
}

static void
in_s(struct price_feed *f, uint64_t seconds)
{
	f->due_us = clock_monotonic_us() + seconds * 1000000;
}

/* After the n-th failure in a row: 10 s, 20 s, 40 s, ... but never rarer than when all is well. */
static uint64_t
pause_s(const struct price_feed *f)
{
	uint64_t s = (uint64_t)RETRY_S << (f->known.failures < 6 ? f->known.failures - 1 : 5);

	return s < f->opt.refresh_s ? s : f->opt.refresh_s;
}

static void
note_failure(struct price_feed *f, const char *why)
{
	pthread_mutex_lock(&f->mutex);
	f->known.errors++;
	f->known.failures++;
	snprintf(f->known.last_error, sizeof(f->known.last_error), "%s", why);
	pthread_mutex_unlock(&f->mutex);
	in_s(f, pause_s(f));
	log_msg(LOG_WARN, "price: %s (%u in a row)", why, f->known.failures);
}

static void
note_price(struct price_feed *f, const struct token_price *usd)
{
	pthread_mutex_lock(&f->mutex);
	f->known.price = (struct price){ .usd = *usd, .unix_s = clock_unix_s() };
	f->known.any = true;
	f->known.got_us = clock_monotonic_us();
	f->known.fetches++;
	f->known.failures = 0;
	pthread_mutex_unlock(&f->mutex);
	in_s(f, f->opt.refresh_s);
}

/* A source that is asked too often says when to come again; not sooner than we would. */
static void
note_rate_limit(struct price_feed *f, const struct egress_call *call)
{
	uint64_t wait_s = 0;

	note_failure(f, "the source answered 429");
	span_u64(egress_field(call, "retry-after"), RETRY_AFTER_MAX_S, &wait_s);
	in_s(f, wait_s > f->opt.refresh_s ? wait_s : f->opt.refresh_s);
}

static void
on_answer(void *ctx, const struct api_answer *a)
{
	struct price_feed *f = ctx;
	char why[REASON_BYTES];
	struct token_price usd;
	struct err e;

	f->call = NULL;
	if (a->fault == EGRESS_TOO_LARGE) {
		note_failure(f, "the source's answer is too large");
	} else if (a->fault != EGRESS_NONE) {
		note_failure(f,
		    a->fault == EGRESS_TIMEOUT ? "the source did not answer in time"
					       : "the source could not be reached");
	} else if (a->status == 429) {
		note_rate_limit(f, a->call);
	} else if (a->status != 200) {
		snprintf(why, sizeof(why), "the source answered %u", a->status);
		note_failure(f, why);
	} else if (failed(e = quote_parse(&usd, a->body, span_str(f->opt.contract)))) {
		note_failure(f, e.what);
	} else {
		note_price(f, &usd);
	}
}

static void
ask(struct price_feed *f)
{
	static const char *const fields[] = { "Accept: application/json", NULL };
	struct api_request r = { .method = EGRESS_GET,
		.url = f->opt.url,
		.field = fields,
		.answer_max_bytes = PRICE_ANSWER_MAX_BYTES,
		.total_ms = PRICE_MS,
		.done = on_answer,
		.ctx = f };

	if (failed(api_start(&f->call, f->egress, &r)))
		note_failure(f, "the source's address cannot be used");
}

/* The gauge follows the clock; a fixed price has no age. */
static void
tell_age(struct price_feed *f)
{
	int64_t age = f->known.any && f->opt.fixed == NULL ? (int64_t)age_s(f) : 0;

	metric_add(METRIC_PRICE_AGE, NULL, NULL, age - f->age_told_s);
	f->age_told_s = age;
}

static void
on_tick(uv_timer_t *t)
{
	struct price_feed *f = t->data;

	tell_age(f);
	if (f->opt.fixed == NULL && f->call == NULL && clock_monotonic_us() >= f->due_us)
		ask(f);
}

struct err
price_feed_new(struct price_feed **out, const struct price_feed_options *opt)
{
	struct price_feed *f = calloc(1, sizeof(*f));

	*out = NULL;
	if (f == NULL)
		return FAIL(NOMEM, "price feed");
	f->opt = *opt;
	pthread_mutex_init(&f->mutex, NULL);
	if (opt->fixed != NULL)
		note_price(f, opt->fixed);
	*out = f;
	return OK;
}

struct err
price_feed_start(struct price_feed *f, uv_loop_t *loop, struct egress *e)
{
	f->egress = e;
	f->timer.data = f;
	if (uv_timer_init(loop, &f->timer) != 0)
		return FAIL(SYSTEM, "price feed: timer");
	f->started = true;
	/* The first question goes out in the loop's first turn. */
	if (uv_timer_start(&f->timer, on_tick, 0, TICK_MS) != 0)
		return FAIL(SYSTEM, "price feed: timer");
	return OK;
}

void
price_feed_stop(struct price_feed *f)
{
	if (f == NULL || !f->started)
		return;
	f->started = false;
	api_cancel(f->call);
	f->call = NULL;
	uv_close((uv_handle_t *)&f->timer, NULL);
}

void
price_feed_free(struct price_feed *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->mutex);
	free(f);
}

bool
price_feed_tried(struct price_feed *f)
{
	bool tried;

	pthread_mutex_lock(&f->mutex);
	tried = f->known.fetches + f->known.errors > 0;
	pthread_mutex_unlock(&f->mutex);
	return tried;
}

bool
price_feed_get(struct price_feed *f, struct price *out)
{
	bool good;

	pthread_mutex_lock(&f->mutex);
	good = f->known.any && (f->opt.fixed != NULL || age_s(f) <= f->opt.max_age_s);
	if (good)
		*out = f->known.price;
	pthread_mutex_unlock(&f->mutex);
	return good;
}

void
price_feed_put_status(struct price_feed *f, struct buf *b)
{
	struct known now = { .any = false };

	if (f != NULL) {
		pthread_mutex_lock(&f->mutex);
		now = f->known;
		pthread_mutex_unlock(&f->mutex);
	}
	buf_put_str(b, "{\"price_usd\":");
	buf_put(b, now.any ? token_price_text(&now.price.usd) : SPAN_LIT("null"));
	buf_put_str(b, ",\"last_success\":");
	if (now.any)
		buf_put_u64(b, now.price.unix_s);
	else
		buf_put_str(b, "null");
	buf_put_str(b, ",\"last_error\":");
	if (now.last_error[0] != '\0')
		json_put_string(b, span_str(now.last_error));
	else
		buf_put_str(b, "null");
	buf_put_str(b, ",\"consecutive_failures\":");
	buf_put_u64(b, now.failures);
	buf_put_str(b, ",\"total_fetches\":");
	buf_put_u64(b, now.fetches);
	buf_put_str(b, ",\"total_errors\":");
	buf_put_u64(b, now.errors);
	buf_put_str(b, ",\"refresh_interval\":");
	buf_put_u64(b, f == NULL ? 0 : f->opt.refresh_s);
	buf_put_byte(b, '}');
}
