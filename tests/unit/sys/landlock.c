/* What is out of reach, each in a child that has nothing but Landlock. K1, K4. */
#include "sys/landlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Made before the children, readable for everybody. */
static char planted[] = "/tmp/landlock-test-XXXXXX";
static int memory = -1, device = -1;
static struct sockaddr_in listening = { .sin_family = AF_INET };

/* Each returns 0 when it got what it asked for, else errno. */
static int
errno_of(long result)
{
	return result < 0 ? errno : 0;
}

static int
read_planted(void)
{
	return errno_of(open(planted, O_RDONLY));
}

static int
write_planted(void)
{
	return errno_of(open(planted, O_WRONLY));
}

static int
truncate_planted(void)
{
	return errno_of(truncate(planted, 0));
}

static int
unlink_planted(void)
{
	return errno_of(unlink(planted));
}

static int
make_a_file(void)
{
	return errno_of(open("/etc/landlock-test", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int
read_hosts(void)
{
	return errno_of(open("/etc/hosts", O_RDONLY));
}

static int
list_etc(void)
{
	return errno_of(open("/etc", O_RDONLY | O_DIRECTORY));
}

static int
read_environment(void)
{
	return errno_of(open("/proc/self/environ", O_RDONLY));
}

static int
read_parent(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)getppid());
	return errno_of(open(path, O_RDONLY));
}

static int
read_device(void)
{
	return errno_of(open("/dev/zero", O_RDONLY));
}

/* It has no such request, and says so itself: that is an answer. */
static int
ask_an_open_device(void)
{
	int e = errno_of(ioctl(device, 0x1234, 0));

	return e == ENOTTY ? 0 : e;
}

/* As OpenSSL opens the CA bundle. */
static int
read_memory(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	return errno_of(open(path, O_RDONLY));
}

static int
execute(void)
{
	char *none[] = { NULL };

	return errno_of(execve("/bin/true", none, none));
}

static int
listen_anew(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	return errno_of(
	    bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof(any)));
}

static int
connect_out(void)
{
	return errno_of(connect(
	    socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&listening, sizeof(listening)));
}

static int
signal_parent(void)
{
	return errno_of(kill(getppid(), 0));
}

static int
signal_itself(void)
{
	return errno_of(raise(0));
}

static const struct {
	const char *rule;
	enum sandbox_role who;
	int version; /* from this one of Landlock on */
	int (*act)(void);
	int want;
} rows[] = {
	{ "key holder: no file", SANDBOX_KEYHOLDER, 1, read_planted, EACCES },
	{ "key holder: not even of /etc", SANDBOX_KEYHOLDER, 1, read_hosts, EACCES },
	{ "key holder: none is written", SANDBOX_KEYHOLDER, 1, write_planted, EACCES },
	{ "key holder: nothing of itself", SANDBOX_KEYHOLDER, 1, read_environment, EACCES },
	{ "key holder: no device", SANDBOX_KEYHOLDER, 1, read_device, EACCES },
	{ "key holder: but the one it had", SANDBOX_KEYHOLDER, 1, ask_an_open_device, 0 },
	{ "key holder: no program", SANDBOX_KEYHOLDER, 1, execute, EACCES },
	{ "key holder: listens nowhere", SANDBOX_KEYHOLDER, 4, listen_anew, EACCES },
	{ "key holder: connects nowhere", SANDBOX_KEYHOLDER, 4, connect_out, EACCES },
	{ "key holder: signals nobody", SANDBOX_KEYHOLDER, 6, signal_parent, EPERM },
	{ "worker: reads hosts", SANDBOX_WORKER, 1, read_hosts, 0 },
	{ "worker: reads what is in memory", SANDBOX_WORKER, 1, read_memory, 0 },
	{ "worker: lists nothing", SANDBOX_WORKER, 1, list_etc, EACCES },
	{ "worker: no file elsewhere", SANDBOX_WORKER, 1, read_planted, EACCES },
	{ "worker: none is written", SANDBOX_WORKER, 1, write_planted, EACCES },
	{ "worker: none is emptied", SANDBOX_WORKER, 3, truncate_planted, EACCES },
	{ "worker: none is removed", SANDBOX_WORKER, 1, unlink_planted, EACCES },
	{ "worker: none is made", SANDBOX_WORKER, 1, make_a_file, EACCES },
	{ "worker: no environment", SANDBOX_WORKER, 1, read_environment, EACCES },
	{ "worker: no other's memory", SANDBOX_WORKER, 1, read_parent, EACCES },
	{ "worker: no device", SANDBOX_WORKER, 1, read_device, EACCES },
	{ "worker: no program", SANDBOX_WORKER, 1, execute, EACCES },
	{ "worker: listens on nothing new", SANDBOX_WORKER, 4, listen_anew, EACCES },
	{ "worker: connects", SANDBOX_WORKER, 4, connect_out, 0 },
	{ "worker: signals nobody", SANDBOX_WORKER, 6, signal_parent, EPERM },
	{ "worker: but itself", SANDBOX_WORKER, 6, signal_itself, 0 },
	{ "worker, --egress vsock: no file", SANDBOX_WORKER_VSOCK, 1, read_hosts, EACCES },
	{ "worker, --egress vsock: what is in memory", SANDBOX_WORKER_VSOCK, 1, read_memory, 0 },
	{ "worker, --egress vsock: connects nowhere", SANDBOX_WORKER_VSOCK, 4, connect_out,
	    EACCES },
	{ "tap: no file", SANDBOX_TAP, 1, read_hosts, EACCES },
	{ "tap: connects nowhere", SANDBOX_TAP, 4, connect_out, EACCES },
	{ "log: no file", SANDBOX_LOG, 1, read_hosts, EACCES },
	{ "log: connects nowhere", SANDBOX_LOG, 4, connect_out, EACCES },
};

static int
run(size_t row, bool held)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		    (held && failed(landlock_enter(rows[row].who))))
			_exit(200);
		_exit(rows[row].act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
out_of_reach(void **state)
{
	if (landlock_version() == 0)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got;

		if (landlock_version() < rows[i].version)
			continue;
		if ((got = run(i, true)) != rows[i].want)
			fail_msg("%s: errno %d", rows[i].rule, got);
	}
}

/* Without, the same things are there: it is Landlock that the rows above show. */
static void
within_reach(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got;

		if (rows[i].act == unlink_planted || rows[i].act == make_a_file)
			continue; /* they would */
		if ((got = run(i, false)) != 0)
			fail_msg("%s: errno %d without Landlock", rows[i].rule, got);
	}
}

/*
 * A machine whose resolv.conf is a link, as systemd-resolved makes it: an /etc of its own in a mount
 * namespace. 99: that cannot be had here.
 */
static int
resolver_elsewhere(const char *directory)
{
	char file[64], fresh[64], byte = 0;
	int pair[2], status = -1;

	snprintf(file, sizeof(file), "%s/stub", directory);
	snprintf(fresh, sizeof(fresh), "%s/new", directory);
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/etc", "tmpfs", 0, NULL) != 0)
		return 99;
	if (close(open(file, O_CREAT | O_WRONLY, 0644)) != 0 ||
	    close(open(fresh, O_CREAT | O_WRONLY, 0644)) != 0 ||
	    symlink(file, "/etc/resolv.conf") != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return 98;
	if (fork() == 0) {
		if (failed(landlock_enter(SANDBOX_WORKER)) || write(pair[1], &byte, 1) != 1 ||
		    read(pair[1], &byte, 1) != 1)
			_exit(1);
		if (errno_of(open("/etc/resolv.conf", O_RDONLY)) != 0)
			_exit(2);
		_exit(read_planted() == EACCES ? 0 : 3);
	}
	/* A new file takes the place of the old one while the worker runs. */
	if (read(pair[0], &byte, 1) != 1 || rename(fresh, file) != 0 ||
	    write(pair[0], &byte, 1) != 1 || wait(&status) <= 0 || !WIFEXITED(status))
		return 97;
	return WEXITSTATUS(status);
}

static void
links_are_followed(void **state)
{
	char directory[] = "/tmp/landlock-etc-XXXXXX", file[64];
	static const char *const made[] = { "stub", "new" };
	int status = -1;
	pid_t pid;

	if (landlock_version() == 0)
		skip();
	assert_non_null(mkdtemp(directory));
	assert_true((pid = fork()) >= 0);
	if (pid == 0)
		_exit(resolver_elsewhere(directory));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (size_t i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/%s", directory, made[i]);
		(void)unlink(file);
	}
	assert_int_equal(rmdir(directory), 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 99)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
set_up(void **state)
{
	socklen_t n = sizeof(listening);
	int fd = mkstemp(planted), listener = socket(AF_INET, SOCK_STREAM, 0);

	memory = memfd_create("ca", MFD_CLOEXEC);
	device = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	listening.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || memory < 0 || device < 0 || fchmod(fd, 0644) != 0 ||
	    bind(listener, (struct sockaddr *)&listening, sizeof(listening)) != 0 ||
	    listen(listener, 16) != 0 ||
	    getsockname(listener, (struct sockaddr *)&listening, &n) != 0)
		return 1;
	return close(fd);
}

static int
tear_down(void **state)
{
	return unlink(planted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(out_of_reach),
		cmocka_unit_test(within_reach),
		cmocka_unit_test(links_are_followed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
