#include "gateway/heartbeat_port.h"

#include <stdlib.h>

#include "core/limits.h"
#include "gateway/enclave.h"
#include "gateway/heartbeat.h"
#include "net/api.h"
#include "sys/clock.h"

struct heart {
	struct heartbeat machine;
	struct loop *loop;
	uv_timer_t timer;
	uv_async_t wake;
	struct key_ticket *ticket; /* the signature under way */
	struct api_call *call;	   /* the facilitator's answer under way */
	bool stopped;
};

/* --- the port --- */

static void
on_signed(void *ctx, struct err e, struct span answer)
{
	struct heart *h = ctx;

	h->ticket = NULL;
	heartbeat_on_signed(&h->machine, e, answer);
}

static struct err
port_sign(void *ctx, uint32_t buffer_s)
{
	struct heart *h = ctx;

	/* Whoever turns the clock would have heartbeats of another day. */
	if (!enclave_clock_trusted(h->loop->enclave))
		return FAIL(REFUSED, "the clock is not the security module's");
	return key_sign_heartbeat(h->loop->keys, buffer_s, on_signed, h, &h->ticket);
}

static void
on_answer(void *ctx, const struct api_answer *a)
{
	struct heart *h = ctx;

	h->call = NULL;
	heartbeat_on_answer(&h->machine, a->fault, a->status, a->body);
}

static struct err
port_post(void *ctx, const char *url, struct span body)
{
	struct heart *h = ctx;
	const struct api_request r = {
		.url = url,
		.body = body,
		.answer_max_bytes = HEARTBEAT_ANSWER_MAX_BYTES,
		.total_ms = HEARTBEAT_POST_MS,
		.done = on_answer,
		.ctx = h,
	};

	return api_start(&h->call, h->loop->egress, &r);
}

static void
on_timer(uv_timer_t *timer)
{
	struct heart *h = timer->data;

	heartbeat_on_time(&h->machine);
}

static void
port_wait(void *ctx, uint64_t ms)
{
	struct heart *h = ctx;

	uv_timer_start(&h->timer, on_timer, ms, 0);
}

static void
port_forget(void *ctx)
{
	struct heart *h = ctx;

	key_cancel(h->ticket);
	h->ticket = NULL;
	api_cancel(h->call);
	h->call = NULL;
	uv_timer_stop(&h->timer);
}

static uint64_t
port_now_ms(void *ctx)
{
	struct heart *h = ctx;

	return uv_now(&h->loop->uv);
}

static uint64_t
port_now_unix_s(void *ctx)
{
	(void)ctx;
	return clock_unix_s();
}

static const struct heartbeat_port port = { port_sign, port_post, port_wait, port_forget,
	port_now_ms, port_now_unix_s };

/* --- its life --- */

static void
begin(struct heart *h)
{
	if (!h->stopped)
		heartbeat_begin(&h->machine, gateway_settings(h->loop->gw));
}

static void
on_wake(uv_async_t *wake)
{
	begin(wake->data);
}

struct err
heart_start(struct heart **out, struct loop *loop)
{
	const struct key_identity *id = &loop->gw->id;
	const struct heartbeat_self self = {
		.tee_id = span_of(id->tee_id, sizeof(id->tee_id)),
		.wallet = span_of(id->wallet_address, sizeof(id->wallet_address)),
	};
	struct heart *h = calloc(1, sizeof(*h));

	*out = h;
	if (h == NULL)
		return FAIL(NOMEM, "heartbeat");
	h->loop = loop;
	heartbeat_init(&h->machine, &port, h, &self);
	uv_timer_init(&loop->uv, &h->timer);
	uv_async_init(&loop->uv, &h->wake, on_wake);
	h->timer.data = h->wake.data = h;
	begin(h);
	return OK;
}

void
heart_wake(struct heart *h)
{
	if (h != NULL)
		uv_async_send(&h->wake);
}

void
heart_stop(struct heart *h)
{
	if (h == NULL || h->stopped)
		return;
	h->stopped = true;
	heartbeat_stop(&h->machine);
}

void
heart_close(struct heart *h)
{
	if (h == NULL || uv_is_closing((uv_handle_t *)&h->timer))
		return;
	uv_close((uv_handle_t *)&h->timer, NULL);
	uv_close((uv_handle_t *)&h->wake, NULL);
}

void
heart_free(struct heart *h)
{
	if (h == NULL)
		return;
	heartbeat_fini(&h->machine);
	free(h);
}

void
heart_get_status(struct call *c)
{
	struct buf b;

	buf_init(&b, 8192);
	heartbeat_put_status(&c->loop->gw->heart->machine, &b);
	call_answer_json(c, &b);
}
