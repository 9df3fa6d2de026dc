#include "gateway/heartbeat.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "codec/b64.h"
#include "codec/json.h"
#include "core/limits.h"
#include "sys/log.h"

enum { ATTEMPTS = 3, BODY_MAX = 1024, ANSWER_MAX_NODES = 256, ANSWER_ARENA_BYTES = 4096 };

void
heartbeat_init(struct heartbeat *h, const struct heartbeat_port *port, void *ctx,
    const struct heartbeat_self *self)
{
	*h = (struct heartbeat){ .port = port, .ctx = ctx, .self = *self };
	buf_init(&h->body, BODY_MAX);
	pthread_mutex_init(&h->mutex, NULL);
}

void
heartbeat_fini(struct heartbeat *h)
{
	assert(h->step == BEAT_OFF);
	buf_fini(&h->body);
	pthread_mutex_destroy(&h->mutex);
}

/* --- attempts --- */

static void
rest(struct heartbeat *h)
{
	uint64_t interval_ms = (uint64_t)h->settings->heartbeat_interval_s * 1000;
	uint64_t spent_ms = h->port->now_ms(h->ctx) - h->began_ms;

	h->step = BEAT_REST;
	h->port->wait(h->ctx, spent_ms < interval_ms ? interval_ms - spent_ms : 0);
}

/* `why` stands in the public status: our words, and a number. */
static void
attempt_failed(struct heartbeat *h, const char *why)
{
	log_msg(LOG_WARN, "heartbeat: attempt %u of %d: %s", h->attempt, ATTEMPTS, why);
	pthread_mutex_lock(&h->mutex);
	h->errors++;
	(void)snprintf(h->last_error, sizeof(h->last_error), "%s", why);
	pthread_mutex_unlock(&h->mutex);
	if (h->attempt == ATTEMPTS) {
		rest(h);
		return;
	}
	h->step = BEAT_PAUSE;
	h->port->wait(h->ctx, HEARTBEAT_RETRY_MS);
}

static void
attempt_worked(struct heartbeat *h, const char *tx)
{
	pthread_mutex_lock(&h->mutex);
	h->sent++;
	h->last_success_unix_s = h->port->now_unix_s(h->ctx);
	memcpy(h->last_tx, tx, sizeof(h->last_tx));
	h->last_error[0] = '\0';
	pthread_mutex_unlock(&h->mutex);
	log_msg(LOG_DEBUG, "heartbeat: sent");
	rest(h);
}

/* A new signature each time: the one before may have grown too old. */
static void
attempt(struct heartbeat *h)
{
	struct err e;

	h->attempt++;
	h->step = BEAT_SIGN;
	if (failed(e = h->port->sign(h->ctx, h->settings->heartbeat_buffer_s)))
		attempt_failed(h, e.what);
}

static void
beat(struct heartbeat *h)
{
	h->began_ms = h->port->now_ms(h->ctx);
	h->attempt = 0;
	attempt(h);
}

/* opengradient.md 7; vectors/signing/heartbeat.json, relay_body. */
static struct err
put_body(struct heartbeat *h, struct span answer)
{
	struct key_heartbeat signed_time;

	TRY(key_heartbeat_parse(&signed_time, answer));
	buf_clear(&h->body);
	buf_put_str(&h->body, "{\"teeId\":");
	json_put_string(&h->body, h->self.tee_id);
	buf_put_str(&h->body, ",\"timestamp\":\"");
	buf_put_u64(&h->body, signed_time.timestamp_unix_s);
	buf_put_str(&h->body, "\",\"signature\":\"");
	b64_put(&h->body, span_of(signed_time.signature, sizeof(signed_time.signature)));
	buf_put_str(&h->body, "\",\"contractAddress\":");
	json_put_string(&h->body, span_str(h->settings->heartbeat_contract));
	buf_put_byte(&h->body, '}');
	return buf_check(&h->body);
}

void
heartbeat_on_signed(struct heartbeat *h, struct err e, struct span answer)
{
	assert(h->step == BEAT_SIGN);
	if (!failed(e))
		e = put_body(h, answer);
	h->step = BEAT_POST;
	if (failed(e) || failed(e = h->port->post(h->ctx, h->url, buf_span(&h->body))))
		attempt_failed(h, e.what);
}

static const char *
words_for(enum egress_fault fault)
{
	switch (fault) {
	case EGRESS_CONNECT:
		return "the facilitator cannot be reached";
	case EGRESS_TLS:
		return "the facilitator's certificate cannot be verified";
	case EGRESS_TIMEOUT:
		return "the facilitator did not answer in time";
	case EGRESS_TOO_LARGE:
		return "the facilitator's answer is too large";
	case EGRESS_BROKEN:
	case EGRESS_NONE:
		break;
	}
	return "the facilitator's answer broke off";
}

void
heartbeat_on_answer(struct heartbeat *h, enum egress_fault fault, unsigned status, struct span body)
{
	char tx[HEARTBEAT_TX_MAX + 1], why[HEARTBEAT_WORDS_MAX];

	assert(h->step == BEAT_POST);
	if (fault != EGRESS_NONE) {
		attempt_failed(h, words_for(fault));
	} else if (status != 200) {
		(void)snprintf(why, sizeof(why), "the facilitator answered %u", status);
		attempt_failed(h, why);
	} else if (failed(heartbeat_read_answer(tx, body))) {
		attempt_failed(h, "the facilitator answered 200 without a txHash");
	} else {
		attempt_worked(h, tx);
	}
}

void
heartbeat_on_time(struct heartbeat *h)
{
	assert(h->step == BEAT_REST || h->step == BEAT_PAUSE);
	if (h->step == BEAT_REST)
		beat(h);
	else
		attempt(h);
}

struct err
heartbeat_read_answer(char tx[static HEARTBEAT_TX_MAX + 1], struct span body)
{
	struct span text = SPAN_NONE;
	struct arena arena;
	struct json doc;
	uint32_t at;
	struct err e;

	memset(tx, 0, HEARTBEAT_TX_MAX + 1);
	TRY(json_parse(&doc, body, ANSWER_MAX_NODES));
	arena_init(&arena, ANSWER_ARENA_BYTES);
	at = json_get(&doc, 0, "txHash");
	e = at == JSON_NONE ? FAIL(MALFORMED, "heartbeat: no txHash")
			    : json_string(&doc, at, &arena, &text);
	if (!failed(e) &&
	    (text.n == 0 || text.n > HEARTBEAT_TX_MAX ||
		span_find(text, SPAN_LIT("\0"), 0) != SIZE_MAX))
		e = FAIL(MALFORMED, "heartbeat: txHash is not 1 to 128 bytes");
	if (!failed(e))
		memcpy(tx, text.p, text.n);
	arena_fini(&arena);
	json_fini(&doc);
	return e;
}

/* --- from beginning to end --- */

void
heartbeat_begin(struct heartbeat *h, const struct settings *s)
{
	if (h->settings != NULL || s == NULL || s->heartbeat_contract[0] == '\0' ||
	    s->facilitator_url[0] == '\0')
		return;
	(void)snprintf(h->url, sizeof(h->url), "%s/heartbeat", s->facilitator_url);
	pthread_mutex_lock(&h->mutex);
	h->settings = s;
	h->running = true;
	pthread_mutex_unlock(&h->mutex);
	log_msg(LOG_INFO, "heartbeat: every %u s, to %s", s->heartbeat_interval_s, h->url);
	beat(h);
}

void
heartbeat_stop(struct heartbeat *h)
{
	h->step = BEAT_OFF;
	h->port->forget(h->ctx);
	pthread_mutex_lock(&h->mutex);
	h->running = false;
	pthread_mutex_unlock(&h->mutex);
}

/* --- what is told of it --- */

static void
put_text(struct buf *b, const char *name, struct span text)
{
	buf_put_str(b, ",\"");
	buf_put_str(b, name);
	buf_put_str(b, "\":");
	if (text.n == 0)
		buf_put_str(b, "null");
	else
		json_put_string(b, text);
}

static void
put_number(struct buf *b, const char *name, uint64_t v)
{
	buf_put_str(b, ",\"");
	buf_put_str(b, name);
	buf_put_str(b, "\":");
	buf_put_u64(b, v);
}

static void
put_members(const struct heartbeat *h, struct buf *b)
{
	buf_put_str(b, "{\"enabled\":true,\"running\":");
	buf_put_str(b, h->running ? "true" : "false");
	put_text(b, "tee_id", h->self.tee_id);
	put_text(b, "registry", span_str(h->settings->heartbeat_contract));
	put_text(b, "wallet", h->self.wallet);
	put_text(b, "relay_mode", SPAN_LIT("facilitator"));
	put_text(b, "facilitator_url", span_str(h->settings->facilitator_url));
	put_text(b, "heartbeat_endpoint", span_str(h->url));
	put_number(b, "interval_seconds", h->settings->heartbeat_interval_s);
	put_number(b, "total_sent", h->sent);
	put_number(b, "total_errors", h->errors);
	if (h->sent > 0)
		put_number(b, "last_success_timestamp", h->last_success_unix_s);
	else
		put_text(b, "last_success_timestamp", SPAN_NONE);
	put_text(b, "last_tx_hash", span_str(h->last_tx));
	put_text(b, "last_error", span_str(h->last_error));
	buf_put_byte(b, '}');
}

void
heartbeat_put_status(struct heartbeat *h, struct buf *b)
{
	pthread_mutex_lock(&h->mutex);
	if (h->settings == NULL)
		buf_put_str(b, "{\"enabled\":false}");
	else
		put_members(h, b);
	pthread_mutex_unlock(&h->mutex);
}
