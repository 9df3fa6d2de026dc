/*
 * settle.h - turns what the ledger says is owed into settlements, in the background. Source: M4,
 * M6, A3, x402.md 5.1.
 *
 * One settler a worker, on one loop (loop 0); not for other threads. Each ending is one log line
 * and one step of tee_gateway_settlements_total.
 */
#ifndef PAYMENT_SETTLE_H
#define PAYMENT_SETTLE_H

#include <stdint.h>
#include <uv.h>

#include "core/err.h"
#include "payment/facilitator.h"
#include "payment/ledger.h"

struct settler;

struct settler_options {
	uv_loop_t *loop;
	struct ledger *ledger;
	/* Copied; what `self` points to must outlive the settler. */
	struct facilitator facilitator;
	uint64_t (*now_s)(void); /* clock_unix_s(), or a test's */
	unsigned period_ms;	 /* between looks; 0: SETTLE_PERIOD_MS */
	unsigned shutdown_ms;	 /* 0: SETTLE_SHUTDOWN_MS */
};

/* Errors: NOMEM, SYSTEM. */
MUST_USE struct err settler_new(struct settler **out, const struct settler_options *opt);

/* Looks now rather than at the next tick. */
void settler_nudge(struct settler *s);

/*
 * A3: no session takes new work, everything that is owed is settled, and `done` is called (once,
 * from the loop) when nothing is left or SETTLE_SHUTDOWN_MS have passed; what stayed unsettled is
 * logged then. Call when no request is under way any more.
 */
void settler_drain(struct settler *s, void (*done)(void *ctx), void *ctx);

/*
 * Cancels its calls and closes its handles; the memory goes when the loop has run them. Calls that
 * were on the wire are of unknown outcome: the next worker asks. NULL is fine.
 */
void settler_free(struct settler *s);

#endif
