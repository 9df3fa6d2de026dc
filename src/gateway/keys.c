#include "gateway/keys.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/limits.h"
#include "crypto/jwe.h"
#include "gateway/config.h"
#include "gateway/enclave.h"
#include "gateway/heartbeat_port.h"
#include "gateway/keys_body.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { AGAIN_MS = 100, PATIENCE_MS = 5000 }; /* while the key holder opens one a second */

/* One of them, from its body to its answer; it goes on when its client has left. */
struct provisioning_call {
	struct loop *loop;
	struct posted *posted; /* NULL: the client is gone */
	enum provisioning how;
	struct buf jwe;
	char thumbprint[SETTINGS_THUMBPRINT_LEN];
	uint64_t until_ms;	   /* of the loop's clock: when waiting ends */
	uv_timer_t *timer;	   /* its own memory, as closing outlives us */
	struct settings *settings; /* ours until they are committed */
	struct published published;
};

/* --- its end --- */

static void
forget_client(void *work)
{
	struct provisioning_call *k = work;

	k->posted = NULL;
}

static void
end(struct provisioning_call *k)
{
	if (k->posted != NULL)
		k->posted->work = NULL;
	if (k->timer != NULL)
		uv_close((uv_handle_t *)k->timer, (uv_close_cb)free);
	settings_free(k->settings);
	published_fini(&k->published);
	buf_fini(&k->jwe);
	crowd_leave(&k->loop->crowd);
	free(k);
}

static void
fail(struct provisioning_call *k, unsigned status, const char *type, const char *code,
    const char *message)
{
	if (k->posted != NULL)
		call_fail(&k->posted->call, status, type, code, message);
	end(k);
}

static void
fail_provisioned(struct call *call)
{
	call_fail(call, 409, "invalid_request_error", "already_provisioned",
	    "Provider keys have already been initialized.");
}

/* What stands between us and an answer: nothing was committed, or somebody else was first. */
static void
fail_err(struct provisioning_call *k, struct err e)
{
	if (e.code == ERR_BUSY && k->posted != NULL)
		reply_add(&k->posted->call.reply, "Retry-After", SPAN_LIT("1"));
	if (e.code == ERR_REFUSED) {
		if (k->posted != NULL)
			fail_provisioned(&k->posted->call);
		end(k);
	} else if (e.code == ERR_BUSY) {
		fail(k, 503, "overloaded_error", "overloaded",
		    "Too many sealed bodies that could not be opened came before this one.");
	} else {
		log_msg(LOG_ERROR, "provisioning: %s", e.what);
		fail(k, 500, "server_error", "internal_error",
		    "The gateway failed, and nothing was provisioned.");
	}
}

/* --- from settings to an answer --- */

static void
answer(struct provisioning_call *k, const struct settings *s)
{
	struct buf b;

	if (k->posted == NULL)
		return;
	buf_init(&b, 4096);
	keys_put_answer(&b, s);
	call_answer_json(&k->posted->call, &b);
}

/* Nobody else comes here: the key holder takes one. Every loop sees it with its next request. */
static void
take_over(struct provisioning_call *k)
{
	struct gateway *gw = k->loop->gw;
	unsigned n = atomic_load(&gw->n_published);
	struct settings *s = k->settings;

	assert(n < PUBLISHED_MAX);
	gw->published[n] = k->published;
	k->published = (struct published){ 0 };
	s->published = &gw->published[n];
	atomic_store(&gw->n_published, n + 1);
	gateway_set_settings(gw, s);
	atomic_store(&gw->provisioning_open, false);
	k->settings = NULL;
	heart_wake(gw->heart);
	log_msg(LOG_INFO, "provisioned: %s, pay_to %s", provisioning_name(s->how), s->pay_to);
	answer(k, s);
}

static void
on_committed(void *ctx, struct err e, struct span nothing)
{
	struct provisioning_call *k = ctx;

	if (e.code == ERR_TIMEOUT) {
		/* Committed or not, the key holder knows: it tells the next worker. */
		log_msg(LOG_ERROR, "provisioning: %s", e.what);
		_exit(1);
	}
	if (failed(e)) {
		fail_err(k, e);
		return;
	}
	take_over(k);
	end(k);
}

static void
commit(struct provisioning_call *k)
{
	struct key_ticket *ticket;
	struct buf b;
	struct err e;

	buf_init(&b, PROVISION_MAX_BYTES);
	settings_encode(&b, k->settings);
	if (!failed(e = buf_check(&b)))
		e = key_provision(k->loop->keys, buf_span(&b), on_committed, k, &ticket);
	buf_fini(&b);
	if (failed(e))
		fail_err(k, e);
}

static void
on_config_signed(void *ctx, struct err e, struct span jws)
{
	struct provisioning_call *k = ctx;

	if (!failed(e))
		e = config_sign(&k->published, jws);
	if (failed(e))
		fail_err(k, e);
	else
		commit(k);
}

static void
publish(struct provisioning_call *k)
{
	struct key_ticket *ticket;
	struct err e = config_write(&k->published, k->loop->gw, k->settings);

	if (!failed(e))
		e = key_sign_config(
		    k->loop->keys, buf_span(&k->published.config), on_config_signed, k, &ticket);
	if (failed(e))
		fail_err(k, e);
}

/* --- from bytes to settings --- */

static void
take_text(struct provisioning_call *k, struct span text)
{
	const struct gateway *gw = k->loop->gw;
	struct keys_rules rules = { .enclave = gw->opt->enclave, .policy = &gw->policy };
	struct refusal no = { 0 };
	struct failure f;
	struct err e;

	if (failed(e = settings_default(&k->settings, gw->opt))) {
		fail_err(k, e);
		return;
	}
	if (!keys_read(k->settings, text, &rules, &no)) {
		failure_from_refusal(&f, &no);
		if (k->posted != NULL)
			call_fail_with(&k->posted->call, &f);
		end(k);
		return;
	}
	k->settings->how = k->how;
	if (k->how == PROVISIONING_SEALED)
		settings_put_text(k->settings->provisioner, sizeof(k->settings->provisioner),
		    span_of(k->thumbprint, sizeof(k->thumbprint)));
	publish(k);
}

static void unseal(struct provisioning_call *k);

static void
on_timer(uv_timer_t *timer)
{
	struct provisioning_call *k = timer->data;

	if (k->loop->keys == NULL) /* the loop was stopped meanwhile */
		end(k);
	else
		unseal(k);
}

/* Whether it is worth waiting until the key holder opens another one. */
static bool
may_wait(const struct provisioning_call *k)
{
	return k->posted != NULL && !k->loop->draining && uv_now(&k->loop->uv) < k->until_ms;
}

static void
on_unsealed(void *ctx, struct err e, struct span text)
{
	struct provisioning_call *k = ctx;

	if (e.code == ERR_BUSY && may_wait(k))
		uv_timer_start(k->timer, on_timer, AGAIN_MS, 0);
	else if (e.code == ERR_MALFORMED)
		fail(k, 400, "invalid_request_error", "unsealing_failed",
		    "The JWE cannot be opened: it was sealed for another key than this gateway's "
		    "seal_key, or changed on its way.");
	else if (failed(e))
		fail_err(k, e);
	else
		take_text(k, text);
}

static void
unseal(struct provisioning_call *k)
{
	struct key_ticket *ticket;
	struct err e = key_unseal(k->loop->keys, buf_span(&k->jwe), on_unsealed, k, &ticket);

	if (failed(e))
		fail_err(k, e);
}

/* What can be said of the form is said here: the key holder's errors are codes. */
static void
take_sealed(struct provisioning_call *k, struct span text)
{
	struct jwe jwe;
	struct err e;
	char message[160];

	if (failed(e = jwe_parse(&jwe, text))) {
		snprintf(
		    message, sizeof(message), "The body is no JWE that is taken (%s).", e.what);
		fail(k, 400, "invalid_request_error", "invalid_jwe", message);
		return;
	}
	es256_pub_kid(&jwe.epk, k->thumbprint);
	buf_put(&k->jwe, text);
	k->until_ms = uv_now(&k->loop->uv) + PATIENCE_MS;
	if (failed(buf_check(&k->jwe)) || (k->timer = malloc(sizeof(*k->timer))) == NULL) {
		fail_err(k, FAIL(NOMEM, "memory"));
		return;
	}
	uv_timer_init(&k->loop->uv, k->timer);
	k->timer->data = k;
	unseal(k);
}

/* --- its beginning --- */

static void
run(struct posted *p, struct span body)
{
	struct provisioning_call *k = calloc(1, sizeof(*k));
	struct span type = http_field_get(p->call.head, "content-type", NULL);

	if (k == NULL) {
		call_fail(&p->call, 503, "overloaded_error", "overloaded", "Out of memory.");
		return;
	}
	k->loop = p->call.loop;
	k->posted = p;
	buf_init(&k->jwe, PROVISION_MAX_BYTES);
	p->work = k;
	p->on_gone = forget_client;
	crowd_enter(&k->loop->crowd);
	k->how = http_type_is(type, "application/jose") ? PROVISIONING_SEALED : PROVISIONING_PLAIN;
	if (k->how == PROVISIONING_SEALED)
		take_sealed(k, span_trim(body));
	else
		take_text(k, body);
}

/* P4: PCR0 to PCR2 of an enclave whose console the parent reads are zero. */
static bool
is_debug(const struct loop *l)
{
	static const uint8_t zero[KEY_PCR_LEN];

	for (size_t i = 0; i < KEY_OWN_PCRS; i++)
		if (!span_eq(span_of(l->enclave->pcr[i], KEY_PCR_LEN), span_of(zero, KEY_PCR_LEN)))
			return false;
	return l->gw->opt->enclave;
}

/* FALSE: answered. */
static bool
check_head(struct call *call)
{
	const struct gateway *gw = call->loop->gw;
	bool many;
	struct span type = http_field_get(call->head, "content-type", &many);
	bool sealed = http_type_is(type, "application/jose");

	if (!atomic_load(&gw->provisioning_open))
		fail_provisioned(call);
	else if (is_debug(call->loop) && !gw->forms.debug)
		call_fail(call, 403, "invalid_request_error", "debug_mode",
		    "This enclave is in debug mode, and its policy takes no keys there.");
	else if (many || (!sealed && !http_type_is(type, "application/json")))
		call_fail(call, 415, "invalid_request_error", "unsupported_media_type",
		    "Content-Type must be application/json, or application/jose for a sealed "
		    "body.");
	else if (http_field_get(call->head, "content-encoding", NULL).p != NULL)
		call_fail(call, 415, "invalid_request_error", "unsupported_media_type",
		    "Content-Encoding is not supported; send the body as it is.");
	else if (sealed ? !gw->forms.sealed : !gw->forms.plain)
		call_fail(call, 403, "invalid_request_error", "form_not_allowed",
		    sealed ? "The policy takes no sealed body."
			   : "The policy takes sealed bodies only.");
	else
		return true;
	return false;
}

struct posted *
keys_begin(struct loop *loop, struct exchange *x, const struct http_head *head, const char *route)
{
	struct call c = {
		.loop = loop, .x = x, .head = head, .route = route, .began_us = clock_monotonic_us()
	};

	reply_begin(&c.reply, head, false);
	if (!check_head(&c))
		return NULL;
	return posted_begin(loop, x, head, route, PROVISION_MAX_BYTES, run);
}
