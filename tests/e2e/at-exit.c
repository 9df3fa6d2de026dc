/*
 * at-exit PID - holds a process where it is about to end: all its code has run, its memory is still
 * there. Says "armed", then "stopped"; lets it go when its own input ends. Needs root.
 */
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/span.h"

static void
say(const char *what)
{
	puts(what);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	uint64_t n;
	pid_t pid;
	int status;
	char c;

	if (argc != 2 || !span_u64(span_str(argv[1]), INT32_MAX, &n))
		return 2;
	pid = (pid_t)n;
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) != 0) {
		perror("at-exit");
		return 1;
	}
	say("armed");
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			say("stopped");
			while (read(STDIN_FILENO, &c, 1) > 0)
				;
			ptrace(PTRACE_DETACH, pid, NULL, 0);
			return 0;
		}
		/* A signal on its way: it gets it. */
		if (ptrace(PTRACE_CONT, pid, NULL, status >> 16 != 0 ? 0 : WSTOPSIG(status)) != 0)
			break;
	}
	return 1;
}
