/* The lists, in a child: what is not there kills and is named, what is there works. K1, K4. */
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sanitized.h"

/* Each returns 0 when it got what it asked for, else errno; few live so long. */
static int
errno_of(long result)
{
	return result < 0 ? errno : 0;
}

static int
open_reading(void)
{
	return errno_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int
open_writing(void)
{
	return errno_of(open("/dev/null", O_WRONLY));
}

static int
open_creating(void)
{
	return errno_of(open("/tmp", O_RDONLY | O_CREAT | O_DIRECTORY, 0600));
}

static int
execute(void)
{
	char *none[] = { NULL };

	return errno_of(execve("/bin/true", none, none));
}

static int
socket_inet(void)
{
	return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int
socket_unix(void)
{
	return errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int
socket_host(void)
{
	int e = errno_of(socket(AF_VSOCK, SOCK_STREAM, 0));

	return e == EAFNOSUPPORT ? 0 : e; /* a kernel without it: the list let the call pass */
}

static int
socket_packet(void)
{
	return errno_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int
new_process(void)
{
	return errno_of(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
}

static int
trace(void)
{
	return errno_of(syscall(SYS_ptrace, 0, 0, NULL, NULL));
}

static int
read_another(void)
{
	struct iovec none = { NULL, 0 };

	return errno_of(process_vm_readv(1, &none, 1, &none, 1, 0));
}

static int
signal_parent(void)
{
	return errno_of(kill(1, 0));
}

/* When something can be read there, the kernel would signal the owner, with F_SETSIG by SIGKILL. */
static int
signal_by_a_descriptor(void)
{
	return errno_of(fcntl(STDERR_FILENO, F_SETOWN, 1));
}

static int
descriptor_flags(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), flags = fcntl(fd, F_GETFL);

	if (fd < 0 || flags < 0 || fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC) < 0)
		return errno;
	return errno_of(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

static int
signal_thread_of_another(void)
{
	return errno_of(syscall(SYS_tgkill, 1, 1, 0));
}

static int
map_code(void)
{
	void *p = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return errno_of(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
ignore_sigsys(void)
{
	return signal(SIGSYS, SIG_IGN) == SIG_ERR ? errno : 0;
}

/* The same for who sees 64 bits where the kernel sees 32. */
static int
ignore_sigsys_wide(void)
{
	return errno_of(
	    syscall(SYS_rt_sigaction, (1UL << 32) | SIGSYS, NULL, NULL, sizeof(uint64_t)));
}

static int
another_list(void)
{
	return errno_of(syscall(SYS_seccomp, 1, 0, NULL));
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
new_thread(void)
{
	pthread_t thread;
	int e = pthread_create(&thread, NULL, nothing, NULL);

	return e != 0 ? e : pthread_join(thread, NULL);
}

static int
resolve(void)
{
	struct addrinfo *list = NULL;
	int e = getaddrinfo("localhost", "80", NULL, &list);

	if (e == 0)
		freeaddrinfo(list);
	return e == 0 ? 0 : EHOSTUNREACH;
}

static void *
open_in_thread(void *arg)
{
	(void)socket_packet();
	return arg;
}

static int
in_a_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, open_in_thread, NULL);
	return pthread_join(thread, NULL);
}

/* K4: it cannot be kept from killing; then there is no line. */
static int
blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return socket_packet();
}

enum { DIES = -1, DIES_UNNAMED = -2 };

static const struct {
	const char *rule;
	enum sandbox_role who;
	int (*act)(void);
	int want; /* errno, or how it dies */
	const char *named;
} rows[] = {
	{ "key holder: no open", SANDBOX_KEYHOLDER, open_reading, DIES, "openat" },
	{ "key holder: no socket", SANDBOX_KEYHOLDER, socket_inet, DIES, "socket" },
	{ "key holder: no execve", SANDBOX_KEYHOLDER, execute, DIES, "execve" },
	{ "key holder: no process", SANDBOX_KEYHOLDER, new_process, DIES, "clone" },
	{ "key holder: no thread", SANDBOX_KEYHOLDER, new_thread, DIES_UNNAMED, NULL },
	{ "key holder: no new code", SANDBOX_KEYHOLDER, map_code, DIES, "mmap" },
	{ "key holder: no data to code", SANDBOX_KEYHOLDER, make_code, DIES, "mprotect" },
	{ "key holder: no signals", SANDBOX_KEYHOLDER, signal_parent, DIES, "kill" },
	{ "worker: files for reading", SANDBOX_WORKER, open_reading, 0, NULL },
	{ "worker: not for writing", SANDBOX_WORKER, open_writing, DIES, "openat" },
	{ "worker: none are made", SANDBOX_WORKER, open_creating, DIES, "openat" },
	{ "worker: Internet sockets", SANDBOX_WORKER, socket_inet, 0, NULL },
	{ "worker: no others", SANDBOX_WORKER, socket_packet, DIES, "socket" },
	{ "worker: local ones do not exist", SANDBOX_WORKER, socket_unix, EAFNOSUPPORT, NULL },
	{ "worker: names are resolved", SANDBOX_WORKER, resolve, 0, NULL },
	{ "worker: threads", SANDBOX_WORKER, new_thread, 0, NULL },
	{ "worker: no processes", SANDBOX_WORKER, new_process, DIES, "clone" },
	{ "worker: no execve", SANDBOX_WORKER, execute, DIES, "execve" },
	{ "worker: no ptrace", SANDBOX_WORKER, trace, DIES, "ptrace" },
	{ "worker: no memory but its own", SANDBOX_WORKER, read_another, DIES, "process_vm_readv" },
	{ "worker: no signals", SANDBOX_WORKER, signal_parent, DIES, "kill" },
	{ "worker: no signals by descriptors", SANDBOX_WORKER, signal_by_a_descriptor, DIES,
	    "fcntl" },
	{ "worker: flags of descriptors", SANDBOX_WORKER, descriptor_flags, 0, NULL },
	{ "worker: no signals to threads of others", SANDBOX_WORKER, signal_thread_of_another, DIES,
	    "tgkill" },
	{ "worker: new code is refused", SANDBOX_WORKER, map_code, EPERM, NULL },
	{ "worker: no data to code", SANDBOX_WORKER, make_code, DIES, "mprotect" },
	{ "worker: the handler stays", SANDBOX_WORKER, ignore_sigsys, DIES, "rt_sigaction" },
	{ "worker: by no trick", SANDBOX_WORKER, ignore_sigsys_wide, DIES, "rt_sigaction" },
	{ "worker: no further list", SANDBOX_WORKER, another_list, DIES, "seccomp" },
	{ "worker: threads have the list", SANDBOX_WORKER, in_a_thread, DIES, "socket" },
	{ "worker: blocking SIGSYS does not help", SANDBOX_WORKER, blocked, DIES_UNNAMED, NULL },
	{ "worker: no host by vsock", SANDBOX_WORKER, socket_host, DIES, "socket" },
	{ "worker, --egress vsock: the host", SANDBOX_WORKER_VSOCK, socket_host, 0, NULL },
	{ "worker, --egress vsock: no Internet", SANDBOX_WORKER_VSOCK, socket_inet, DIES,
	    "socket" },
	{ "worker, --egress vsock: no local ones", SANDBOX_WORKER_VSOCK, socket_unix, DIES,
	    "socket" },
	{ "worker, --egress vsock: threads", SANDBOX_WORKER_VSOCK, new_thread, 0, NULL },
	{ "worker, --egress vsock: no execve", SANDBOX_WORKER_VSOCK, execute, DIES, "execve" },
	{ "tap: the host", SANDBOX_TAP, socket_host, 0, NULL },
	{ "tap: no Internet", SANDBOX_TAP, socket_inet, DIES, "socket" },
	{ "tap: no open", SANDBOX_TAP, open_reading, DIES, "openat" },
	{ "tap: no execve", SANDBOX_TAP, execute, DIES, "execve" },
	{ "tap: no process", SANDBOX_TAP, new_process, DIES, "clone" },
	{ "log: the host", SANDBOX_LOG, socket_host, 0, NULL },
	{ "log: no Internet", SANDBOX_LOG, socket_inet, DIES, "socket" },
	{ "log: no open", SANDBOX_LOG, open_reading, DIES, "openat" },
	{ "supervisor: no execve", SANDBOX_SUPERVISOR, execute, DIES, "execve" },
	{ "supervisor: no ptrace", SANDBOX_SUPERVISOR, trace, DIES, "ptrace" },
	{ "supervisor: no raw sockets", SANDBOX_SUPERVISOR, socket_packet, DIES, "socket" },
	{ "supervisor: processes", SANDBOX_SUPERVISOR, new_process, 0, NULL },
};

/* What the child wrote to standard error, and how it ended. */
static int
run(size_t row, bool narrowed, char *text, size_t max)
{
	int fd[2], status = 0;
	ssize_t got;
	size_t n = 0;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		if (narrowed && failed(sandbox_enter(SANDBOX_SUPERVISOR)))
			_exit(200);
		if (failed(sandbox_enter(rows[row].who)))
			_exit(201);
		_exit(rows[row].act());
	}
	close(fd[1]);
	while (n < max - 1 && (got = read(fd[0], text + n, max - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
check(size_t row, int status, const char *text)
{
	const char *rule = rows[row].rule;
	char want[64];

	if (rows[row].want >= 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != rows[row].want)
			fail_msg("%s: wait status %#x, %s", rule, (unsigned)status, text);
		return;
	}
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("%s: wait status %#x, %s", rule, (unsigned)status, text);
	if (rows[row].want == DIES_UNNAMED)
		return;
	snprintf(want, sizeof(want), "(%s) is not on its list", rows[row].named);
	if (strstr(text, want) == NULL || strchr(text, '\n') != strrchr(text, '\n'))
		fail_msg("%s: it wrote \"%s\"", rule, text);
}

static void
lists(void **state)
{
	char text[4096];

	if (SANITIZED)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(i, run(i, false, text, sizeof(text)), text);
}

/* As a child of the supervisor has it: one list after the other. */
static void
narrowed(void **state)
{
	char text[4096];

	if (SANITIZED)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].who != SANDBOX_SUPERVISOR)
			check(i, run(i, true, text, sizeof(text)), text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(narrowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
