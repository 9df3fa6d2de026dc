#include "x402/requirements.h"

#include "codec/b64.h"
#include "payments.h"
#include "x402/eip712.h"
#include "x402/reason.h"

static struct vectors vectors;

static void
same(const char *rule, struct buf *b, struct span want)
{
	assert_false(failed(buf_check(b)));
	if (!span_eq(buf_span(b), want))
		fail_msg("%s:\n%.*s\ninstead of\n%.*s", rule, (int)b->n, b->p, (int)want.n, want.p);
	buf_clear(b);
}

/* What the official packages send, byte for byte. */
static void
offers_as_recorded(void **state)
{
	static const char *const files[] = { "x402/payment-required-upto.json",
		"x402/payment-required-exact-eip3009.json",
		"x402/payment-required-exact-permit2.json" };
	struct buf b;

	buf_init(&b, X402_HEADER_MAX_BYTES);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		uint32_t decoded, resource;
		struct x402_terms t;

		vectors_open(&vectors, files[i]);
		decoded = vectors_get(&vectors, 0, "decoded");
		resource = vectors_get(&vectors, decoded, "resource");
		payments_terms(&t, &vectors,
		    json_first(&vectors.doc, vectors_get(&vectors, decoded, "accepts")));
		t.gas_sponsoring = json_get(&vectors.doc, decoded, "extensions") != JSON_NONE;
		assert_int_equal(t.gas_sponsoring, i == 0);
		x402_put_required_header(&b, &t, t.cap[0], x402_error(X402_ABSENT),
		    vectors_text(&vectors, resource, "url"),
		    (const char *)vectors_text(&vectors, resource, "description").p);
		same(files[i], &b, vectors_text(&vectors, 0, "paymentRequiredHeader"));
		vectors_close(&vectors);
	}
	buf_fini(&b);
}

/* The offer of the express server in the recorded run, with its own address as resource. */
static void
offers_as_the_express_server(void **state)
{
	struct x402_terms t;
	uint32_t first;
	struct buf b;

	buf_init(&b, X402_HEADER_MAX_BYTES);
	vectors_open(&vectors, "x402/payment-required-upto.json");
	payments_terms(&t, &vectors,
	    json_first(&vectors.doc,
		vectors_get(&vectors, vectors_get(&vectors, 0, "decoded"), "accepts")));
	t.gas_sponsoring = true;
	t.network = SPAN_LIT("eip155:8453");
	t.asset_name = SPAN_LIT("OpenGradient");
	t.asset_version = SPAN_LIT("1");
	vectors_close(&vectors);

	vectors_open(&vectors, "x402/gateway-transcript.json");
	first = json_first(&vectors.doc, 0);
	x402_put_required_header(&b, &t, t.cap[0], x402_error(X402_ABSENT),
	    SPAN_LIT("http://127.0.0.1:18700/v1/chat/completions"), "Chat completion");
	same("no-payment upto", &b,
	    vectors_text(&vectors, vectors_get(&vectors, first, "headers"), "payment-required"));
	vectors_close(&vectors);
	buf_fini(&b);
}

/* What the express server said in its 402s of that run, and what we say for the same faults. */
static const struct {
	const char *said_for;
	enum x402_reason reason;
} recorded[] = {
	{ "no-payment upto", X402_ABSENT },
	{ "malformed: not base64 !!!", X402_UNREADABLE },
	{ "malformed: base64 of non JSON", X402_UNREADABLE },
	{ "malformed: v1 X-PAYMENT header", X402_ABSENT },
	{ "mutated accepted.amount lower", X402_NO_MATCH },
	{ "mutated accepted.payTo other", X402_NO_MATCH },
	{ "mutated accepted.network other", X402_NO_MATCH },
	{ "mutated accepted.asset other", X402_NO_MATCH },
	{ "mutated accepted.maxTimeoutSeconds other", X402_NO_MATCH },
	{ "mutated permitted.amount 1", X402_AMOUNT },
	{ "mutated witness.to other", X402_PAY_TO },
	{ "mutated witness.facilitator other", X402_FACILITATOR },
	{ "mutated spender other", X402_SPENDER },
	{ "mutated deadline past", X402_EXPIRED },
	{ "mutated validAfter future", X402_NOT_YET },
	{ "mutated signature flipped", X402_SIGNATURE },
	{ "mutated exact signature", X402_EXACT_SIGNATURE },
};

static void
says_what_the_express_server_said(void **state)
{
	size_t seen = 0;

	vectors_open(&vectors, "x402/gateway-transcript.json");
	for (uint32_t c = json_first(&vectors.doc, 0); c != JSON_NONE;
	     c = json_after(&vectors.doc, 0, c))
		for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
			if (!json_is(&vectors.doc, vectors_get(&vectors, c, "case"),
				recorded[i].said_for))
				continue;
			seen++;
			if (!span_eq(span_str(x402_error(recorded[i].reason)),
				vectors_text(&vectors, c, "decodedPaymentRequiredError")))
				fail_msg("%s", recorded[i].said_for);
		}
	assert_int_equal(seen, sizeof(recorded) / sizeof(recorded[0]));
	vectors_close(&vectors);
}

static void
refuses_to_overflow(void **state)
{
	struct x402_terms t = { .n_caps = 1 };
	struct buf b;

	buf_init(&b, 64);
	x402_put_required_header(&b, &t, U256_ZERO, "", SPAN_NONE, "");
	assert_true(failed(buf_check(&b)));
	buf_fini(&b);
	/* Nor is an offer cut that outgrows its own bound. */
	buf_init(&b, 1 << 20);
	x402_put_required_header(
	    &b, &t, U256_ZERO, "", span_of(vectors.text, X402_HEADER_MAX_BYTES), "");
	assert_true(failed(buf_check(&b)));
	buf_fini(&b);
}

#define CAPS "[\"100000000000000000\",\"1000000000000000000\",\"10000000000000000000\"]"
#define POLICY(caps, network, asset, name)                                                    \
	"{\"caps\":" caps ",\"network\":" network ",\"asset\":" asset ",\"asset_name\":" name \
	",\"asset_version\":\"1\"}"
#define NETWORK "\"eip155:8453\""
#define ASSET	"\"0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB\""
#define NAME	"\"OpenGradient\""

static const struct {
	const char *rule, *text;
	bool ok;
} policies[] = {
	{ "ours", POLICY(CAPS, NETWORK, ASSET, NAME), true },
	{ "one cap", POLICY("[\"1\"]", NETWORK, ASSET, NAME), true },
	{ "no cap", POLICY("[]", NETWORK, ASSET, NAME), false },
	{ "caps that do not ascend", POLICY("[\"2\",\"1\"]", NETWORK, ASSET, NAME), false },
	{ "a cap twice", POLICY("[\"2\",\"2\"]", NETWORK, ASSET, NAME), false },
	{ "a cap of nothing", POLICY("[\"0\"]", NETWORK, ASSET, NAME), false },
	{ "a cap as a number", POLICY("[1]", NETWORK, ASSET, NAME), false },
	{ "nine caps",
	    POLICY("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", NETWORK, ASSET, NAME),
	    false },
	{ "a network by name", POLICY(CAPS, "\"base\"", ASSET, NAME), false },
	{ "a network without its number", POLICY(CAPS, "\"eip155:\"", ASSET, NAME), false },
	{ "a network of two numbers", POLICY(CAPS, "\"eip155:1,2\"", ASSET, NAME), false },
	{ "a pattern of networks", POLICY(CAPS, "\"eip155:*\"", ASSET, NAME), false },
	{ "an asset that is none", POLICY(CAPS, NETWORK, "\"OPG\"", NAME), false },
	{ "an asset without a name", POLICY(CAPS, NETWORK, ASSET, "\"\""), false },
	{ "no object", "[]", false },
};

static void
reads_the_policy(void **state)
{
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct x402_terms t;
		struct json doc;
		struct err e;

		assert_false(failed(json_parse(&doc, span_str(policies[i].text), 64)));
		e = x402_terms_read(&t, &doc, 0);
		if (failed(e) == policies[i].ok)
			fail_msg("%s: %s", policies[i].rule, e.what);
		json_fini(&doc);
	}
}

/* M1: the smallest cap that covers the worst case; the largest when none does. */
static void
offers_the_smallest_cap_that_covers(void **state)
{
	static const struct {
		const char *worst, *cap;
	} tiers[] = {
		{ "0", "100000000000000000" },
		{ "100000000000000000", "100000000000000000" },
		{ "100000000000000001", "1000000000000000000" },
		{ "1000000000000000000", "1000000000000000000" },
		{ "1000000000000000001", "10000000000000000000" },
		{ "10000000000000000001", "10000000000000000000" },
	};
	struct x402_terms t;
	struct json doc;

	assert_false(failed(json_parse(&doc, span_str(policies[0].text), 64)));
	assert_false(failed(x402_terms_read(&t, &doc, 0)));
	assert_int_equal(t.chain_id, 8453);
	assert_int_equal(t.max_timeout_s, 300);
	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		struct u256 worst;
		char room[U256_DIGITS];

		assert_true(u256_parse(&worst, span_str(tiers[i].worst)));
		if (!span_eq(u256_text(x402_cap_for(&t, worst), room), span_str(tiers[i].cap)))
			fail_msg("%s", tiers[i].worst);
	}
	assert_int_equal(u256_cmp(x402_largest_cap(&t), x402_cap_for(&t, U256_MAX)), 0);
	json_fini(&doc);
}

/* x402.md 4.1: the contracts, as the specification spells them. */
static void
knows_the_contracts(void **state)
{
	static const struct {
		const struct address *is;
		const char *want;
	} rows[] = {
		{ &x402_permit2, "0x000000000022D473030F116dDEE9F6B43aC78BA3" },
		{ &x402_exact_proxy, "0x402085c248EeA27D92E8b30b2C58ed07f9E20001" },
		{ &x402_upto_proxy, "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[ADDRESS_LEN];

		address_text(rows[i].is, text);
		assert_true(span_eq(span_of(text, ADDRESS_LEN), span_str(rows[i].want)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offers_as_recorded),
		cmocka_unit_test(offers_as_the_express_server),
		cmocka_unit_test(says_what_the_express_server_said),
		cmocka_unit_test(refuses_to_overflow),
		cmocka_unit_test(reads_the_policy),
		cmocka_unit_test(offers_the_smallest_cap_that_covers),
		cmocka_unit_test(knows_the_contracts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
