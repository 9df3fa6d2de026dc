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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/passfd.h"

enum { LOOPS = 3, PATIENCE_MS = 60000 };

/* What a child does once it has told the test that it is there. */
enum act {
	ACT_SERVE,     /* key holder: until its channels close or SIGTERM; worker: until SIGTERM */
	ACT_END_0,     /* returns 0 */
	ACT_END_3,     /* returns 3 */
	ACT_DIE,       /* SIGKILLs itself */
	ACT_STUBBORN,  /* does not end for SIGTERM, nor for closed channels */
	ACT_HOLDS_OUT, /* worker: goes on without a key holder until it is killed */
	ACT_DIE_ONCE,  /* worker: dies when it is the first, else as ACT_END_0 */
	ACT_DIE_SERVING,  /* worker: dies, and had served before */
	ACT_DIE_STOPPING, /* the same, and it was to stop */
	ACT_RENEW,	  /* key holder: as ACT_SERVE, and takes new ends as they come */
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

/*
 * Both sides say that they are there, if they have anybody to tell, and go on only when the other
 * has done so too: whatever the one then does cannot come before the other's word.
 */
static bool
meet(const int *channel, int ready, char word)
{
	if (!channels_work(channel))
		return false;
	if (ready >= 0)
		say(ready, word);
	return channels_work(channel);
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

static void
end_well(int sig)
{
	_exit(0);
}

/* Until the child has a place for it, SIGTERM waits. */
static void
keep_out_term(enum act act)
{
	sigset_t term;

	if (act != ACT_SERVE && act != ACT_STUBBORN && act != ACT_HOLDS_OUT && act != ACT_RENEW)
		return;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
}

static void
let_term_in(void)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
}

/* A key holder that takes the ends of further workers until it is told to end. */
static int
take_ends(int control)
{
	struct pollfd p = { .fd = control, .events = POLLIN };
	int end[LOOPS];

	signal(SIGTERM, end_well);
	let_term_in();
	while (poll(&p, 1, PATIENCE_MS) == 1) {
		if (failed(passfd_receive(control, end, LOOPS)) || !meet(end, -1, 0))
			return 8;
		for (int i = 0; i < LOOPS; i++)
			close(end[i]);
	}
	return 7;
}

/* What both can do; ACT_SERVE and ACT_RENEW are left to the caller. */
static int
play(enum act act)
{
	if (act == ACT_END_0)
		return 0;
	if (act == ACT_END_3)
		return 3;
	if (act == ACT_DIE)
		kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static int
keyholder_child(void *ctx, const int *channel, int control)
{
	struct script *s = ctx;

	if (!s->closed)
		return 6;
	keep_out_term(s->keyholder);
	if (!meet(channel, s->ready, 'k'))
		return 8;
	if (s->keyholder == ACT_RENEW)
		return take_ends(control);
	if (s->keyholder != ACT_SERVE)
		return play(s->keyholder);
	wait_channel(channel[0]);
	return 0;
}

static int
worker_child(void *ctx, const int *channel, struct supervise_note *note)
{
	struct script *s = ctx;
	unsigned before = atomic_load(&note->restarts);

	if (s->closed)
		return 6;
	keep_out_term(s->worker);
	if (!meet(channel, before == 0 ? s->ready : -1, 'w'))
		return 8;
	switch (s->worker) {
	case ACT_SERVE:
		wait_term();
		return 0;
	case ACT_DIE_ONCE:
		atomic_store(&note->ready, true);
		return play(before == 0 ? ACT_DIE : ACT_END_0);
	case ACT_DIE_STOPPING:
		atomic_store(&note->stopping, true);
		/* fallthrough */
	case ACT_DIE_SERVING:
		atomic_store(&note->ready, true);
		/* Had it one life more, the program would end with 0. */
		return play(before >= DEATHS_MAX ? ACT_END_0 : ACT_DIE);
	default:
		return play(s->worker);
	}
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

		/* A test that fails leaves nobody behind. */
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
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
	{ "the worker is killed before it served: 1", ACT_SERVE, ACT_DIE, { 0 }, 1 },
	{ "K1: a worker that served is started again", ACT_RENEW, ACT_DIE_ONCE, { 0 }, 0 },
	{ "K1: the sixth death: 1", ACT_RENEW, ACT_DIE_SERVING, { 0 }, 1 },
	{ "nobody is started again who was to stop", ACT_RENEW, ACT_DIE_STOPPING, { 0 }, 1 },
	{ "no new ends can be handed over: 1", ACT_SERVE, ACT_DIE_SERVING, { 0 }, 1 },
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
