#include "net/api.h"

#include <stdlib.h>

#include "core/buf.h"

/*
 * Small services close idle connections early, Node's after 5 s. A request that meets the close on
 * its way is of unknown outcome, which with money is worse than another handshake.
 */
enum { IDLE_MAX_S = 4 };

struct api_call {
	struct egress_call *call;
	struct buf sent, body;
	unsigned status;
	api_done *done;
	void *ctx;
};

static void
call_free(struct api_call *c)
{
	buf_fini(&c->sent);
	buf_fini(&c->body);
	free(c);
}

static void
finish(struct api_call *c, enum egress_fault fault)
{
	const struct api_answer a = {
		.fault = fault, .status = c->status, .body = buf_span(&c->body), .call = c->call
	};

	c->done(c->ctx, &a);
	call_free(c);
}

static void
on_head(void *ctx, struct egress_call *call, unsigned status)
{
	struct api_call *c = ctx;

	(void)call;
	c->status = status;
}

static bool
on_body(void *ctx, struct egress_call *call, struct span bytes)
{
	struct api_call *c = ctx;

	buf_put(&c->body, bytes);
	if (failed(buf_check(&c->body))) {
		/* Inside libcurl a cancelled call lives on until it returns. */
		egress_cancel(call);
		finish(c, EGRESS_TOO_LARGE);
	}
	return true;
}

static void
on_done(void *ctx, struct egress_call *call, enum egress_fault fault)
{
	(void)call;
	finish(ctx, fault);
}

struct err
api_start(struct api_call **out, struct egress *e, const struct api_request *r)
{
	static const struct egress_ops ops = { on_head, on_body, on_done };
	static const char *const json[] = { "Content-Type: application/json",
		"Accept: application/json", NULL };
	struct api_call *c = calloc(1, sizeof(*c));
	struct err bad;

	*out = NULL;
	if (c == NULL)
		return FAIL(NOMEM, "api: memory");
	buf_init(&c->sent, r->body.n);
	buf_init(&c->body, r->answer_max_bytes);
	c->done = r->done;
	c->ctx = r->ctx;
	buf_put(&c->sent, r->body);
	bad = buf_check(&c->sent);
	if (!failed(bad)) {
		const struct egress_request request = {
			.method = r->method,
			.url = r->url,
			.field = r->field != NULL ? r->field : json,
			.body = buf_span(&c->sent),
			.total_ms = r->total_ms,
			.never_pauses = true,
			.idle_max_s = IDLE_MAX_S,
			.ops = &ops,
			.ctx = c,
		};

		bad = egress_start(e, &request, &c->call);
	}
	if (failed(bad)) {
		call_free(c);
		return bad;
	}
	*out = c;
	return OK;
}

void
api_cancel(struct api_call *c)
{
	if (c == NULL)
		return;
	egress_cancel(c->call);
	call_free(c);
}
