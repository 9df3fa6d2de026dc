#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/wipe.h"

enum {
	READ_ROUNDS = 4,	     /* then other connections get their turn */
	OUT_MAX_BYTES = 1 << 30,     /* above any answer, its framing and a stream's high mark */
	COMPACT_BYTES = 64 << 10,    /* sent bytes that may stay in front of the queue */
	UNSENT_MAX_BYTES = 64 << 10, /* in the kernel: a slow reader's stream stays with us */
};

/* -- what to watch -- */

static void on_event(uv_poll_t *poll, int status, int events);

/*
 * Watching for input goes on while reading is off, until some comes (unwanted): most requests
 * are answered before the next one is sent, and so cost no epoll_ctl(2).
 */
static void
watch(struct conn *c, bool unwanted)
{
	int want = UV_PRIORITIZED; /* never comes, but errors do as long as something is watched */

	if (c->closing)
		return;
	if (!c->eof &&
	    (c->reading || c->write_wants_in || (!unwanted && (c->events & UV_READABLE) != 0)))
		want |= UV_READABLE;
	if (!c->hung_up)
		want |= UV_DISCONNECT;
	if ((c->blocked && !c->write_wants_in) || c->read_wants_out)
		want |= UV_WRITABLE;
	if (want != c->events) {
		c->events = want;
		uv_poll_start(&c->poll, want, on_event);
	}
}

static void
lost(struct conn *c)
{
	if (c->closing)
		return;
	c->ops->on_lost(c);
	conn_close(c, false);
}

/* -- deadlines -- */

static void on_timer(uv_timer_t *timer);

/*
 * The timer is only moved forward; when it comes too early it is set again. Deadlines that are
 * put off with every request so cost nothing.
 */
static void
arm(struct conn *c)
{
	uint64_t at = c->deadline_ms, now;

	if (c->stall_ms != 0 && (at == 0 || c->stall_ms < at))
		at = c->stall_ms;
	if (at == 0 || c->closing || (c->timer_ms != 0 && c->timer_ms <= at))
		return;
	now = uv_now(c->host->loop);
	c->timer_ms = at;
	uv_timer_start(&c->timer, on_timer, at > now ? at - now : 0, 0);
}

static void
on_timer(uv_timer_t *timer)
{
	struct conn *c = timer->data;
	uint64_t now = uv_now(c->host->loop);

	c->timer_ms = 0;
	if (c->stall_ms != 0 && now >= c->stall_ms) {
		lost(c);
		return;
	}
	if (c->deadline_ms != 0 && now >= c->deadline_ms) {
		c->deadline_ms = 0;
		if (c->handshaking || c->lingering) {
			lost(c);
			return;
		}
		c->ops->on_deadline(c);
	}
	arm(c);
}

void
conn_deadline(struct conn *c, uint64_t at_ms)
{
	/* While TLS shakes hands its own deadline holds. */
	if (!c->handshaking && !c->finishing)
		c->deadline_ms = at_ms;
	arm(c);
}

/* -- output -- */

size_t
conn_queued(const struct conn *c)
{
	return c->out.n - c->sent;
}

void
conn_kick(struct conn *c)
{
	if (c->is_dirty || c->closing)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->host->dirty, c, dirty);
	c->host->n_dirty++;
}

/* What the kernel takes of `bytes`: a count, 0 when it takes none now, -1 when it never will. */
static ssize_t
send_some(struct conn *c, struct span bytes)
{
	size_t put;
	ssize_t n;

	if (c->tls.ssl != NULL) {
		switch (tls_link_write(&c->tls, bytes, &put)) {
		case TLS_OK:
			return (ssize_t)put;
		case TLS_WANT_READ:
			c->write_wants_in = true;
			return 0;
		case TLS_WANT_WRITE:
			return 0;
		default:
			return -1;
		}
	}
	do
		n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

/* The write stall's clock: runs while the kernel holds us up, and starts again with real progress. */
static void
clock_progress(struct conn *c, size_t moved)
{
	c->moved += moved;
	if (!c->blocked) {
		c->stall_ms = 0;
	} else if (c->stall_ms == 0 || c->moved >= CONN_STALL_BYTES) {
		c->moved = 0;
		c->stall_ms = uv_now(c->host->loop) + c->host->write_stall_ms;
		arm(c);
	}
}

static void
end_of_output(struct conn *c)
{
	if (c->tls.ssl != NULL)
		tls_link_bye(&c->tls);
	shutdown(c->fd, SHUT_WR);
	if (!c->linger || c->eof) {
		conn_close(c, false);
		return;
	}
	c->lingering = c->reading = c->read_again = true;
	c->deadline_ms = uv_now(c->host->loop) + c->host->linger_ms;
	arm(c);
	conn_kick(c);
}

/* Sends what the kernel takes. Returns false when the connection is lost or closing. */
static bool
flush(struct conn *c)
{
	size_t before = c->sent;
	ssize_t n = 1;

	c->write_wants_in = false;
	if (failed(buf_check(&c->out))) {
		lost(c);
		return false;
	}
	while (c->sent < c->out.n && n > 0) {
		if ((n = send_some(c, span_of(c->out.p + c->sent, conn_queued(c)))) < 0) {
			lost(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	c->blocked = c->sent < c->out.n;
	clock_progress(c, c->sent - before);
	if (!c->blocked) {
		buf_fini(&c->out);
		c->sent = 0;
	} else if (c->sent >= COMPACT_BYTES && c->sent >= c->out.n / 2) {
		buf_drop(&c->out, c->sent);
		c->sent = 0;
	}
	return true;
}

/* -- input -- */

/* Reads once. Returns bytes given out; 0 when none wait, or when it all ended. */
static size_t
read_some(struct conn *c)
{
	struct conn_host *h = c->host;
	enum tls_result r = TLS_OK;
	size_t got = 0;
	ssize_t n;

	if (c->tls.ssl != NULL) {
		r = tls_link_read(&c->tls, h->input, CONN_INPUT_BYTES, &got);
		c->read_wants_out = r == TLS_WANT_WRITE;
	} else {
		do
			n = recv(c->fd, h->input, CONN_INPUT_BYTES, 0);
		while (n < 0 && errno == EINTR);
		if (n > 0)
			got = (size_t)n;
		else if (n == 0)
			r = TLS_EOF;
		else
			r = errno == EAGAIN || errno == EWOULDBLOCK ? TLS_WANT_READ : TLS_LOST;
	}
	if (got > 0 && c->lingering) {
		if ((c->lingered += got) > CONN_LINGER_BYTES)
			conn_close(c, false);
	} else if (got > 0) {
		c->ops->on_bytes(c, span_of(h->input, got));
	} else if (r == TLS_EOF) {
		c->eof = true;
		/* Behind a close_notify the end of the connection is still news. */
		c->hung_up = c->hung_up || c->tls.ssl == NULL;
		if (c->lingering)
			conn_close(c, false);
		else
			c->ops->on_eof(c);
	} else if (r == TLS_LOST) {
		lost(c);
	}
	return got;
}

static void
read_input(struct conn *c)
{
	c->read_again = false;
	for (unsigned i = 0; i < READ_ROUNDS; i++) {
		if (!c->reading || c->eof || c->closing)
			return;
		size_t got = read_some(c);

		/* A short read has emptied the socket; poll says when there is more. */
		if (got == 0 || c->closing)
			return;
		if (c->tls.ssl == NULL ? got < CONN_INPUT_BYTES : !tls_link_pending(&c->tls))
			return;
	}
	c->read_again = true;
	conn_kick(c);
}

void
conn_reading(struct conn *c, bool on)
{
	if (c->finishing || c->reading == on)
		return;
	c->reading = on;
	/* TLS may have read ahead; what the descriptor still holds poll tells by itself. */
	if (on && c->tls.ssl != NULL && tls_link_pending(&c->tls)) {
		c->read_again = true;
		conn_kick(c);
	} else if (on) {
		watch(c, false);
	}
}

/* -- events -- */

static void
handshake(struct conn *c)
{
	enum tls_result r = tls_link_handshake(&c->tls);
	const int on = 1;

	c->read_wants_out = r == TLS_WANT_WRITE;
	switch (r) {
	case TLS_OK:
		c->handshaking = false;
		c->deadline_ms = 0;
		/*
		 * Without tickets nothing of ours acknowledges the client's last message; one
		 * that uses Nagle's algorithm would hold its request back for 40 ms.
		 */
		setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
		c->ops->on_ready(c);
		/* The first request may have come with the client's last message. */
		if (!c->closing)
			read_input(c);
		break;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		break;
	default:
		lost(c);
		break;
	}
}

static void
on_event(uv_poll_t *poll, int status, int events)
{
	struct conn *c = poll->data;
	bool in = (events & UV_READABLE) != 0, out = (events & UV_WRITABLE) != 0;
	bool end = (events & UV_DISCONNECT) != 0, wanted = c->reading;

	if (status < 0 || (events & UV_PRIORITIZED) != 0) {
		c->events = 0; /* libuv stopped watching */
		lost(c);
		return;
	}
	if (c->handshaking) {
		handshake(c);
		watch(c, false);
		return;
	}
	if (c->blocked && (out || (in && c->write_wants_in))) {
		if (!flush(c))
			return;
		conn_kick(c);
	}
	if (c->reading && !c->eof && (in || end || (out && c->read_wants_out))) {
		read_input(c);
	} else if (end && !c->hung_up) {
		c->hung_up = true;
		if (!c->finishing)
			c->ops->on_hangup(c);
	}
	watch(c, in && !wanted);
}

/* One dirty connection's turn. */
static void
settle(struct conn *c)
{
	if (!c->handshaking && !c->blocked && !flush(c))
		return;
	if (c->finishing) {
		if (!c->lingering && conn_queued(c) == 0)
			end_of_output(c);
	} else {
		c->ops->on_flushed(c);
	}
	if (!c->closing && c->read_again)
		read_input(c);
	watch(c, false);
}

/* Each connection that is dirty now gets one turn; what they make dirty waits for the next pass. */
static void
settle_all(struct conn_host *h)
{
	for (size_t n = h->n_dirty; n > 0 && !TAILQ_EMPTY(&h->dirty); n--) {
		struct conn *c = TAILQ_FIRST(&h->dirty);

		TAILQ_REMOVE(&h->dirty, c, dirty);
		h->n_dirty--;
		c->is_dirty = false;
		settle(c);
	}
}

static void
on_idle(uv_idle_t *idle)
{
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct conn_host *h = prepare->data;

	settle_all(h);
	if (h->n_dirty > 0)
		uv_idle_start(&h->idle, on_idle);
	else
		uv_idle_stop(&h->idle);
}

static void
on_check(uv_check_t *check)
{
	settle_all(check->data);
}

/* -- life -- */

static void
on_handle_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	if (--c->handles == 0)
		c->ops->on_closed(c);
}

struct err
conn_init(struct conn *c, struct conn_host *h, int fd, struct tls_context *tls,
    const struct conn_ops *ops)
{
	const int on = 1, unsent = UNSENT_MAX_BYTES;
	struct err e;

	*c = (struct conn){ .host = h, .ops = ops, .fd = fd, .reading = true };
	buf_init(&c->out, OUT_MAX_BYTES);
	/* Not TCP (vsock): these do not apply, and their failure says nothing. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	if (tls != NULL && failed(e = tls_link_init(&c->tls, tls, fd))) {
		close(fd);
		return e;
	}
	if (uv_poll_init(h->loop, &c->poll, fd) != 0) {
		tls_link_fini(&c->tls);
		close(fd);
		return FAIL(SYSTEM, "uv_poll_init");
	}
	uv_timer_init(h->loop, &c->timer);
	c->poll.data = c->timer.data = c;
	c->handles = 2;
	if (tls != NULL) {
		c->handshaking = true;
		c->deadline_ms = uv_now(h->loop) + h->handshake_ms;
		arm(c);
	}
	watch(c, false);
	return OK;
}

void
conn_finish(struct conn *c, bool linger)
{
	c->finishing = true;
	c->linger = linger;
	c->reading = false;
	c->deadline_ms = 0;
	conn_kick(c);
}

void
conn_close(struct conn *c, bool reset)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (c->closing)
		return;
	c->closing = true;
	if (c->is_dirty) {
		TAILQ_REMOVE(&c->host->dirty, c, dirty);
		c->host->n_dirty--;
		c->is_dirty = false;
	}
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	uv_close((uv_handle_t *)&c->poll, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
	tls_link_fini(&c->tls);
	buf_fini(&c->out);
	c->sent = 0;
	close(c->fd);
	c->fd = -1;
}

struct err
conn_host_init(struct conn_host *h, uv_loop_t *loop)
{
	*h = (struct conn_host){ .loop = loop };
	TAILQ_INIT(&h->dirty);
	if ((h->input = malloc(CONN_INPUT_BYTES)) == NULL)
		return FAIL(NOMEM, "conn: input buffer");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		free(h->input);
		return FAIL(SYSTEM, "signal SIGPIPE");
	}
	uv_prepare_init(loop, &h->prepare);
	uv_check_init(loop, &h->check);
	uv_idle_init(loop, &h->idle);
	h->prepare.data = h->check.data = h->idle.data = h;
	uv_prepare_start(&h->prepare, on_prepare);
	uv_check_start(&h->check, on_check);
	/* They serve connections; alone they do not keep a loop alive. */
	uv_unref((uv_handle_t *)&h->prepare);
	uv_unref((uv_handle_t *)&h->check);
	return OK;
}

void
conn_host_close(struct conn_host *h)
{
	uv_close((uv_handle_t *)&h->prepare, NULL);
	uv_close((uv_handle_t *)&h->check, NULL);
	uv_close((uv_handle_t *)&h->idle, NULL);
}

void
conn_host_fini(struct conn_host *h)
{
	assert(TAILQ_EMPTY(&h->dirty));
	if (h->input != NULL)
		wipe(h->input, CONN_INPUT_BYTES);
	free(h->input);
	h->input = NULL;
}
