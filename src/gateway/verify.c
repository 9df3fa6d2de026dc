#include "gateway/verify.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/limits.h"
#include "gateway/shop.h"

struct verify {
	struct shop *shop;
	struct facilitator_client *client;
	struct facilitator_call *call;
	struct buf payload; /* whose answer it is */
	TAILQ_HEAD(waits, verify_wait) waits;
	LIST_ENTRY(verify) entry;
};

static void
verify_free(struct verify *v)
{
	LIST_REMOVE(v, entry);
	shop_verify_end(v->shop);
	buf_fini(&v->payload);
	free(v);
}

static void
on_verified(void *ctx, const struct facilitator_outcome *o)
{
	struct verify *v = ctx;
	struct waits waits = TAILQ_HEAD_INITIALIZER(waits);
	struct verify_wait *w;

	/* Out of the list first: who asks from now on asks anew. */
	TAILQ_CONCAT(&waits, &v->waits, entry);
	TAILQ_FOREACH(w, &waits, entry)
	w->on = NULL;
	verify_free(v);
	while ((w = TAILQ_FIRST(&waits)) != NULL) {
		TAILQ_REMOVE(&waits, w, entry);
		w->done(w->ctx, o);
	}
}

static struct verify *
verify_new(struct verify_list *list, struct shop *shop, struct span payload)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (v == NULL) {
		shop_verify_end(shop);
		return NULL;
	}
	v->shop = shop;
	TAILQ_INIT(&v->waits);
	buf_init(&v->payload, X402_HEADER_MAX_BYTES);
	buf_put(&v->payload, payload);
	LIST_INSERT_HEAD(list, v, entry);
	return v;
}

struct err
verify_begin(struct verify_list *list, struct verify_wait *w, struct shop *shop,
    struct facilitator_client *client, const struct facilitator_payment *payment,
    facilitator_done done, void *ctx)
{
	struct verify *v;

	LIST_FOREACH(v, list, entry)
	if (v->client == client && span_eq(buf_span(&v->payload), payment->payload))
		break;
	if (v == NULL) {
		if (!shop_verify_begin(shop))
			return FAIL(BUSY, "too many payments are being verified");
		if ((v = verify_new(list, shop, payment->payload)) == NULL)
			return FAIL(NOMEM, "verify");
		v->client = client;
		if (!failed(buf_check(&v->payload)))
			v->call = facilitator_client_as(client).verify(
			    client, payment, on_verified, v);
		if (v->call == NULL) {
			verify_free(v);
			return FAIL(NOMEM, "verify");
		}
	}
	*w = (struct verify_wait){ .on = v, .done = done, .ctx = ctx };
	TAILQ_INSERT_TAIL(&v->waits, w, entry);
	return OK;
}

void
verify_leave(struct verify_wait *w)
{
	struct verify *v = w->on;

	if (v == NULL)
		return;
	w->on = NULL;
	TAILQ_REMOVE(&v->waits, w, entry);
	if (!TAILQ_EMPTY(&v->waits))
		return;
	facilitator_client_as(v->client).cancel(v->call);
	verify_free(v);
}
