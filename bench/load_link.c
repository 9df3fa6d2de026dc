#include "load_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_MAX_BYTES = 64 << 20 };

static struct {
	const struct options *opt;
	uv_loop_t *loop;
	const struct link_ops *ops;
	SSL_CTX *tls;
	void (*opened)(struct link *);
	void (*closed)(struct link *);
} run;

static void
on_poll(uv_poll_t *p, int status, int events)
{
	(void)status, (void)events; /* the calls themselves tell what is wrong */
	link_run(p->data);
}

static void
watch(struct link *l, int events)
{
	if (l->watched == events)
		return;
	l->watched = events;
	uv_poll_start(&l->poll, events, on_poll);
}

void
link_open(struct link *l)
{
	int one = 1;

	*l = (struct link){ 0 };
	buf_init(&l->out, OUT_MAX_BYTES);
	if ((l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		die(EXIT_CANNOT, "socket");
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(l->fd, (const struct sockaddr *)&run.opt->address, sizeof(run.opt->address)) !=
		0 &&
	    errno != EINPROGRESS)
		die(EXIT_CANNOT, "connect");
	if (uv_poll_init(run.loop, &l->poll, l->fd) != 0)
		die(EXIT_CANNOT, "poll");
	l->poll.data = l;
	l->state = LINK_CONNECTING;
	watch(l, UV_WRITABLE);
}

static void
on_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	SSL_free(l->ssl);
	close(l->fd);
	buf_fini(&l->out);
	*l = (struct link){ 0 };
	run.closed(l);
}

static void
link_end(struct link *l, bool in_order)
{
	enum link_state was = l->state;

	if (was == LINK_CLOSED)
		return;
	l->state = LINK_CLOSED;
	uv_close((uv_handle_t *)&l->poll, on_closed);
	if (was == LINK_OPEN)
		run.ops->over(l, in_order);
	else if (!in_order)
		die(EXIT_CANNOT, "cannot connect");
}

void
link_close(struct link *l)
{
	link_end(l, true);
}

static void
link_opened(struct link *l)
{
	l->state = LINK_OPEN;
	watch(l, UV_READABLE);
	run.ops->opened(l);
	run.opened(l);
}

/* What libc or OpenSSL answered: bytes; 0 at the end; -1 not yet; -2 broken. `want` is set to
 * what it waits for. */
static ssize_t
result(struct link *l, ssize_t n, int *want)
{
	if (n > 0)
		return n;
	if (l->ssl == NULL)
		return n == 0 ? 0 : errno == EAGAIN ? -1 : -2;
	n = SSL_get_error(l->ssl, (int)n);
	ERR_clear_error(); /* of this connection; the next must not read it as its own */
	switch (n) {
	case SSL_ERROR_WANT_READ:
		*want = UV_READABLE;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		*want = UV_WRITABLE;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -2;
	}
}

static bool
step_connect(struct link *l)
{
	int bad = 0;
	socklen_t n = sizeof(bad);

	getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &bad, &n);
	if (bad != 0) {
		errno = bad;
		link_end(l, false);
		return false;
	}
	if (!run.opt->tls) {
		link_opened(l);
		return true;
	}
	if ((l->ssl = SSL_new(run.tls)) == NULL || SSL_set_fd(l->ssl, l->fd) != 1)
		die(EXIT_CANNOT, "TLS");
	SSL_set_connect_state(l->ssl);
	l->state = LINK_HANDSHAKE;
	return true;
}

static bool
step_handshake(struct link *l)
{
	int want = 0;
	ssize_t n = result(l, SSL_do_handshake(l->ssl), &want);

	if (n == -1) {
		watch(l, want);
		return false;
	}
	if (n <= 0) {
		link_end(l, false);
		return false;
	}
	link_opened(l);
	return true;
}

/* True when all of it has left, and when the kernel takes no more. */
static bool
flush(struct link *l)
{
	l->blocked = false;
	while (l->out_at < l->out.n) {
		struct span left = span_cut(buf_span(&l->out), l->out_at, l->out.n);
		int want = UV_WRITABLE;
		ssize_t n = result(l,
		    l->ssl != NULL ? SSL_write(l->ssl, left.p, (int)left.n)
				   : send(l->fd, left.p, left.n, MSG_NOSIGNAL),
		    &want);

		if (n == -1) {
			l->blocked = true;
			return true;
		}
		if (n <= 0)
			return false;
		l->out_at += (size_t)n;
	}
	buf_clear(&l->out);
	l->out_at = 0;
	return true;
}

/* True when there may be more to do at once. */
static bool
step_open(struct link *l)
{
	static char piece[65536];
	int want = UV_READABLE;
	ssize_t n;

	if (!flush(l)) {
		link_end(l, false);
		return false;
	}
	n = result(l,
	    l->ssl != NULL ? SSL_read(l->ssl, piece, sizeof(piece))
			   : recv(l->fd, piece, sizeof(piece), 0),
	    &want);
	if (n == -1) {
		watch(l, l->blocked ? UV_READABLE | UV_WRITABLE : want);
		return false;
	}
	if (n <= 0) {
		link_end(l, n == 0);
		return false;
	}
	if (!run.ops->bytes(l, span_of(piece, (size_t)n)))
		link_close(l);
	return l->state == LINK_OPEN;
}

void
link_run(struct link *l)
{
	bool more = true;

	while (more)
		switch (l->state) {
		case LINK_CONNECTING:
			more = step_connect(l);
			break;
		case LINK_HANDSHAKE:
			more = step_handshake(l);
			break;
		case LINK_OPEN:
			more = step_open(l);
			break;
		case LINK_CLOSED:
			more = false;
			break;
		}
}

void
links_init(const struct options *opt, uv_loop_t *loop, const struct link_ops *ops,
    void (*opened)(struct link *), void (*closed)(struct link *))
{
	run.opt = opt;
	run.loop = loop;
	run.ops = ops;
	run.opened = opened;
	run.closed = closed;
	if ((run.tls = SSL_CTX_new(TLS_client_method())) == NULL)
		die(EXIT_CANNOT, "TLS");
	if (opt->streams > 0 &&
	    SSL_CTX_set_alpn_protos(run.tls, (const unsigned char *)"\x02h2", 3) != 0)
		die(EXIT_CANNOT, "ALPN");
	/* What waits may have grown, and so moved, when a write is tried again. */
	SSL_CTX_set_mode(
	    run.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

void
links_fini(void)
{
	SSL_CTX_free(run.tls);
	run.tls = NULL;
}
