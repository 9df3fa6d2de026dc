/*
 * shop_policy.h - what policy.json says of payments: caps, network, asset, facilitators, the source
 * of the token's price, and how much may be open. Pure. Source: A6; docs/policy.schema.json.
 */
#ifndef GATEWAY_SHOP_POLICY_H
#define GATEWAY_SHOP_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"
#include "x402/requirements.h"

enum { SHOP_FACILITATORS_MAX = 8, SHOP_URL_MAX = 512 };
enum { SHOP_ENDPOINTS = 4, SHOP_FIELDS_MAX = 4, SHOP_FIELD_BYTES = 512 };

/* Spans are of the policy's text. */
struct shop_policy {
	struct x402_terms terms; /* but for pay_to and the facilitator's addresses */
	struct span facilitator[SHOP_FACILITATORS_MAX]; /* URLs an enclave may use (M6) */
	size_t n_facilitators;
	char price_url[SHOP_URL_MAX + 1]; /* "": there is no source */
	/* Beyond JSON's, "Name: value", of /supported, /verify, /settle, /settle_data. */
	char field[SHOP_ENDPOINTS][SHOP_FIELDS_MAX][SHOP_FIELD_BYTES];
	uint32_t refresh_s, max_age_s;
	uint32_t open_sessions; /* M8 */
	uint32_t open_verifies; /* /verify calls at a time, all loops (PAY-18) */
	uint32_t idle_s;	/* a session without a charge for so long is settled */
};

/*
 * `policy` must outlive *p. Errors: MALFORMED (no JSON), REFUSED (what names the member), NOMEM.
 */
MUST_USE struct err shop_policy_read(struct shop_policy *p, struct span policy);
/* M6: this URL, without a slash at its end, is on the list and https. */
bool shop_policy_allows(const struct shop_policy *p, struct span facilitator_url);

#endif
