/*
 * check.h - what the gateway can judge of a payment alone, before any call. Pure.
 * Source: x402.md 4.5; interfaces.md M1, M7, M8.
 */
#ifndef X402_CHECK_H
#define X402_CHECK_H

#include <stdint.h>

#include "x402/payment.h"
#include "x402/requirements.h"

enum {
	X402_EXPIRY_MARGIN_S = 6,   /* what facilitators ask for themselves */
	X402_SESSION_MARGIN_S = 60, /* a session is settled this long before its deadline */
	X402_DEADLINE_SLACK_S = 60, /* M7: beyond now + maxTimeoutSeconds */
};

struct x402_times {
	uint64_t now_unix_s;
	/* The deadline must be later than now + margin_s; X402_SESSION_MARGIN_S, or 0. */
	uint64_t margin_s;
	/*
	 * M7: and later than this: boot + maxTimeoutSeconds + 60. 0: no such rule. What was signed
	 * before may have been taken by the process that ran before us.
	 */
	uint64_t after_unix_s;
};

/*
 * Judges p, in this order: the offer that `accepted` names; spender; token; amount (equal to a cap of
 * ours, the same as in accepted); recipient; facilitator; times; signature. FINE: p->amount is the
 * cap, p->payer signed it (or x402_contract_signed(p): that only the facilitator can say).
 * What it cannot see: balance, allowance, spent nonces. Whether the key was seen before is the
 * ledger's to say.
 */
struct x402_verdict
x402_check(const struct x402_payment *p, const struct x402_terms *t, const struct x402_times *when);

#endif
