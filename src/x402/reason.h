/*
 * reason.h - why a payment is not taken. Pure. Source: x402.md 4.4, 4.5, 6; interfaces.md E1, 4.
 *
 * REASON(id, code of the error object, `error` of PaymentRequired). The codes are the official
 * facilitator's where it has one for the same fault, so that clients that know one know both.
 */
#ifndef X402_REASON_H
#define X402_REASON_H

#define X402_REASONS(REASON)                                                                       \
	REASON(FINE, "", "")                                                                       \
	REASON(NOMEM, "", "") /* ours, not the client's: no memory */                              \
	REASON(ABSENT, "payment_required", "Payment required")                                     \
	REASON(UNREADABLE, "payment_required", "Payment required")                                 \
	REASON(PAYLOAD, "invalid_payload", "invalid_payload")                                      \
	REASON(VERSION, "invalid_x402_version", "invalid_x402_version")                            \
	REASON(NO_MATCH, "no_matching_payment_requirements", "No matching payment requirements")   \
	REASON(SPENDER, "invalid_permit2_spender", "invalid_permit2_spender")                      \
	REASON(TOKEN, "permit2_token_mismatch", "permit2_token_mismatch")                          \
	REASON(AMOUNT, "permit2_amount_mismatch", "permit2_amount_mismatch")                       \
	REASON(PAY_TO, "invalid_permit2_recipient_mismatch", "invalid_permit2_recipient_mismatch") \
	REASON(FACILITATOR, "upto_facilitator_mismatch", "upto_facilitator_mismatch")              \
	REASON(NOT_YET, "permit2_not_yet_valid", "permit2_not_yet_valid")                          \
	REASON(EXPIRED, "permit2_deadline_expired", "permit2_deadline_expired")                    \
	REASON(TOO_LATE, "permit2_deadline_too_late", "permit2_deadline_too_late")                 \
	REASON(BEFORE_START, "permit2_deadline_before_start", "permit2_deadline_before_start")     \
	REASON(SIGNATURE, "invalid_permit2_signature", "invalid_permit2_signature")                \
	REASON(EXACT_AMOUNT, "invalid_exact_evm_payload_authorization_value_mismatch",             \
	    "invalid_exact_evm_payload_authorization_value_mismatch")                              \
	REASON(EXACT_PAY_TO, "invalid_exact_evm_recipient_mismatch",                               \
	    "invalid_exact_evm_recipient_mismatch")                                                \
	REASON(EXACT_NOT_YET, "invalid_exact_evm_payload_authorization_valid_after",               \
	    "invalid_exact_evm_payload_authorization_valid_after")                                 \
	REASON(EXACT_EXPIRED, "invalid_exact_evm_payload_authorization_valid_before",              \
	    "invalid_exact_evm_payload_authorization_valid_before")                                \
	REASON(EXACT_SIGNATURE, "invalid_exact_evm_signature", "invalid_exact_evm_signature")

enum x402_reason {
#define X402_REASON_ENUM(id, code, error) X402_##id,
	X402_REASONS(X402_REASON_ENUM)
#undef X402_REASON_ENUM
	    X402_REASON_COUNT
};

/* error.code of our error object, and `error` of PaymentRequired; "" for FINE and NOMEM. */
const char *x402_code(enum x402_reason reason);
const char *x402_error(enum x402_reason reason);

/* A judgement: `what` (a literal) names the member and what was wrong with it; NULL when fine. */
struct x402_verdict {
	enum x402_reason reason;
	const char *what;
};
#define X402_OK		   ((struct x402_verdict){ X402_FINE, NULL })
#define X402_REFUSE(id, w) ((struct x402_verdict){ X402_##id, (w) })
/* For functions that return a verdict. */
#define X402_NEED(cond, id, what)                     \
	do {                                          \
		if (!(cond))                          \
			return X402_REFUSE(id, what); \
	} while (0)
#define X402_TRY(call)                                 \
	do {                                           \
		struct x402_verdict verdict_ = (call); \
		if (verdict_.reason != X402_FINE)      \
			return verdict_;               \
	} while (0)

#endif
