#include "sys/vsock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

/* The kernel cuts it at net.core.somaxconn. */
enum { BACKLOG = 1024 };

const int vsock_family = AF_VSOCK;

_Static_assert(sizeof(struct sockaddr_vm) <= sizeof(struct sockaddr), "libcurl has no more room");

socklen_t
vsock_sockaddr(struct sockaddr_storage *to, const struct vsock_address *a)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = a->cid, .svm_port = a->port };

	memset(to, 0, sizeof(*to));
	memcpy(to, &vm, sizeof(vm));
	return sizeof(vm);
}

struct err
vsock_listen(int *fd, uint32_t port)
{
	const struct vsock_address any = { .cid = VMADDR_CID_ANY, .port = port };
	struct sockaddr_storage to;
	socklen_t n = vsock_sockaddr(&to, &any);
	struct err e = OK;
	int s, why;

	if ((s = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return FAIL(SYSTEM, "socket");
	if (bind(s, (const struct sockaddr *)&to, n) != 0)
		e = FAIL(SYSTEM, "bind");
	else if (listen(s, BACKLOG) != 0)
		e = FAIL(SYSTEM, "listen");
	if (failed(e)) {
		why = errno;
		close(s);
		errno = why;
		return e;
	}
	*fd = s;
	return OK;
}
