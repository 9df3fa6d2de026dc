#include "net/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/span.h"

const uint8_t tap_mac[TAP_MAC_BYTES] = { 0xba, 0xaa, 0xad, 0xc0, 0xff, 0xee };

static void
set_address(struct sockaddr *to, const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	inet_pton(AF_INET, text, &in.sin_addr);
	memcpy(to, &in, sizeof(in));
}

static bool
set_route(int s)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	set_address(&route.rt_dst, "0.0.0.0");
	set_address(&route.rt_genmask, "0.0.0.0");
	set_address(&route.rt_gateway, TAP_GATEWAY);
	return ioctl(s, SIOCADDRT, &route) == 0;
}

/* The hardware address before the interface is up: afterwards some kernels refuse it. */
static struct err
configure(int s, uint16_t mtu)
{
	struct ifreq r = { .ifr_name = TAP_NAME };

	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, tap_mac, TAP_MAC_BYTES);
	if (ioctl(s, SIOCSIFHWADDR, &r) != 0)
		return FAIL(SYSTEM, TAP_NAME ": hardware address");
	r.ifr_mtu = mtu;
	if (ioctl(s, SIOCSIFMTU, &r) != 0)
		return FAIL(SYSTEM, TAP_NAME ": MTU");
	set_address(&r.ifr_addr, TAP_ADDRESS);
	if (ioctl(s, SIOCSIFADDR, &r) != 0)
		return FAIL(SYSTEM, TAP_NAME ": address");
	set_address(&r.ifr_netmask, TAP_MASK);
	if (ioctl(s, SIOCSIFNETMASK, &r) != 0)
		return FAIL(SYSTEM, TAP_NAME ": mask");
	if (ioctl(s, SIOCGIFFLAGS, &r) != 0)
		return FAIL(SYSTEM, TAP_NAME ": flags");
	r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
	if (ioctl(s, SIOCSIFFLAGS, &r) != 0)
		return FAIL(SYSTEM, TAP_NAME ": up");
	return set_route(s) ? OK : FAIL(SYSTEM, TAP_NAME ": default route");
}

/* errno stays that of what failed. */
static void
close_quietly(int fd)
{
	int why = errno;

	if (fd >= 0)
		close(fd);
	errno = why;
}

struct err
tap_open(int *fd, uint16_t mtu)
{
	struct ifreq r = { .ifr_name = TAP_NAME, .ifr_flags = IFF_TAP | IFF_NO_PI };
	struct err e;
	int tap, s;

	if ((tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
		return FAIL(SYSTEM, "/dev/net/tun");
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(tap, TUNSETIFF, &r) != 0)
		e = FAIL(SYSTEM, TAP_NAME ": TUNSETIFF");
	else
		e = s >= 0 ? configure(s, mtu) : FAIL(SYSTEM, "socket");
	close_quietly(s);
	if (failed(e))
		close_quietly(tap);
	else
		*fd = tap;
	return e;
}

static struct err
write_whole(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool good = fd >= 0 && fchmod(fd, 0644) == 0 &&
	    write(fd, text.p, text.n) == (ssize_t)text.n;

	close_quietly(fd);
	return good ? OK : FAIL(SYSTEM, "the resolver's file");
}

static struct err
make_directory(const char *path)
{
	size_t slash = span_rfind(span_str(path), SPAN_LIT("/"));
	char directory[PATH_MAX];

	if (slash == SIZE_MAX || slash == 0)
		return OK;
	if (slash >= sizeof(directory))
		return FAIL(SYSTEM, "the resolver's directory");
	memcpy(directory, path, slash);
	directory[slash] = '\0';
	if (mkdir(directory, 0755) == 0)
		return chmod(directory, 0755) == 0 ? OK : FAIL(SYSTEM, "the resolver's directory");
	return errno == EEXIST ? OK : FAIL(SYSTEM, "the resolver's directory");
}

struct err
tap_resolver(const char *path)
{
	static const char link[] = "/etc/resolv.conf";
	char target[sizeof(TAP_RESOLV_CONF)];
	ssize_t n;

	TRY(make_directory(path));
	TRY(write_whole(path, SPAN_LIT("nameserver " TAP_GATEWAY "\n")));
	if (strcmp(path, TAP_RESOLV_CONF) != 0)
		return OK;
	n = readlink(link, target, sizeof(target));
	if (n < 0 && errno == ENOENT)
		return symlink(path, link) == 0 ? OK : FAIL(SYSTEM, "/etc/resolv.conf");
	return n > 0 && span_eq(span_of(target, (size_t)n), span_str(path))
	    ? OK
	    : FAIL(REFUSED, "/etc/resolv.conf is no link to " TAP_RESOLV_CONF);
}
