/*
 * rig.h - a server on a loop and a thread of its own, with a handler that does what the path
 * says, and clients that speak bytes over plain TCP or TLS.
 */
#ifndef TEST_HTTP_RIG_H
#define TEST_HTTP_RIG_H

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/limits.h"
#include "crypto/certificate.h"
#include "http/server.h"
#include "net/listen.h"
#include "net/tls.h"
#include "sys/clock.h"

enum { RIG_PATIENCE_S = 20, RIG_BLOCK_BYTES = 16 << 10 };

struct rig {
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t command;
	atomic_bool drain, stop;
	struct server *server;
	struct tls_context *tls;
	struct http_limits limits;
	uint16_t port, tls_port;
	int shared_fd;
	/* What the handler saw, for the client's thread. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned heads, gone, delivered;
	uint64_t written; /* by streams */
	size_t connections;
};

struct rig_request {
	struct rig *rig;
	struct exchange *x;
	struct span path;
	uv_timer_t later;
	bool stream, later_used;
	uint64_t left;
};

/* /stream writes for ever, /stream/N N blocks; each looks at the room before it writes. */
static inline void
rig_stream(struct rig_request *q)
{
	static const uint8_t block[RIG_BLOCK_BYTES];
	struct rig *r = q->rig;

	while (q->left > 0 && exchange_room(q->x) > 0) {
		exchange_write(q->x, span_of(block, sizeof(block)));
		assert(exchange_room(q->x) < STREAM_HIGH_BYTES);
		q->left--;
		pthread_mutex_lock(&r->lock);
		r->written += sizeof(block);
		pthread_cond_broadcast(&r->changed);
		pthread_mutex_unlock(&r->lock);
	}
	if (q->left == 0)
		exchange_end(q->x);
}

static inline void
rig_answer(struct rig_request *q, struct span body)
{
	exchange_head(q->x, 200, NULL, 0, body.n);
	exchange_write(q->x, body);
	exchange_end(q->x);
}

static inline void
rig_on_later(uv_timer_t *timer)
{
	struct rig_request *q = timer->data;

	if (q->x != NULL)
		rig_answer(q, SPAN_LIT("later"));
}

static inline void
rig_on_body(void *handler, struct span body)
{
	static uint8_t big[ANSWER_MAX_BYTES];
	struct rig_request *q = handler;
	struct span p = q->path;

	if (span_starts(p, SPAN_LIT("/stream"))) {
		q->left = UINT64_MAX;
		q->stream = true;
		if (p.n > 8)
			assert(span_u64(span_cut(p, 8, p.n), 1 << 20, &q->left));
		exchange_head(q->x, 200, NULL, 0, EXCHANGE_STREAM);
		rig_stream(q);
	} else if (span_eq(p, SPAN_LIT("/abort"))) {
		exchange_head(q->x, 200, NULL, 0, EXCHANGE_STREAM);
		exchange_write(q->x, SPAN_LIT("part"));
		exchange_abort(q->x);
	} else if (span_eq(p, SPAN_LIT("/big"))) {
		rig_answer(q, span_of(big, sizeof(big)));
	} else if (span_eq(p, SPAN_LIT("/later"))) {
		uv_timer_init(&q->rig->loop, &q->later);
		q->later.data = q;
		q->later_used = true;
		uv_timer_start(&q->later, rig_on_later, 50, 0);
	} else if (!span_eq(p, SPAN_LIT("/hang"))) {
		rig_answer(q, body);
	}
}

static inline void *
rig_on_head(void *server, struct exchange *x, const struct http_head *head)
{
	struct rig *r = server;
	struct rig_request *q = calloc(1, sizeof(*q));

	assert(q != NULL);
	*q = (struct rig_request){ .rig = r, .x = x, .path = head->path };
	pthread_mutex_lock(&r->lock);
	r->heads++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (span_eq(head->path, SPAN_LIT("/early")))
		rig_answer(q, SPAN_LIT("early"));
	else
		exchange_want_body(x, BODY_MAX_BYTES);
	return q;
}

static inline void
rig_on_room(void *handler)
{
	struct rig_request *q = handler;

	if (q->stream)
		rig_stream(q);
}

static inline void
rig_later_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static inline void
rig_on_gone(void *handler, bool delivered)
{
	struct rig_request *q = handler;
	struct rig *r = q->rig;

	pthread_mutex_lock(&r->lock);
	r->gone++;
	r->delivered += delivered;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	q->x = NULL;
	if (q->later_used)
		uv_close((uv_handle_t *)&q->later, rig_later_closed);
	else
		free(q);
}

static inline void
rig_wire_error(void *server, void *handler, struct exchange *x, const struct http_head *head,
    unsigned status, const char *what)
{
	exchange_head(x, status, NULL, 0, strlen(what));
	exchange_write(x, span_str(what));
	exchange_end(x);
}

static const struct exchange_ops rig_ops = {
	.on_head = rig_on_head,
	.on_body = rig_on_body,
	.on_room = rig_on_room,
	.on_gone = rig_on_gone,
	.wire_error = rig_wire_error,
};

static inline void
rig_on_command(uv_async_t *async)
{
	struct rig *r = async->data;

	if (atomic_load(&r->drain))
		server_drain(r->server);
	if (atomic_load(&r->stop)) {
		server_stop(r->server);
		uv_close((uv_handle_t *)async, NULL);
	}
}

static inline void *
rig_main(void *arg)
{
	struct rig *r = arg;

	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert(server_connections(r->server) == 0 && server_exchanges(r->server) == 0);
	server_free(r->server);
	assert(uv_loop_close(&r->loop) == 0);
	return NULL;
}

static inline void
rig_check(struct err e)
{
	if (failed(e)) {
		fprintf(stderr, "rig: %s\n", e.what);
		abort();
	}
}

static inline void
rig_start(struct rig *r, const struct http_limits *limits)
{
	struct server_options opt = { .loop = &r->loop, .ops = &rig_ops, .ctx = r };
	struct buf cert, key;
	int fd;

	*r = (struct rig){ .limits = limits != NULL ? *limits : HTTP_LIMITS_DEFAULT };
	opt.limits = &r->limits;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	buf_init(&cert, CERTIFICATE_MAX_BYTES);
	buf_init(&key, CERTIFICATE_MAX_BYTES);
	rig_check(certificate_make(&cert, &key, true, clock_unix_s()));
	rig_check(tls_context_new(&r->tls, buf_span(&cert), buf_span(&key)));
	buf_fini(&cert);
	buf_fini(&key);
	uv_loop_init(&r->loop);
	rig_check(server_new(&r->server, &opt));
	rig_check(listen_tcp(&fd, SPAN_LIT("127.0.0.1"), &r->port));
	r->shared_fd = dup(fd); /* as the supervisor has it */
	rig_check(server_listen(r->server, fd, NULL));
	rig_check(listen_tcp(&fd, SPAN_LIT("127.0.0.1"), &r->tls_port));
	rig_check(server_listen(r->server, fd, r->tls));
	uv_async_init(&r->loop, &r->command, rig_on_command);
	r->command.data = r;
	pthread_create(&r->thread, NULL, rig_main, r);
}

static inline void
rig_drain(struct rig *r)
{
	atomic_store(&r->drain, true);
	uv_async_send(&r->command);
}

static inline void
rig_stop(struct rig *r)
{
	atomic_store(&r->stop, true);
	uv_async_send(&r->command);
	pthread_join(r->thread, NULL);
	tls_context_free(r->tls);
	close(r->shared_fd);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->changed);
}

/* Waits until *what has reached n; false when it never does. */
static inline bool
rig_wait(struct rig *r, const unsigned *what, unsigned n)
{
	struct timespec until;
	bool there;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RIG_PATIENCE_S;
	pthread_mutex_lock(&r->lock);
	while (!(there = *what >= n) && pthread_cond_timedwait(&r->changed, &r->lock, &until) == 0)
		continue;
	pthread_mutex_unlock(&r->lock);
	return there;
}

/* -- clients -- */

struct peer {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl; /* NULL: plain */
};

static inline void
peer_open(struct peer *p, const struct rig *r, bool tls)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(tls ? r->tls_port : r->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval patience = { .tv_sec = RIG_PATIENCE_S };

	*p = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		perror("connect");
		abort();
	}
}

static inline bool
peer_handshake(struct peer *p)
{
	p->ctx = SSL_CTX_new(TLS_client_method());
	p->ssl = SSL_new(p->ctx);
	SSL_set_fd(p->ssl, p->fd);
	return SSL_connect(p->ssl) == 1;
}

static inline void
peer_connect(struct peer *p, const struct rig *r, bool tls)
{
	peer_open(p, r, tls);
	if (tls && !peer_handshake(p)) {
		fprintf(stderr, "peer: TLS\n");
		abort();
	}
}

/* Gives up quietly when the server has gone: what was read says more. */
static inline void
peer_send(struct peer *p, struct span bytes)
{
	while (bytes.n > 0) {
		ssize_t n = p->ssl != NULL
		    ? SSL_write(p->ssl, bytes.p, (int)(bytes.n < 1 << 20 ? bytes.n : 1 << 20))
		    : send(p->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes = span_cut(bytes, (size_t)n, bytes.n);
	}
}

/* One read; 0 at the end, negative on a reset or when nothing came for too long. */
static inline ssize_t
peer_read(struct peer *p, struct buf *to, size_t max)
{
	uint8_t *at = buf_grow(to, max);
	ssize_t n = p->ssl != NULL ? SSL_read(p->ssl, at, (int)max) : recv(p->fd, at, max, 0);

	buf_truncate(to, to->n - max + (n > 0 ? (size_t)n : 0));
	return n;
}

/* Reads to the end of the connection. Returns the last read: 0 for a clean end. */
static inline ssize_t
peer_read_all(struct peer *p, struct buf *to)
{
	ssize_t n;

	while ((n = peer_read(p, to, 64 << 10)) > 0)
		continue;
	return n;
}

/* Reads until `text` is there; false when it never comes. */
static inline bool
peer_read_until(struct peer *p, struct buf *to, const char *text)
{
	while (span_find(buf_span(to), span_str(text), 0) == SIZE_MAX)
		if (peer_read(p, to, 64 << 10) <= 0)
			return false;
	return true;
}

static inline void
peer_half_close(struct peer *p)
{
	if (p->ssl != NULL)
		SSL_shutdown(p->ssl);
	shutdown(p->fd, SHUT_WR);
}

static inline void
peer_close(struct peer *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	close(p->fd);
	*p = (struct peer){ .fd = -1 };
}

#endif
