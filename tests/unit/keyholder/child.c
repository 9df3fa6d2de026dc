/* The key holder as a process: forked, asked over its channels, and ended. Source: K3, A3. */
#include "keyholder/child.h"

#include "forked.h"

static void
asked_in_order(void **state)
{
	struct key_request again = { .type = KEY_IDENTITY, .ticket = 5 };
	struct key_identity first, second;
	struct key_request r = chat_now(1);
	struct pss_pub *pub;
	struct key_answer a;
	uint8_t msg[KECCAK_LEN];

	assert_int_equal(key_identity_fetch(&first, end[0], PATIENCE_MS).code, ERR_OK);
	assert_int_equal(key_identity_fetch(&second, end[1], PATIENCE_MS).code, ERR_OK);
	assert_true(span_eq(buf_span(&first.tls_cert), buf_span(&second.tls_cert)));
	assert_int_equal(pss_pub_parse(&pub, buf_span(&first.signing_spki)).code, ERR_OK);
	put(1, &r);
	assert_true(get(1, &a));
	assert_int_equal(a.ticket, 1);
	assert_int_equal(a.code, ERR_OK);
	legacy_message(r.request_hash, r.output_hash, r.timestamp_unix_s, msg);
	assert_int_equal(pss_verify(pub, span_of(msg, sizeof(msg)), a.body).code, ERR_OK);
	/* K3: boot-time requests once. */
	put(0, &again);
	assert_true(get(0, &a));
	assert_int_equal(a.ticket, 5);
	assert_int_equal(a.code, ERR_REFUSED);
	assert_serves(0);
	pss_pub_free(pub);
	key_identity_fini(&first);
	key_identity_fini(&second);
}

static void
identity_comes_first(void **state)
{
	struct key_request late = { .type = KEY_IDENTITY };
	struct key_answer a;

	assert_serves(0);
	put(0, &late);
	assert_true(get(0, &a));
	assert_int_equal(a.code, ERR_REFUSED);
}

static void
refusals(void **state)
{
	struct key_request old = chat_now(1), early = chat_now(2);
	struct key_request forged = {
		.type = KEY_RECEIPT, .ticket = 3, .body = SPAN_LIT("{\"jti\":\"a\",\"iss\":\"0x\"}")
	};
	struct key_answer a;

	old.timestamp_unix_s -= 6;
	early.timestamp_unix_s += 60;
	put(0, &old);
	assert_true(get(0, &a));
	assert_int_equal(a.code, ERR_REFUSED);
	put(0, &early);
	assert_true(get(0, &a));
	assert_int_equal(a.code, ERR_REFUSED);
	put(0, &forged);
	assert_true(get(0, &a));
	assert_int_equal(a.code, ERR_REFUSED);
	assert_serves(0);
}

static const struct {
	const char *rule;
	struct span datagram;
	size_t zeros; /* further bytes */
} bad[] = {
	{ "no such type", SPAN_LIT("\x01\x09\0\0\0\0\0\0\0\0"), 0 },
	{ "no such version", SPAN_LIT("\x02\x01\0\0\0\0\0\0\0\0"), 0 },
	{ "half a header", SPAN_LIT("\x01\x01\0\0"), 0 },
	{ "a chat of the wrong length", SPAN_LIT("\x01\x02\0\0\0\0\0\0\0\0"), 71 },
	{ "above the largest message", SPAN_LIT("\x01\x04\0\0\0\0\0\0\0\0"),
	    KEY_MESSAGE_MAX_BYTES },
	{ "no bytes at all", SPAN_LIT(""), 0 },
};

static void
misbehaviour(void **state)
{
	static uint8_t raw[KEY_MESSAGE_MAX_BYTES + 64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct key_answer a;
		size_t n = bad[i].datagram.n + bad[i].zeros;

		if (i > 0)
			assert_int_equal(set_up(state), 0);
		memset(raw, 0, sizeof(raw));
		memcpy(raw, bad[i].datagram.p, bad[i].datagram.n);
		assert_int_equal(send(end[0], raw, n, MSG_NOSIGNAL), n);
		if (get(0, &a))
			fail_msg("%s: obeyed", bad[i].rule);
		/* The other channel is not held responsible. */
		assert_serves(1);
		tear_down(state);
	}
	holder = 0;
}

/* Sends chats until nobody takes them any more; a process of its own, as the socket fills up. */
static pid_t
start_flood(int i)
{
	struct key_request r = chat_now(0);
	pid_t pid = fork();
	struct buf b;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_request_put(&b, &r);
	while (send(end[i], b.p, b.n, MSG_NOSIGNAL) > 0)
		;
	_exit(0);
}

static void
queue_full(void **state)
{
	struct key_answer a = { 0 };
	bool seen = false;
	pid_t flood;

	assert_serves(1);
	flood = start_flood(0);
	while (!seen && get(0, &a)) {
		assert_true(a.code == ERR_OK || a.code == ERR_BUSY);
		seen = a.code == ERR_BUSY;
	}
	kill(flood, SIGKILL);
	assert_int_equal(waitpid(flood, NULL, 0), flood);
	assert_true(seen);
	/* With the flood's channel its jobs go, and the others are served again. */
	close_end(0);
	do {
		struct key_request r = chat_now(1);

		put(1, &r);
		assert_true(get(1, &a));
	} while (a.code == ERR_BUSY);
	assert_int_equal(a.code, ERR_OK);
}

/* More answers than a socket holds: they wait for their loop, and the other loop does not. */
static void
answers_unread(void **state)
{
	enum { ASKED = 400 };
	struct key_request r = { .type = KEY_RECEIPT, .body = SPAN_LIT("{}") };
	bool seen[ASKED] = { false };
	struct key_answer a;

	for (r.ticket = 0; r.ticket < ASKED; r.ticket++)
		put(0, &r);
	put(1, &r);
	assert_true(get(1, &a));
	assert_int_equal(a.ticket, ASKED);
	for (unsigned i = 0; i < ASKED; i++) {
		assert_true(get(0, &a));
		assert_int_equal(a.code, ERR_OK);
		assert_true(a.ticket < ASKED && !seen[a.ticket]);
		seen[a.ticket] = true;
	}
	assert_serves(0);
}

static void
ends_on_sigterm(void **state)
{
	int status;

	assert_serves(0);
	kill(holder, SIGTERM);
	status = wait_end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
ends_with_its_channels(void **state)
{
	int status;

	assert_serves(0);
	close_end(0);
	assert_serves(1);
	close_end(1);
	status = wait_end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
ends_with_work_left(void **state)
{
	int status;

	assert_serves(0);
	for (uint64_t i = 0; i < 100; i++) {
		struct key_request r = chat_now(i);

		put(0, &r);
	}
	kill(holder, SIGTERM);
	status = wait_end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
assert_refused(int i, enum key_type type)
{
	struct key_request r = { .type = type };
	struct key_answer a;

	put(i, &r);
	assert_true(get(i, &a));
	assert_int_equal(a.code, ERR_REFUSED);
}

static void
assert_provisioned(int i, struct span want)
{
	struct key_provisioned p;
	struct buf b;

	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	assert_int_equal(key_provisioned_fetch(&b, &p, end[i], PATIENCE_MS).code, ERR_OK);
	assert_true(span_eq(p.bytes, want));
	assert_true(p.open);
	assert_int_equal(p.seal_signature.n, PSS_SIG_LEN);
	buf_fini(&b);
}

/* K3: the secrets are due right after the identity, once. */
static void
provisioned_in_order(void **state)
{
	struct key_identity id;

	assert_refused(0, KEY_PROVISIONED);
	assert_refused(0, KEY_IDENTITY);
	assert_refused(0, KEY_PROVISIONED);
	assert_int_equal(key_identity_fetch(&id, end[1], PATIENCE_MS).code, ERR_OK);
	assert_provisioned(1, span_of(secret, sizeof(secret)));
	assert_refused(1, KEY_PROVISIONED);
	assert_serves(1);
	key_identity_fini(&id);
}

static void
nothing_provisioned(void **state)
{
	struct key_identity id;

	assert_int_equal(key_identity_fetch(&id, end[0], PATIENCE_MS).code, ERR_OK);
	assert_provisioned(0, SPAN_NONE);
	key_identity_fini(&id);
}

/* K1: the same keys and secrets for a new worker; the old one's ends are closed. */
static void
new_worker(void **state)
{
	struct key_identity before, after;
	int old[CHANNELS], theirs[CHANNELS];
	struct key_answer a;

	assert_int_equal(key_identity_fetch(&before, end[0], PATIENCE_MS).code, ERR_OK);
	for (uint64_t i = 0; i < 50; i++) {
		struct key_request r = chat_now(i);

		put(1, &r); /* some of them wait when their channel closes */
	}
	memcpy(old, end, sizeof(old));
	assert_int_equal(open_pairs(theirs), 0);
	assert_int_equal(passfd_send(control, theirs, CHANNELS).code, ERR_OK);
	for (int i = 0; i < CHANNELS; i++)
		close(theirs[i]);
	assert_int_equal(key_identity_fetch(&after, end[0], PATIENCE_MS).code, ERR_OK);
	assert_provisioned(0, span_of(secret, sizeof(secret)));
	assert_memory_equal(before.tee_id, after.tee_id, sizeof(before.tee_id));
	assert_true(span_eq(buf_span(&before.receipt_spki), buf_span(&after.receipt_spki)));
	assert_true(span_eq(buf_span(&before.tls_cert), buf_span(&after.tls_cert)));
	assert_serves(1);
	for (int i = 0; i < CHANNELS; i++) {
		int fresh = end[i];

		end[i] = old[i];
		while (get(i, &a))
			assert_int_equal(a.code, ERR_OK);
		close_end(i);
		end[i] = fresh;
	}
	key_identity_fini(&before);
	key_identity_fini(&after);
}

static void
waits_for_a_worker(void **state)
{
	int theirs[CHANNELS], status;

	assert_serves(0);
	close_end(0);
	close_end(1);
	assert_int_equal(open_pairs(theirs), 0);
	assert_int_equal(passfd_send(control, theirs, CHANNELS).code, ERR_OK);
	for (int i = 0; i < CHANNELS; i++)
		close(theirs[i]);
	assert_serves(1);
	close(control);
	control = -1;
	status = wait_end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
too_few_ends(void **state)
{
	int status;

	assert_serves(0);
	assert_int_equal(passfd_send(control, &control, 1).code, ERR_OK);
	status = wait_end();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

#define WHOLE(test) cmocka_unit_test_setup_teardown(test, set_up_whole, tear_down)
#define ROW(test)   cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(asked_in_order),
		ROW(identity_comes_first),
		ROW(refusals),
		ROW(misbehaviour),
		ROW(queue_full),
		ROW(answers_unread),
		ROW(ends_on_sigterm),
		ROW(ends_with_its_channels),
		ROW(ends_with_work_left),
		ROW(nothing_provisioned),
		WHOLE(provisioned_in_order),
		WHOLE(new_worker),
		WHOLE(waits_for_a_worker),
		WHOLE(too_few_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
