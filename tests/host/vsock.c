/*
 * vsock.c - takes the place of src/sys/vsock.c in the programs of the tests: the host and the
 * enclave are Unix sockets in the working directory, vsock.CID.PORT and vsock.PORT. Everything else
 * of such a program is what ships.
 */
#include "sys/vsock.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const int vsock_family = AF_UNIX;

static socklen_t
fill(struct sockaddr_storage *to, uint32_t cid, uint32_t port)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n = cid != 0 ? snprintf(un.sun_path, sizeof(un.sun_path), "vsock.%u.%u", cid, port)
			 : snprintf(un.sun_path, sizeof(un.sun_path), "vsock.%u", port);

	memset(to, 0, sizeof(*to));
	memcpy(to, &un, sizeof(un));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
}

socklen_t
vsock_sockaddr(struct sockaddr_storage *to, const struct vsock_address *a)
{
	return fill(to, a->cid, a->port);
}

struct err
vsock_listen(int *fd, uint32_t port)
{
	struct sockaddr_storage to;
	socklen_t n = fill(&to, 0, port);
	int s;

	if ((s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return FAIL(SYSTEM, "socket");
	if (bind(s, (const struct sockaddr *)&to, n) != 0 || listen(s, 1024) != 0) {
		int why = errno;

		close(s);
		errno = why;
		return FAIL(SYSTEM, "bind");
	}
	*fd = s;
	return OK;
}
