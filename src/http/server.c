#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/limits.h"
#include "http/h1.h"
#include "http/h2.h"
#include "net/conn.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* How long not to ask when the process is out of descriptors: the kernel's queue waits. */
enum { ACCEPT_PAUSE_MS = 100 };

struct listener {
	struct server *server;
	struct tls_context *tls;
	uv_poll_t poll;
	uv_timer_t pause;
	int fd;
	uint8_t handles;
	bool closing;
	LIST_ENTRY(listener) all;
};

/* A connection and what it speaks. */
struct client {
	struct link link;
	struct conn conn;
	enum { SPEAKS_NOTHING, SPEAKS_H1, SPEAKS_H2 } speaks; /* known at once, or when TLS is */
	union {
		struct h1 h1;
		struct h2 h2;
	};
	struct server *server;
	LIST_ENTRY(client) all;
};

struct server {
	struct conn_host conns;
	struct wire_host wire;
	LIST_HEAD(, listener) listeners;
	LIST_HEAD(, client) clients;
	size_t n_clients, conn_max;
	uv_timer_t stop; /* server_stop() is a call, what it causes comes from the loop */
	bool stopping;
};

/* -- link.h over conn.h -- */

static struct client *
client_of_link(const struct link *l)
{
	return (struct client *)((char *)(uintptr_t)l - offsetof(struct client, link));
}

static struct client *
client_of_conn(struct conn *c)
{
	return (struct client *)((char *)c - offsetof(struct client, conn));
}

static size_t
link_queued(const struct link *l)
{
	return conn_queued(&client_of_link(l)->conn);
}

static void
link_kick(struct link *l)
{
	conn_kick(&client_of_link(l)->conn);
}

static void
link_reading(struct link *l, bool on)
{
	conn_reading(&client_of_link(l)->conn, on);
}

static uint64_t
link_now_ms(const struct link *l)
{
	return uv_now(client_of_link(l)->server->conns.loop);
}

static void
link_deadline(struct link *l, uint64_t at_ms)
{
	conn_deadline(&client_of_link(l)->conn, at_ms);
}

static void
link_finish(struct link *l, bool linger)
{
	conn_finish(&client_of_link(l)->conn, linger);
}

static void
link_cut(struct link *l, bool reset)
{
	conn_close(&client_of_link(l)->conn, reset);
}

static const struct link_ops link_ops = {
	.queued = link_queued,
	.kick = link_kick,
	.reading = link_reading,
	.now_ms = link_now_ms,
	.deadline = link_deadline,
	.finish = link_finish,
	.cut = link_cut,
};

/* -- conn.h to h1.h and h2.h -- */

static void
on_ready(struct conn *c)
{
	struct client *client = client_of_conn(c);
	struct wire_host *wire = &client->server->wire;

	if (c->tls.ssl != NULL && tls_link_is_h2(&c->tls)) {
		client->speaks = SPEAKS_H2;
		if (failed(h2_init(&client->h2, wire, &client->link)))
			conn_close(c, false);
		return;
	}
	client->speaks = SPEAKS_H1;
	h1_init(&client->h1, wire, &client->link, c->tls.ssl != NULL);
	if (wire->draining)
		h1_drain(&client->h1);
}

static void
on_bytes(struct conn *c, struct span bytes)
{
	struct client *client = client_of_conn(c);

	if (client->speaks == SPEAKS_H2)
		h2_bytes(&client->h2, bytes);
	else
		h1_bytes(&client->h1, bytes);
}

static void
on_eof(struct conn *c)
{
	struct client *client = client_of_conn(c);

	if (client->speaks == SPEAKS_H2)
		h2_eof(&client->h2);
	else
		h1_eof(&client->h1);
}

static void
on_hangup(struct conn *c)
{
	struct client *client = client_of_conn(c);

	if (client->speaks == SPEAKS_H2)
		h2_eof(&client->h2);
	else
		h1_hangup(&client->h1);
}

static void
on_flushed(struct conn *c)
{
	struct client *client = client_of_conn(c);

	if (client->speaks == SPEAKS_H2)
		h2_flushed(&client->h2);
	else if (client->speaks == SPEAKS_H1)
		h1_flushed(&client->h1);
}

static void
on_deadline(struct conn *c)
{
	struct client *client = client_of_conn(c);

	if (client->speaks == SPEAKS_H2)
		h2_deadline(&client->h2);
	else
		h1_deadline(&client->h1);
}

static void
on_lost(struct conn *c)
{
	struct client *client = client_of_conn(c);

	if (client->speaks == SPEAKS_H2)
		h2_lost(&client->h2);
	else if (client->speaks == SPEAKS_H1)
		h1_lost(&client->h1);
}

static void
on_closed(struct conn *c)
{
	struct client *client = client_of_conn(c);
	struct server *s = client->server;

	on_lost(c); /* what h1 or h2 may still keep */
	LIST_REMOVE(client, all);
	s->n_clients--;
	metric_add(METRIC_CONNECTIONS_OPEN, NULL, NULL, -1);
	free(client);
}

static const struct conn_ops conn_ops = {
	.on_ready = on_ready,
	.on_bytes = on_bytes,
	.on_eof = on_eof,
	.on_hangup = on_hangup,
	.on_flushed = on_flushed,
	.on_deadline = on_deadline,
	.on_lost = on_lost,
	.on_closed = on_closed,
};

/* -- listeners -- */

static void
welcome(struct listener *l, int fd)
{
	struct server *s = l->server;
	struct client *client;

	/* Full: a connection that is refused at once costs less than one that waits. */
	if (s->n_clients >= s->conn_max || (client = calloc(1, sizeof(*client))) == NULL) {
		close(fd);
		return;
	}
	client->server = s;
	client->link = (struct link){ .ops = &link_ops, .out = &client->conn.out };
	if (failed(conn_init(&client->conn, &s->conns, fd, l->tls, &conn_ops))) {
		free(client);
		return;
	}
	LIST_INSERT_HEAD(&s->clients, client, all);
	s->n_clients++;
	metric_add(METRIC_CONNECTIONS_OPEN, NULL, NULL, 1);
	if (l->tls == NULL)
		on_ready(&client->conn);
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void
on_pause_over(uv_timer_t *timer)
{
	struct listener *l = timer->data;

	uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

static void
on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			welcome(l, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* Out of descriptors or memory: the queue stays readable, so do not spin on it. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_msg(LOG_WARN, "accept: out of descriptors or memory, pausing");
			uv_poll_stop(&l->poll);
			uv_timer_start(&l->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
			return;
		}
		/* Anything else is about the connection that was to be taken. */
	}
}

static void
on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	if (--l->handles > 0)
		return;
	LIST_REMOVE(l, all);
	free(l);
}

static void
listener_close(struct listener *l)
{
	if (l->closing)
		return;
	l->closing = true;
	uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	uv_close((uv_handle_t *)&l->pause, on_listener_closed);
	/* The supervisor holds the socket too (K1): clients would wait at a door that nobody opens. */
	(void)shutdown(l->fd, SHUT_RDWR);
	close(l->fd);
}

struct err
server_listen(struct server *s, int fd, struct tls_context *tls)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		close(fd);
		return FAIL(NOMEM, "listener");
	}
	*l = (struct listener){ .server = s, .tls = tls, .fd = fd, .handles = 2 };
	if (uv_poll_init(s->conns.loop, &l->poll, fd) != 0) {
		close(fd);
		free(l);
		return FAIL(SYSTEM, "uv_poll_init");
	}
	uv_timer_init(s->conns.loop, &l->pause);
	l->poll.data = l->pause.data = l;
	LIST_INSERT_HEAD(&s->listeners, l, all);
	uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
	return OK;
}

/* -- the server -- */

static void
on_stop(uv_timer_t *timer)
{
	struct server *s = timer->data;
	struct client *client, *next;

	for (client = LIST_FIRST(&s->clients); client != NULL; client = next) {
		next = LIST_NEXT(client, all);
		on_lost(&client->conn);
		conn_close(&client->conn, false);
	}
	conn_host_close(&s->conns);
	uv_close((uv_handle_t *)&s->stop, NULL);
}

struct err
server_new(struct server **out, const struct server_options *opt)
{
	struct server *s = calloc(1, sizeof(*s));
	struct err e;

	*out = NULL;
	if (s == NULL)
		return FAIL(NOMEM, "server");
	LIST_INIT(&s->listeners);
	LIST_INIT(&s->clients);
	wire_host_init(&s->wire, opt->ops, opt->ctx);
	if (opt->limits != NULL)
		s->wire.limits = *opt->limits;
	s->wire.loop_index = opt->loop_index;
	s->conn_max = s->wire.limits.conn_max;
	if (failed(e = conn_host_init(&s->conns, opt->loop))) {
		free(s);
		return e;
	}
	uv_timer_init(opt->loop, &s->stop);
	s->stop.data = s;
	s->conns.write_stall_ms = s->wire.limits.write_stall_ms;
	s->conns.linger_ms = s->wire.limits.linger_ms;
	s->conns.handshake_ms = s->wire.limits.tls_handshake_ms;
	*out = s;
	return OK;
}

void
server_drain(struct server *s)
{
	struct listener *l, *next_listener;
	struct client *client;

	s->wire.draining = true;
	for (l = LIST_FIRST(&s->listeners); l != NULL; l = next_listener) {
		next_listener = LIST_NEXT(l, all);
		listener_close(l);
	}
	LIST_FOREACH(client, &s->clients, all)
	{
		if (client->speaks == SPEAKS_H2)
			h2_drain(&client->h2);
		else if (client->speaks == SPEAKS_H1)
			h1_drain(&client->h1);
		else
			conn_finish(&client->conn, false);
	}
}

size_t
server_exchanges(const struct server *s)
{
	return s->wire.exchanges;
}

size_t
server_connections(const struct server *s)
{
	return s->n_clients;
}

void
server_stop(struct server *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	server_drain(s);
	uv_timer_start(&s->stop, on_stop, 0, 0);
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	assert(LIST_EMPTY(&s->clients) && LIST_EMPTY(&s->listeners));
	conn_host_fini(&s->conns);
	wire_host_fini(&s->wire);
	free(s);
}
