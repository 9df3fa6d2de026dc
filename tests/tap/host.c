/*
 * host.c - plays gvproxy for a test: takes one stream after the other on the Unix socket
 * vsock.3.1024, and carries its frames to an interface of its own network namespace. What it sees is
 * a line on standard output; what it does wrong comes as lines on standard input:
 *
 *	split		from now on one byte a write
 *	empty, oversized	a frame of that length comes next
 *	short, garbage	frames that are none, of lengths that are right
 *	burst		a thousand frames at once
 *	silent		nothing is sent any more, and what comes is dropped
 *	close		ends the stream
 *	plain		on this and on further streams nothing of that
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/frames.h"

enum { DEAF_MS = 100 }; /* so long after the request gvproxy may lose what comes */

static const uint8_t mac[6] = { 0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd };

static struct {
	int tap, listener, stream;
	bool split, silent;
	struct frames in, out;
} h = { .stream = -1 };

static void
need(bool good, const char *what)
{
	if (good)
		return;
	printf("host: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
set_address(struct sockaddr *to, const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	inet_pton(AF_INET, text, &in.sin_addr);
	memcpy(to, &in, sizeof(in));
}

static void
open_tap(int mtu)
{
	struct ifreq r = { .ifr_name = "gv0", .ifr_flags = IFF_TAP | IFF_NO_PI };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	need((h.tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK)) >= 0, "/dev/net/tun");
	need(ioctl(h.tap, TUNSETIFF, &r) == 0, "TUNSETIFF");
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, sizeof(mac));
	need(ioctl(s, SIOCSIFHWADDR, &r) == 0, "hardware address");
	r.ifr_mtu = mtu;
	need(ioctl(s, SIOCSIFMTU, &r) == 0, "MTU");
	set_address(&r.ifr_addr, "192.168.127.1");
	need(ioctl(s, SIOCSIFADDR, &r) == 0, "address");
	set_address(&r.ifr_netmask, "255.255.255.0");
	need(ioctl(s, SIOCSIFNETMASK, &r) == 0, "mask");
	r.ifr_flags = IFF_UP;
	need(ioctl(s, SIOCSIFFLAGS, &r) == 0, "up");
	close(s);
}

static void
open_listener(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "vsock.3.1024" };

	h.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	need(bind(h.listener, (struct sockaddr *)&to, sizeof(to)) == 0, "bind");
	need(chmod(to.sun_path, 0777) == 0 && listen(h.listener, 4) == 0, "listen");
}

static void
drop_stream(const char *why)
{
	close(h.stream);
	h.stream = -1;
	frames_clear(&h.in);
	frames_clear(&h.out);
	printf("host: stream ended: %s\n", why);
}

/* The request, byte by byte, so that nothing behind it is read; then deaf for a while. */
static void
take_stream(void)
{
	char request[1024] = "", lost[4096];
	size_t n = 0;

	need((h.stream = accept(h.listener, NULL, NULL)) >= 0, "accept");
	while (n < sizeof(request) - 1 && strstr(request, "\r\n\r\n") == NULL &&
	    read(h.stream, request + n, 1) == 1)
		n++;
	*strchr(request, '\r') = '\0';
	printf("host: request: %s\n", request);
	need(fcntl(h.stream, F_SETFL, O_NONBLOCK) == 0, "fcntl");
	usleep(DEAF_MS * 1000);
	printf("host: lost: %zd\n", recv(h.stream, lost, sizeof(lost), 0));
}

static void
flush_out(void)
{
	struct span left;

	while (h.stream >= 0 && (left = frames_pending(&h.out)).n > 0) {
		ssize_t n = send(h.stream, left.p, h.split ? 1 : left.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			drop_stream("it takes no more");
		else
			frames_sent(&h.out, (size_t)n);
	}
}

static void
from_tap(void)
{
	static uint8_t dropped[FRAME_MAX_BYTES];
	uint8_t *slot;
	ssize_t n;

	for (;;) {
		slot = h.stream < 0 || h.silent ? dropped : frames_slot(&h.out);
		if (slot == NULL || (n = read(h.tap, slot, h.out.frame_max)) <= 0)
			break;
		if (slot != dropped)
			frames_put(&h.out, (size_t)n);
	}
	flush_out();
}

static void
from_stream(void)
{
	size_t room;
	uint8_t *p = frames_room(&h.in, &room);
	ssize_t n = recv(h.stream, p, room, 0);
	struct span frame;
	enum frames_verdict v;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop_stream("the other side closed");
		return;
	}
	frames_add(&h.in, (size_t)n);
	while ((v = frames_next(&h.in, &frame)) == FRAMES_ONE)
		if (!h.silent && write(h.tap, frame.p, frame.n) < 0)
			printf("host: a frame that is none: %zu bytes\n", frame.n);
	if (v == FRAMES_BROKEN)
		drop_stream("its frames are broken");
}

/* Bytes as they are, past the framing. */
static void
put_raw(const void *p, size_t n)
{
	flush_out();
	need(fcntl(h.stream, F_SETFL, 0) == 0 && send(h.stream, p, n, MSG_NOSIGNAL) == (ssize_t)n &&
		fcntl(h.stream, F_SETFL, O_NONBLOCK) == 0,
	    "send");
}

/* n frames of this length, which begin as no Ethernet frame for us does. */
static void
put_frames(unsigned n, unsigned len)
{
	static uint8_t frame[FRAME_HEAD_BYTES + FRAME_MAX_BYTES];

	memset(frame, 0xa5, sizeof(frame));
	frame[0] = (uint8_t)len;
	frame[1] = (uint8_t)(len >> 8);
	while (n-- > 0)
		put_raw(frame, FRAME_HEAD_BYTES + len);
}

static void
obey(const char *word)
{
	if (strcmp(word, "plain") == 0)
		h.split = h.silent = false;
	else if (strcmp(word, "split") == 0)
		h.split = true;
	else if (strcmp(word, "silent") == 0)
		h.silent = true;
	else if (strcmp(word, "close") == 0)
		drop_stream("asked to");
	else if (strcmp(word, "empty") == 0)
		put_raw("\0\0", 2);
	else if (strcmp(word, "oversized") == 0)
		put_frames(1, (unsigned)h.in.frame_max + 1);
	else if (strcmp(word, "short") == 0)
		for (unsigned len = 1; len < FRAME_MIN_BYTES; len++)
			put_frames(1, len);
	else if (strcmp(word, "garbage") == 0)
		for (unsigned len = FRAME_MIN_BYTES; len <= h.in.frame_max; len += 7)
			put_frames(1, len);
	else if (strcmp(word, "burst") == 0)
		put_frames(1000, (unsigned)h.in.frame_max);
	printf("host: done: %s\n", word);
}

static bool
from_input(void)
{
	char line[64];

	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	line[strcspn(line, "\n")] = '\0';
	obey(line);
	return true;
}

int
main(int argc, char **argv)
{
	uint64_t mtu = 1500;

	need(argc < 2 || span_u64(span_str(argv[1]), 65521, &mtu), "MTU");
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	open_tap((int)mtu);
	open_listener();
	frames_init(&h.in, mtu + FRAME_MIN_BYTES);
	frames_init(&h.out, mtu + FRAME_MIN_BYTES);
	printf("host: ready\n");
	for (;;) {
		bool full = h.stream >= 0 && !h.silent && frames_slot(&h.out) == NULL;
		struct pollfd p[] = { { STDIN_FILENO, POLLIN, 0 },
			{ h.tap, (short)(full ? 0 : POLLIN), 0 },
			{ h.stream, (short)(POLLIN | (frames_pending(&h.out).n > 0 ? POLLOUT : 0)),
			    0 },
			{ h.stream < 0 ? h.listener : -1, POLLIN, 0 } };

		need(poll(p, 4, -1) > 0, "poll");
		if (p[0].revents != 0 && !from_input())
			return 0;
		if (p[1].revents != 0)
			from_tap();
		if (h.stream >= 0 && (p[2].revents & POLLOUT) != 0)
			flush_out();
		if (h.stream >= 0 && (p[2].revents & ~POLLOUT) != 0)
			from_stream();
		if (h.stream < 0 && p[3].revents != 0)
			take_stream();
	}
}
