#include "gateway/nitriding.h"

#include <assert.h>
#include <stdio.h>

#include "codec/b64.h"
#include "codec/json.h"
#include "core/limits.h"
#include "sys/log.h"

enum { PAUSE_FIRST_MS = 100, HASH_TEXT_MAX = 64 };

void
nitriding_init(struct nitriding *n, const struct nitriding_port *port, void *ctx, struct span url,
    const uint8_t key_sha256[static SHA256_LEN])
{
	*n = (struct nitriding){ .port = port, .ctx = ctx, .state = "registering" };
	assert(url.n <= NITRIDING_URL_MAX);
	(void)snprintf(
	    n->hash_url, sizeof(n->hash_url), "%.*s/enclave/hash", (int)url.n, (const char *)url.p);
	(void)snprintf(n->ready_url, sizeof(n->ready_url), "%.*s/enclave/ready", (int)url.n,
	    (const char *)url.p);
	buf_init(&n->hash, HASH_TEXT_MAX);
	b64_put(&n->hash, span_of(key_sha256, SHA256_LEN));
	pthread_mutex_init(&n->mutex, NULL);
}

void
nitriding_fini(struct nitriding *n)
{
	buf_fini(&n->hash);
	pthread_mutex_destroy(&n->mutex);
}

static void
failed_attempt(struct nitriding *n, const char *why)
{
	pthread_mutex_lock(&n->mutex);
	n->errors++;
	(void)snprintf(n->last_error, sizeof(n->last_error), "%s", why);
	pthread_mutex_unlock(&n->mutex);
	log_msg(LOG_WARN, "nitriding: %s: %s; again in %llu ms", n->state, why,
	    (unsigned long long)n->pause_ms);
	n->port->wait(n->ctx, n->pause_ms);
	n->pause_ms *= 2;
	if (n->pause_ms > NITRIDING_PAUSE_MAX_MS)
		n->pause_ms = NITRIDING_PAUSE_MAX_MS;
}

static void
attempt(struct nitriding *n)
{
	bool hash = n->step == NITRIDING_HASH;
	struct err e = buf_check(&n->hash);

	if (!failed(e))
		e = n->port->ask(n->ctx, hash ? EGRESS_POST : EGRESS_GET,
		    hash ? n->hash_url : n->ready_url, hash ? buf_span(&n->hash) : SPAN_NONE);
	if (failed(e))
		failed_attempt(n, e.what);
}

static void
took(struct nitriding *n, const char *state)
{
	pthread_mutex_lock(&n->mutex);
	n->state = state;
	n->last_error[0] = '\0';
	pthread_mutex_unlock(&n->mutex);
	n->pause_ms = PAUSE_FIRST_MS;
	log_msg(LOG_INFO, "nitriding: %s", state);
}

/*
 * 410: it was told before, by a worker before us. 404: it does not wait for us, so its clients may
 * have come before the hash did; that is for the operator to know.
 */
static bool
took_ready(unsigned status)
{
	if (status == 404)
		log_msg(LOG_WARN,
		    "nitriding: it runs without -wait-for-app, and served before it knew the key");
	return status == 200 || status == 410 || status == 404;
}

void
nitriding_on_answer(struct nitriding *n, enum egress_fault fault, unsigned status)
{
	char why[NITRIDING_WORDS_MAX];

	assert(n->step == NITRIDING_HASH || n->step == NITRIDING_READY);
	if (fault == EGRESS_NONE && n->step == NITRIDING_HASH && status == 200) {
		took(n, "registered");
		n->step = NITRIDING_READY;
		attempt(n);
		return;
	}
	if (fault == EGRESS_NONE && n->step == NITRIDING_READY && took_ready(status)) {
		took(n, "ready");
		n->step = NITRIDING_DONE;
		return;
	}
	if (fault == EGRESS_NONE)
		(void)snprintf(why, sizeof(why), "the daemon answered %u", status);
	else
		(void)snprintf(why, sizeof(why), "%s",
		    fault == EGRESS_CONNECT ? "the daemon cannot be reached"
					    : "the daemon did not answer");
	failed_attempt(n, why);
}

void
nitriding_on_time(struct nitriding *n)
{
	assert(n->step == NITRIDING_HASH || n->step == NITRIDING_READY);
	attempt(n);
}

void
nitriding_begin(struct nitriding *n)
{
	assert(n->step == NITRIDING_OFF);
	n->step = NITRIDING_HASH;
	n->pause_ms = PAUSE_FIRST_MS;
	attempt(n);
}

void
nitriding_stop(struct nitriding *n)
{
	n->step = NITRIDING_OFF;
	n->port->forget(n->ctx);
}

void
nitriding_put_status(struct nitriding *n, struct buf *b)
{
	pthread_mutex_lock(&n->mutex);
	buf_put_str(b, "{\"state\":\"");
	buf_put_str(b, n->state);
	buf_put_str(b, "\",\"errors\":");
	buf_put_u64(b, n->errors);
	buf_put_str(b, ",\"last_error\":");
	if (n->last_error[0] == '\0')
		buf_put_str(b, "null");
	else
		json_put_string(b, span_str(n->last_error));
	buf_put_byte(b, '}');
	pthread_mutex_unlock(&n->mutex);
}
