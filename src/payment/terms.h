/*
 * terms.h - whom a permit pays, how much at most, and on which chain: what ledger, facilitator and
 * settlement all speak of. Plain values, no owner. Source: x402.md 2, 4.4.
 */
#ifndef PAYMENT_TERMS_H
#define PAYMENT_TERMS_H

#include <stdint.h>

#include "core/u256.h"

enum { EVM_ADDRESS_LEN = 20 };

/* What makes a permit one permit, however it is spelled (x402.md 5.1). */
struct permit_key {
	uint64_t chain_id;
	uint8_t payer[EVM_ADDRESS_LEN];
	struct u256 nonce; /* Permit2's */
};

/*
 * Our own offer, as it stood when the permit was accepted: facilitator and pay-to may change later,
 * and the permit's settlement must still name the ones that were signed.
 */
struct payment_terms {
	uint8_t asset[EVM_ADDRESS_LEN];
	uint8_t pay_to[EVM_ADDRESS_LEN];
	uint8_t facilitator[EVM_ADDRESS_LEN]; /* extra.facilitatorAddress, witness.facilitator */
	struct u256 cap;		      /* atomic units: the offer's amount, signed exactly */
	uint32_t max_timeout_s;
};

#endif
