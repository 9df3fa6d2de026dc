/*
 * eip712.h - the digests that payers sign. Pure. Source: EIP-712; x402.md 4.1, 4.2.
 */
#ifndef X402_EIP712_H
#define X402_EIP712_H

#include <stdint.h>

#include "crypto/keccak.h"
#include "x402/payment.h"
#include "x402/requirements.h"

/* Contracts; the same addresses on every chain. */
extern const struct address x402_permit2;
extern const struct address x402_upto_proxy;
extern const struct address x402_exact_proxy;

/* separator and hash of the message apart, for tests and for those who compare with their wallet. */
struct eip712 {
	uint8_t domain[KECCAK_LEN], message[KECCAK_LEN], digest[KECCAK_LEN];
};
/*
 * What the payer of p signed if it was made under these terms: chain id and, for EIP-3009, the
 * token's name, version and address come from them, the rest from the payment. The payment must be
 * of the form that the scheme takes.
 */
void eip712_of(struct eip712 *e, const struct x402_terms *t, const struct x402_payment *p);

#endif
