/*
 * A worker under a stranger's control against the real key holder: whatever it sends is refused or
 * costs it its channel; nothing that K3 forbids is signed, and the other channels are served on.
 */
#include "forked.h"

#include <stdio.h>

#include "codec/json.h"
#include "core/buf.h"
#include "crypto/jws.h"
#include "receipt/receipt.h"
#include "sys/sanitized.h"

/* --- what is read, and refused --- */

static const struct {
	const char *rule;
	enum key_type type;
	const char *members; /* of a receipt */
	int64_t from_now_s;  /* of a chat */
	enum err_code want;
} asked[] = {
	{ "K3: a chat of now", KEY_CHAT, NULL, 0, ERR_OK },
	/* The clock may tick on its way: one second of room on the side where that matters. */
	{ "K3: 6 s ago", KEY_CHAT, NULL, -6, ERR_REFUSED },
	{ "K3: in 7 s", KEY_CHAT, NULL, 7, ERR_REFUSED },
	{ "K3: 4 s ago", KEY_CHAT, NULL, -4, ERR_OK },
	{ "K3: in 5 s", KEY_CHAT, NULL, 5, ERR_OK },
	{ "K3: another day", KEY_CHAT, NULL, 86400, ERR_REFUSED },
	{ "K3: the end of time", KEY_CHAT, NULL, INT64_MAX, ERR_REFUSED },
	{ "K3: before the beginning", KEY_CHAT, NULL, INT64_MIN, ERR_REFUSED },
	{ "R7: members", KEY_RECEIPT, "{\"jti\":\"a\"}", 0, ERR_OK },
	{ "K3: iss", KEY_RECEIPT, "{\"iss\":\"0x\"}", 0, ERR_REFUSED },
	{ "K3: iat", KEY_RECEIPT, "{\"iat\":1}", 0, ERR_REFUSED },
	{ "K3: platform", KEY_RECEIPT, "{\"platform\":\"aws-nitro\"}", 0, ERR_REFUSED },
	{ "K3: platform, null", KEY_RECEIPT, "{\"platform\":null}", 0, ERR_REFUSED },
	{ "K3: iss by escapes", KEY_RECEIPT, "{\"\\u0069\\u0073\\u0073\":1}", 0, ERR_REFUSED },
	{ "R8: a name twice", KEY_RECEIPT, "{\"jti\":1,\"jti\":2}", 0, ERR_REFUSED },
	{ "R8: twice by an escape", KEY_RECEIPT, "{\"jti\":1,\"\\u006ati\":2}", 0, ERR_REFUSED },
	{ "R8: a name twice, further in", KEY_RECEIPT, "{\"payment\":{\"cap\":1,\"cap\":2}}", 0,
	    ERR_REFUSED },
	{ "not an object", KEY_RECEIPT, "\"iss\"", 0, ERR_REFUSED },
	{ "an object and more", KEY_RECEIPT, "{},\"iss\":\"0x\"", 0, ERR_MALFORMED },
	{ "an object closed early", KEY_RECEIPT, "{}}", 0, ERR_MALFORMED },
	{ "half an object", KEY_RECEIPT, "{\"jti\":\"a\"", 0, ERR_MALFORMED },
	{ "not UTF-8", KEY_RECEIPT, "{\"jti\":\"\xff\"}", 0, ERR_MALFORMED },
};

static void
refused(void **state)
{
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct key_request r = chat_now(i);
		struct key_answer a;

		r.type = asked[i].type;
		r.timestamp_unix_s += (uint64_t)asked[i].from_now_s;
		if (asked[i].members != NULL)
			r.body = span_str(asked[i].members);
		put(0, &r);
		assert_true(get(0, &a));
		assert_int_equal(a.ticket, i);
		if (a.code != asked[i].want || (a.code != ERR_OK && a.body.n != 0))
			fail_msg("%s: answered with %d", asked[i].rule, (int)a.code);
	}
	assert_serves(1);
}

static size_t
count(struct span text, struct span word)
{
	size_t n = 0, at = 0;

	while ((at = span_find(text, word, at)) != SIZE_MAX) {
		at++;
		n++;
	}
	return n;
}

/* K3: whoever is named by a receipt is named once, by the key holder, whatever stands beside it. */
static void
named_by_the_key_holder(void **state)
{
	static const char members[] =
	    "{\"x\":{\"iss\":\"0x\",\"iat\":1,\"platform\":\"aws-nitro\"}}";
	struct key_request r = { .type = KEY_RECEIPT, .body = span_str(members) };
	struct key_identity id;
	struct es256_pub pub;
	struct key_answer a;
	struct buf claims;
	struct json doc;
	uint64_t iat = 0, now = (uint64_t)time(NULL);

	assert_int_equal(key_identity_fetch(&id, end[0], PATIENCE_MS).code, ERR_OK);
	assert_int_equal(id.receipt_spki.n, 91);
	memcpy(pub.x, id.receipt_spki.p + 27, ES256_COORD_LEN);
	memcpy(pub.y, id.receipt_spki.p + 59, ES256_COORD_LEN);
	put(0, &r);
	assert_true(get(0, &a));
	assert_int_equal(a.code, ERR_OK);
	buf_init(&claims, RECEIPT_MAX_BYTES);
	assert_int_equal(jws_verify(a.body, &pub, RECEIPT_TYP, &claims).code, ERR_OK);
	assert_int_equal(json_parse(&doc, buf_span(&claims), 64).code, ERR_OK);
	assert_int_equal(json_no_duplicates(&doc).code, ERR_OK);
	assert_true(json_is(&doc, json_get(&doc, 0, "platform"), "local-simulation"));
	assert_true(
	    span_eq(json_inner(&doc, json_get(&doc, 0, "iss")), span_of(id.tee_id, TEE_ID_LEN)));
	assert_true(json_u64(&doc, json_get(&doc, 0, "iat"), UINT64_MAX, &iat));
	assert_true(iat >= now && iat <= now + PATIENCE_MS / 1000);
	assert_int_equal(count(buf_span(&claims), SPAN_LIT("\"iss\"")), 2);
	json_fini(&doc);
	buf_fini(&claims);
	key_identity_fini(&id);
}

/* --- what is not read at all: the channel is gone --- */

static const struct {
	const char *rule;
	struct span head;
	size_t zeros; /* further bytes */
} broken[] = {
	{ "no byte", SPAN_LIT(""), 0 },
	{ "a version alone", SPAN_LIT("\1"), 0 },
	{ "half a header", SPAN_LIT("\1\2\0\0\0\0\0\0\0"), 0 },
	{ "version 0", SPAN_LIT("\0\2\0\0\0\0\0\0\0\1"), 72 },
	{ "version 2", SPAN_LIT("\2\2\0\0\0\0\0\0\0\1"), 72 },
	{ "type 0", SPAN_LIT("\1\0\0\0\0\0\0\0\0\1"), 0 },
	{ "the type after the last", SPAN_LIT("\1\x7f\0\0\0\0\0\0\0\1"), 0 },
	{ "an answer", SPAN_LIT("\1\x82\0\0\0\0\0\0\0\1"), 257 },
	{ "an identity with a body", SPAN_LIT("\1\1\0\0\0\0\0\0\0\1"), 1 },
	{ "secrets with a body", SPAN_LIT("\1\5\0\0\0\0\0\0\0\1"), 1 },
	{ "half a chat", SPAN_LIT("\1\2\0\0\0\0\0\0\0\1"), 36 },
	{ "a chat less a byte", SPAN_LIT("\1\2\0\0\0\0\0\0\0\1"), 71 },
	{ "a chat and a byte", SPAN_LIT("\1\2\0\0\0\0\0\0\0\1"), 73 },
	{ "two chats at once", SPAN_LIT("\1\2\0\0\0\0\0\0\0\1"), 72 + 82 },
	{ "a receipt of nothing", SPAN_LIT("\1\3\0\0\0\0\0\0\0\1"), 0 },
	{ "a receipt above its bound", SPAN_LIT("\1\3\0\0\0\0\0\0\0\1"), RECEIPT_MAX_BYTES + 1 },
	{ "a configuration of nothing", SPAN_LIT("\1\4\0\0\0\0\0\0\0\1"), 0 },
	{ "one above its bound", SPAN_LIT("\1\4\0\0\0\0\0\0\0\1"), CONFIG_MAX_BYTES + 1 },
	{ "attest over nothing", SPAN_LIT("\1\6\0\0\0\0\0\0\0\1"), 0 },
	{ "a nonce above its bound", SPAN_LIT("\1\6\0\0\0\0\0\0\0\1"), ATTEST_NONCE_MAX_BYTES + 1 },
	{ "our own document with a body", SPAN_LIT("\1\7\0\0\0\0\0\0\0\1"), 1 },
	{ "a JWE of nothing", SPAN_LIT("\1\x08\0\0\0\0\0\0\0\1"), 0 },
	{ "one above its bound", SPAN_LIT("\1\x08\0\0\0\0\0\0\0\1"), PROVISION_MAX_BYTES + 1 },
	{ "to provision nothing", SPAN_LIT("\1\x09\0\0\0\0\0\0\0\1"), 0 },
	{ "more than may be", SPAN_LIT("\1\x09\0\0\0\0\0\0\0\1"), PROVISION_MAX_BYTES + 1 },
	{ "above any message", SPAN_LIT("\1\4\0\0\0\0\0\0\0\1"), KEY_MESSAGE_MAX_BYTES },
};

/* New channels on the same key holder, as a new worker gets them. */
static void
another_worker(void)
{
	int theirs[CHANNELS];

	for (int i = 0; i < CHANNELS; i++)
		close_end(i);
	assert_int_equal(open_pairs(theirs), 0);
	assert_int_equal(passfd_send(control, theirs, CHANNELS).code, ERR_OK);
	for (int i = 0; i < CHANNELS; i++)
		close(theirs[i]);
}

static void
dropped(void **state)
{
	static uint8_t raw[KEY_MESSAGE_MAX_BYTES + 64];

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		size_t n = broken[i].head.n + broken[i].zeros;
		struct key_answer a;

		memset(raw, 0, sizeof(raw));
		memcpy(raw, broken[i].head.p, broken[i].head.n);
		assert_int_equal(send(end[0], raw, n, MSG_NOSIGNAL), n);
		if (get(0, &a))
			fail_msg("%s: answered with %d", broken[i].rule, (int)a.code);
		assert_serves(1);
		another_worker();
	}
}

/* --- noise and greed --- */

/* The same bytes in every run, so that a failure comes again. */
static uint32_t
next_noise(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/*
 * Datagrams of noise, every second one with a good header before it: an answer is a refusal, or
 * what anybody may have. Noise is no chat of now and no JSON, so there is no signature but that of a
 * configuration, whose bytes are free, and documents of the security module, whose nonce is free; and
 * any bytes may be provisioned, once.
 */
static void
noise(void **state)
{
	enum { TURNS = 400 };
	uint32_t seed = 0x6b657973;
	uint8_t raw[2048];
	unsigned closed = 0, provisioned = 0;

	for (unsigned turn = 0; turn < TURNS; turn++) {
		size_t n = turn % 4 == 1 ? 82 : 1 + next_noise(&seed) % (sizeof(raw) - 1);
		struct key_answer a;

		for (size_t i = 0; i < n; i++)
			raw[i] = (uint8_t)next_noise(&seed);
		if (turn % 2 == 1) {
			raw[0] = 1;
			raw[1] = (uint8_t)(KEY_IDENTITY + next_noise(&seed) % KEY_HEARTBEAT);
		}
		assert_int_equal(send(end[0], raw, n, MSG_NOSIGNAL), n);
		if (!get(0, &a)) {
			closed++;
			another_worker();
			continue;
		}
		provisioned += a.code == ERR_OK && a.type == KEY_PROVISION;
		if (a.code == ERR_OK && a.type != KEY_CONFIG && a.type != KEY_PROVISION &&
		    a.type != KEY_ATTEST && a.type != KEY_HEARTBEAT)
			fail_msg("turn %u: type %d was obeyed", turn, (int)a.type);
	}
	assert_true(closed >= TURNS / 2);
	assert_int_equal(provisioned, 1);
	assert_serves(1);
}

/* Of the key holder, in KiB: what it uses, and the most it ever used. */
static unsigned long
memory_kib(const char *field)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)holder);
	assert_non_null(f = fopen(path, "r"));
	while (kib == 0 && fgets(line, sizeof(line), f) != NULL) {
		struct span s = span_str(line);

		if (!span_starts(s, span_str(field)))
			continue;
		for (size_t i = 0; i < s.n; i++)
			if (s.p[i] >= '0' && s.p[i] <= '9')
				kib = kib * 10 + (unsigned long)(s.p[i] - '0');
	}
	fclose(f);
	assert_true(kib > 0);
	return kib;
}

/* The jobs of a channel that is closed are dropped one by one; until then the queue may be full. */
static void
assert_serves_soon(int i)
{
	struct key_answer a;

	do {
		struct key_request r = chat_now(1);

		put(i, &r);
		assert_true(get(i, &a));
	} while (a.code == ERR_BUSY);
	assert_int_equal(a.code, ERR_OK);
}

/*
 * The largest requests there are, for as long as somebody takes them, and no answer is ever read. The
 * queue is SIGN_QUEUE_MAX of them at most; a channel that leaves its answers lying is closed.
 */
static void
greed(void **state)
{
	enum { WORKERS = 4 };
	const unsigned long queue_kib = SIGN_QUEUE_MAX * (CONFIG_MAX_BYTES / 1024 + 1);
	static uint8_t text[CONFIG_MAX_BYTES];
	struct key_request r = { .type = KEY_CONFIG, .body = span_of(text, sizeof(text)) };
	unsigned long before;
	struct buf b;

	memset(text, ' ', sizeof(text));
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_request_put(&b, &r);
	assert_serves(1);
	before = memory_kib("VmHWM:");
	for (int worker = 0; worker < WORKERS; worker++) {
		while (send(end[0], b.p, b.n, MSG_NOSIGNAL) > 0)
			;
		another_worker();
		assert_serves_soon(1);
	}
	/* A sanitizer holds freed memory back, for a while. */
	if (memory_kib("VmHWM:") > before + 2 * queue_kib + (SANITIZED ? 512ul << 10 : 8ul << 10))
		fail_msg("%lu KiB became %lu", before, memory_kib("VmHWM:"));
	buf_fini(&b);
}

/* Descriptors that come along are not taken: the end of a pipe is closed with our own copy. */
static void
gifts(void **state)
{
	struct key_request r = chat_now(9);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room = { 0 };
	struct pollfd gone;
	struct key_answer a;
	struct msghdr msg;
	struct iovec data;
	char byte;
	struct buf b;
	int fd[2];

	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_request_put(&b, &r);
	assert_int_equal(pipe(fd), 0);
	data = (struct iovec){ .iov_base = b.p, .iov_len = b.n };
	msg = (struct msghdr){ .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = room.bytes,
		.msg_controllen = sizeof(room.bytes) };
	room.align.cmsg_level = SOL_SOCKET;
	room.align.cmsg_type = SCM_RIGHTS;
	room.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&room.align), &fd[1], sizeof(int));
	assert_int_equal(sendmsg(end[0], &msg, MSG_NOSIGNAL), b.n);
	close(fd[1]);
	assert_true(get(0, &a));
	assert_int_equal(a.code, ERR_OK);
	gone = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	assert_int_equal(poll(&gone, 1, PATIENCE_MS), 1);
	assert_int_equal(read(fd[0], &byte, 1), 0);
	close(fd[0]);
	buf_fini(&b);
}

/* K3: what is told once is told once a channel, however it is asked. */
static void
once(void **state)
{
	struct key_request twice[] = { { .type = KEY_IDENTITY, .ticket = 1 },
		{ .type = KEY_IDENTITY, .ticket = 2 }, { .type = KEY_PROVISIONED, .ticket = 3 } };
	unsigned refusals = 0, told = 0;
	struct key_answer a;

	/* All before the first answer is read: the stage is that of what was asked. */
	for (size_t i = 0; i < 3; i++)
		put(0, &twice[i]);
	for (size_t i = 0; i < 3; i++) {
		assert_true(get(0, &a));
		assert_true(a.code == ERR_OK ? a.ticket == 1 : a.code == ERR_REFUSED);
		told += a.code == ERR_OK;
		refusals += a.code == ERR_REFUSED;
	}
	assert_int_equal(told, 1);
	assert_int_equal(refusals, 2);
	assert_serves(1);
}

#define WHOLE(test) cmocka_unit_test_setup_teardown(test, set_up_whole, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WHOLE(refused),
		WHOLE(named_by_the_key_holder),
		WHOLE(dropped),
		WHOLE(noise),
		WHOLE(greed),
		WHOLE(gifts),
		WHOLE(once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
