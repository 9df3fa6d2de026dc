/*
 * PAYMENT-SIGNATURE of strangers: what is sent on to the facilitator is read the same as what came. The input is a header, and the JSON in one.
 */
#include <stdlib.h>

#include "codec/b64.h"
#include "core/limits.h"
#include "x402/check.h"
#include "x402/header.h"

enum { INPUT_MAX_BYTES = X402_HEADER_MAX_BYTES + 64, FUZZ_NOW = 1790000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The terms of tests/vectors/x402/upto-valid.json. */
static void
terms_of_the_vectors(struct x402_terms *t, enum x402_scheme scheme)
{
	*t = (struct x402_terms){ .scheme = scheme,
		.network = SPAN_LIT("eip155:8453"),
		.chain_id = 8453,
		.asset_name = SPAN_LIT("OpenGradient"),
		.asset_version = SPAN_LIT("1"),
		.max_timeout_s = 300,
		.cap = { u256_ten_to(17), u256_ten_to(18) },
		.n_caps = 2 };
	if (!address_parse(&t->asset, SPAN_LIT("0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB")) ||
	    !address_parse(&t->pay_to, SPAN_LIT("0x9deEBB5D1b22e4a6e027977CeAd13893A7E4cC1a")) ||
	    !address_parse(&t->facilitator, SPAN_LIT("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")))
		abort();
}

static void
judge(const struct x402_payment *p)
{
	static const struct x402_times when = { .now_unix_s = FUZZ_NOW };

	for (int scheme = X402_UPTO; scheme <= X402_EXACT_EIP3009; scheme++) {
		struct x402_terms t;
		struct x402_verdict v;

		terms_of_the_vectors(&t, (enum x402_scheme)scheme);
		v = x402_check(p, &t, &when);
		if ((v.reason == X402_FINE) != (v.what == NULL))
			abort();
		/* Only the recorded signature is known to fit; contracts' are not judged here. */
		if (v.reason == X402_FINE && u256_cmp(p->amount, p->accepted.amount) != 0)
			abort();
	}
}

static void
read_header(struct span value)
{
	struct x402_payment p, again;
	struct x402_verdict v;
	struct arena a;
	struct buf b;

	arena_init(&a, 1 << 20);
	buf_init(&b, INPUT_MAX_BYTES * 2);
	v = x402_payment_read(&p, value, false, &a);
	if ((v.reason == X402_FINE) != (v.what == NULL) || v.reason == X402_NOMEM)
		abort();
	if (v.reason == X402_FINE) {
		judge(&p);
		b64_put(&b, p.text);
		if (x402_payment_read(&again, buf_span(&b), false, &a).reason != X402_FINE)
			abort();
		if (!address_eq(&p.payer, &again.payer) || u256_cmp(p.nonce, again.nonce) != 0 ||
		    !span_eq(p.text, again.text) || p.text.n > X402_HEADER_MAX_BYTES ||
		    u256_cmp(p.amount, again.amount) != 0)
			abort();
	}
	buf_fini(&b);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b;

	if (size > INPUT_MAX_BYTES)
		return 0;
	read_header(span_of(size == 0 ? (const uint8_t *)"" : data, size));
	buf_init(&b, INPUT_MAX_BYTES * 2);
	b64_put(&b, span_of(data, size));
	read_header(size == 0 ? SPAN_LIT("") : buf_span(&b));
	buf_fini(&b);
	return 0;
}
