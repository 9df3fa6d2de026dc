#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel cuts it at net.core.somaxconn. */
enum { BACKLOG = 1024 };

/* Fills `to` from "1.2.3.4" or "[::1]"; returns its length, 0 when it is neither. */
static socklen_t
parse_address(struct sockaddr_storage *to, struct span address, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	bool brackets = span_starts(address, SPAN_LIT("[")) && span_ends(address, SPAN_LIT("]"));
	char text[INET6_ADDRSTRLEN] = "";

	*to = (struct sockaddr_storage){ 0 };
	if (brackets)
		address = span_cut(address, 1, address.n - 1);
	if (address.n == 0 || address.n >= sizeof(text))
		return 0;
	memcpy(text, address.p, address.n);
	if (strlen(text) != address.n)
		return 0;
	if (brackets) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1 ? sizeof(*v6) : 0;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	return inet_pton(AF_INET, text, &v4->sin_addr) == 1 ? sizeof(*v4) : 0;
}

bool
listen_is_loopback(struct span address)
{
	struct sockaddr_storage to;

	if (parse_address(&to, address, 0) == 0)
		return false;
	if (to.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&to)->sin6_addr);
	return ntohl(((struct sockaddr_in *)&to)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static struct err
bind_socket(int s, const struct sockaddr_storage *to, socklen_t n)
{
	const int on = 1;

	if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return FAIL(SYSTEM, "setsockopt");
	/* An IPv6 listener serves IPv6: what the operator wrote, not what a sysctl says. */
	if (to->ss_family == AF_INET6 &&
	    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
		return FAIL(SYSTEM, "setsockopt IPV6_V6ONLY");
	if (bind(s, (const struct sockaddr *)to, n) != 0)
		return FAIL(SYSTEM, "bind");
	return OK;
}

static struct err
open_socket(int s, const struct sockaddr_storage *to, socklen_t n)
{
	const int on = 1;

	if (setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		return FAIL(SYSTEM, "setsockopt");
	TRY(bind_socket(s, to, n));
	return listen(s, BACKLOG) == 0 ? OK : FAIL(SYSTEM, "listen");
}

struct err
listen_is_free(struct span address, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t n = parse_address(&to, address, port);
	struct err e;
	int s, why;

	if (n == 0)
		return FAIL(MALFORMED, "address: IPv4 or [IPv6] expected");
	if ((s = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return FAIL(SYSTEM, "socket");
	e = bind_socket(s, &to, n);
	why = errno;
	close(s);
	errno = why;
	return e;
}

struct err
listen_tcp(int *fd, struct span address, uint16_t *port)
{
	struct sockaddr_storage to;
	socklen_t n = parse_address(&to, address, *port);
	struct err e;
	int s, why;

	if (n == 0)
		return FAIL(MALFORMED, "address: IPv4 or [IPv6] expected");
	if ((s = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return FAIL(SYSTEM, "socket");
	e = open_socket(s, &to, n);
	if (!failed(e) && getsockname(s, (struct sockaddr *)&to, &n) != 0)
		e = FAIL(SYSTEM, "getsockname");
	if (failed(e)) {
		why = errno;
		close(s);
		errno = why;
		return e;
	}
	*port = ntohs(to.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&to)->sin6_port
					       : ((struct sockaddr_in *)&to)->sin_port);
	*fd = s;
	return OK;
}
