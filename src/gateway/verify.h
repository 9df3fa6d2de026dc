/*
 * verify.h - the questions to the facilitator that are under way on one loop. Requests that show the
 * same payment, byte for byte, wait for one answer (PAY-04): a burst on one permit costs one call.
 */
#ifndef GATEWAY_VERIFY_H
#define GATEWAY_VERIFY_H

#include <sys/queue.h>

#include "core/err.h"
#include "payment/facilitator.h"
#include "payment/facilitator_client.h"

struct shop;
struct verify;

/* On this loop; zeroed: empty. */
LIST_HEAD(verify_list, verify);

/* Somebody who waits; part of a larger struct. */
struct verify_wait {
	struct verify *on; /* NULL: does not wait */
	facilitator_done done;
	void *ctx;
	TAILQ_ENTRY(verify_wait) entry;
};

/*
 * Asks, or waits with those who have asked for this payment; `done` as in facilitator.h.
 * Errors: BUSY (PAY-18: too many are under way), NOMEM.
 */
MUST_USE struct err verify_begin(struct verify_list *list, struct verify_wait *w, struct shop *shop,
    struct facilitator_client *client, const struct facilitator_payment *payment,
    facilitator_done done, void *ctx);
/* Waits no more; the last one to leave ends the call. Fine when it does not wait. */
void verify_leave(struct verify_wait *w);

#endif
