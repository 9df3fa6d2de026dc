#include "supervise/supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "sys/clock.h"
#include "sys/log.h"

/* After one of the two has gone, the other may take so long to end by itself. */
enum { STOP_MS = 3000 };

struct child {
	const char *name;
	pid_t pid; /* 0: not started */
	bool ended;
	int status; /* as waitpid(2) gives it, once ended */
};

struct supervisor {
	const struct supervise_options *opt;
	struct child keyholder, worker;
	int *keyholder_end, *worker_end; /* opt->loops socket pairs; -1: closed */
	sigset_t waited, before;
	bool told;		/* the worker was asked to stop */
	bool killed;		/* whoever still ends, we ended it: not worth a line */
	bool keyholder_died;	/* with an error, or while it was needed */
	uint64_t stop_after_us; /* monotonic; 0: nobody is late */
};

static struct err
open_channels(struct supervisor *s)
{
	size_t n = s->opt->loops;

	s->keyholder_end = calloc(n, sizeof(*s->keyholder_end));
	s->worker_end = calloc(n, sizeof(*s->worker_end));
	if (s->keyholder_end == NULL || s->worker_end == NULL)
		return FAIL(SYSTEM, "supervisor: memory");
	for (size_t i = 0; i < n; i++)
		s->keyholder_end[i] = s->worker_end[i] = -1;
	for (size_t i = 0; i < n; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
			return FAIL(SYSTEM, "supervisor: socketpair");
		s->keyholder_end[i] = pair[0];
		s->worker_end[i] = pair[1];
	}
	return OK;
}

static void
close_ends(const struct supervisor *s, int *end)
{
	for (size_t i = 0; end != NULL && i < s->opt->loops; i++) {
		if (end[i] >= 0)
			close(end[i]);
		end[i] = -1;
	}
}

static void
close_channels(struct supervisor *s)
{
	close_ends(s, s->keyholder_end);
	close_ends(s, s->worker_end);
	free(s->keyholder_end);
	free(s->worker_end);
	s->keyholder_end = s->worker_end = NULL;
}

/* In the child: what it must not inherit, and what ties it to its parent. */
static void
settle_in(const struct supervisor *s, pid_t parent)
{
	setpgid(0, 0);
	/* The parent may have died before this was asked for; then nobody would tell us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(1);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

/* The child's end of its life: the function's status is the process's. */
static _Noreturn void
run_child(struct supervisor *s, bool keyholder)
{
	int *own = keyholder ? s->keyholder_end : s->worker_end;
	int status;

	close_ends(s, keyholder ? s->worker_end : s->keyholder_end);
	if (keyholder)
		s->opt->close_listeners(s->opt->ctx);
	status = (keyholder ? s->opt->keyholder : s->opt->worker)(s->opt->ctx, own);
	free(s->keyholder_end);
	free(s->worker_end);
	exit(status);
}

static struct err
start(struct supervisor *s, struct child *child)
{
	pid_t parent = getpid();

	fflush(NULL); /* else the child prints what is buffered once more */
	if ((child->pid = fork()) < 0) {
		child->pid = 0;
		return FAIL(SYSTEM, "supervisor: fork");
	}
	if (child->pid == 0) {
		settle_in(s, parent);
		run_child(s, child == &s->keyholder);
	}
	return OK;
}

static void
tell(const struct child *child, int sig)
{
	if (child->pid > 0 && !child->ended)
		kill(child->pid, sig);
}

static bool
running(const struct child *child)
{
	return child->pid > 0 && !child->ended;
}

static bool
ended_well(const struct child *child)
{
	return child->ended && WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
}

/*
 * Ended by our own SIGTERM: it came before the worker had set itself up to stop in good order, so
 * it served nobody yet.
 */
static bool
stopped_early(const struct supervisor *s)
{
	return s->told && s->worker.ended && WIFSIGNALED(s->worker.status) &&
	    WTERMSIG(s->worker.status) == SIGTERM;
}

static void
log_end(const struct child *child)
{
	if (WIFSIGNALED(child->status))
		log_msg(LOG_ERROR, "%s died: signal %d (%s)", child->name, WTERMSIG(child->status),
		    strsignal(WTERMSIG(child->status)));
	else if (!ended_well(child))
		log_msg(
		    LOG_ERROR, "%s ended with status %d", child->name, WEXITSTATUS(child->status));
}

static bool
reap(struct child *child)
{
	pid_t got;

	if (!running(child))
		return false;
	do
		got = waitpid(child->pid, &child->status, WNOHANG);
	while (got < 0 && errno == EINTR);
	child->ended = got == child->pid;
	return child->ended;
}

static void
set_deadline(struct supervisor *s)
{
	if (s->stop_after_us == 0)
		s->stop_after_us = clock_monotonic_us() + STOP_MS * UINT64_C(1000);
}

/*
 * The worker first: when it ends, its channels close, and a key holder that ended for that reason
 * may be found dead in the same turn, or even before the worker is.
 */
static void
reap_both(struct supervisor *s)
{
	if (reap(&s->worker)) {
		if (!s->killed && !stopped_early(s))
			log_end(&s->worker);
		tell(&s->keyholder, SIGTERM);
		set_deadline(s);
	}
	if (reap(&s->keyholder)) {
		if (!s->killed)
			log_end(&s->keyholder);
		s->keyholder_died = !ended_well(&s->keyholder) && running(&s->worker);
		/* The worker finds its channels closed, and can do nothing more without. */
		set_deadline(s);
	}
}

static void
kill_both(struct supervisor *s)
{
	s->killed = true;
	tell(&s->worker, SIGKILL);
	tell(&s->keyholder, SIGKILL);
}

static void
kill_late(struct supervisor *s)
{
	const struct child *late = running(&s->worker) ? &s->worker : &s->keyholder;

	log_msg(LOG_ERROR, "%s did not end in %d ms: killed", late->name, STOP_MS);
	kill_both(s);
	s->stop_after_us = 0;
}

/* The next signal that concerns us; 0 when the deadline came first. */
static int
wait_signal(struct supervisor *s)
{
	uint64_t now_us = clock_monotonic_us(), left_us = 0;
	struct timespec left;
	int sig;

	if (s->stop_after_us == 0) {
		sig = sigwaitinfo(&s->waited, NULL);
	} else {
		if (s->stop_after_us > now_us)
			left_us = s->stop_after_us - now_us;
		left.tv_sec = (time_t)(left_us / 1000000);
		left.tv_nsec = (long)(left_us % 1000000) * 1000;
		sig = sigtimedwait(&s->waited, NULL, &left);
		if (sig < 0 && errno == EAGAIN)
			return 0;
	}
	return sig > 0 ? sig : SIGCHLD; /* EINTR: look again */
}

static void
watch(struct supervisor *s)
{
	for (;;) {
		int sig;

		reap_both(s);
		if (!running(&s->worker) && !running(&s->keyholder))
			return;
		if ((sig = wait_signal(s)) == 0) {
			kill_late(s);
		} else if (sig != SIGCHLD && !s->told) {
			s->told = true;
			tell(&s->worker, SIGTERM);
		} else if (sig != SIGCHLD) {
			kill_both(s);
		}
	}
}

static struct err
run(struct supervisor *s)
{
	struct err e;

	TRY(open_channels(s));
	TRY(start(s, &s->keyholder));
	if (failed(e = start(s, &s->worker)))
		kill_both(s);
	else if (s->opt->started != NULL)
		s->opt->started(s->opt->ctx);
	/* Held here, the ends would keep a dead process's channels open for the other. */
	close_channels(s);
	watch(s);
	return e;
}

int
supervise(const struct supervise_options *opt)
{
	struct supervisor s = {
		.opt = opt,
		.keyholder = { .name = "key holder" },
		.worker = { .name = "worker" },
	};
	struct err e;

	sigemptyset(&s.waited);
	sigaddset(&s.waited, SIGTERM);
	sigaddset(&s.waited, SIGINT);
	sigaddset(&s.waited, SIGCHLD);
	/* A parent that ignores it would make the kernel reap for us, and the status would be lost. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &s.waited, &s.before);
	if (failed(e = run(&s)))
		log_msg(LOG_ERROR, "%s", e.what);
	close_channels(&s);
	sigprocmask(SIG_SETMASK, &s.before, NULL);
	if (failed(e) || s.keyholder_died)
		return 1;
	return ended_well(&s.worker) || stopped_early(&s) ? 0 : 1;
}
