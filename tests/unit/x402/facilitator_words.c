#include "x402/facilitator_words.h"

#include "codec/b64.h"
#include "payments.h"
#include "x402/header.h"
#include "x402/settle_data.h"

static struct vectors vectors;

#define PAYER	    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
#define TRANSACTION "0xabababababababababababababababababababababababababababababababab"

static struct facilitator_asked
asked_for(const char *amount)
{
	struct facilitator_asked asked = { .network = SPAN_LIT("eip155:8453"),
		.payer = payments_address(SPAN_LIT(PAYER)) };

	assert_true(u256_parse(&asked.amount, span_str(amount)));
	return asked;
}

/*
 * The recorded run: what we would have sent is what the official packages sent, and what the
 * facilitator said is understood.
 */
static void
replay(struct vectors *v, uint32_t c)
{
	uint32_t body = vectors_get(v, c, "requestBody");
	uint32_t requirements = vectors_get(v, body, "paymentRequirements");
	struct span path = vectors_text(v, c, "path"), answer, payer;
	struct facilitator_asked asked;
	struct x402_payment p;
	struct x402_terms t;
	struct buf b, header;

	payments_terms(&t, v, requirements);
	buf_init(&header, X402_HEADER_MAX_BYTES);
	b64_put(&header, json_raw(&v->doc, vectors_get(v, body, "paymentPayload")));
	assert_int_equal(
	    x402_payment_read(&p, buf_span(&header), false, &v->arena).reason, X402_FINE);
	buf_fini(&header);
	/* The file is indented, what is sent is not. */
	buf_init(&b, FACILITATOR_ANSWER_MAX_BYTES);
	facilitator_put_request(&b, p.text, &t, t.cap[0], &t.facilitator);
	assert_false(failed(buf_check(&b)));
	buf_init(&header, FACILITATOR_ANSWER_MAX_BYTES);
	x402_put_compact(&header, &v->doc, body);
	if (!span_eq(buf_span(&b), buf_span(&header)))
		fail_msg("%.*s\ninstead of\n%.*s", (int)b.n, b.p, (int)header.n, header.p);
	buf_fini(&header);
	buf_fini(&b);

	answer = json_raw(&v->doc, vectors_get(v, c, "responseBody"));
	payer = vectors_text(v, vectors_get(v, c, "responseBody"), "payer");
	asked = asked_for("0");
	asked.amount = t.cap[0];
	asked.payer = payments_address(payer);
	if (span_eq(path, SPAN_LIT("/verify"))) {
		struct facilitator_verify verify;

		assert_false(failed(facilitator_verify_read(&verify, answer, &p.payer)));
		assert_int_equal(verify.valid, verify.reason.text[0] == '\0');
		assert_true(verify.valid ||
		    span_eq(span_str(verify.reason.text),
			vectors_text(v, vectors_get(v, c, "responseBody"), "invalidReason")));
	} else {
		struct facilitator_settlement s;
		bool success = json_type(&v->doc,
				   vectors_get(v, vectors_get(v, c, "responseBody"), "success")) ==
		    JSON_TRUE;

		assert_false(failed(facilitator_settle_read(&s, answer, &asked)));
		assert_int_equal(s.outcome, success ? SETTLEMENT_SETTLED : SETTLEMENT_REFUSED);
	}
}

static void
replays_the_recorded_run(void **state)
{
	size_t seen = 0;

	vectors_open(&vectors, "x402/facilitator-transcript.json");
	for (uint32_t c = json_first(&vectors.doc, 0); c != JSON_NONE;
	     c = json_after(&vectors.doc, 0, c)) {
		uint64_t status;

		assert_true(
		    json_u64(&vectors.doc, vectors_get(&vectors, c, "status"), 999, &status));
		if (status != 200 || json_get(&vectors.doc, c, "requestBody") == JSON_NONE)
			continue;
		replay(&vectors, c);
		seen++;
	}
	assert_int_equal(seen, 9);
	vectors_close(&vectors);
}

static const struct {
	const char *rule, *body;
	enum err_code want;
	bool sponsoring;
} supported[] = {
	{ "another order, more members",
	    "{\"kinds\":[{\"x402Version\":1,\"scheme\":\"exact\",\"network\":\"base\"},{\"x\":1,"
	    "\"network\":\"eip155:8453\",\"scheme\":\"upto\",\"x402Version\":2,"
	    "\"extra\":{\"facilitatorAddress\":\"" PAYER "\"}}],\"y\":null}",
	    ERR_OK, false },
	{ "extensions that are null",
	    "{\"kinds\":[{\"network\":\"eip155:8453\",\"scheme\":\"upto\",\"x402Version\":2,"
	    "\"extra\":{\"facilitatorAddress\":\"" PAYER "\"}}],\"extensions\":null}",
	    ERR_OK, false },
	{ "gas sponsoring",
	    "{\"kinds\":[{\"network\":\"eip155:8453\",\"scheme\":\"upto\",\"x402Version\":2,"
	    "\"extra\":{\"facilitatorAddress\":\"" PAYER
	    "\"}}],\"extensions\":[\"x\",\"erc20ApprovalGasSponsoring\"]}",
	    ERR_OK, true },
	{ "no kinds", "{\"extensions\":[]}", ERR_MALFORMED, false },
	{ "kinds as an object", "{\"kinds\":{}}", ERR_MALFORMED, false },
	{ "no kind", "{\"kinds\":[]}", ERR_REFUSED, false },
	{ "kinds of another kind", "{\"kinds\":[1,null,\"upto\"]}", ERR_REFUSED, false },
	{ "another network",
	    "{\"kinds\":[{\"network\":\"eip155:84532\",\"scheme\":\"upto\",\"x402Version\":2,"
	    "\"extra\":{\"facilitatorAddress\":\"" PAYER "\"}}]}",
	    ERR_REFUSED, false },
	{ "version 1",
	    "{\"kinds\":[{\"network\":\"eip155:8453\",\"scheme\":\"upto\",\"x402Version\":1,"
	    "\"extra\":{\"facilitatorAddress\":\"" PAYER "\"}}]}",
	    ERR_REFUSED, false },
	{ "no address",
	    "{\"kinds\":[{\"network\":\"eip155:8453\",\"scheme\":\"upto\",\"x402Version\":2,"
	    "\"extra\":{}}]}",
	    ERR_REFUSED, false },
	{ "no extra",
	    "{\"kinds\":[{\"network\":\"eip155:8453\",\"scheme\":\"upto\",\"x402Version\":2}]}",
	    ERR_REFUSED, false },
	{ "an array", "[]", ERR_MALFORMED, false },
	{ "HTML", "<html>", ERR_MALFORMED, false },
	{ "half a document", "{\"kinds\":[", ERR_MALFORMED, false },
	{ "nothing", "", ERR_MALFORMED, false },
};

static void
reads_supported(void **state)
{
	struct facilitator_supported s;
	struct address want = payments_address(SPAN_LIT(PAYER));

	for (size_t i = 0; i < sizeof(supported) / sizeof(supported[0]); i++) {
		struct err e = facilitator_supported_read(
		    &s, span_str(supported[i].body), SPAN_LIT("eip155:8453"));

		if (e.code != supported[i].want)
			fail_msg("%s: %s", supported[i].rule, e.what);
		if (!failed(e)) {
			assert_int_equal(s.gas_sponsoring, supported[i].sponsoring);
			assert_true(address_eq(&s.facilitator, &want));
		}
	}
	vectors_open(&vectors, "x402/facilitator-transcript.json");
	assert_false(failed(facilitator_supported_read(&s,
	    json_raw(
		&vectors.doc, vectors_get(&vectors, json_first(&vectors.doc, 0), "responseBody")),
	    SPAN_LIT("eip155:8453"))));
	want = payments_address(SPAN_LIT("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"));
	assert_true(address_eq(&s.facilitator, &want));
	assert_true(s.gas_sponsoring);
	vectors_close(&vectors);
}

#define LONG64 "a123456789012345678901234567890123456789012345678901234567890123"

static const struct {
	const char *rule, *body;
	enum err_code want;
	bool valid;
	const char *reason;
} verifies[] = {
	{ "valid", "{\"isValid\":true,\"payer\":\"" PAYER "\"}", ERR_OK, true, "" },
	{ "valid, payer unsaid", "{\"isValid\":true}", ERR_OK, true, "" },
	{ "valid, payer null", "{\"isValid\":true,\"payer\":null,\"x\":{}}", ERR_OK, true, "" },
	{ "valid, letter case",
	    "{\"isValid\":true,\"payer\":\"0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc\"}", ERR_OK,
	    true, "" },
	{ "valid, for another payer",
	    "{\"isValid\":true,\"payer\":\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"}",
	    ERR_MALFORMED, false, "" },
	{ "valid, for nobody", "{\"isValid\":true,\"payer\":\"\"}", ERR_MALFORMED, false, "" },
	{ "not valid", "{\"isValid\":false,\"invalidReason\":\"permit2_simulation_failed\"}",
	    ERR_OK, false, "permit2_simulation_failed" },
	{ "7.10: free text behind a colon",
	    "{\"isValid\":false,\"invalidReason\":\"transaction_failed: http://10.0.0.1\"}", ERR_OK,
	    false, "transaction_failed" },
	{ "7.10: free text", "{\"isValid\":false,\"invalidReason\":\"connect to 10.0.0.1\"}",
	    ERR_OK, false, "refused_by_facilitator" },
	{ "an escape", "{\"isValid\":false,\"invalidReason\":\"a\\u0062\"}", ERR_OK, false,
	    "refused_by_facilitator" },
	{ "64 bytes of reason", "{\"isValid\":false,\"invalidReason\":\"" LONG64 "\"}", ERR_OK,
	    false, LONG64 },
	{ "65 bytes of reason", "{\"isValid\":false,\"invalidReason\":\"" LONG64 "x\"}", ERR_OK,
	    false, "refused_by_facilitator" },
	{ "no reason", "{\"isValid\":false}", ERR_OK, false, "refused_by_facilitator" },
	{ "a reason of null", "{\"isValid\":false,\"invalidReason\":null}", ERR_OK, false,
	    "refused_by_facilitator" },
	{ "a reason that is a number", "{\"isValid\":false,\"invalidReason\":7}", ERR_OK, false,
	    "refused_by_facilitator" },
	{ "isValid as text", "{\"isValid\":\"true\"}", ERR_MALFORMED, false, "" },
	{ "isValid twice", "{\"isValid\":false,\"isValid\":true}", ERR_MALFORMED, false, "" },
	{ "without isValid", "{\"error\":\"x\"}", ERR_MALFORMED, false, "" },
	{ "an array", "[true]", ERR_MALFORMED, false, "" },
	{ "HTML", "<!doctype html>", ERR_MALFORMED, false, "" },
	{ "half a document", "{\"isValid\":true", ERR_MALFORMED, false, "" },
	{ "two documents", "{\"isValid\":true}{}", ERR_MALFORMED, false, "" },
};

static void
reads_verify(void **state)
{
	struct address payer = payments_address(SPAN_LIT(PAYER));

	for (size_t i = 0; i < sizeof(verifies) / sizeof(verifies[0]); i++) {
		struct facilitator_verify v = { .valid = true };
		struct err e = facilitator_verify_read(&v, span_str(verifies[i].body), &payer);

		if (e.code != verifies[i].want || v.valid != verifies[i].valid ||
		    strcmp(v.reason.text, verifies[i].reason) != 0)
			fail_msg("%s: %s %s", verifies[i].rule, e.what, v.reason.text);
	}
}

#define DONE(more) \
	"{\"success\":true,\"transaction\":\"" TRANSACTION "\",\"network\":\"eip155:8453\"" more "}"

/* Asked: 5 units, of PAYER, on eip155:8453. want -1: MALFORMED. */
static const struct {
	const char *rule, *body;
	int want;
	const char *detail; /* of `what`, reason or job */
} settles[] = {
	{ "settled", DONE(",\"payer\":\"" PAYER "\",\"amount\":\"5\""), SETTLEMENT_SETTLED, "" },
	{ "settled, optional members unsaid", DONE(""), SETTLEMENT_SETTLED, "" },
	{ "settled, optional members null", DONE(",\"payer\":null,\"amount\":null"),
	    SETTLEMENT_SETTLED, "" },
	{ "PAY-15: no transaction",
	    "{\"success\":true,\"transaction\":\"\",\"network\":\"eip155:8453\"}",
	    SETTLEMENT_UNCLEAR, "settle: no transaction" },
	{ "PAY-15: a transaction that is a job",
	    "{\"success\":true,\"transaction\":\"payment-1\",\"network\":\"eip155:8453\"}",
	    SETTLEMENT_UNCLEAR, "settle: transaction is no hash" },
	{ "PAY-15: transaction absent", "{\"success\":true,\"network\":\"eip155:8453\"}",
	    SETTLEMENT_UNCLEAR, "settle: transaction is no hash" },
	{ "PAY-15: less", DONE(",\"amount\":\"4\""), SETTLEMENT_UNCLEAR,
	    "settle: less was moved than asked" },
	{ "M6: more", DONE(",\"amount\":\"6\""), SETTLEMENT_OVERCHARGED, "" },
	{ "PAY-15: an amount that is a number", DONE(",\"amount\":5"), SETTLEMENT_UNCLEAR,
	    "settle: amount is no number" },
	{ "PAY-15: another payer",
	    DONE(",\"payer\":\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\""), SETTLEMENT_UNCLEAR,
	    "settle: another payer" },
	{ "PAY-15: another network",
	    "{\"success\":true,\"transaction\":\"" TRANSACTION "\",\"network\":\"eip155:1\"}",
	    SETTLEMENT_UNCLEAR, "settle: another network" },
	{ "PAY-15: no network", "{\"success\":true,\"transaction\":\"" TRANSACTION "\"}",
	    SETTLEMENT_UNCLEAR, "settle: another network" },
	{ "refused",
	    "{\"success\":false,\"errorReason\":\"permit2_insufficient_balance\",\"transaction\":"
	    "\"\",\"network\":\"eip155:8453\"}",
	    SETTLEMENT_REFUSED, "permit2_insufficient_balance" },
	{ "refused, and nothing else", "{\"success\":false}", SETTLEMENT_REFUSED,
	    "refused_by_facilitator" },
	{ "sent, not final",
	    "{\"success\":false,\"errorReason\":\"settlement_pending\",\"transaction\":"
	    "\"" TRANSACTION "\",\"network\":\"eip155:8453\"}",
	    SETTLEMENT_PENDING, "settlement_pending" },
	{ "202", "{\"paymentJob\":{\"jobId\":\"payment-1f_2\",\"status\":\"queued\"}}",
	    SETTLEMENT_JOB, "payment-1f_2" },
	{ "202, done already",
	    "{\"paymentJob\":{\"jobId\":\"payment-1\",\"status\":\"completed\",\"result\":" DONE(
		"") "}}",
	    SETTLEMENT_SETTLED, "" },
	{ "202, a job that fits no path", "{\"paymentJob\":{\"jobId\":\"../settle\"}}", -1, "" },
	{ "202, a job without a name", "{\"paymentJob\":{\"jobId\":\"\"}}", -1, "" },
	{ "202, a number for a job", "{\"paymentJob\":{\"jobId\":7}}", -1, "" },
	{ "202, no job", "{\"paymentJob\":[]}", -1, "" },
	{ "without success", "{\"transaction\":\"" TRANSACTION "\"}", -1, "" },
	{ "success as text", "{\"success\":\"true\"}", -1, "" },
	{ "success twice", "{\"success\":false,\"success\":true}", -1, "" },
	{ "HTML with 200", "<html></html>", -1, "" },
	{ "half a document", "{\"success\":true,", -1, "" },
	{ "nothing", "", -1, "" },
};

static void
reads_settle(void **state)
{
	struct facilitator_asked asked = asked_for("5");

	for (size_t i = 0; i < sizeof(settles) / sizeof(settles[0]); i++) {
		struct facilitator_settlement s;
		struct err e = facilitator_settle_read(&s, span_str(settles[i].body), &asked);
		int got = failed(e) ? -1 : (int)s.outcome;
		const char *detail = got == SETTLEMENT_JOB ? s.job
		    : got == SETTLEMENT_UNCLEAR		   ? s.what
							   : s.reason.text;

		if (got != settles[i].want)
			fail_msg("%s: %d %s", settles[i].rule, got, e.what);
		if (got >= 0)
			assert_string_equal(detail, settles[i].detail);
		if (got == SETTLEMENT_SETTLED) {
			assert_true(s.has_transaction && s.transaction[31] == 0xab);
			assert_int_equal(u256_cmp(s.amount, u256_of(5)), 0);
		}
		if (got == SETTLEMENT_OVERCHARGED)
			assert_int_equal(u256_cmp(s.amount, u256_of(6)), 0);
	}
	/* Nothing to move needs no transaction. */
	asked = asked_for("0");
	for (int with = 0; with < 2; with++) {
		struct facilitator_settlement s;

		assert_false(failed(facilitator_settle_read(&s,
		    with ? span_str(DONE(""))
			 : SPAN_LIT("{\"success\":true,\"transaction\":\"\",\"network\":"
				    "\"eip155:8453\",\"amount\":\"0\"}"),
		    &asked)));
		assert_int_equal(s.outcome, SETTLEMENT_SETTLED);
		assert_int_equal(s.has_transaction, with);
	}
}

/* GET /settle/payment-1 */
static const struct {
	const char *rule, *body;
	int want;
	const char *reason;
} jobs[] = {
	{ "waiting",
	    "{\"jobId\":\"payment-1\",\"status\":\"active\",\"result\":null,\"error\":null}",
	    SETTLEMENT_JOB, "" },
	{ "waiting, with an error of no words",
	    "{\"jobId\":\"payment-1\",\"status\":\"queued\",\"error\":\"\"}", SETTLEMENT_JOB, "" },
	{ "waiting, wrapped", "{\"paymentJob\":{\"jobId\":\"payment-1\",\"status\":\"queued\"}}",
	    SETTLEMENT_JOB, "" },
	{ "settled", "{\"jobId\":\"payment-1\",\"status\":\"completed\",\"result\":" DONE("") "}",
	    SETTLEMENT_SETTLED, "" },
	{ "refused",
	    "{\"jobId\":\"payment-1\",\"status\":\"completed\",\"result\":{\"success\":false,"
	    "\"errorReason\":\"permit2_invalid_nonce\"}}",
	    SETTLEMENT_REFUSED, "permit2_invalid_nonce" },
	{ "failed", "{\"jobId\":\"payment-1\",\"status\":\"failed\",\"error\":\"boom\"}",
	    SETTLEMENT_REFUSED, "boom" },
	{ "failed, with an address", "{\"jobId\":\"payment-1\",\"error\":\"at 10.0.0.1:80\"}",
	    SETTLEMENT_REFUSED, "refused_by_facilitator" },
	{ "failed, without a word", "{\"jobId\":\"payment-1\",\"status\":\"failed\"}",
	    SETTLEMENT_REFUSED, "refused_by_facilitator" },
	{ "another job", "{\"jobId\":\"payment-2\",\"result\":" DONE("") "}", -1, "" },
	{ "a result that is none", "{\"jobId\":\"payment-1\",\"result\":true}", -1, "" },
	{ "no job", "{\"result\":" DONE("") "}", -1, "" },
	{ "not found", "{\"error\":\"unknown job\"}", -1, "" },
};

static void
reads_jobs(void **state)
{
	struct facilitator_asked asked = asked_for("5");

	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		struct facilitator_settlement s;
		struct err e = facilitator_job_read(
		    &s, span_str(jobs[i].body), SPAN_LIT("payment-1"), &asked);
		int got = failed(e) ? -1 : (int)s.outcome;

		if (got != jobs[i].want)
			fail_msg("%s: %d %s", jobs[i].rule, got, e.what);
		if (got >= 0)
			assert_string_equal(s.reason.text, jobs[i].reason);
	}
}

static void
bounds_answers(void **state)
{
	static char large[FACILITATOR_ANSWER_MAX_BYTES + 1];
	struct address payer = payments_address(SPAN_LIT(PAYER));
	struct facilitator_verify v;

	memset(large, ' ', sizeof(large));
	memcpy(large, "{\"isValid\":true}", 16);
	assert_false(
	    failed(facilitator_verify_read(&v, span_of(large, sizeof(large) - 1), &payer)));
	assert_true(v.valid);
	assert_true(failed(facilitator_verify_read(&v, span_of(large, sizeof(large)), &payer)));
	assert_false(v.valid);
}

/* payment-response.json: what the official server shows clients is what facilitators said. */
static void
reads_recorded_receipts(void **state)
{
	static const enum settlement want[] = { SETTLEMENT_SETTLED, SETTLEMENT_REFUSED };
	struct facilitator_asked asked = asked_for("2350000000000000");
	size_t i = 0;
	struct buf b;

	buf_init(&b, X402_HEADER_MAX_BYTES);
	vectors_open(&vectors, "x402/payment-response.json");
	for (uint32_t c = json_first(&vectors.doc, 0); c != JSON_NONE;
	     c = json_after(&vectors.doc, 0, c), i++) {
		struct facilitator_settlement s;

		assert_true(i < 2);
		buf_clear(&b);
		assert_false(failed(
		    x402_header_decode(&b, vectors_text(&vectors, c, "paymentResponseHeader"))));
		assert_false(failed(facilitator_settle_read(&s, buf_span(&b), &asked)));
		assert_int_equal(s.outcome, want[i]);
	}
	assert_int_equal(i, 2);
	vectors_close(&vectors);
	buf_fini(&b);
}

/* settlement.json, to the byte. */
static void
files_proofs(void **state)
{
	uint32_t batch;
	struct settle_data d;
	struct json doc;
	struct buf b, text;
	struct span decoded;

	vectors_open(&vectors, "signing/settlement.json");
	batch = vectors_get(&vectors, 0, "batch_header");
	decoded = vectors_text(&vectors, batch, "decoded");
	assert_false(failed(json_parse(&doc, decoded, 64)));
	d = (struct settle_data){
		.tee_id = json_inner(&doc, json_get(&doc, 0, "tee_id")),
		.input_hash = json_inner(&doc, json_get(&doc, 0, "input_hash")),
		.output_hash = json_inner(&doc, json_get(&doc, 0, "output_hash")),
		.tee_signature = json_inner(&doc, json_get(&doc, 0, "tee_signature")),
		.tee_timestamp_unix_s = 1747000000,
		.timestamp_unix_s = 1747000000,
		.input = SPAN_LIT("{\"q\":1}"),
		.output = SPAN_LIT("{\"a\":2}"),
		.payer = payments_address(SPAN_LIT(PAYER)),
	};
	buf_init(&b, 8192);
	buf_init(&text, 8192);
	settle_data_put(&b, SETTLE_DATA_BATCH, &d);
	assert_true(span_eq(buf_span(&b), decoded));
	b64_put(&text, buf_span(&b));
	assert_true(span_eq(buf_span(&text), vectors_text(&vectors, batch, "x-settlement-data")));
	assert_true(span_eq(span_str(settle_data_type_name(SETTLE_DATA_BATCH)),
	    vectors_text(&vectors, batch, "x-settlement-type")));
	json_fini(&doc);

	/* opengradient.md 7: input, output, timestamp as a string, and who paid (not the proxy). */
	buf_clear(&b);
	settle_data_put(&b, SETTLE_DATA_INDIVIDUAL, &d);
	assert_false(failed(json_parse(&doc, buf_span(&b), 64)));
	assert_true(json_is(&doc, json_get(&doc, 0, "eth_address"), PAYER));
	assert_true(json_is(&doc, json_get(&doc, 0, "timestamp"), "1747000000"));
	assert_true(span_eq(json_raw(&doc, json_get(&doc, 0, "input")), d.input));
	assert_true(span_eq(json_raw(&doc, json_get(&doc, 0, "output")), d.output));
	assert_true(span_eq(json_inner(&doc, json_get(&doc, 0, "tee_id")), d.tee_id));
	assert_int_equal(doc.node[0].count, 9);
	json_fini(&doc);
	vectors_close(&vectors);
	buf_fini(&b);
	buf_fini(&text);
}

static const struct {
	const char *header;
	enum settle_data_type want;
} types[] = {
	{ "batch", SETTLE_DATA_BATCH },
	{ "private", SETTLE_DATA_PRIVATE },
	{ "Private", SETTLE_DATA_PRIVATE },
	{ " p-r_i v-ate ", SETTLE_DATA_PRIVATE },
	{ "INDIVIDUAL", SETTLE_DATA_INDIVIDUAL },
	{ "in-dividual", SETTLE_DATA_INDIVIDUAL },
	{ "privat", SETTLE_DATA_BATCH },
	{ "privates", SETTLE_DATA_BATCH },
	{ "", SETTLE_DATA_BATCH },
	{ "none", SETTLE_DATA_BATCH },
};

static void
reads_settlement_types(void **state)
{
	assert_int_equal(settle_data_type_of(SPAN_NONE), SETTLE_DATA_BATCH);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (settle_data_type_of(span_str(types[i].header)) != types[i].want)
			fail_msg("%s", types[i].header);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replays_the_recorded_run),
		cmocka_unit_test(reads_supported),
		cmocka_unit_test(reads_verify),
		cmocka_unit_test(reads_settle),
		cmocka_unit_test(reads_jobs),
		cmocka_unit_test(bounds_answers),
		cmocka_unit_test(reads_recorded_receipts),
		cmocka_unit_test(files_proofs),
		cmocka_unit_test(reads_settlement_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
