/* heartbeat.c - the machine with a clock, a key holder and a facilitator of the test's own. */
#include "gateway/heartbeat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../vectors.h"
#include "codec/b64.h"
#include "core/limits.h"

#define TEE_ID	 "0x4c255f1a544cca7df110696e12070defe7742d7777447e01b64e4e597d4f9b44"
#define CONTRACT "0x4e72238852f3c918f4E4e57AeC9280dDB0c80248"
#define WALLET	 "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"

enum { NOW = 1747000300 };

/* What the machine has asked for, and the time, which only the test moves. */
static struct {
	uint64_t now_ms;
	bool signs, posts, waits;
	uint64_t due_ms;
	unsigned n_signs, n_posts, n_forgets;
	uint32_t buffer_s;
	char url[640];
	struct buf body;
	struct err sign_says, post_says;
} world;

static struct err
world_sign(void *ctx, uint32_t buffer_s)
{
	assert_false(world.signs || world.posts || world.waits);
	if (failed(world.sign_says))
		return world.sign_says;
	world.signs = true;
	world.n_signs++;
	world.buffer_s = buffer_s;
	return OK;
}

static struct err
world_post(void *ctx, const char *url, struct span body)
{
	assert_false(world.signs || world.posts || world.waits);
	if (failed(world.post_says))
		return world.post_says;
	world.posts = true;
	world.n_posts++;
	snprintf(world.url, sizeof(world.url), "%s", url);
	buf_clear(&world.body);
	buf_put(&world.body, body);
	return OK;
}

static void
world_wait(void *ctx, uint64_t ms)
{
	assert_false(world.signs || world.posts || world.waits);
	world.waits = true;
	world.due_ms = world.now_ms + ms;
}

static void
world_forget(void *ctx)
{
	world.signs = world.posts = world.waits = false;
	world.n_forgets++;
}

static uint64_t
world_now_ms(void *ctx)
{
	return world.now_ms;
}

static uint64_t
world_now_unix_s(void *ctx)
{
	return NOW + world.now_ms / 1000;
}

static const struct heartbeat_port port = { world_sign, world_post, world_wait, world_forget,
	world_now_ms, world_now_unix_s };

static struct heartbeat beat;
static struct settings *settings;

static int
set_up(void **state)
{
	static const struct heartbeat_self self = { SPAN_LIT(TEE_ID), SPAN_LIT(WALLET) };

	memset(&world, 0, sizeof(world));
	buf_init(&world.body, 4096);
	if ((settings = settings_new()) == NULL)
		return 1;
	snprintf(settings->heartbeat_contract, sizeof(settings->heartbeat_contract), CONTRACT);
	snprintf(settings->facilitator_url, sizeof(settings->facilitator_url), "https://f.test/x");
	settings->heartbeat_interval_s = 900;
	settings->heartbeat_buffer_s = 300;
	heartbeat_init(&beat, &port, NULL, &self);
	return 0;
}

static int
tear_down(void **state)
{
	heartbeat_stop(&beat);
	heartbeat_fini(&beat);
	settings_free(settings);
	buf_fini(&world.body);
	return 0;
}

/* --- what the world answers --- */

static void
sign(uint64_t timestamp, struct span signature)
{
	struct key_heartbeat h = { .timestamp_unix_s = timestamp };
	struct buf b;

	assert_true(world.signs);
	world.signs = false;
	if (signature.n == sizeof(h.signature))
		memcpy(h.signature, signature.p, signature.n);
	buf_init(&b, 1024);
	key_heartbeat_put(&b, &h);
	heartbeat_on_signed(&beat, OK, buf_span(&b));
	buf_fini(&b);
}

static void
answer(enum egress_fault fault, unsigned status, const char *body)
{
	assert_true(world.posts);
	world.posts = false;
	heartbeat_on_answer(&beat, fault, status, span_str(body));
}

/* The wait that was asked for, which must be as long as this, is over. */
static void
pass(uint64_t ms)
{
	assert_true(world.waits);
	assert_int_equal(world.due_ms - world.now_ms, ms);
	world.now_ms = world.due_ms;
	world.waits = false;
	heartbeat_on_time(&beat);
}

static void
status_has(const char *part)
{
	struct buf b;

	buf_init(&b, 4096);
	heartbeat_put_status(&beat, &b);
	assert_int_equal(buf_check(&b).code, ERR_OK);
	if (span_find(buf_span(&b), span_str(part), 0) == SIZE_MAX)
		fail_msg("%s is not in %.*s", part, (int)b.n, (const char *)b.p);
	buf_fini(&b);
}

/* --- tests --- */

/* opengradient.md 7: the bytes that are posted are those of the vectors. */
static void
published_bodies(void **state)
{
	struct vectors v;
	uint32_t list, seen = 0;

	vectors_open(&v, "signing/heartbeat.json");
	assert_true(span_eq(vectors_text(&v, 0, "tee_id"), SPAN_LIT(TEE_ID)));
	list = vectors_get(&v, 0, "vectors");
	heartbeat_begin(&beat, settings);
	for (uint32_t c = json_first(&v.doc, list); c != JSON_NONE;
	     c = json_after(&v.doc, list, c), seen++) {
		uint32_t want = vectors_get(&v, c, "relay_body");
		struct span text;
		struct buf signature;
		struct json got;
		uint64_t timestamp;

		if (seen > 0)
			pass(900000);
		assert_true(
		    json_u64(&v.doc, vectors_get(&v, c, "timestamp"), UINT64_MAX, &timestamp));
		buf_init(&signature, 1024);
		assert_int_equal(
		    b64_parse(&signature, vectors_text(&v, c, "example_signature_b64")).code,
		    ERR_OK);
		assert_int_equal(world.buffer_s, 300);
		sign(timestamp, buf_span(&signature));
		buf_fini(&signature);
		assert_string_equal(world.url, "https://f.test/x/heartbeat");
		assert_int_equal(json_parse(&got, buf_span(&world.body), 64).code, ERR_OK);
		assert_int_equal(got.node[0].count, 4);
		for (uint32_t m = json_first(&v.doc, want); m != JSON_NONE;
		     m = json_after(&v.doc, want, m)) {
			char name[32];

			text = json_inner(&v.doc, m);
			snprintf(name, sizeof(name), "%.*s", (int)text.n, (const char *)text.p);
			if (!span_eq(
				json_raw(&got, json_get(&got, 0, name)), json_raw(&v.doc, m + 1)))
				fail_msg("%s", name);
		}
		json_fini(&got);
		answer(EGRESS_NONE, 200, "{\"txHash\":\"0xabc\"}");
	}
	assert_int_equal(seen, 2);
	vectors_close(&v);
	status_has("\"total_sent\":2,\"total_errors\":0,\"last_success_timestamp\":1747001200,"
		   "\"last_tx_hash\":\"0xabc\",\"last_error\":null}");
}

static const struct {
	const char *rule;
	enum egress_fault fault;
	unsigned status;
	const char *body, *error;
} bad[] = {
	{ "not reached", EGRESS_CONNECT, 0, "", "the facilitator cannot be reached" },
	{ "its certificate", EGRESS_TLS, 0, "",
	    "the facilitator's certificate cannot be verified" },
	{ "20 s are over", EGRESS_TIMEOUT, 0, "", "the facilitator did not answer in time" },
	{ "cut off", EGRESS_BROKEN, 200, "{\"txHash\":\"0xabc\"}",
	    "the facilitator's answer broke off" },
	{ "too much", EGRESS_TOO_LARGE, 200, "", "the facilitator's answer is too large" },
	{ "400", EGRESS_NONE, 400, "{\"txHash\":\"0xabc\"}", "the facilitator answered 400" },
	{ "500", EGRESS_NONE, 500, "", "the facilitator answered 500" },
	{ "201 is not 200", EGRESS_NONE, 201, "{\"txHash\":\"0xabc\"}",
	    "the facilitator answered 201" },
	{ "a redirect is not followed", EGRESS_NONE, 302, "", "the facilitator answered 302" },
	{ "200 without a body", EGRESS_NONE, 200, "",
	    "the facilitator answered 200 without a txHash" },
	{ "200 without txHash", EGRESS_NONE, 200, "{\"ok\":true}",
	    "the facilitator answered 200 without a txHash" },
	{ "a txHash that is no string", EGRESS_NONE, 200, "{\"txHash\":7}",
	    "the facilitator answered 200 without a txHash" },
};

/* opengradient.md 7: 3 attempts, 10 s apart, then the next interval; each is counted and told. */
static void
three_attempts(void **state)
{
	heartbeat_begin(&beat, settings);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t began_ms = world.now_ms;
		char text[160];

		print_message("%s\n", bad[i].rule);
		for (unsigned attempt = 1; attempt <= 3; attempt++) {
			sign(NOW, SPAN_NONE);
			world.now_ms += 500; /* the facilitator's time */
			answer(bad[i].fault, bad[i].status, bad[i].body);
			snprintf(text, sizeof(text), "\"total_errors\":%zu,", 3 * i + attempt);
			status_has(text);
			snprintf(text, sizeof(text), "\"last_error\":\"%s\"}", bad[i].error);
			status_has(text);
			if (attempt < 3)
				pass(10000);
		}
		/* The next beat is an interval after the begin of this one. */
		assert_int_equal(world.now_ms - began_ms, 2 * 10000 + 3 * 500);
		pass(900000 - 2 * 10000 - 3 * 500);
	}
	assert_int_equal(world.n_posts, 3 * sizeof(bad) / sizeof(bad[0]));
	status_has("\"total_sent\":0,");
	status_has("\"last_success_timestamp\":null,\"last_tx_hash\":null,");
}

static void
success_ends_the_attempts(void **state)
{
	heartbeat_begin(&beat, settings);
	sign(NOW, SPAN_NONE);
	answer(EGRESS_NONE, 503, "");
	pass(10000);
	sign(NOW + 10, SPAN_NONE);
	answer(EGRESS_NONE, 200, "{\"x\":[1,{}],\"txHash\":\"0x\\u0061\"}");
	status_has("\"total_sent\":1,\"total_errors\":1,\"last_success_timestamp\":1747000310,"
		   "\"last_tx_hash\":\"0xa\",\"last_error\":null}");
	assert_int_equal(world.n_signs, 2);
	pass(900000 - 10000);
	assert_int_equal(world.n_signs, 3);
}

/* A key holder that cannot, and an egress that will not, are failures like any other. */
static void
failures_of_ours(void **state)
{
	world.sign_says = FAIL(BUSY, "key client: too many wait for a signature");
	heartbeat_begin(&beat, settings);
	status_has("\"total_errors\":1,");
	status_has("\"last_error\":\"key client: too many wait for a signature\"}");
	world.sign_says = OK;
	pass(10000);
	assert_true(world.signs);
	world.signs = false;
	heartbeat_on_signed(&beat, FAIL(TIMEOUT, "key holder: no answer in SIGN_MS"), SPAN_NONE);
	status_has("\"total_errors\":2,");
	pass(10000);
	world.post_says = FAIL(MALFORMED, "egress: URL");
	sign(NOW, SPAN_NONE);
	status_has("\"total_errors\":3,");
	assert_int_equal(world.n_posts, 0);
	pass(900000 - 20000);
	assert_true(world.signs);
	world.signs = false;
	heartbeat_on_signed(&beat, OK, SPAN_LIT("not what a heartbeat is"));
	status_has("\"total_errors\":4,");
	assert_true(world.waits);
}

/* Attempts that took longer than the interval do not pile up. */
static void
short_interval(void **state)
{
	settings->heartbeat_interval_s = 15;
	heartbeat_begin(&beat, settings);
	for (int attempt = 1; attempt <= 3; attempt++) {
		sign(NOW, SPAN_NONE);
		world.now_ms += 20000;
		answer(EGRESS_TIMEOUT, 0, "");
		if (attempt < 3)
			pass(10000);
	}
	pass(0);
	assert_true(world.signs);
}

static void
begins_once_and_only_when_told_where(void **state)
{
	struct settings *half = settings_new();

	assert_non_null(half);
	heartbeat_begin(&beat, NULL);
	heartbeat_begin(&beat, half);
	snprintf(half->heartbeat_contract, sizeof(half->heartbeat_contract), CONTRACT);
	heartbeat_begin(&beat, half);
	assert_int_equal(world.n_signs, 0);
	status_has("{\"enabled\":false}");
	heartbeat_begin(&beat, settings);
	heartbeat_begin(&beat, settings);
	assert_int_equal(world.n_signs, 1);
	status_has(
	    "{\"enabled\":true,\"running\":true,\"tee_id\":\"" TEE_ID "\",\"registry\":\"" CONTRACT
	    "\",\"wallet\":\"" WALLET "\",\"relay_mode\":\"facilitator\","
	    "\"facilitator_url\":\"https://f.test/x\","
	    "\"heartbeat_endpoint\":\"https://f.test/x/heartbeat\",\"interval_seconds\":900,"
	    "\"total_sent\":0,\"total_errors\":0,\"last_success_timestamp\":null,"
	    "\"last_tx_hash\":null,\"last_error\":null}");
	settings_free(half);
}

/* Whatever is under way when it stops is forgotten, and nothing follows. */
static void
stops_anywhere(void **state)
{
	for (int where = 0; where < 4; where++) {
		heartbeat_begin(&beat, settings);
		if (where > 0)
			sign(NOW, SPAN_NONE);
		if (where == 2)
			answer(EGRESS_NONE, 500, "");
		if (where == 3)
			answer(EGRESS_NONE, 200, "{\"txHash\":\"0xabc\"}");
		heartbeat_stop(&beat);
		assert_int_equal(world.n_forgets, 1);
		assert_false(world.signs || world.posts || world.waits);
		status_has("{\"enabled\":true,\"running\":false,");
		/* It does not begin again. */
		heartbeat_begin(&beat, settings);
		assert_false(world.signs || world.posts || world.waits);
		tear_down(state);
		assert_int_equal(set_up(state), 0);
	}
}

static const struct {
	const char *rule, *body, *tx; /* tx NULL: refused */
} answers[] = {
	{ "a hash", "{\"txHash\":\"0x12\"}", "0x12" },
	{ "beside others", " {\"a\":{\"txHash\":\"no\"},\"txHash\":\"0x12\",\"b\":[]} ", "0x12" },
	{ "escapes are decoded", "{\"tx\\u0048ash\":\"0\\u0078\"}", "0x" },
	{ "of equal names the last counts", "{\"txHash\":\"a\",\"txHash\":\"b\"}", "b" },
	{ "empty", "{\"txHash\":\"\"}", NULL },
	{ "null", "{\"txHash\":null}", NULL },
	{ "deeper", "{\"data\":{\"txHash\":\"0x12\"}}", NULL },
	{ "a NUL within", "{\"txHash\":\"a\\u0000b\"}", NULL },
	{ "no object", "[\"txHash\",\"0x12\"]", NULL },
	{ "a string", "\"txHash\"", NULL },
	{ "not JSON", "{txHash:1}", NULL },
	{ "nothing", "", NULL },
};

static void
reads_answers(void **state)
{
	char tx[HEARTBEAT_TX_MAX + 1], text[HEARTBEAT_TX_MAX + 64];

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct err e = heartbeat_read_answer(tx, span_str(answers[i].body));

		if (failed(e) == (answers[i].tx != NULL))
			fail_msg("%s", answers[i].rule);
		if (answers[i].tx != NULL)
			assert_string_equal(tx, answers[i].tx);
	}
	for (int extra = 0; extra < 2; extra++) {
		snprintf(text, sizeof(text), "{\"txHash\":\"%0*d\"}", HEARTBEAT_TX_MAX + extra, 7);
		assert_int_equal(heartbeat_read_answer(tx, span_str(text)).code,
		    extra == 0 ? ERR_OK : ERR_MALFORMED);
	}
}

int
main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(published_bodies),
		ROW(three_attempts),
		ROW(success_ends_the_attempts),
		ROW(failures_of_ours),
		ROW(short_interval),
		ROW(begins_once_and_only_when_told_where),
		ROW(stops_anywhere),
		cmocka_unit_test(reads_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
