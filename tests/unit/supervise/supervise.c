/* The supervisor, in a process of its own, over children that are scripted. Source: K1, A3. */
#include "supervise/supervise.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOPS = 3, PATIENCE_MS = 60000 };

/* What a child does once it has told the test that it is there. */
enum act {
	ACT_SERVE,     /* key holder: until its channels close or SIGTERM; worker: until SIGTERM */
	ACT_END_0,     /* returns 0 */
	ACT_END_3,     /* returns 3 */
	ACT_DIE,       /* SIGKILLs itself */
	ACT_STUBBORN,  /* does not end for SIGTERM, nor for closed channels */
	ACT_HOLDS_OUT, /* worker: goes on without a key holder until it is killed */
};

struct script {
	enum act keyholder, worker;
	int ready;   /* each child writes a byte here */
	int alive;   /* held open by both for life */
	bool closed; /* close_listeners() came */
};

static void
say(int fd, char c)
{
	if (write(fd, &c, 1) != 1)
		_exit(9);
}

/* Every end must lead to the same end of the other process. */
static bool
channels_work(const int *channel)
{
	for (int i = 0; i < LOOPS; i++) {
		char c = (char)i, got = -1;
		struct pollfd p = { .fd = channel[i], .events = POLLIN };

		if (send(channel[i], &c, 1, MSG_NOSIGNAL) != 1 || poll(&p, 1, PATIENCE_MS) != 1 ||
		    recv(channel[i], &got, 1, 0) != 1 || got != c)
			return false;
	}
	return true;
}

static void
wait_term(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigwait(&set, &sig);
}

/* Until the other side of the first channel is gone; then what a key holder does. */
static void
wait_channel(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, PATIENCE_MS);
}

static int
play(enum act act, const int *channel, const struct script *s, bool keyholder)
{
	sigset_t term;

	if (act == ACT_SERVE || act == ACT_STUBBORN || act == ACT_HOLDS_OUT) {
		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
	}
	if (!channels_work(channel))
		return 8;
	say(s->ready, keyholder ? 'k' : 'w');
	switch (act) {
	case ACT_SERVE:
		if (keyholder)
			wait_channel(channel[0]);
		else
			wait_term();
		return 0;
	case ACT_END_0:
		return 0;
	case ACT_END_3:
		return 3;
	case ACT_DIE:
		kill(getpid(), SIGKILL);
		break;
	case ACT_STUBBORN:
	case ACT_HOLDS_OUT:
		for (;;)
			pause();
	}
	return 7;
}

static int
keyholder_child(void *ctx, const int *channel)
{
	struct script *s = ctx;

	return s->closed ? play(s->keyholder, channel, s, true) : 6;
}

static int
worker_child(void *ctx, const int *channel)
{
	struct script *s = ctx;

	return s->closed ? 6 : play(s->worker, channel, s, false);
}

static void
close_listeners(void *ctx)
{
	((struct script *)ctx)->closed = true;
}

struct scene {
	pid_t supervisor;
	int ready, alive;
};

static void
scene_open(struct scene *scene, enum act keyholder, enum act worker)
{
	int ready[2], alive[2];

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(alive), 0);
	assert_true((scene->supervisor = fork()) >= 0);
	if (scene->supervisor == 0) {
		struct script script = { .keyholder = keyholder,
			.worker = worker,
			.ready = ready[1],
			.alive = alive[1] };

		close(ready[0]);
		close(alive[0]);
		_exit(supervise(&(struct supervise_options){ .loops = LOOPS,
		    .keyholder = keyholder_child,
		    .worker = worker_child,
		    .close_listeners = close_listeners,
		    .ctx = &script }));
	}
	close(ready[1]);
	close(alive[1]);
	scene->ready = ready[0];
	scene->alive = alive[0];
}

static void
wait_ready(const struct scene *scene)
{
	char both[2];
	size_t n = 0;

	while (n < 2) {
		ssize_t got = read(scene->ready, both + n, 2 - n);

		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_int_equal(both[0] + both[1], 'k' + 'w');
}

/* The supervisor's wait status; then nobody may be left. */
static int
scene_end(struct scene *scene)
{
	struct pollfd p = { .fd = scene->alive, .events = POLLIN };
	int status;

	assert_int_equal(waitpid(scene->supervisor, &status, 0), scene->supervisor);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_true((p.revents & POLLHUP) != 0);
	close(scene->ready);
	close(scene->alive);
	return status;
}

static void
assert_status(const char *rule, int status, int want)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
		fail_msg("%s: wait status %#x", rule, (unsigned)status);
}

static const struct {
	const char *rule;
	enum act keyholder, worker;
	int signals[2]; /* sent to the supervisor once both are there */
	int want;
} rows[] = {
	{ "the worker ends with 0: so do we", ACT_SERVE, ACT_END_0, { 0 }, 0 },
	{ "the worker ends with 3: 1", ACT_SERVE, ACT_END_3, { 0 }, 1 },
	{ "the worker is killed: 1", ACT_SERVE, ACT_DIE, { 0 }, 1 },
	{ "K1: the key holder dies: 1", ACT_DIE, ACT_HOLDS_OUT, { 0 }, 1 },
	{ "K1: the key holder fails: 1", ACT_END_3, ACT_HOLDS_OUT, { 0 }, 1 },
	{ "a key holder that does not end is killed", ACT_STUBBORN, ACT_END_0, { 0 }, 0 },
	{ "A3: SIGTERM stops in good order", ACT_SERVE, ACT_SERVE, { SIGTERM }, 0 },
	{ "A3: SIGINT reaches the worker as SIGTERM", ACT_SERVE, ACT_SERVE, { SIGINT }, 0 },
	/* Two kinds: of one kind, two that are both pending would count as one. */
	{ "A3: a second signal ends all at once", ACT_STUBBORN, ACT_STUBBORN, { SIGTERM, SIGINT },
	    1 },
};

/* All at once: some of them end by a deadline. */
static void
endings(void **state)
{
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	struct scene scene[ROWS];

	for (size_t i = 0; i < ROWS; i++)
		scene_open(&scene[i], rows[i].keyholder, rows[i].worker);
	for (size_t i = 0; i < ROWS; i++) {
		wait_ready(&scene[i]);
		for (int k = 0; k < 2 && rows[i].signals[k] != 0; k++)
			kill(scene[i].supervisor, rows[i].signals[k]);
	}
	for (size_t i = 0; i < ROWS; i++)
		assert_status(rows[i].rule, scene_end(&scene[i]), rows[i].want);
}

static void
nobody_is_left_alone(void **state)
{
	struct scene scene;
	int status;

	scene_open(&scene, ACT_STUBBORN, ACT_STUBBORN);
	wait_ready(&scene);
	kill(scene.supervisor, SIGKILL);
	status = scene_end(&scene); /* sees both go */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endings),
		cmocka_unit_test(nobody_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
