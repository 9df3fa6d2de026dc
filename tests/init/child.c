/*
 * child.c - what enclave-init starts in its test: says on standard output how it finds the world, one
 * fact a line, and does what its arguments after the first one say. Linked statically.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <net/if.h>

extern char **environ;

static void
say_descriptors(void)
{
	printf("descriptors:");
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
}

static void
say_signals(void)
{
	sigset_t blocked;
	int n = 0;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int sig = 1; sig < 32; sig++)
		n += sigismember(&blocked, sig) == 1;
	printf("blocked signals: %d\n", n);
}

static void
say_mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[1024], at[256], options[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*s %*s %*s %*s %255s %255s", at, options) == 2)
			printf("mount %s %s\n", at, options);
	if (f != NULL)
		fclose(f);
}

static void
say_loopback(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (ioctl(s, SIOCGIFFLAGS, &r) == 0)
		printf("lo: %s\n", (r.ifr_flags & IFF_UP) != 0 ? "up" : "down");
	close(s);
}

static void
report(char **argv)
{
	struct rlimit files, core;

	for (; *argv != NULL; argv++)
		printf("arg: %s\n", *argv);
	for (char **v = environ; *v != NULL; v++)
		printf("env: %s\n", *v);
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_CORE, &core);
	printf("files: %llu %llu\n", (unsigned long long)files.rlim_cur,
	    (unsigned long long)files.rlim_max);
	printf("core: %llu\n", (unsigned long long)core.rlim_max);
	printf("parent: %d, session: %s\n", getppid(),
	    getsid(0) == getpid() ? "its own" : "not its own");
	printf(
	    "root: %s\n", mkdir("/made", 0700) != 0 && errno == EROFS ? "read-only" : "writable");
	printf("run: %s\n",
	    mkdir("/run/made", 0700) == 0 || errno == EEXIST ? "writable" : "not writable");
	say_descriptors();
	say_signals();
	say_mounts();
	say_loopback();
}

static int
processes(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += e->d_name[0] >= '1' && e->d_name[0] <= '9';
	if (d != NULL)
		closedir(d);
	return n;
}

/* n grandchildren, left to PID 1, which end at once. Waits until nobody is there but it and us. */
static void
orphans(int n)
{
	for (int i = 0; i < n; i++)
		if (fork() == 0) {
			if (fork() == 0)
				_exit(i);
			_exit(0);
		}
	while (n-- > 0)
		if (wait(NULL) < 0)
			abort();
	while (processes() > 2)
		usleep(1000);
	printf("orphans: all reaped\n");
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "report") == 0)
		report(argv);
	else if (strcmp(what, "orphans") == 0)
		orphans(50);
	else if (strcmp(what, "crash") == 0)
		printf("crash\n"), fflush(stdout), abort();
	else if (strcmp(what, "wait") == 0)
		pause();
	else if (strcmp(what, "second") == 0)
		printf("second\n"), fflush(stdout), usleep(500000);
	fflush(stdout);
	return argc > 2 ? argv[2][0] - '0' : 0;
}
