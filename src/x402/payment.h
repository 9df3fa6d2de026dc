/*
 * payment.h - one payment as the client sent it: read strictly, not yet judged. Pure.
 * Source: x402.md 1 (base64 rules), 2 (PaymentPayload), 7.11; interfaces.md M8.
 */
#ifndef X402_PAYMENT_H
#define X402_PAYMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/span.h"
#include "core/u256.h"
#include "crypto/address.h"
#include "crypto/recover.h"
#include "x402/reason.h"

/* What was signed. */
enum x402_form {
	X402_PERMIT2, /* payload.permit2Authorization: schemes upto and exact */
	X402_EIP3009, /* payload.authorization: exact only */
};

/* All spans live in the arena that was given to x402_payment_read(). */
struct x402_payment {
	enum x402_form form;
	struct address payer; /* `from`: true once x402_check() recovered it, or /verify said so */
	struct address token; /* permitted.token; EIP-3009 signs none: zero */
	struct address spender;
	struct address to;
	bool has_facilitator; /* witness.facilitator is there (upto) */
	struct address facilitator;
	struct u256 amount, nonce, valid_after, deadline; /* deadline is validBefore of EIP-3009 */
	struct span signature;				  /* bytes, not hex */
	struct {
		struct span scheme, network;
		struct u256 amount;
		struct address asset, pay_to;
		bool has_max_timeout; /* maxTimeoutSeconds is there */
		uint64_t max_timeout_s;
		bool has_facilitator; /* extra.facilitatorAddress is there */
		struct address facilitator;
	} accepted;
	/*
	 * It carries a signed approval that the facilitator would broadcast first (x402.md 4.6):
	 * until then its payer can still make it void.
	 */
	bool sponsored;
	/*
	 * The client's object for the facilitator: all members it sent, in its order and spelling,
	 * without white space. At most X402_HEADER_MAX_BYTES.
	 */
	struct span text;
};

/*
 * Whether only the facilitator can judge the signature: it is not of the 65 bytes an account
 * makes, so it may be a contract wallet's (ERC-1271, ERC-6492).
 */
static inline bool
x402_contract_signed(const struct x402_payment *p)
{
	return p->signature.n != RECOVER_SIG_LEN;
}

/*
 * Reads the value of PAYMENT-SIGNATURE. value.p NULL: the field is absent. many: there was more
 * than one such field (also refused; so is `a, b` in one, a comma is no base64).
 * Refused: ABSENT, UNREADABLE (not base64 of one JSON value; above X402_HEADER_MAX_BYTES; deeper than
 * X402_MAX_DEPTH; a name twice in any object), PAYLOAD (a member absent, of another type, out of
 * range), VERSION; NOMEM. *p is then not to be used.
 */
struct x402_verdict
x402_payment_read(struct x402_payment *p, struct span value, bool many, struct arena *a);

#endif
