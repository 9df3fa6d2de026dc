#include "x402/payment.h"

#include "codec/b64.h"
#include "payments.h"
#include "x402/header.h"

static struct vectors vectors, other;

/* malformed-headers.json: what we make of each. */
static const struct {
	const char *name;
	enum x402_reason want;
} malformed[] = {
	{ "not-base64", X402_UNREADABLE },
	{ "empty-object", X402_PAYLOAD },
	{ "not-json", X402_UNREADABLE },
	{ "json-null", X402_PAYLOAD },
	{ "json-array", X402_PAYLOAD },
	{ "truncated", X402_UNREADABLE },
	{ "no-padding", X402_PAYLOAD }, /* {"x402Version":2} and nothing else */
	{ "base64url", X402_FINE },	/* it holds no - or _ */
	{ "whitespace-inside", X402_UNREADABLE },
	{ "version-3", X402_VERSION },
	{ "version-1", X402_VERSION },
};

static void
refuses_malformed_headers(void **state)
{
	uint32_t at;
	size_t i = 0;

	vectors_open(&vectors, "x402/malformed-headers.json");
	for (at = json_first(&vectors.doc, 0); at != JSON_NONE;
	     at = json_after(&vectors.doc, 0, at), i++) {
		struct x402_payment p;
		struct x402_verdict v;

		assert_true(i < sizeof(malformed) / sizeof(malformed[0]));
		assert_true(
		    json_is(&vectors.doc, vectors_get(&vectors, at, "name"), malformed[i].name));
		v = x402_payment_read(&p, vectors_text(&vectors, at, "paymentSignatureHeader"),
		    false, &vectors.arena);
		if (v.reason != malformed[i].want)
			fail_msg("%s: %s", malformed[i].name, v.what);
	}
	assert_int_equal(i, sizeof(malformed) / sizeof(malformed[0]));
	vectors_close(&vectors);
}

/* Reads JSON text as a header of base64 would bring it. */
static struct x402_verdict
read_text(struct x402_payment *p, struct span text, struct arena *a)
{
	struct x402_verdict v;
	struct buf b;

	buf_init(&b, 1 << 20);
	b64_put(&b, text);
	v = x402_payment_read(p, buf_span(&b), false, a);
	buf_fini(&b);
	return v;
}

/* The valid payment's JSON with one piece of text replaced. */
static struct span
replaced(struct vectors *v, const char *from, const char *to)
{
	uint32_t at = vectors_get(v, 0, "decodedPayload");
	struct span text = json_raw(&v->doc, at), rest;
	size_t hit = span_find(text, span_str(from), 0);
	struct buf b;
	struct span out;

	if (hit == SIZE_MAX)
		fail_msg("%s is not there", from);
	rest = span_cut(text, hit + strlen(from), text.n);
	buf_init(&b, VECTORS_MAX_BYTES);
	buf_put(&b, span_cut(text, 0, hit));
	buf_put_str(&b, to);
	buf_put(&b, rest);
	assert_false(failed(buf_check(&b)));
	out = arena_copy(&v->arena, buf_span(&b));
	buf_fini(&b);
	return out;
}

#define NONCE		   "66221326547767320033024141329040562968676307215749831485684896071583898336691"
#define NONCE_HEX	   "0x9267f14d60680ce6636d24bbca27662efb7999cf2e53ca441543e4c7cee4fdb3"
#define NONCE_DIGITS_UPPER "9267F14D60680CE6636D24BBCA27662EFB7999CF2E53CA441543E4C7CEE4FDB3"
#define DEEP16		   "\"x\":[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]" /* 15 within the object */
#define DEEP17		   "\"x\":[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]"

static const struct {
	const char *rule, *from, *to;
	enum x402_reason want;
} bent[] = {
	{ "as it is", "\"payload\"", "\"payload\"", X402_FINE },
	{ "unknown members are ignored", "\"payload\"", "\"x\":{\"y\":[1]},\"payload\"",
	    X402_FINE },
	{ "16 deep", "\"payload\"", DEEP16 ",\"payload\"", X402_FINE },
	{ "PAY-06: 17 deep", "\"payload\"", DEEP17 ",\"payload\"", X402_UNREADABLE },
	{ "PAY-06: a name twice", "\"payload\"", "\"accepted\":{},\"payload\"", X402_UNREADABLE },
	{ "PAY-06: a name twice, inside", "\"spender\"", "\"nonce\":\"1\",\"spender\"",
	    X402_UNREADABLE },
	{ "PAY-06: a name twice, in disguise", "\"spender\"", "\"non\\u0063e\":\"1\",\"spender\"",
	    X402_UNREADABLE },
	{ "PAY-06: a name twice, where nobody looks", "\"payload\"",
	    "\"x\":{\"y\":1,\"y\":2},\"payload\"", X402_UNREADABLE },
	{ "PAY-06: a name again, in another letter case", "\"payload\"",
	    "\"Payload\":{},\"payload\"", X402_UNREADABLE },
	{ "PAY-06: in another case, in disguise", "\"spender\"",
	    "\"\\u004eonce\":\"1\",\"spender\"", X402_UNREADABLE },
	{ "PAY-06: letters that Go folds", "\"spender\"", "\"\\u017fpender\":\"1\",\"spender\"",
	    X402_UNREADABLE },
	{ "PAY-06: more of them", "\"spender\"", "\"to\\u212aen\":\"1\",\"spender\"",
	    X402_UNREADABLE },
	{ "PAY-06: as Python spells it", "\"payload\"", "\"x402_version\":1,\"payload\"",
	    X402_UNREADABLE },
	{ "a name that only begins like one of ours", "\"payload\"", "\"Payloads\":{},\"payload\"",
	    X402_FINE },
	{ "no version", "\"x402Version\"", "\"version\"", X402_PAYLOAD },
	{ "version as text", "\"x402Version\": 2", "\"x402Version\":\"2\"", X402_PAYLOAD },
	{ "version 2.0", "\"x402Version\": 2", "\"x402Version\":2.0", X402_VERSION },
	{ "version -2", "\"x402Version\": 2", "\"x402Version\":-2", X402_VERSION },
	{ "no accepted", "\"accepted\"", "\"taken\"", X402_PAYLOAD },
	{ "no payload", "\"payload\"", "\"load\"", X402_PAYLOAD },
	{ "no signature", "\"signature\"", "\"sign\"", X402_PAYLOAD },
	{ "a signature without 0x", "\"0xf13342", "\"f13342", X402_PAYLOAD },
	{ "half a byte", "\"0xf13342", "\"0x13342", X402_PAYLOAD },
	{ "no hex", "\"0xf13342", "\"0xg13342", X402_PAYLOAD },
	{ "no authorisation", "\"permit2Authorization\"", "\"permit3\"", X402_PAYLOAD },
	{ "both kinds", "\"permit2Authorization\"", "\"authorization\":{},\"permit2Authorization\"",
	    X402_PAYLOAD },
	{ "null is absent", "\"permit2Authorization\"",
	    "\"authorization\":null,\"permit2Authorization\"", X402_FINE },
	{ "PAY-17: amount as a number", "\"amount\": \"100000000000000000\"",
	    "\"amount\":100000000000000000", X402_PAYLOAD },
	{ "PAY-17: an exponent", "\"amount\": \"100000000000000000\"", "\"amount\":\"1e17\"",
	    X402_PAYLOAD },
	{ "PAY-17: below zero", "\"amount\": \"100000000000000000\"", "\"amount\":\"-1\"",
	    X402_PAYLOAD },
	{ "PAY-17: a plus", "\"amount\": \"100000000000000000\"", "\"amount\":\"+5\"",
	    X402_PAYLOAD },
	{ "PAY-17: leading zeros", "\"amount\": \"1000", "\"amount\":\"01000", X402_PAYLOAD },
	{ "PAY-17: 2^256", "\"amount\": \"100000000000000000\"",
	    "\"amount\":\"115792089237316195423570985008687907853269984665640564039457584007913129"
	    "639936\"",
	    X402_PAYLOAD },
	{ "zero is a number", "\"amount\": \"100000000000000000\"", "\"amount\":\"0\"", X402_FINE },
	{ "a nonce in hex", "\"" NONCE "\"", "\"" NONCE_HEX "\"", X402_FINE },
	{ "a nonce with leading zeros", "\"" NONCE "\"", "\"0" NONCE "\"", X402_PAYLOAD },
	{ "a nonce of 65 hex digits", "\"" NONCE "\"", "\"0x0" NONCE_DIGITS_UPPER "\"",
	    X402_PAYLOAD },
	{ "a deadline as a number", "\"1790000300\"", "1790000300", X402_PAYLOAD },
	{ "no validAfter", "\"validAfter\"", "\"after\"", X402_PAYLOAD },
	{ "a payer that is none", "\"0x3C44C", "\"0x3C44", X402_PAYLOAD },
	{ "no witness.facilitator", "\"facilitator\"", "\"f\"", X402_FINE },
	{ "a witness.facilitator that is none", "\"facilitator\": \"0x7", "\"facilitator\":\"7",
	    X402_PAYLOAD },
	{ "PAY-17: maxTimeoutSeconds as text", "\"maxTimeoutSeconds\": 300",
	    "\"maxTimeoutSeconds\":\"300\"", X402_NO_MATCH },
	{ "extra as text", "\"extra\": {", "\"extra\":\"\",\"e\":{", X402_NO_MATCH },
	{ "extra as null", "\"extra\": {", "\"extra\":null,\"e\":{", X402_FINE },
	{ "accepted.scheme is no text", "\"scheme\": \"upto\"", "\"scheme\":1", X402_NO_MATCH },
	{ "NaN", "\"payload\"", "\"x\":NaN,\"payload\"", X402_UNREADABLE },
	{ "not UTF-8", "\"payload\"", "\"\xff\":0,\"payload\"", X402_UNREADABLE },
};

static void
refuses_what_is_bent(void **state)
{
	for (size_t i = 0; i < sizeof(bent) / sizeof(bent[0]); i++) {
		struct x402_payment p;
		struct x402_verdict v;

		vectors_open(&vectors, "x402/upto-valid.json");
		v = read_text(&p, replaced(&vectors, bent[i].from, bent[i].to), &vectors.arena);
		if (v.reason != bent[i].want)
			fail_msg("%s: %s", bent[i].rule, v.what);
		vectors_close(&vectors);
	}
}

static void
reads_the_members(void **state)
{
	struct x402_payment p;
	char room[U256_DIGITS];

	vectors_open(&vectors, "x402/upto-valid.json");
	assert_int_equal(x402_payment_read(&p, vectors_text(&vectors, 0, "paymentSignatureHeader"),
			     false, &vectors.arena)
			     .reason,
	    X402_FINE);
	assert_int_equal(p.form, X402_PERMIT2);
	assert_true(span_eq(u256_text(p.nonce, room), SPAN_LIT(NONCE)));
	assert_true(span_eq(u256_text(p.amount, room), SPAN_LIT("100000000000000000")));
	assert_true(span_eq(u256_text(p.deadline, room), SPAN_LIT("1790000300")));
	assert_true(u256_is_zero(p.valid_after));
	assert_true(p.has_facilitator && p.accepted.has_facilitator);
	assert_true(address_eq(&p.facilitator, &p.accepted.facilitator));
	assert_int_equal(p.signature.n, RECOVER_SIG_LEN);
	assert_false(x402_contract_signed(&p));
	assert_false(p.sponsored);
	assert_int_equal(read_text(&p,
			     replaced(&vectors, "\"extensions\": {",
				 "\"extensions\":{\"eip2612GasSponsoring\":{\"info\":{"
				 "\"signature\":\"0x\"}},"),
			     &vectors.arena)
			     .reason,
	    X402_FINE);
	assert_true(p.sponsored);
	vectors_close(&vectors);

	/* Its first request carries a signed approval (x402.md 4.6). */
	vectors_open(&vectors, "x402/facilitator-transcript.json");
	for (uint32_t c = json_first(&vectors.doc, 0); c != JSON_NONE;
	     c = json_after(&vectors.doc, 0, c)) {
		uint32_t body = json_get(&vectors.doc, c, "requestBody");
		uint32_t payload = json_get(&vectors.doc, body, "paymentPayload");

		if (!json_is(&vectors.doc, json_get(&vectors.doc, c, "case"),
			"verify upto with sponsored approval"))
			continue;
		assert_int_equal(
		    read_text(&p, json_raw(&vectors.doc, payload), &vectors.arena).reason,
		    X402_FINE);
		assert_true(p.sponsored);
	}
	assert_true(p.sponsored);
	vectors_close(&vectors);
}

/* x402.md 7.11: the facilitator gets what was read: all members, no white space, nothing else. */
static void
writes_the_clients_object(void **state)
{
	static const char spaced[] = " \n\"x\" :\t[ 1 , \"a \\\" b\" ,{ } ]\r, \"payload\"";
	struct x402_payment p, again;
	struct span text;
	struct buf b;

	vectors_open(&vectors, "x402/upto-valid.json");
	buf_init(&b, X402_HEADER_MAX_BYTES);
	assert_false(
	    failed(x402_header_decode(&b, vectors_text(&vectors, 0, "paymentSignatureHeader"))));
	assert_int_equal(read_text(&p, buf_span(&b), &vectors.arena).reason, X402_FINE);
	assert_true(span_eq(p.text, buf_span(&b)));
	text = replaced(&vectors, "\"payload\"", spaced);
	assert_int_equal(read_text(&p, text, &vectors.arena).reason, X402_FINE);
	assert_true(
	    span_find(p.text, SPAN_LIT("\"x\":[1,\"a \\\" b\",{}],\"payload\""), 0) != SIZE_MAX);
	assert_int_equal(read_text(&again, p.text, &vectors.arena).reason, X402_FINE);
	assert_true(span_eq(again.text, p.text));
	vectors_close(&vectors);
	buf_fini(&b);
}

/*
 * PAY-05: a session belongs to (chain, payer, nonce): one permit has one pair of values in all its
 * spellings, another payer or nonce has another.
 */
static void
spellings_are_no_difference(void **state)
{
	static const struct {
		const char *from, *to;
		bool same;
	} spellings[] = {
		{ "\"payload\"", " \n \"payload\"", true },
		{ "\"" NONCE "\"", "\"" NONCE "\" ", true },
		{ "\"" NONCE "\"", "\"" NONCE_HEX "\"", true },
		{ "\"" NONCE "\"", "\"0x" NONCE_DIGITS_UPPER "\"", true },
		{ "\"0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\"",
		    "\"0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc\"", true },
		{ "\"payload\"", "\"x\":1,\"payload\"", true },
		{ "\"0xf13342", "\"0xa13342", true },
		{ "\"1790000300\"", "\"1790000301\"", true },
		{ "\"" NONCE "\"", "\"1\"", false },
		{ "\"0x3C44C", "\"0x4C44C", false },
	};
	struct x402_payment first, p;

	vectors_open(&vectors, "x402/upto-valid.json");
	assert_int_equal(
	    read_text(&first, replaced(&vectors, "\"payload\"", "\"payload\""), &vectors.arena)
		.reason,
	    X402_FINE);
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		struct span text = replaced(&vectors, spellings[i].from, spellings[i].to);

		assert_int_equal(read_text(&p, text, &vectors.arena).reason, X402_FINE);
		if ((address_eq(&p.payer, &first.payer) && u256_cmp(p.nonce, first.nonce) == 0) !=
		    spellings[i].same)
			fail_msg("%s", spellings[i].to);
	}
	vectors_close(&vectors);
}

static void
bounds_the_header(void **state)
{
	static uint8_t large[X402_HEADER_MAX_BYTES + 4];
	struct x402_payment p;
	struct span good;
	char twice[2 * X402_HEADER_MAX_BYTES];

	vectors_open(&other, "x402/upto-valid.json");
	good = vectors_text(&other, 0, "paymentSignatureHeader");
	assert_int_equal(x402_payment_read(&p, SPAN_NONE, false, &other.arena).reason, X402_ABSENT);
	assert_int_equal(
	    x402_payment_read(&p, SPAN_LIT(""), false, &other.arena).reason, X402_UNREADABLE);
	/* M8: two headers, or both in one. */
	assert_int_equal(x402_payment_read(&p, good, true, &other.arena).reason, X402_UNREADABLE);
	(void)snprintf(twice, sizeof(twice), "%s, %s", (const char *)good.p, (const char *)good.p);
	assert_int_equal(
	    x402_payment_read(&p, span_str(twice), false, &other.arena).reason, X402_UNREADABLE);
	(void)snprintf(twice, sizeof(twice), "%s%s", (const char *)good.p, (const char *)good.p);
	assert_int_equal(
	    x402_payment_read(&p, span_str(twice), false, &other.arena).reason, X402_UNREADABLE);
	/* PAY-06: 16 KiB pass the bound, 16 KiB and a quad do not. */
	memset(large, 'A', sizeof(large));
	assert_string_equal(
	    x402_payment_read(&p, span_of(large, sizeof(large)), false, &other.arena).what,
	    "PAYMENT-SIGNATURE is longer than 16384 bytes");
	assert_string_not_equal(
	    x402_payment_read(&p, span_of(large, sizeof(large) - 4), false, &other.arena).what,
	    "PAYMENT-SIGNATURE is longer than 16384 bytes");
	vectors_close(&other);
}

static const struct {
	const char *rule, *text, *want; /* want NULL: refused */
} base64[] = {
	{ "no padding needed", "YWJj", "abc" },
	{ "with its padding", "YWI=", "ab" },
	{ "without it", "YWI", "ab" },
	{ "two of it", "YQ==", "a" },
	{ "without both", "YQ", "a" },
	{ "half of it", "YQ=", NULL },
	{ "too much of it", "YWI==", NULL },
	{ "one digit", "Y", NULL },
	{ "spare bits", "YWJ", NULL },
	{ "padding in the middle", "YQ==YQ", NULL },
	{ "the other alphabet", "_-_-", NULL },
	{ "a comma", "YWJj,YWJj", NULL },
	{ "a space", "YWJj ", NULL },
	{ "a line break", "YWJj\n", NULL },
	{ "a NUL", "YWJ\0", NULL },
};

static void
decodes_base64(void **state)
{
	struct buf b;

	buf_init(&b, 64);
	for (size_t i = 0; i < sizeof(base64) / sizeof(base64[0]); i++) {
		struct err e;

		buf_clear(&b);
		buf_put_byte(&b, '>');
		e = x402_header_decode(&b, span_str(base64[i].text));
		if (failed(e) != (base64[i].want == NULL))
			fail_msg("%s", base64[i].rule);
		assert_true(b.n >= 1);
		if (!span_eq(
			span_cut(buf_span(&b), 1, b.n), span_str(failed(e) ? "" : base64[i].want)))
			fail_msg("%s: %.*s", base64[i].rule, (int)b.n, b.p);
	}
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_malformed_headers),
		cmocka_unit_test(refuses_what_is_bent),
		cmocka_unit_test(reads_the_members),
		cmocka_unit_test(writes_the_clients_object),
		cmocka_unit_test(spellings_are_no_difference),
		cmocka_unit_test(bounds_the_header),
		cmocka_unit_test(decodes_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
