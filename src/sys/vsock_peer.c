#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "sys/vsock.h"

static bool
read_number(struct span s, uint32_t *v)
{
	uint64_t wide;

	if (!span_u64(s, UINT32_MAX - 1, &wide) || wide == 0)
		return false;
	*v = (uint32_t)wide;
	return true;
}

bool
vsock_read_port(uint32_t *port, struct span text)
{
	const struct span prefix = SPAN_LIT("vsock:");

	return span_starts(text, prefix) && read_number(span_cut(text, prefix.n, text.n), port);
}

bool
vsock_read(struct vsock_address *a, struct span text)
{
	const struct span prefix = SPAN_LIT("vsock:");
	size_t colon;

	if (!span_starts(text, prefix))
		return false;
	colon = span_find(text, SPAN_LIT(":"), prefix.n);
	return colon != SIZE_MAX && read_number(span_cut(text, prefix.n, colon), &a->cid) &&
	    read_number(span_cut(text, colon + 1, text.n), &a->port);
}

static struct err
wait_connected(int fd, uint32_t timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n, why = 0;
	socklen_t size = sizeof(why);

	/* No signal is waited for by those who call this: one that interrupts only ends it early. */
	if ((n = poll(&p, 1, (int)timeout_ms)) == 0)
		return FAIL(TIMEOUT, "vsock: the host does not answer");
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0)
		return FAIL(SYSTEM, "vsock: poll");
	errno = why;
	return why == 0 ? OK : FAIL(SYSTEM, "vsock: the host refuses");
}

struct err
vsock_connect(int *fd, const struct vsock_address *a, uint32_t timeout_ms)
{
	struct sockaddr_storage to;
	socklen_t n = vsock_sockaddr(&to, a);
	struct err e = OK;
	int s, why;

	if ((s = socket(vsock_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return FAIL(SYSTEM, "vsock: socket");
	if (connect(s, (const struct sockaddr *)&to, n) != 0)
		e = errno == EINPROGRESS ? wait_connected(s, timeout_ms)
					 : FAIL(SYSTEM, "vsock: the host refuses");
	if (failed(e)) {
		why = errno;
		close(s);
		errno = why;
		return e;
	}
	*fd = s;
	return OK;
}
