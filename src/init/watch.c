#include "init/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/clock.h"

struct child {
	const struct plan_process *what;
	pid_t pid;		 /* 0: not running */
	uint64_t start_at_us;	 /* monotonic, when it is not running */
	uint64_t window_from_us; /* restarts since then are counted */
	uint32_t restarts;
};

struct watched {
	struct child child[PLAN_PROCESSES_MAX];
	size_t n;
};

static bool
start(struct child *c)
{
	sigset_t none;

	if ((c->pid = fork()) < 0)
		return false;
	if (c->pid > 0)
		return true;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	execve(c->what->argv[0], c->what->argv, c->what->envp);
	dprintf(STDERR_FILENO, "enclave-init: %s: %s: %s\n", c->what->name, c->what->argv[0],
	    strerror(errno));
	_exit(127);
}

static void
say_end(const char *name, int status)
{
	if (WIFSIGNALED(status))
		dprintf(
		    STDERR_FILENO, "enclave-init: %s died: signal %d\n", name, WTERMSIG(status));
	else
		dprintf(STDERR_FILENO, "enclave-init: %s ended with status %d\n", name,
		    WEXITSTATUS(status));
}

/* False: that is the end of the enclave. */
static bool
ended(struct child *c, int status)
{
	uint64_t now_us = clock_monotonic_us();

	c->pid = 0;
	say_end(c->what->name, status);
	if (c->what->vital)
		return false;
	if (now_us - c->window_from_us > WATCH_WINDOW_S * UINT64_C(1000000)) {
		c->window_from_us = now_us;
		c->restarts = 0;
	}
	if (c->restarts++ >= c->what->restarts) {
		dprintf(STDERR_FILENO, "enclave-init: %s: more than %u restarts\n", c->what->name,
		    c->what->restarts);
		return false;
	}
	c->start_at_us = now_us + WATCH_PAUSE_MS * UINT64_C(1000);
	return true;
}

/* Whoever ended: ours, and those whose parents left them to us. */
static bool
reap(struct watched *w)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < w->n; i++)
			if (w->child[i].pid == pid && !ended(&w->child[i], status))
				return false;
	return true;
}

/* What is due; *wait_us is until the next, or WATCH_WINDOW_S. */
static bool
start_due(struct watched *w, uint64_t *wait_us)
{
	uint64_t now_us = clock_monotonic_us();

	*wait_us = WATCH_WINDOW_S * UINT64_C(1000000);
	for (size_t i = 0; i < w->n; i++) {
		struct child *c = &w->child[i];

		if (c->pid != 0)
			continue;
		if (c->start_at_us > now_us) {
			if (c->start_at_us - now_us < *wait_us)
				*wait_us = c->start_at_us - now_us;
		} else if (!start(c)) {
			dprintf(STDERR_FILENO, "enclave-init: fork: %s\n", strerror(errno));
			return false;
		}
	}
	return true;
}

void
watch(const struct plan *p)
{
	struct watched w = { .n = p->n };
	sigset_t child;
	uint64_t wait_us;

	for (size_t i = 0; i < p->n; i++)
		w.child[i].what = &p->process[i];
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (reap(&w) && start_due(&w, &wait_us)) {
		struct timespec left = { .tv_sec = (time_t)(wait_us / 1000000),
			.tv_nsec = (long)(wait_us % 1000000) * 1000 };

		(void)sigtimedwait(&child, NULL, &left);
	}
}
