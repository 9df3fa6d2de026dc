/*
 * payments.h - terms and payments as tests/vectors/x402 has them. For tests.
 */
#ifndef TESTS_PAYMENTS_H
#define TESTS_PAYMENTS_H

#include <string.h>

#include "../vectors.h"
#include "x402/check.h"
#include "x402/payment.h"
#include "x402/requirements.h"

enum { VECTORS_NOW = 1790000000 };

static inline struct address
payments_address(struct span text)
{
	struct address a;

	if (!address_parse(&a, text))
		fail_msg("%.*s is no address", (int)text.n, text.p);
	return a;
}

/* The terms of which `at`, PaymentRequirements as JSON, is the offer. */
static inline void
payments_terms(struct x402_terms *t, struct vectors *v, uint32_t at)
{
	uint32_t extra = vectors_get(v, at, "extra");
	uint64_t timeout;

	*t = (struct x402_terms){ .scheme = X402_UPTO, .n_caps = 1 };
	if (json_is(&v->doc, vectors_get(v, at, "scheme"), "exact"))
		t->scheme = json_get(&v->doc, extra, "assetTransferMethod") == JSON_NONE
		    ? X402_EXACT_EIP3009
		    : X402_EXACT_PERMIT2;
	t->network = vectors_text(v, at, "network");
	assert_true(span_u64(span_cut(t->network, 7, t->network.n), UINT32_MAX, &t->chain_id));
	assert_true(u256_parse(&t->cap[0], vectors_text(v, at, "amount")));
	t->asset = payments_address(vectors_text(v, at, "asset"));
	t->pay_to = payments_address(vectors_text(v, at, "payTo"));
	assert_true(
	    json_u64(&v->doc, vectors_get(v, at, "maxTimeoutSeconds"), UINT32_MAX, &timeout));
	t->max_timeout_s = (uint32_t)timeout;
	t->asset_name = vectors_text(v, extra, "name");
	t->asset_version = vectors_text(v, extra, "version");
	if (t->scheme == X402_UPTO)
		t->facilitator = payments_address(vectors_text(v, extra, "facilitatorAddress"));
}

#endif
