#include "gateway/nitriding_port.h"

#include <stdlib.h>

#include "core/limits.h"
#include "gateway/nitriding.h"
#include "net/api.h"

struct frontdoor {
	struct nitriding machine;
	struct egress *egress;
	uv_timer_t timer;
	struct api_call *call; /* the answer under way */
	bool stopped;
};

static void
on_answer(void *ctx, const struct api_answer *a)
{
	struct frontdoor *f = ctx;

	f->call = NULL;
	nitriding_on_answer(&f->machine, a->fault, a->status);
}

static struct err
port_ask(void *ctx, enum egress_method method, const char *url, struct span body)
{
	/* As the reference's HTTP library names a body of text. */
	static const char *const post[] = { "Content-Type: application/x-www-form-urlencoded",
		NULL };
	struct frontdoor *f = ctx;
	const struct api_request r = {
		.method = method,
		.url = url,
		.field = method == EGRESS_POST ? post : post + 1,
		.body = body,
		.answer_max_bytes = NITRIDING_ANSWER_MAX_BYTES,
		.total_ms = NITRIDING_MS,
		.done = on_answer,
		.ctx = f,
	};

	return api_start(&f->call, f->egress, &r);
}

static void
on_timer(uv_timer_t *timer)
{
	struct frontdoor *f = timer->data;

	nitriding_on_time(&f->machine);
}

static void
port_wait(void *ctx, uint64_t ms)
{
	struct frontdoor *f = ctx;

	uv_timer_start(&f->timer, on_timer, ms, 0);
}

static void
port_forget(void *ctx)
{
	struct frontdoor *f = ctx;

	api_cancel(f->call);
	f->call = NULL;
	uv_timer_stop(&f->timer);
}

struct err
frontdoor_start(struct frontdoor **out, struct loop *loop)
{
	static const struct nitriding_port port = { port_ask, port_wait, port_forget };
	const struct egress_options egress = { .loop = &loop->uv, .plain = EGRESS_PLAIN_LOOPBACK };
	struct frontdoor *f = calloc(1, sizeof(*f));
	uint8_t hash[SHA256_LEN];

	*out = f;
	if (f == NULL)
		return FAIL(NOMEM, "nitriding");
	sha256_of(buf_span(&loop->gw->id.signing_spki), hash);
	nitriding_init(&f->machine, &port, f, loop->gw->opt->nitriding, hash);
	uv_timer_init(&loop->uv, &f->timer);
	f->timer.data = f;
	TRY(egress_new(&f->egress, &egress));
	nitriding_begin(&f->machine);
	return OK;
}

void
frontdoor_stop(struct frontdoor *f)
{
	if (f == NULL || f->stopped)
		return;
	f->stopped = true;
	nitriding_stop(&f->machine);
}

void
frontdoor_close(struct frontdoor *f)
{
	if (f == NULL || uv_is_closing((uv_handle_t *)&f->timer))
		return;
	egress_free(f->egress);
	f->egress = NULL;
	uv_close((uv_handle_t *)&f->timer, NULL);
}

void
frontdoor_free(struct frontdoor *f)
{
	if (f == NULL)
		return;
	nitriding_fini(&f->machine);
	free(f);
}

void
frontdoor_put_status(struct frontdoor *f, struct buf *b)
{
	nitriding_put_status(&f->machine, b);
}
