#include "init/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLVER_DIRECTORY "/run/resolvconf" /* of net/tap.h's TAP_RESOLV_CONF */

/*
 * The directories are in the image. Devices: nsm, net/tun, console, null. Processes: the gateway
 * reads its own entry of /proc. /run holds the resolver's file that the network link writes.
 */
static const struct {
	const char *type, *at;
	unsigned long flags;
	const char *options;
} mounts[] = {
	{ "devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755" },
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m" },
};

struct err
setup_mounts(void)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
		if (mount(mounts[i].type, mounts[i].at, mounts[i].type, mounts[i].flags,
			mounts[i].options) != 0)
			return FAIL(SYSTEM, mounts[i].at);
	/* The gateway names this directory in its rules, maybe before the link has made its file. */
	if (mkdir(RESOLVER_DIRECTORY, 0755) != 0 && errno != EEXIST)
		return FAIL(SYSTEM, RESOLVER_DIRECTORY);
	/* All that was measured stays as it was. */
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) !=
	    0)
		return FAIL(SYSTEM, "/");
	return OK;
}

struct err
setup_console(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		/* The lowest free one is the one that is missing. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/console", O_RDWR | O_NOCTTY) != fd)
			return FAIL(SYSTEM, "/dev/console");
	return OK;
}

struct err
setup_limits(uint32_t files)
{
	const struct rlimit open_files = { files, files }, none = { 0, 0 };

	if (setrlimit(RLIMIT_NOFILE, &open_files) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
		return FAIL(SYSTEM, "setrlimit");
	return OK;
}

struct err
setup_loopback(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good = s >= 0 && ioctl(s, SIOCGIFFLAGS, &r) == 0;

	r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
	good = good && ioctl(s, SIOCSIFFLAGS, &r) == 0;
	if (s >= 0)
		close(s);
	return good ? OK : FAIL(SYSTEM, "lo");
}

struct err
setup_read(const char *path, char *to, size_t max, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;
	char more;
	int why;

	if (fd < 0)
		return FAIL(SYSTEM, path);
	for (*n = 0; *n < max && (got = read(fd, to + *n, max - *n)) > 0;)
		*n += (size_t)got;
	if (*n == max)
		got = read(fd, &more, 1) != 0;
	why = errno;
	close(fd);
	errno = why;
	if (got < 0)
		return FAIL(SYSTEM, path);
	return got == 0 ? OK : FAIL(TOO_LARGE, path);
}
