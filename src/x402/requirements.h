/*
 * requirements.h - what is offered to those who pay. Pure.
 * Source: x402.md 2, 4.6; interfaces.md M1; vectors/x402/payment-required-*.json.
 */
#ifndef X402_REQUIREMENTS_H
#define X402_REQUIREMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "core/u256.h"
#include "crypto/address.h"

enum {
	X402_MAX_CAPS = 8,
	X402_MAX_TIMEOUT_S = 300, /* maxTimeoutSeconds of our offers */
};

enum x402_scheme {
	X402_UPTO,	    /* a cap is signed, the cost is settled */
	X402_EXACT_PERMIT2, /* offered by no policy yet; judged as the vectors do */
	X402_EXACT_EIP3009,
};
/* "upto" or "exact". */
const char *x402_scheme_name(enum x402_scheme scheme);

/*
 * The terms of a gateway. Spans are borrowed (the policy's text). Invariant: 1 <= n_caps, caps
 * ascend and none is zero.
 */
struct x402_terms {
	enum x402_scheme scheme;
	struct span network; /* CAIP-2: "eip155:8453" */
	uint64_t chain_id;
	struct address asset, pay_to;
	struct span asset_name, asset_version; /* extra.name, extra.version */
	uint32_t max_timeout_s;
	struct u256 cap[X402_MAX_CAPS]; /* for exact: the price, alone */
	size_t n_caps;
	/*
	 * Of the facilitator (/supported), upto only. When it changes, the one before is still
	 * taken from clients that hold its offer.
	 */
	struct address facilitator, facilitator_before;
	bool has_facilitator_before;
	bool gas_sponsoring; /* the facilitator lists erc20ApprovalGasSponsoring */
};

/*
 * Reads the object `payment` of policy.json (docs/policy.schema.json) into scheme (upto), network,
 * chain_id, asset, name, version, max_timeout_s and caps; the rest of *t is zero. The document's
 * text must outlive *t.
 * Errors: REFUSED (what names the member); *t is then not to be used.
 */
MUST_USE struct err x402_terms_read(struct x402_terms *t, const struct json *doc, uint32_t at);

/* M1: the smallest cap that covers `worst`, else the largest one. */
struct u256 x402_cap_for(const struct x402_terms *t, struct u256 worst);
struct u256 x402_largest_cap(const struct x402_terms *t);
/* The address is the facilitator's, or the one before. */
bool x402_facilitator_known(const struct x402_terms *t, const struct address *a);

/*
 * PaymentRequirements as JSON. amount: the cap when it is offered or verified, the charge when it
 * is settled. facilitator: of the offer or of the signed witness; not written for exact.
 */
void x402_put_requirements(struct buf *b, const struct x402_terms *t, struct u256 amount,
    const struct address *facilitator);

/*
 * PaymentRequired as JSON: one offer of `amount`. error: x402_error(), or a facilitator's reason.
 * url: of the resource, made from the public URL; description: "Chat completion", "Completion".
 */
void x402_put_required(struct buf *b, const struct x402_terms *t, struct u256 amount,
    const char *error, struct span url, const char *description);
/* The same as the value of PAYMENT-REQUIRED: base64. Whether it fitted, buf_check(b) says. */
void x402_put_required_header(struct buf *b, const struct x402_terms *t, struct u256 amount,
    const char *error, struct span url, const char *description);

#endif
