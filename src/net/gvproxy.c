#include "net/gvproxy.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "net/frames.h"
#include "net/tap.h"
#include "sys/clock.h"
#include "sys/log.h"

struct carrier {
	int tap, stream;
	uint64_t heard_ms;     /* the last frame of the host */
	uint64_t probed_ms;    /* the last of ours that asks for one */
	struct frames in, out; /* from the host, to the host */
};

static uint64_t
now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* --- ARP: who has the gateway's address? (RFC 826) --- */

static uint8_t *
put(uint8_t *at, const void *p, size_t n)
{
	memcpy(at, p, n);
	return at + n;
}

static void
ask_for_gateway(struct carrier *c)
{
	static const uint8_t everybody[TAP_MAC_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t nobody[TAP_MAC_BYTES] = { 0 };
	/* ARP; then Ethernet, IPv4, their lengths, a request */
	static const uint8_t kind[] = { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 };
	static const uint8_t us[] = { 192, 168, 127, 2 }, gateway[] = { 192, 168, 127, 1 };
	uint8_t *slot = frames_slot(&c->out), *at;

	if (slot == NULL)
		return;
	at = put(slot, everybody, TAP_MAC_BYTES);
	at = put(at, tap_mac, TAP_MAC_BYTES);
	at = put(at, kind, sizeof(kind));
	at = put(at, tap_mac, TAP_MAC_BYTES);
	at = put(at, us, sizeof(us));
	at = put(at, nobody, TAP_MAC_BYTES);
	at = put(at, gateway, sizeof(gateway));
	frames_put(&c->out, (size_t)(at - slot));
	c->probed_ms = now_ms();
}

/* --- both directions; an error ends the stream --- */

static struct err
send_pending(struct carrier *c)
{
	struct span left;

	while ((left = frames_pending(&c->out)).n > 0) {
		ssize_t n = send(c->stream, left.p, left.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return OK;
		if (n < 0)
			return FAIL(SYSTEM, "the host takes no more");
		frames_sent(&c->out, (size_t)n);
	}
	return OK;
}

static struct err
from_tap(struct carrier *c)
{
	uint8_t *slot;
	ssize_t n;

	while ((slot = frames_slot(&c->out)) != NULL) {
		if ((n = read(c->tap, slot, c->out.frame_max)) > 0)
			frames_put(&c->out, (size_t)n);
		else if (n < 0 && errno == EAGAIN)
			break;
		else
			return FAIL(SYSTEM, TAP_NAME);
	}
	return send_pending(c);
}

static struct err
to_tap(struct carrier *c)
{
	struct span frame;
	enum frames_verdict v;

	while ((v = frames_next(&c->in, &frame)) == FRAMES_ONE) {
		c->heard_ms = now_ms();
		/* What the kernel does not take, it would have dropped as well: too short, no memory. */
		if (frame.n >= FRAME_MIN_BYTES && write(c->tap, frame.p, frame.n) < 0)
			continue;
	}
	return v == FRAMES_MORE
	    ? OK
	    : FAIL(MALFORMED, "a frame of the host is empty, or longer than the MTU allows");
}

static struct err
from_host(struct carrier *c)
{
	size_t room;
	uint8_t *p = frames_room(&c->in, &room);
	ssize_t n = recv(c->stream, p, room, 0);

	if (n < 0 && errno == EAGAIN)
		return OK;
	if (n <= 0)
		return FAIL(UPSTREAM, "the host closed");
	frames_add(&c->in, (size_t)n);
	return to_tap(c);
}

static struct err
look_after(struct carrier *c)
{
	uint64_t now = now_ms();

	if (now - c->heard_ms >= GVPROXY_SILENT_MS)
		return FAIL(TIMEOUT, "the host is silent");
	if (now - c->heard_ms >= GVPROXY_PROBE_MS && now - c->probed_ms >= GVPROXY_PROBE_MS) {
		ask_for_gateway(c);
		return send_pending(c);
	}
	return OK;
}

static struct err
pump(struct carrier *c)
{
	struct pollfd p[] = { { .fd = c->stream }, { .fd = c->tap } };

	for (;;) {
		bool full = frames_slot(&c->out) == NULL;

		p[0].events = (short)(POLLIN | (frames_pending(&c->out).n > 0 ? POLLOUT : 0));
		p[1].events = (short)(full ? 0 : POLLIN);
		if (poll(p, 2, 1000) < 0 && errno != EINTR)
			return FAIL(SYSTEM, "poll");
		if ((p[0].revents & POLLOUT) != 0)
			TRY(send_pending(c));
		if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			TRY(from_host(c));
		if ((p[1].revents & (POLLIN | POLLERR)) != 0)
			TRY(from_tap(c));
		TRY(look_after(c));
	}
}

/* --- one stream --- */

static struct err
greet(struct carrier *c)
{
	/* Go's own client sends this; there is no answer but frames. */
	static const char request[] = "POST /connect HTTP/1.1\r\nHost: \r\nUser-Agent: "
				      "Go-http-client/1.1\r\nContent-Length: 0\r\n\r\n";
	struct pollfd p = { .fd = c->stream, .events = POLLIN };

	if (send(c->stream, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
		return FAIL(SYSTEM, "the host takes no request");
	(void)poll(&p, 1, GVPROXY_SETTLE_MS);
	return OK;
}

static struct err
carry_once(struct carrier *c, const struct vsock_address *host, bool *was_up)
{
	struct err e;

	TRY(vsock_connect(&c->stream, host, GVPROXY_CONNECT_MS));
	frames_clear(&c->in);
	frames_clear(&c->out);
	if (!failed(e = greet(c))) {
		log_msg(LOG_INFO, "tap: linked to vsock:%u:%u", host->cid, host->port);
		*was_up = true;
		c->heard_ms = c->probed_ms = now_ms();
		ask_for_gateway(c);
		e = send_pending(c);
		if (!failed(e))
			e = pump(c);
	}
	close(c->stream);
	return e;
}

void
gvproxy_carry(const struct vsock_address *host, int tap, uint16_t mtu)
{
	static struct carrier c;
	const struct timespec pause = { .tv_sec = GVPROXY_AGAIN_MS / 1000,
		.tv_nsec = GVPROXY_AGAIN_MS % 1000 * 1000000L };
	bool was_up = true;

	c.tap = tap;
	frames_init(&c.in, (size_t)mtu + FRAME_MIN_BYTES);
	frames_init(&c.out, (size_t)mtu + FRAME_MIN_BYTES);
	for (;;) {
		bool up = false;
		struct err e = carry_once(&c, host, &up);

		/* One line when the link goes, not one for each attempt. */
		if (up || was_up)
			log_msg(LOG_WARN, "tap: no link: %s; trying again", e.what);
		was_up = up;
		nanosleep(&pause, NULL);
	}
}
