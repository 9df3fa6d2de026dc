/* The loop's side: against a scripted key holder on the other end, and against the real one. */
#include "keyholder/client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/limits.h"
#include "keyholder/child.h"
#include "keyholder/proto.h"
#include "sys/clock.h"

enum { WINDOW = SIGN_QUEUE_MAX / 32 }; /* as client.c has it */

static const uint8_t hash[KECCAK_LEN];

static uv_loop_t loop;
static struct key_client *client;
static int peer; /* the key holder's end; -1: closed */
static unsigned lost, answers;
static enum err_code last_code;
static struct buf last;
static bool free_in_answer;

static void
on_lost(void *ctx)
{
	assert_ptr_equal(ctx, &loop);
	lost++;
}

static void
on_answer(void *ctx, struct err e, struct span answer)
{
	unsigned *mine = ctx;

	if (mine != NULL)
		(*mine)++;
	answers++;
	last_code = e.code;
	buf_clear(&last);
	buf_put(&last, answer);
	if (free_in_answer) {
		key_client_free(client);
		client = NULL;
	}
}

static int
set_up(void **state)
{
	int pair[2];

	lost = answers = 0;
	free_in_answer = false;
	last_code = ERR_OK;
	buf_init(&last, KEY_MESSAGE_MAX_BYTES);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 || uv_loop_init(&loop) != 0)
		return 1;
	peer = pair[1];
	return failed(key_client_new(&client, &loop, pair[0], on_lost, &loop));
}

static void
close_peer(void)
{
	if (peer >= 0)
		close(peer);
	peer = -1;
}

static int
tear_down(void **state)
{
	close_peer();
	key_client_free(client);
	client = NULL;
	uv_run(&loop, UV_RUN_DEFAULT);
	buf_fini(&last);
	return uv_loop_close(&loop);
}

static struct key_ticket *
ask(unsigned *mine)
{
	struct key_ticket *t;

	assert_int_equal(key_sign_chat(client, hash, hash, 1, on_answer, mine, &t).code, ERR_OK);
	assert_non_null(t);
	return t;
}

/*
 * The next request at the key holder's end; FALSE when none waits. Its body is not kept. What was
 * asked for leaves with the loop's next turn.
 */
static bool
take(struct key_request *r)
{
	static uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	ssize_t n = recv(peer, datagram, sizeof(datagram), MSG_DONTWAIT);

	if (n <= 0) {
		uv_run(&loop, UV_RUN_NOWAIT);
		n = recv(peer, datagram, sizeof(datagram), MSG_DONTWAIT);
	}
	if (n <= 0)
		return false;
	assert_int_equal(key_request_parse(r, span_of(datagram, (size_t)n)).code, ERR_OK);
	return true;
}

static void
reply(const struct key_request *r, enum err_code code)
{
	static const uint8_t sig[PSS_SIG_LEN] = { 's' };
	struct key_answer a = { .type = r->type, .ticket = r->ticket, .code = code };
	struct buf b;

	a.body = r->type == KEY_CHAT ? span_of(sig, sizeof(sig)) : SPAN_LIT("a.b.c");
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_answer_put(&b, &a);
	assert_int_equal(send(peer, b.p, b.n, MSG_NOSIGNAL), b.n);
	buf_fini(&b);
}

/* One turn of the loop, which must have something to do. */
static void
turn(void)
{
	uv_run(&loop, UV_RUN_ONCE);
}

static void
answered(void **state)
{
	struct key_request r, second;
	unsigned a = 0, b = 0;

	ask(&a);
	ask(&b);
	assert_int_equal(answers, 0); /* never from inside the call */
	assert_true(take(&r));
	assert_true(take(&second));
	assert_int_equal(r.type, KEY_CHAT);
	assert_int_equal(r.timestamp_unix_s, 1);
	assert_true(r.ticket != second.ticket);
	reply(&second, ERR_OK); /* threads may overtake one another */
	turn();
	assert_int_equal(a, 0);
	assert_int_equal(b, 1);
	assert_int_equal(last_code, ERR_OK);
	assert_int_equal(last.n, PSS_SIG_LEN);
	reply(&r, ERR_OK);
	turn();
	assert_int_equal(a, 1);
}

static void
error_codes(void **state)
{
	static const enum err_code codes[] = { ERR_REFUSED, ERR_MALFORMED, ERR_TOO_LARGE, ERR_BUSY,
		ERR_SYSTEM };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct key_request r;

		ask(NULL);
		assert_true(take(&r));
		reply(&r, codes[i]);
		turn();
		assert_int_equal(last_code, codes[i]);
		assert_int_equal(last.n, 0);
	}
	assert_int_equal(lost, 0);
}

static void
texts(void **state)
{
	static const uint8_t big[CONFIG_MAX_BYTES + 1] = { 'x' };
	struct key_ticket *t;
	struct key_request r;

	assert_int_equal(
	    key_sign_receipt(client, SPAN_LIT("{}"), on_answer, NULL, &t).code, ERR_OK);
	assert_true(take(&r));
	assert_int_equal(r.type, KEY_RECEIPT);
	reply(&r, ERR_OK);
	turn();
	assert_true(span_eq(buf_span(&last), SPAN_LIT("a.b.c")));
	assert_int_equal(key_sign_config(client, SPAN_LIT("{}"), on_answer, NULL, &t).code, ERR_OK);
	assert_true(take(&r));
	assert_int_equal(r.type, KEY_CONFIG);
	/* What the key holder would close the channel for does not leave. */
	assert_int_equal(
	    key_sign_receipt(client, SPAN_NONE, on_answer, NULL, &t).code, ERR_MALFORMED);
	assert_int_equal(
	    key_sign_receipt(client, span_of(big, RECEIPT_MAX_BYTES + 1), on_answer, NULL, &t).code,
	    ERR_TOO_LARGE);
	assert_int_equal(
	    key_sign_config(client, span_of(big, sizeof(big)), on_answer, NULL, &t).code,
	    ERR_TOO_LARGE);
	assert_null(t);
	assert_false(take(&r));
}

static void
window(void **state)
{
	enum { ASKED = 3 * WINDOW };
	struct key_request r[ASKED];
	unsigned n = 0;

	for (int i = 0; i < ASKED; i++)
		ask(NULL);
	while (take(&r[n]))
		n++;
	assert_int_equal(n, WINDOW);
	/* Each answer lets one more out, in the order they were asked. */
	for (unsigned i = 0; i < ASKED; i++) {
		reply(&r[i], ERR_OK);
		turn();
		if (n < ASKED)
			assert_true(take(&r[n++]));
		assert_int_equal(r[i].ticket, r[0].ticket + i);
	}
	assert_int_equal(answers, ASKED);
	assert_false(take(&r[0]));
}

static void
socket_full(void **state)
{
	static uint8_t members[RECEIPT_MAX_BYTES];
	struct key_request r;
	struct key_ticket *t;
	unsigned n = 0;
	int small = 1;

	/* The kernel's smallest: one receipt's room or so. */
	setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	memset(members, 'm', sizeof(members));
	for (int i = 0; i < 2 * WINDOW; i++)
		assert_int_equal(
		    key_sign_receipt(client, span_of(members, sizeof(members)), on_answer, NULL, &t)
			.code,
		    ERR_OK);
	while (n < 2 * WINDOW) {
		while (take(&r)) {
			n++;
			reply(&r, ERR_OK);
		}
		turn();
	}
	while (answers < 2 * WINDOW)
		turn();
	assert_int_equal(lost, 0);
}

static void
room(void **state)
{
	struct key_request r;
	unsigned n = 0;

	while (key_client_has_room(client)) {
		ask(NULL);
		assert_true(++n <= SIGN_QUEUE_MAX);
	}
	assert_true(n > WINDOW);
	ask(NULL); /* who was admitted before is signed for */
	for (unsigned i = 0; i < 2; i++) {
		assert_true(take(&r));
		reply(&r, ERR_OK);
		turn();
	}
	assert_true(key_client_has_room(client));
}

static void
cancelled(void **state)
{
	struct key_ticket *sent, *waiting = NULL;
	struct key_request r;
	unsigned mine = 0;

	sent = ask(&mine);
	for (int i = 0; i < WINDOW; i++)
		waiting = ask(i == WINDOW - 1 ? &mine : NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	key_cancel(sent);
	key_cancel(waiting); /* beyond the window: it never leaves */
	key_cancel(NULL);
	for (int i = 0; i < WINDOW; i++) {
		assert_true(take(&r));
		reply(&r, ERR_OK);
	}
	while (answers < WINDOW - 1)
		turn();
	assert_false(take(&r));
	assert_int_equal(mine, 0);
	assert_int_equal(lost, 0);
}

/*
 * Asked while the loop believes it is nearly SIGN_MS ago: the next turn sends what fits into the
 * window, and soon the deadline has passed.
 */
static void
timed_out(void **state)
{
	struct key_request r;
	unsigned mine = 0;

	loop.time -= SIGN_MS - 100;
	for (int i = 0; i < WINDOW + 1; i++)
		ask(&mine); /* the last one does not leave */
	while (mine < WINDOW + 1)
		turn();
	assert_int_equal(mine, WINDOW + 1);
	assert_int_equal(last_code, ERR_TIMEOUT);
	/* Late answers are nobody's, and no offence. */
	while (take(&r))
		reply(&r, ERR_OK);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(mine, WINDOW + 1);
	assert_int_equal(lost, 0);
	ask(&mine);
	assert_true(take(&r));
	reply(&r, ERR_OK);
	turn();
	assert_int_equal(mine, WINDOW + 2);
	assert_int_equal(last_code, ERR_OK);
}

static void
holder_gone(void **state)
{
	struct key_ticket *t;
	unsigned mine = 0;

	for (int i = 0; i < 2 * WINDOW; i++)
		ask(&mine);
	close_peer();
	turn();
	assert_int_equal(mine, 2 * WINDOW);
	assert_int_equal(last_code, ERR_SYSTEM);
	assert_int_equal(lost, 1);
	assert_false(key_client_has_room(client));
	assert_int_equal(
	    key_sign_chat(client, hash, hash, 1, on_answer, NULL, &t).code, ERR_SYSTEM);
	assert_null(t);
}

static void
unasked(void **state)
{
	struct key_request r;

	ask(NULL);
	assert_true(take(&r));
	r.ticket += 1;
	reply(&r, ERR_OK);
	turn();
	assert_int_equal(lost, 1);
	assert_int_equal(last_code, ERR_SYSTEM);
}

static void
other_type(void **state)
{
	struct key_request r;

	ask(NULL);
	assert_true(take(&r));
	r.type = KEY_CONFIG;
	reply(&r, ERR_OK);
	turn();
	assert_int_equal(lost, 1);
}

static void
freed_in_callback(void **state)
{
	struct key_request r;

	for (int i = 0; i < 2 * WINDOW; i++)
		ask(NULL);
	free_in_answer = true;
	assert_true(take(&r));
	reply(&r, ERR_OK);
	assert_true(take(&r));
	reply(&r, ERR_OK);
	turn();
	assert_int_equal(answers, 1);
	assert_int_equal(lost, 0);
}

static void
freed_when_lost(void **state)
{
	for (int i = 0; i < 2 * WINDOW; i++)
		ask(NULL);
	free_in_answer = true;
	close_peer();
	turn();
	assert_int_equal(answers, 1);
	assert_int_equal(lost, 0);
}

/* With the real process at the other end. */
static void
real_holder(void **state)
{
	enum { CHATS = 200 };
	struct key_client *real;
	struct key_identity id;
	struct pss_pub *pub;
	struct key_ticket *t;
	uint8_t msg[KECCAK_LEN];
	uint64_t now = clock_unix_s();
	int pair[2], status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		close(pair[0]);
		_exit(keyholder_main(&(struct keyholder_options){ .channel = &pair[1],
		    .control = -1,
		    .n_channels = 1,
		    .platform = "local-simulation",
		    .threads = 2 }));
	}
	close(pair[1]);
	assert_int_equal(key_identity_fetch(&id, pair[0], 60000).code, ERR_OK);
	assert_int_equal(pss_pub_parse(&pub, buf_span(&id.signing_spki)).code, ERR_OK);
	assert_int_equal(key_client_new(&real, &loop, pair[0], on_lost, &loop).code, ERR_OK);
	for (int i = 0; i < CHATS; i++)
		assert_int_equal(
		    key_sign_chat(real, hash, hash, now, on_answer, NULL, &t).code, ERR_OK);
	while (answers < CHATS && lost == 0)
		turn();
	assert_int_equal(last_code, ERR_OK);
	legacy_message(hash, hash, now, msg);
	assert_int_equal(pss_verify(pub, span_of(msg, sizeof(msg)), buf_span(&last)).code, ERR_OK);
	assert_int_equal(
	    key_sign_receipt(real, SPAN_LIT("{\"iss\":\"x\"}"), on_answer, NULL, &t).code, ERR_OK);
	while (answers < CHATS + 1 && lost == 0)
		turn();
	assert_int_equal(last_code, ERR_REFUSED);
	assert_int_equal(lost, 0);
	key_client_free(real);
	key_client_free(client);
	client = NULL;
	uv_run(&loop, UV_RUN_DEFAULT); /* closes the channel, on which the key holder ends */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pss_pub_free(pub);
	key_identity_fini(&id);
	key_identity_fini(&id);
}

/* Strangers' questions have a bound of their own: signatures and our own document do not notice. */
static void
documents(void **state)
{
	struct key_ticket *t[ATTEST_QUEUE_MAX], *more;
	unsigned mine = 0, signature = 0;
	struct key_request r;

	for (unsigned i = 0; i < ATTEST_QUEUE_MAX; i++) {
		assert_int_equal(
		    key_attest(client, SPAN_LIT("n"), on_answer, &mine, &t[i]).code, ERR_OK);
		assert_true(take(&r));
		assert_int_equal(r.type, KEY_ATTEST);
	}
	assert_int_equal(key_attest(client, SPAN_LIT("n"), on_answer, NULL, &more).code, ERR_BUSY);
	assert_null(more);
	assert_int_equal(key_attest(client, SPAN_NONE, on_answer, NULL, &more).code, ERR_TOO_LARGE);
	assert_int_equal(key_own_document(client, on_answer, NULL, &more).code, ERR_OK);
	assert_true(take(&r));
	assert_int_equal(r.type, KEY_OWN);
	ask(&signature);
	assert_true(take(&r));
	assert_int_equal(r.type, KEY_CHAT);
	reply(&r, ERR_OK);
	while (signature == 0)
		turn();
	/* Who left keeps his place until the answer came. */
	key_cancel(t[0]);
	assert_int_equal(key_attest(client, SPAN_LIT("n"), on_answer, NULL, &more).code, ERR_BUSY);
	assert_int_equal(mine, 0);
}

static void
no_identity(void **state)
{
	struct key_identity id;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(key_identity_fetch(&id, pair[0], 1).code, ERR_TIMEOUT);
	close(pair[1]);
	assert_int_equal(key_identity_fetch(&id, pair[0], 60000).code, ERR_SYSTEM);
	close(pair[0]);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(answered),
		ROW(error_codes),
		ROW(texts),
		ROW(window),
		ROW(socket_full),
		ROW(room),
		ROW(cancelled),
		ROW(timed_out),
		ROW(holder_gone),
		ROW(unasked),
		ROW(documents),
		ROW(other_type),
		ROW(freed_in_callback),
		ROW(freed_when_lost),
		ROW(real_holder),
		ROW(no_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
