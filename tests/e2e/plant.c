/*
 * plant PID CALL [PATH] - makes another process's main thread ask the kernel for something, as code
 * under a stranger's control would, so that tests can see what becomes of it in the real process.
 *
 * CALL: open, execve (of PATH), socket, packet, kill, ptrace, readv (of PID 1; process_vm_readv).
 * The thread must be waiting in a system call. Prints the result, negative as the kernel has it (-13
 * is EACCES), or "SIGNAL n" when the process got one instead, which it is then left with. Exit 1:
 * could not be planted; 2: usage. Needs root, as ptrace(2) of another user does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/span.h"

enum { BELOW_STACK = 4096, WORD = sizeof(long), INSTRUCTION = 2 };

static const struct {
	const char *name;
	long call;
	bool with_path;
	long arg[6]; /* PATH, where there is one, replaces the one of its place */
	int path_at;
} calls[] = {
	{ "open", SYS_openat, true, { AT_FDCWD, 0, O_RDONLY | O_CLOEXEC }, 1 },
	{ "execve", SYS_execve, true, { 0, 0, 0 }, 0 },
	{ "socket", SYS_socket, false, { AF_INET, SOCK_STREAM, 0 }, 0 },
	{ "packet", SYS_socket, false, { AF_PACKET, SOCK_RAW, 0 }, 0 },
	{ "kill", SYS_kill, false, { 1, 0 }, 0 },
	{ "ptrace", SYS_ptrace, false, { PTRACE_ATTACH, 1 }, 0 },
	{ "readv", SYS_process_vm_readv, false, { 1, 0, 0, 0, 0, 0 }, 0 },
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static int
fail(const char *what)
{
	perror(what);
	return 1;
}

static bool
write_text(pid_t pid, unsigned long at, const char *text)
{
	size_t n = strlen(text) + 1;

	for (size_t i = 0; i < n; i += WORD) {
		long word = 0;

		memcpy(&word, text + i, n - i < WORD ? n - i : WORD);
		if (ptrace(PTRACE_POKEDATA, pid, at + i, word) != 0)
			return false;
	}
	return true;
}

static void
set_arguments(struct user_regs_struct *r, size_t which, unsigned long path)
{
	const long *arg = calls[which].arg;
	unsigned long long *place[] = { &r->rdi, &r->rsi, &r->rdx, &r->r10, &r->r8, &r->r9 };

	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++)
		*place[i] = (unsigned long long)arg[i];
	if (calls[which].with_path)
		*place[calls[which].path_at] = path;
	r->rax = (unsigned long long)calls[which].call;
	r->orig_rax = (unsigned long long)-1; /* nothing is to be begun again */
	r->rip -= INSTRUCTION;		      /* once more the one it waits in */
}

/*
 * The call got a signal instead of a result. The end of the step, a SIGTRAP, waits behind it, and
 * must not be the one that kills.
 */
static int
leave_with(pid_t pid, int sig)
{
	int status;

	printf("SIGNAL %d\n", sig);
	if (ptrace(PTRACE_CONT, pid, NULL, (long)sig) != 0 || waitpid(pid, &status, __WALL) != pid)
		return fail("plant: signal");
	if (!WIFSTOPPED(status))
		return 0; /* nothing was there to handle it */
	sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	return ptrace(PTRACE_DETACH, pid, NULL, (long)sig) == 0 ? 0 : fail("plant: detach");
}

/* One instruction: the call. It is stopped again afterwards, or with a signal that is its own. */
static int
run(pid_t pid, size_t which, const char *path)
{
	struct user_regs_struct before, r;
	unsigned long text;
	int status;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &before) != 0)
		return fail("plant: registers");
	r = before;
	text = (r.rsp - BELOW_STACK) & ~15ul;
	if ((ptrace(PTRACE_PEEKTEXT, pid, r.rip - INSTRUCTION, NULL) & 0xffff) != 0x050f) {
		fprintf(stderr, "plant: the thread is not waiting in a system call\n");
		return 1;
	}
	if (path != NULL && !write_text(pid, text, path))
		return fail("plant: path");
	set_arguments(&r, which, text);
	if (ptrace(PTRACE_SETREGS, pid, NULL, &r) != 0 ||
	    ptrace(PTRACE_SINGLESTEP, pid, NULL, 0) != 0 || waitpid(pid, &status, __WALL) != pid)
		return fail("plant: step");
	if (!WIFSTOPPED(status)) {
		fprintf(stderr, "plant: it ended: %#x\n", (unsigned)status);
		return 1;
	}
	if (WSTOPSIG(status) != SIGTRAP)
		return leave_with(pid, WSTOPSIG(status));
	if (ptrace(PTRACE_GETREGS, pid, NULL, &r) != 0 ||
	    ptrace(PTRACE_SETREGS, pid, NULL, &before) != 0)
		return fail("plant: registers");
	printf("%lld\n", (long long)r.rax);
	return ptrace(PTRACE_DETACH, pid, NULL, 0) == 0 ? 0 : fail("plant: detach");
}

int
main(int argc, char **argv)
{
	uint64_t pid = 0;
	size_t which = 0;
	int status;

	while (argc >= 3 && which < CALLS && strcmp(calls[which].name, argv[2]) != 0)
		which++;
	if (argc < 3 || which == CALLS || argc != (calls[which].with_path ? 4 : 3) ||
	    !span_u64(span_str(argv[1]), INT32_MAX, &pid) || pid == 0) {
		fprintf(stderr, "usage: plant PID CALL [PATH]\n");
		return 2;
	}
	if (ptrace(PTRACE_ATTACH, (pid_t)pid, NULL, NULL) != 0)
		return fail("plant: attach");
	if (waitpid((pid_t)pid, &status, __WALL) != (pid_t)pid || !WIFSTOPPED(status))
		return fail("plant: wait");
	return run((pid_t)pid, which, argc == 4 ? argv[3] : NULL);
}
