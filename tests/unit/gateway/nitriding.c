/* nitriding.c - the machine with a daemon and a clock of the test's own. */
#include "gateway/nitriding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../vectors.h"
#include "codec/b64.h"
#include "core/limits.h"

static struct {
	bool asked, waits;
	enum egress_method method;
	char url[256], body[128];
	uint64_t wait_ms;
	unsigned n_asked, n_forgets;
	struct err says;
} world;

static struct err
world_ask(void *ctx, enum egress_method method, const char *url, struct span body)
{
	assert_false(world.asked || world.waits);
	if (failed(world.says))
		return world.says;
	world.asked = true;
	world.n_asked++;
	world.method = method;
	snprintf(world.url, sizeof(world.url), "%s", url);
	snprintf(world.body, sizeof(world.body), "%.*s", (int)body.n, (const char *)body.p);
	return OK;
}

static void
world_wait(void *ctx, uint64_t ms)
{
	assert_false(world.asked || world.waits);
	world.waits = true;
	world.wait_ms = ms;
}

static void
world_forget(void *ctx)
{
	world.asked = world.waits = false;
	world.n_forgets++;
}

static struct nitriding daemon_of_ours;
static struct nitriding *const n = &daemon_of_ours;
static char hash_text[64];

/* The hash of the published identity, and what is posted for it. */
static int
set_up(void **state)
{
	static const struct nitriding_port port = { world_ask, world_wait, world_forget };
	struct vectors v;
	struct span hash;
	struct buf b;

	memset(&world, 0, sizeof(world));
	vectors_open(&v, "signing/identity.json");
	hash = vectors_hex(&v, 0, "signing_key_sha256_hex");
	assert_int_equal(hash.n, SHA256_LEN);
	buf_init(&b, sizeof(hash_text));
	b64_put(&b, hash);
	snprintf(hash_text, sizeof(hash_text), "%.*s", (int)b.n, (const char *)b.p);
	nitriding_init(n, &port, NULL, SPAN_LIT("http://127.0.0.1:8080"), hash.p);
	buf_fini(&b);
	vectors_close(&v);
	return 0;
}

static int
tear_down(void **state)
{
	nitriding_stop(n);
	nitriding_fini(n);
	return 0;
}

static void
answer(enum egress_fault fault, unsigned status)
{
	assert_true(world.asked);
	world.asked = false;
	nitriding_on_answer(n, fault, status);
}

static void
pass(uint64_t ms)
{
	assert_true(world.waits);
	assert_int_equal(world.wait_ms, ms);
	world.waits = false;
	nitriding_on_time(n);
}

static void
status_is(const char *text)
{
	struct buf b;

	buf_init(&b, 1024);
	nitriding_put_status(n, &b);
	if (!span_eq(buf_span(&b), span_str(text)))
		fail_msg("%.*s is not %s", (int)b.n, (const char *)b.p, text);
	buf_fini(&b);
}

/* nitro-attestation.md 5.5: 44 characters of Base64 and no line feed; then ready, once. */
static void
registers(void **state)
{
	status_is("{\"state\":\"registering\",\"errors\":0,\"last_error\":null}");
	nitriding_begin(n);
	assert_int_equal(world.method, EGRESS_POST);
	assert_string_equal(world.url, "http://127.0.0.1:8080/enclave/hash");
	assert_string_equal(world.body, hash_text);
	assert_int_equal(strlen(world.body), 44);
	assert_string_equal(world.body, "JTg+Mp3H1LXTos0LR7pcWA7COc9iS+okN0YrSAgn8cY=");
	answer(EGRESS_NONE, 200);
	status_is("{\"state\":\"registered\",\"errors\":0,\"last_error\":null}");
	assert_int_equal(world.method, EGRESS_GET);
	assert_string_equal(world.url, "http://127.0.0.1:8080/enclave/ready");
	assert_string_equal(world.body, "");
	answer(EGRESS_NONE, 200);
	status_is("{\"state\":\"ready\",\"errors\":0,\"last_error\":null}");
	assert_false(world.asked || world.waits);
	assert_int_equal(world.n_asked, 2);
}

/* A new worker registers again; a daemon without -wait-for-app has no such route. */
static void
told_before(void **state)
{
	static const unsigned statuses[] = { 410, 404 };

	for (size_t i = 0; i < 2; i++) {
		nitriding_begin(n);
		answer(EGRESS_NONE, 200);
		answer(EGRESS_NONE, statuses[i]);
		status_is("{\"state\":\"ready\",\"errors\":0,\"last_error\":null}");
		assert_false(world.asked || world.waits);
		tear_down(state);
		set_up(state);
	}
}

static const struct {
	const char *rule;
	enum egress_fault fault;
	unsigned status;
	const char *error;
} bad[] = {
	{ "not there yet", EGRESS_CONNECT, 0, "the daemon cannot be reached" },
	{ "silent", EGRESS_TIMEOUT, 0, "the daemon did not answer" },
	{ "reset", EGRESS_BROKEN, 0, "the daemon did not answer" },
	{ "an endless answer", EGRESS_TOO_LARGE, 200, "the daemon did not answer" },
	{ "refused", EGRESS_NONE, 400, "the daemon answered 400" },
	{ "broken", EGRESS_NONE, 500, "the daemon answered 500" },
	{ "another program", EGRESS_NONE, 302, "the daemon answered 302" },
	{ "no content is not 200", EGRESS_NONE, 204, "the daemon answered 204" },
};

/* Ready is never said before the hash was taken; pauses grow up to a bound. */
static void
retries(void **state)
{
	uint64_t pause_ms = 100;
	char text[160];
	unsigned errors = 0;

	nitriding_begin(n);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i].rule);
		answer(bad[i].fault, bad[i].status);
		snprintf(text, sizeof(text),
		    "{\"state\":\"registering\",\"errors\":%u,\"last_error\":\"%s\"}", ++errors,
		    bad[i].error);
		status_is(text);
		pass(pause_ms);
		assert_string_equal(world.url, "http://127.0.0.1:8080/enclave/hash");
		assert_string_equal(world.body, hash_text);
		pause_ms = pause_ms * 2 > NITRIDING_PAUSE_MAX_MS ? NITRIDING_PAUSE_MAX_MS
								 : pause_ms * 2;
	}
	assert_int_equal(pause_ms, NITRIDING_PAUSE_MAX_MS);
	answer(EGRESS_NONE, 404);
	pass(NITRIDING_PAUSE_MAX_MS);
	answer(EGRESS_NONE, 200);

	/* The other half begins with short pauses, and never goes back. */
	for (size_t i = 0; i < 2; i++) {
		answer(bad[i].fault, bad[i].status);
		pass(i == 0 ? 100 : 200);
		assert_string_equal(world.url, "http://127.0.0.1:8080/enclave/ready");
	}
	answer(EGRESS_NONE, 500);
	pass(400);
	answer(EGRESS_NONE, 200);
	snprintf(text, sizeof(text), "{\"state\":\"ready\",\"errors\":%u,\"last_error\":null}",
	    errors + 4);
	status_is(text);
}

static void
an_egress_that_will_not(void **state)
{
	world.says = FAIL(NOMEM, "api: memory");
	nitriding_begin(n);
	status_is("{\"state\":\"registering\",\"errors\":1,\"last_error\":\"api: memory\"}");
	world.says = OK;
	pass(100);
	assert_true(world.asked);
}

static void
stops_anywhere(void **state)
{
	for (int where = 0; where < 4; where++) {
		nitriding_begin(n);
		if (where == 1)
			answer(EGRESS_CONNECT, 0);
		if (where > 1)
			answer(EGRESS_NONE, 200);
		if (where == 3)
			answer(EGRESS_NONE, 200);
		nitriding_stop(n);
		assert_int_equal(world.n_forgets, 1);
		assert_false(world.asked || world.waits);
		tear_down(state);
		set_up(state);
	}
}

int
main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(registers),
		ROW(told_before),
		ROW(retries),
		ROW(an_egress_that_will_not),
		ROW(stops_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
