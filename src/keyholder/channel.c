#include "keyholder/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct channel *
channel_new(int fd, unsigned number)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->fd = fd;
	c->number = number;
	atomic_init(&c->closed, false);
	atomic_init(&c->refs, 1);
	return c;
}

struct channel *
channel_ref(struct channel *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void
channel_unref(struct channel *c)
{
	if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	close(c->fd);
	free(c);
}

enum channel_got
channel_receive(struct channel *c, uint8_t *p, size_t max, size_t *n)
{
	ssize_t got;

	do
		/* MSG_TRUNC: the datagram's own length, even where it did not fit. */
		got = recv(c->fd, p, max, MSG_DONTWAIT | MSG_TRUNC);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return CHANNEL_NOTHING;
	if (got <= 0 || (size_t)got > max)
		return CHANNEL_ENDED;
	*n = (size_t)got;
	return CHANNEL_MESSAGE;
}

bool
channel_try_send(struct channel *c, struct span datagram)
{
	ssize_t sent;

	if (atomic_load(&c->closed))
		return true;
	do
		sent = send(c->fd, datagram.p, datagram.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return false;
	if (sent != (ssize_t)datagram.n)
		channel_close(c);
	return true;
}

void
channel_send(struct channel *c, struct span datagram, int wait_ms)
{
	struct pollfd room = { .fd = c->fd, .events = POLLOUT };

	/* Threads that send side by side may take the room first; then wait again. */
	while (!channel_try_send(c, datagram))
		if (poll(&room, 1, wait_ms) <= 0 && errno != EINTR)
			channel_close(c);
}

void
channel_close(struct channel *c)
{
	if (!atomic_exchange(&c->closed, true))
		shutdown(c->fd, SHUT_RDWR);
}
