#include "x402/check.h"

#include "crypto/recover.h"
#include "x402/eip712.h"

enum { COMPACT_SIG_LEN = 64 };

/* 4.5.3: `accepted` is one of our offers. Numbers and addresses are compared, not spellings. */
static struct x402_verdict
check_offer(const struct x402_payment *p, const struct x402_terms *t)
{
	size_t i = 0;

	X402_NEED(span_eq(p->accepted.scheme, span_str(x402_scheme_name(t->scheme))), NO_MATCH,
	    "accepted.scheme is not one we offer");
	X402_NEED(span_eq(p->accepted.network, t->network), NO_MATCH,
	    "accepted.network is not one we offer");
	X402_NEED(address_eq(&p->accepted.asset, &t->asset), NO_MATCH,
	    "accepted.asset is not the one we offer");
	X402_NEED(
	    address_eq(&p->accepted.pay_to, &t->pay_to), NO_MATCH, "accepted.payTo is not ours");
	/* M1: any cap of the policy, whichever was offered last. */
	while (i < t->n_caps && u256_cmp(t->cap[i], p->accepted.amount) != 0)
		i++;
	X402_NEED(i < t->n_caps, NO_MATCH, "accepted.amount is not one we offer");
	X402_NEED(!p->accepted.has_max_timeout || p->accepted.max_timeout_s == t->max_timeout_s,
	    NO_MATCH, "accepted.maxTimeoutSeconds is not the one we offer");
	X402_NEED(t->scheme != X402_UPTO || !p->accepted.has_facilitator ||
		x402_facilitator_known(t, &p->accepted.facilitator),
	    NO_MATCH, "accepted.extra.facilitatorAddress is not one we offer");
	X402_NEED((p->form == X402_EIP3009) == (t->scheme == X402_EXACT_EIP3009), PAYLOAD,
	    "payload does not hold what the accepted scheme signs");
	return X402_OK;
}

static struct x402_verdict
check_permit2(const struct x402_payment *p, const struct x402_terms *t)
{
	bool upto = t->scheme == X402_UPTO;

	X402_NEED(address_eq(&p->spender, upto ? &x402_upto_proxy : &x402_exact_proxy), SPENDER,
	    "payload.permit2Authorization.spender is not the scheme's contract");
	X402_NEED(address_eq(&p->token, &t->asset), TOKEN,
	    "payload.permit2Authorization.permitted.token is not the asset");
	X402_NEED(u256_cmp(p->amount, p->accepted.amount) == 0, AMOUNT,
	    "payload.permit2Authorization.permitted.amount is not the accepted one");
	X402_NEED(address_eq(&p->to, &t->pay_to), PAY_TO,
	    "payload.permit2Authorization.witness.to is not ours");
	/* Otherwise anybody could settle it, for any amount (x402.md 7.3). */
	X402_NEED(!upto || (p->has_facilitator && x402_facilitator_known(t, &p->facilitator)),
	    FACILITATOR, "payload.permit2Authorization.witness.facilitator is not the offered one");
	return X402_OK;
}

static struct x402_verdict
check_eip3009(const struct x402_payment *p, const struct x402_terms *t)
{
	X402_NEED(u256_cmp(p->amount, p->accepted.amount) == 0, EXACT_AMOUNT,
	    "payload.authorization.value is not the accepted amount");
	X402_NEED(
	    address_eq(&p->to, &t->pay_to), EXACT_PAY_TO, "payload.authorization.to is not ours");
	return X402_OK;
}

static bool
later_than(struct u256 time, uint64_t unix_s)
{
	return u256_cmp(time, u256_of(unix_s)) > 0;
}

static struct x402_verdict
check_times(const struct x402_payment *p, const struct x402_terms *t, const struct x402_times *when)
{
	bool eip3009 = p->form == X402_EIP3009;
	uint64_t now = when->now_unix_s;

	if (later_than(p->valid_after, now))
		return eip3009
		    ? X402_REFUSE(
			  EXACT_NOT_YET, "payload.authorization.validAfter is in the future")
		    : X402_REFUSE(NOT_YET,
			  "payload.permit2Authorization.witness.validAfter is in the future");
	/* Exactly six seconds pass with facilitators; our own margin must be more than kept. */
	if (!later_than(p->deadline, now + X402_EXPIRY_MARGIN_S - 1) ||
	    !later_than(p->deadline, now + when->margin_s))
		return eip3009 ? X402_REFUSE(EXACT_EXPIRED,
				     "payload.authorization.validBefore is over, or too soon")
			       : X402_REFUSE(EXPIRED,
				     "payload.permit2Authorization.deadline is over, or too soon");
	X402_NEED(!later_than(p->deadline, now + t->max_timeout_s + X402_DEADLINE_SLACK_S),
	    TOO_LATE, "the deadline is later than maxTimeoutSeconds allows");
	X402_NEED(when->after_unix_s == 0 || later_than(p->deadline, when->after_unix_s),
	    BEFORE_START,
	    "the payment may have been signed before this gateway started: sign a new one");
	return X402_OK;
}

static struct x402_verdict
check_signature(const struct x402_payment *p, const struct x402_terms *t)
{
	struct x402_verdict wrong = p->form == X402_EIP3009
	    ? X402_REFUSE(EXACT_SIGNATURE, "payload.signature is not one of the payer")
	    : X402_REFUSE(SIGNATURE, "payload.signature is not one of the payer");
	struct address signer;
	struct eip712 e;

	/* Nothing, and the compact form: no contract between us and the token takes them. */
	if (p->signature.n == 0 || p->signature.n == COMPACT_SIG_LEN)
		return wrong;
	if (x402_contract_signed(p))
		return X402_OK;
	eip712_of(&e, t, p);
	if (failed(recover_signer(&signer, e.digest, p->signature.p)) ||
	    !address_eq(&signer, &p->payer))
		return wrong;
	return X402_OK;
}

struct x402_verdict
x402_check(const struct x402_payment *p, const struct x402_terms *t, const struct x402_times *when)
{
	X402_TRY(check_offer(p, t));
	if (p->form == X402_EIP3009) {
		/* Facilitators look at this signature first; the reasons should agree. */
		X402_TRY(check_signature(p, t));
		X402_TRY(check_eip3009(p, t));
		return check_times(p, t, when);
	}
	X402_TRY(check_permit2(p, t));
	X402_TRY(check_times(p, t, when));
	return check_signature(p, t);
}
