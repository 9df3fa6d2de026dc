#include "sys/passfd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One byte goes along: a message without data is the end of a socket. */
enum { MARK = 'F' };

union room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * PASSFD_MAX)];
};

struct err
passfd_send(int sock, const int *fd, size_t n)
{
	union room room = { 0 };
	char mark = MARK;
	struct iovec data = { .iov_base = &mark, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = room.bytes };
	struct cmsghdr *c = &room.align;
	ssize_t sent;

	if (n == 0 || n > PASSFD_MAX)
		return FAIL(SYSTEM, "passfd: number of descriptors");
	msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fd, sizeof(int) * n);
	do
		sent = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == 1 ? OK : FAIL(SYSTEM, "passfd: the other side is gone");
}

/* The descriptors of a message, as many as there are room for; the kernel closes the others. */
static size_t
take_descriptors(struct msghdr *msg, int got[static PASSFD_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    here > PASSFD_MAX - n)
			continue;
		memcpy(got + n, CMSG_DATA(c), here * sizeof(int));
		n += here;
	}
	return n;
}

struct err
passfd_receive(int sock, int *fd, size_t n)
{
	union room room = { 0 };
	char mark[2] = { 0 };
	struct iovec data = { .iov_base = mark, .iov_len = sizeof(mark) };
	struct msghdr msg = { .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = room.bytes,
		.msg_controllen = sizeof(room.bytes) };
	int got[PASSFD_MAX];
	size_t have;
	ssize_t len;

	do
		len = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return FAIL(SYSTEM, "passfd: the other side is gone");
	have = take_descriptors(&msg, got);
	if (len == 1 && mark[0] == MARK && have == n && (msg.msg_flags & MSG_CTRUNC) == 0) {
		memcpy(fd, got, sizeof(int) * n);
		return OK;
	}
	for (size_t i = 0; i < have; i++)
		close(got[i]);
	return FAIL(MALFORMED, "passfd: not the descriptors that were due");
}
