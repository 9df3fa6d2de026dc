#include "x402/check.h"

#include "payments.h"
#include "x402/eip712.h"

static struct vectors index_of, vector;

/* Where we are stricter, or more liberal, than the official packages (vectors/x402/README.md). */
static const struct {
	const char *ending;
	enum x402_reason reason, exact;
} ours[] = {
	{ "high-s-signature.json", X402_SIGNATURE, X402_EXACT_SIGNATURE },   /* M8 */
	{ "v-0-or-1-signature.json", X402_SIGNATURE, X402_EXACT_SIGNATURE }, /* x402.md 4.2 */
	{ "accepted-payto-lowercase.json", X402_FINE, X402_FINE }, /* x402.md 3: as bytes */
};

/* What a vector's row in the index means for us: a code, or "" for a payment that is taken. */
static const char *
wanted(struct span file, bool matches, struct span verify)
{
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (span_ends(file, span_str(ours[i].ending)))
			return x402_code(span_starts(file, SPAN_LIT("exact-eip3009"))
				? ours[i].exact
				: ours[i].reason);
	if (!matches)
		return x402_code(X402_NO_MATCH);
	return span_eq(verify, SPAN_LIT("valid")) ? "" : (const char *)verify.p;
}

static void
judge(struct span file, bool matches, bool signed_by_payer, struct span verify)
{
	const struct x402_times when = { .now_unix_s = VECTORS_NOW };
	struct x402_payment p;
	struct x402_verdict v;
	struct x402_terms t;
	struct eip712 e;
	struct address signer, want;
	uint32_t typed;
	char path[256];

	(void)snprintf(path, sizeof(path), "x402/%.*s", (int)file.n, file.p);
	vectors_open(&vector, path);
	payments_terms(&t, &vector, vectors_get(&vector, 0, "offeredRequirements"));
	v = x402_payment_read(
	    &p, vectors_text(&vector, 0, "paymentSignatureHeader"), false, &vector.arena);
	if (v.reason != X402_FINE)
		fail_msg("%s: %s", path, v.what);

	typed = vectors_get(&vector, 0, "eip712");
	eip712_of(&e, &t, &p);
	if (!span_eq(span_of(e.message, KECCAK_LEN), vectors_hex(&vector, typed, "structHash")) ||
	    !span_eq(
		span_of(e.domain, KECCAK_LEN), vectors_hex(&vector, typed, "domainSeparator")) ||
	    !span_eq(span_of(e.digest, KECCAK_LEN), vectors_hex(&vector, typed, "digest")))
		fail_msg("%s: digest", path);
	want = payments_address(vectors_text(&vector, 0, "claimedPayer"));
	assert_true(address_eq(&p.payer, &want));
	if (!failed(recover_signer(&signer, e.digest, p.signature.p))) {
		want = payments_address(vectors_text(&vector, 0, "recoveredSigner"));
		if (!address_eq(&signer, &want) || address_eq(&signer, &p.payer) != signed_by_payer)
			fail_msg("%s: signer", path);
	}

	v = x402_check(&p, &t, &when);
	if (strcmp(x402_code(v.reason), wanted(file, matches, verify)) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", path, x402_code(v.reason),
		    wanted(file, matches, verify));
	vectors_close(&vector);
}

static void
judges_every_vector(void **state)
{
	uint32_t list;
	size_t seen = 0;

	vectors_open(&index_of, "x402/index.json");
	list = vectors_get(&index_of, 0, "vectors");
	for (uint32_t c = json_first(&index_of.doc, list); c != JSON_NONE;
	     c = json_after(&index_of.doc, list, c), seen++)
		judge(vectors_text(&index_of, c, "file"),
		    json_type(&index_of.doc, vectors_get(&index_of, c, "serverMatch")) == JSON_TRUE,
		    json_type(&index_of.doc, vectors_get(&index_of, c, "signatureMatchesPayer")) ==
			JSON_TRUE,
		    vectors_text(&index_of, c, "verify"));
	assert_int_equal(seen, 59);
	vectors_close(&index_of);
}

/* upto-valid.json, its terms, and a clock: what the rows below bend. */
struct bent {
	struct x402_terms terms;
	struct x402_payment payment;
	struct x402_times when;
};

static void
later_deadline(struct bent *b)
{
	b->payment.deadline = u256_of(VECTORS_NOW + 300 + 61);
}
static void
in_milliseconds(struct bent *b)
{
	b->payment.deadline = u256_of((VECTORS_NOW + 300) * 1000ull);
}
static void
for_ever(struct bent *b)
{
	b->payment.deadline = U256_MAX;
}
static void
session_margin(struct bent *b)
{
	b->when.margin_s = X402_SESSION_MARGIN_S;
}
static void
margin_met(struct bent *b)
{
	b->when.now_unix_s = VECTORS_NOW + 240;
	b->when.margin_s = X402_SESSION_MARGIN_S;
}
static void
margin_almost_met(struct bent *b)
{
	b->when.now_unix_s = VECTORS_NOW + 239;
	b->when.margin_s = X402_SESSION_MARGIN_S;
}
static void
last_start(struct bent *b)
{
	b->when.after_unix_s = VECTORS_NOW + 299;
}
static void
started_since(struct bent *b)
{
	b->when.after_unix_s = VECTORS_NOW + 300;
}
static void
other_cap(struct bent *b)
{
	/* Both are offered, but accepted and signed are not the same. */
	b->terms.cap[1] = u256_ten_to(18);
	b->terms.n_caps = 2;
	b->payment.accepted.amount = u256_ten_to(18);
}
static void
one_of_three(struct bent *b)
{
	b->terms.cap[0] = u256_of(1);
	b->terms.cap[1] = u256_ten_to(17);
	b->terms.cap[2] = u256_ten_to(18);
	b->terms.n_caps = 3;
}
static void
new_facilitator(struct bent *b)
{
	b->terms.facilitator.b[0] ^= 1;
}
static void
facilitator_before(struct bent *b)
{
	b->terms.facilitator_before = b->terms.facilitator;
	b->terms.has_facilitator_before = true;
	b->terms.facilitator.b[0] ^= 1;
}
static void
no_facilitator_in_extra(struct bent *b)
{
	b->payment.accepted.has_facilitator = false;
}
static void
no_witness_facilitator(struct bent *b)
{
	b->payment.has_facilitator = false;
}
static void
zero_witness_facilitator(struct bent *b)
{
	b->payment.facilitator = (struct address){ { 0 } };
}
static void
scheme_in_capitals(struct bent *b)
{
	b->payment.accepted.scheme = SPAN_LIT("UPTO");
}
static void
network_by_name(struct bent *b)
{
	b->payment.accepted.network = SPAN_LIT("base");
}
static void
other_asset(struct bent *b)
{
	b->payment.accepted.asset.b[19] ^= 1;
}
static void
ten_years(struct bent *b)
{
	b->payment.accepted.max_timeout_s = 315360000;
}
static void
no_timeout(struct bent *b)
{
	b->payment.accepted.has_max_timeout = false;
}
static void
other_form(struct bent *b)
{
	b->payment.form = X402_EIP3009;
}
static void
no_signature(struct bent *b)
{
	b->payment.signature.n = 0;
}
static void
compact_signature(struct bent *b)
{
	b->payment.signature.n = 64;
}
static void
contract_signature(struct bent *b)
{
	static const uint8_t long_one[320];

	b->payment.signature = span_of(long_one, sizeof(long_one));
}
static void
contract_and_expired(struct bent *b)
{
	contract_signature(b);
	b->when.now_unix_s = VECTORS_NOW + 301;
}
static void
other_payer(struct bent *b)
{
	b->payment.payer.b[0] ^= 1;
}
static void
other_nonce(struct bent *b)
{
	b->payment.nonce.limb[3] ^= 1;
}
static void
other_chain(struct bent *b)
{
	b->terms.chain_id = 84532;
}

static const struct {
	const char *rule;
	void (*bend)(struct bent *);
	enum x402_reason want;
} rows[] = {
	{ "M7: not later than now + maxTimeoutSeconds + 60", later_deadline, X402_TOO_LATE },
	{ "PAY-17: milliseconds", in_milliseconds, X402_TOO_LATE },
	{ "M7: 2^256 - 1", for_ever, X402_TOO_LATE },
	{ "4.5.7: more than a session's margin", session_margin, X402_FINE },
	{ "4.5.7: exactly the margin is too soon", margin_met, X402_EXPIRED },
	{ "4.5.7: a second more is not", margin_almost_met, X402_FINE },
	{ "M7: signed after the last start", last_start, X402_FINE },
	{ "M7: maybe signed before it", started_since, X402_BEFORE_START },
	{ "M1: accepted one cap, signed another", other_cap, X402_AMOUNT },
	{ "M1: any cap of the policy", one_of_three, X402_FINE },
	{ "a facilitator that is no longer ours", new_facilitator, X402_NO_MATCH },
	{ "x402.md 3: the facilitator before", facilitator_before, X402_FINE },
	{ "extra is not needed", no_facilitator_in_extra, X402_FINE },
	{ "PAY-02: no facilitator in the witness", no_witness_facilitator, X402_FACILITATOR },
	{ "PAY-02: the zero address", zero_witness_facilitator, X402_FACILITATOR },
	{ "PAY-17: EXACT in capitals, UPTO too", scheme_in_capitals, X402_NO_MATCH },
	{ "PAY-17: network `base`", network_by_name, X402_NO_MATCH },
	{ "PAY-17: another asset accepted", other_asset, X402_NO_MATCH },
	{ "PAY-17: maxTimeoutSeconds of ten years", ten_years, X402_NO_MATCH },
	{ "maxTimeoutSeconds is not needed", no_timeout, X402_FINE },
	{ "EIP-3009 for upto", other_form, X402_PAYLOAD },
	{ "a signature of no bytes", no_signature, X402_SIGNATURE },
	{ "4.2: the compact form", compact_signature, X402_SIGNATURE },
	{ "4.2: only the facilitator can judge it", contract_signature, X402_FINE },
	{ "PAY-18: but the rest is judged here", contract_and_expired, X402_EXPIRED },
	{ "4.5.8: the signer is not `from`", other_payer, X402_SIGNATURE },
	{ "another nonce than the signed one", other_nonce, X402_SIGNATURE },
	{ "signed for another chain", other_chain, X402_SIGNATURE },
};

static void
holds_the_rules(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bent b = { .when = { .now_unix_s = VECTORS_NOW } };
		struct x402_verdict v;

		vectors_open(&vector, "x402/upto-valid.json");
		payments_terms(&b.terms, &vector, vectors_get(&vector, 0, "offeredRequirements"));
		v = x402_payment_read(&b.payment,
		    vectors_text(&vector, 0, "paymentSignatureHeader"), false, &vector.arena);
		assert_int_equal(v.reason, X402_FINE);
		rows[i].bend(&b);
		v = x402_check(&b.payment, &b.terms, &b.when);
		if (v.reason != rows[i].want)
			fail_msg("%s: \"%s\"", rows[i].rule, x402_code(v.reason));
		assert_int_equal(v.what == NULL, v.reason == X402_FINE);
		vectors_close(&vector);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_every_vector),
		cmocka_unit_test(holds_the_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
