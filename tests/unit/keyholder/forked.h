/*
 * forked.h - the real key holder in a process of its own, and the other ends of its channels.
 */
#ifndef TEST_KEYHOLDER_FORKED_H
#define TEST_KEYHOLDER_FORKED_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/limits.h"
#include "keyholder/child.h"
#include "keyholder/client.h"
#include "keyholder/proto.h"
#include "sys/passfd.h"

enum { CHANNELS = 2, PATIENCE_MS = 60000 };

static pid_t holder;
static int end[CHANNELS]; /* ours; -1: closed */
static int control = -1;  /* ours; -1: none */

static const char secret[] = "what the operator provisioned";

/* Our ends into end[], the others into theirs[]. */
static inline int
open_pairs(int *theirs)
{
	for (int i = 0; i < CHANNELS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
			return 1;
		end[i] = pair[0];
		theirs[i] = pair[1];
	}
	return 0;
}

static inline int
start(int their_control, struct span provisioned)
{
	int theirs[CHANNELS];
	struct buf told;

	if (open_pairs(theirs) != 0)
		return 1;
	if ((holder = fork()) < 0)
		return 1;
	if (holder == 0) {
		buf_init(&told, KEY_MESSAGE_MAX_BYTES);
		buf_put(&told, provisioned);
		for (int i = 0; i < CHANNELS; i++)
			close(end[i]);
		if (control >= 0)
			close(control);
		exit(keyholder_main(&(struct keyholder_options){ .channel = theirs,
		    .n_channels = CHANNELS,
		    .control = their_control,
		    .provisioned = &told,
		    .platform = "local-simulation",
		    .threads = 2 }));
	}
	for (int i = 0; i < CHANNELS; i++)
		close(theirs[i]);
	return 0;
}

static inline int
set_up(void **state)
{
	return start(-1, SPAN_NONE);
}

/* With a supervisor and secrets. */
static inline int
set_up_whole(void **state)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
		return 1;
	control = pair[0];
	if (start(pair[1], span_of(secret, sizeof(secret))) != 0)
		return 1;
	close(pair[1]);
	return 0;
}

static inline void
close_end(int i)
{
	if (end[i] >= 0)
		close(end[i]);
	end[i] = -1;
}

static inline int
tear_down(void **state)
{
	for (int i = 0; i < CHANNELS; i++)
		close_end(i);
	if (control >= 0)
		close(control);
	control = -1;
	if (holder > 0) {
		kill(holder, SIGKILL);
		waitpid(holder, NULL, 0);
	}
	return 0;
}

/* The exit status of the key holder, which must end by itself. */
static inline int
wait_end(void)
{
	int status = -1;

	assert_int_equal(waitpid(holder, &status, 0), holder);
	holder = 0;
	return status;
}

static inline void
put(int i, const struct key_request *r)
{
	struct buf b;

	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_request_put(&b, r);
	assert_int_equal(buf_check(&b).code, ERR_OK);
	assert_int_equal(send(end[i], b.p, b.n, MSG_NOSIGNAL), b.n);
	buf_fini(&b);
}

/* The next answer; its body is valid until the next call. FALSE: the channel was closed. */
static inline bool
get(int i, struct key_answer *a)
{
	static uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	struct pollfd readable = { .fd = end[i], .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
	n = recv(end[i], datagram, sizeof(datagram), 0);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return false;
	assert_true(n > 0);
	assert_int_equal(key_answer_parse(a, span_of(datagram, (size_t)n)).code, ERR_OK);
	return true;
}

static inline struct key_request
chat_now(uint64_t ticket)
{
	struct key_request r = { .type = KEY_CHAT, .ticket = ticket };

	r.timestamp_unix_s = (uint64_t)time(NULL);
	return r;
}

static inline void
assert_serves(int i)
{
	struct key_request r = chat_now(77);
	struct key_answer a;

	put(i, &r);
	assert_true(get(i, &a));
	assert_int_equal(a.code, ERR_OK);
	assert_int_equal(a.ticket, 77);
	assert_int_equal(a.body.n, PSS_SIG_LEN);
}

#endif
