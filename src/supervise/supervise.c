#include "supervise/supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/passfd.h"
#include "sys/rights.h"

/* After one of the two has gone, the other may take so long to end by itself. */
enum { STOP_MS = 3000, KEYLESS_MS = 500 };

/* Before the first, second, ... restart within the window; then the last again. */
static const unsigned pause_ms[] = { 0, 100, 1000, 5000 };
enum { PAUSES = sizeof(pause_ms) / sizeof(pause_ms[0]) };

struct child {
	const char *name;
	unsigned id; /* its user and group, when we are root */
	pid_t pid;   /* 0: not started */
	bool ended;
	int status; /* as waitpid(2) gives it, once ended */
};

struct supervisor {
	const struct supervise_options *opt;
	struct child keyholder, worker;
	int *keyholder_end, *worker_end; /* opt->loops socket pairs; -1: closed */
	int control[2];			 /* ours, and the key holder's end; -1: closed */
	struct supervise_note *note;
	uint64_t death_us[DEATHS_MAX]; /* of the workers, monotonic; the latest ones, as a ring */
	unsigned deaths;
	sigset_t waited, before;
	bool told;		/* the worker was asked to stop */
	bool killed;		/* whoever still ends, we ended it: not worth a line */
	bool keyholder_died;	/* with an error, or while it was needed */
	bool ended_well;	/* the last worker did what it was asked to */
	uint64_t stop_after_us; /* monotonic; 0: nobody is late */
	uint64_t restart_at_us; /* monotonic; 0: no worker is to be started */
};

static struct err
make_room(struct supervisor *s)
{
	size_t n = s->opt->loops;

	s->note = mmap(
	    NULL, sizeof(*s->note), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->note == MAP_FAILED)
		s->note = NULL;
	s->keyholder_end = calloc(n, sizeof(*s->keyholder_end));
	s->worker_end = calloc(n, sizeof(*s->worker_end));
	if (s->note == NULL || s->keyholder_end == NULL || s->worker_end == NULL)
		return FAIL(SYSTEM, "supervisor: memory");
	for (size_t i = 0; i < n; i++)
		s->keyholder_end[i] = s->worker_end[i] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->control) != 0)
		return FAIL(SYSTEM, "supervisor: socketpair");
	return OK;
}

static struct err
open_channels(struct supervisor *s)
{
	for (size_t i = 0; i < s->opt->loops; i++) {
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

/* Held here, the ends would keep a dead process's channels open for the other. */
static void
close_channels(struct supervisor *s)
{
	close_ends(s, s->keyholder_end);
	close_ends(s, s->worker_end);
}

static void
close_control(struct supervisor *s, int which)
{
	if (s->control[which] >= 0)
		close(s->control[which]);
	s->control[which] = -1;
}

static void
drop_room(struct supervisor *s)
{
	close_channels(s);
	close_control(s, 0);
	close_control(s, 1);
	free(s->keyholder_end);
	free(s->worker_end);
	if (s->note != NULL)
		munmap(s->note, sizeof(*s->note));
}

/* In the child: what it must not inherit, and what ties it to its parent. */
static void
settle_in(const struct supervisor *s, const struct child *child, pid_t parent)
{
	struct err e;

	setpgid(0, 0);
	if (failed(e = rights_become(child->id))) {
		log_msg(LOG_ERROR, "%s: %s", child->name, e.what);
		_exit(1);
	}
	/* The parent may have died before this was asked for; then nobody would tell us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(1);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

/* The child's end of its life: the function's status is the process's. */
static _Noreturn void
run_keyholder(struct supervisor *s)
{
	int status;

	close_ends(s, s->worker_end);
	close_control(s, 0);
	s->opt->close_listeners(s->opt->ctx);
	status = s->opt->keyholder(s->opt->ctx, s->keyholder_end, s->control[1]);
	free(s->keyholder_end);
	free(s->worker_end);
	exit(status);
}

static _Noreturn void
run_worker(struct supervisor *s)
{
	int status;

	close_ends(s, s->keyholder_end);
	close_control(s, 0);
	close_control(s, 1);
	status = s->opt->worker(s->opt->ctx, s->worker_end, s->note);
	free(s->keyholder_end);
	free(s->worker_end);
	exit(status);
}

static struct err
start(struct supervisor *s, struct child *child)
{
	pid_t parent = getpid();

	*child = (struct child){ .name = child->name, .id = child->id };
	fflush(NULL); /* else the child prints what is buffered once more */
	if ((child->pid = fork()) < 0) {
		child->pid = 0;
		return FAIL(SYSTEM, "supervisor: fork");
	}
	if (child->pid == 0) {
		settle_in(s, child, parent);
		if (child == &s->keyholder)
			run_keyholder(s);
		run_worker(s);
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
set_deadline(struct supervisor *s, unsigned ms)
{
	if (s->stop_after_us == 0)
		s->stop_after_us = clock_monotonic_us() + ms * UINT64_C(1000);
}

/* No worker any more, and there will be none. */
static void
finish(struct supervisor *s)
{
	s->restart_at_us = 0;
	tell(&s->keyholder, SIGTERM);
	set_deadline(s, STOP_MS);
}

/* Notes a death of now; how many there were within the window, this one included. */
static unsigned
count_deaths(struct supervisor *s, uint64_t now_us)
{
	const uint64_t window_us = DEATHS_WINDOW_S * UINT64_C(1000000);
	unsigned n = 0;

	s->death_us[s->deaths++ % DEATHS_MAX] = now_us;
	for (unsigned i = 0; i < DEATHS_MAX && i < s->deaths; i++)
		n += now_us - s->death_us[i] < window_us;
	return n;
}

/* The worker died unasked: FALSE when that was once too often. */
static bool
plan_restart(struct supervisor *s)
{
	uint64_t now_us = clock_monotonic_us();
	unsigned deaths = count_deaths(s, now_us), ms;

	if (deaths >= DEATHS_MAX) {
		log_msg(LOG_ERROR, "supervisor: %u workers died in %u minutes: giving up", deaths,
		    DEATHS_WINDOW_S / 60);
		return false;
	}
	ms = pause_ms[deaths - 1 < PAUSES ? deaths - 1 : PAUSES - 1];
	log_msg(LOG_WARN, "supervisor: death %u of %u within %u minutes: a new worker in %u ms",
	    deaths, DEATHS_MAX, DEATHS_WINDOW_S / 60, ms);
	s->restart_at_us = now_us + ms * UINT64_C(1000);
	return true;
}

static void
worker_ended(struct supervisor *s)
{
	s->ended_well = ended_well(&s->worker) || stopped_early(s);
	if (!s->killed && !s->ended_well)
		log_end(&s->worker);
	if (s->ended_well || s->killed || s->told || !running(&s->keyholder) ||
	    !atomic_load(&s->note->ready) || atomic_load(&s->note->stopping) || !plan_restart(s))
		finish(s);
}

/*
 * The worker first: when it ends in good order its channels close, and a key holder that was told
 * so may be found dead in the same turn.
 */
static void
reap_both(struct supervisor *s)
{
	if (reap(&s->worker))
		worker_ended(s);
	if (reap(&s->keyholder)) {
		if (!s->killed)
			log_end(&s->keyholder);
		s->keyholder_died = !ended_well(&s->keyholder) &&
		    (running(&s->worker) || s->restart_at_us != 0);
		s->restart_at_us = 0;
		/* The worker finds its channels closed, and can do nothing more without. */
		set_deadline(s, KEYLESS_MS);
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

	if (running(late))
		log_msg(LOG_ERROR, "%s did not end in time: killed", late->name);
	kill_both(s);
	s->stop_after_us = 0;
}

/* The same listeners, the same key holder, new channels between them. */
static struct err
start_worker_again(struct supervisor *s)
{
	struct err e = open_channels(s);

	s->restart_at_us = 0;
	if (!failed(e))
		e = passfd_send(s->control[0], s->keyholder_end, s->opt->loops);
	if (!failed(e)) {
		atomic_fetch_add(&s->note->restarts, 1);
		e = start(s, &s->worker);
	}
	close_channels(s);
	return e;
}

/* The time by which we must look again, monotonic; 0: none. */
static uint64_t
next_us(const struct supervisor *s)
{
	if (s->stop_after_us == 0 || s->restart_at_us == 0)
		return s->stop_after_us + s->restart_at_us;
	return s->stop_after_us < s->restart_at_us ? s->stop_after_us : s->restart_at_us;
}

/* The next signal that concerns us; 0 when the time came first. */
static int
wait_signal(struct supervisor *s)
{
	uint64_t now_us = clock_monotonic_us(), until_us = next_us(s), left_us = 0;
	struct timespec left;
	int sig;

	if (until_us == 0) {
		sig = sigwaitinfo(&s->waited, NULL);
	} else {
		if (until_us > now_us)
			left_us = until_us - now_us;
		left.tv_sec = (time_t)(left_us / 1000000);
		left.tv_nsec = (long)(left_us % 1000000) * 1000;
		sig = sigtimedwait(&s->waited, NULL, &left);
		if (sig < 0 && errno == EAGAIN)
			return 0;
	}
	return sig > 0 ? sig : SIGCHLD; /* EINTR: look again */
}

/* SIGTERM or SIGINT. */
static void
stop_asked(struct supervisor *s)
{
	if (s->told) {
		kill_both(s);
		return;
	}
	s->told = true;
	tell(&s->worker, SIGTERM);
	if (s->restart_at_us != 0) { /* there is no worker to finish anything */
		s->ended_well = true;
		finish(s);
	}
}

static void
on_time(struct supervisor *s)
{
	uint64_t now_us = clock_monotonic_us();
	struct err e;

	if (s->stop_after_us != 0 && now_us >= s->stop_after_us) {
		kill_late(s);
	} else if (s->restart_at_us != 0 && now_us >= s->restart_at_us) {
		if (failed(e = start_worker_again(s))) {
			log_msg(LOG_ERROR, "%s", e.what);
			finish(s);
		}
	}
}

static void
watch(struct supervisor *s)
{
	for (;;) {
		int sig;

		reap_both(s);
		if (!running(&s->worker) && !running(&s->keyholder))
			return;
		if ((sig = wait_signal(s)) == 0)
			on_time(s);
		else if (sig != SIGCHLD)
			stop_asked(s);
	}
}

static struct err
run(struct supervisor *s)
{
	struct err e;

	TRY(make_room(s));
	TRY(open_channels(s));
	TRY(start(s, &s->keyholder));
	close_control(s, 1);
	if (s->opt->started != NULL)
		s->opt->started(s->opt->ctx);
	if (failed(e = start(s, &s->worker)))
		kill_both(s);
	close_channels(s);
	watch(s);
	return e;
}

int
supervise(const struct supervise_options *opt)
{
	struct supervisor s = {
		.opt = opt,
		.keyholder = { .name = "key holder", .id = KEYHOLDER_ID },
		.worker = { .name = "worker", .id = WORKER_ID },
		.control = { -1, -1 },
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
	drop_room(&s);
	sigprocmask(SIG_SETMASK, &s.before, NULL);
	return failed(e) || s.keyholder_died || !s.ended_well ? 1 : 0;
}
