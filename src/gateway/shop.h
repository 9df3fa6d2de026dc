/*
 * shop.h - what a worker sells on and with: the terms of today, the token's price, the facilitator
 * and the ledger. One a worker whose inference is paid; loop 0 keeps it up to date.
 */
#ifndef GATEWAY_SHOP_H
#define GATEWAY_SHOP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "gateway/gateway.h"
#include "gateway/settings.h"
#include "gateway/shop_policy.h"
#include "payment/facilitator_client.h"
#include "payment/ledger.h"
#include "payment/price_feed.h"

struct shop;

/* Before the loops are made; gw->policy must be read. Errors: NOMEM. */
MUST_USE struct err shop_new(struct shop **out, struct gateway *gw);
/*
 * Once the loops are made, before they run: asks facilitator and price source, and waits a moment
 * for both, so that the first client finds an offer. Errors: SYSTEM, NOMEM.
 */
MUST_USE struct err shop_start(struct shop *s);
/*
 * A3: no request is under way on any loop: settles what is owed, then calls `done` on loop 0. s NULL:
 * done is called at once.
 */
void shop_drain(struct shop *s, void (*done)(void *ctx), void *ctx);
/* Asks nobody any more; before loop 0's egress goes. NULL is fine. */
void shop_stop(struct shop *s);
/* Once loop 0 is closed. NULL is fine. */
void shop_free(struct shop *s);

/* From any loop. */

const struct shop_policy *shop_policy(const struct shop *s);
struct ledger *shop_ledger(const struct shop *s);
bool shop_price(struct shop *s, struct price *out);
/* For /health; NULL when there is no shop. */
struct price_feed *shop_feed(struct shop *s);
/*
 * The terms for requests under these settings. False: no facilitator has said yet that it settles for
 * us (503 facilitator_unavailable); all but its address is there.
 */
bool shop_terms(struct shop *s, const struct settings *settings, struct x402_terms *t);
/* This loop's client, towards the facilitator of these settings. NULL: none may be asked. */
struct facilitator_client *shop_facilitator(struct loop *l, const struct settings *settings);
/* The facilitator may have changed: it is asked again. */
void shop_doubt(struct shop *s);
/* A /verify begins; false: too many are under way (503). Each true needs its _end(). */
bool shop_verify_begin(struct shop *s);
void shop_verify_end(struct shop *s);
/* M7: seconds that paid routes still refuse everything after a start in an enclave; 0: none. */
unsigned shop_closed_s(const struct shop *s);
/* M7: permits whose deadline is not later may have been used before; 0: none. */
uint64_t shop_refuse_until_s(const struct shop *s);

/* Sets the gauges that are read when they are asked for. NULL is fine. */
void shop_measure(struct shop *s);
/* --check-config: one line an offer. */
void shop_put_offers(const struct gateway *gw, struct buf *b);

#endif
