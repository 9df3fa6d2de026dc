/*
 * server.h - listeners of one loop, their connections, and the deadlines that bound them.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <uv.h>

#include "core/err.h"
#include "http/exchange.h"
#include "http/limits.h"

struct tls_context; /* net/tls.h */

struct server;

struct server_options {
	uv_loop_t *loop;
	unsigned loop_index;
	const struct exchange_ops *ops;
	void *ctx;			  /* first argument of on_head and wire_error */
	const struct http_limits *limits; /* NULL: HTTP_LIMITS_DEFAULT */
};

/* The process ignores SIGPIPE afterwards. Errors: NOMEM, SYSTEM */
MUST_USE struct err server_new(struct server **out, const struct server_options *opt);
/*
 * Serves a listening, non-blocking descriptor (TCP; later vsock). tls NULL: plain. The descriptor
 * is the server's afterwards, also on error. Errors: NOMEM, SYSTEM
 */
MUST_USE struct err server_listen(struct server *s, int fd, struct tls_context *tls);
/*
 * Stops accepting, closes idle connections, lets running exchanges finish. The listening sockets
 * end, also for other processes that hold them: new clients are refused, not queued.
 */
void server_drain(struct server *s);
/* Exchanges that run, and connections that are open. */
size_t server_exchanges(const struct server *s);
size_t server_connections(const struct server *s);
/* Cuts everything off. Call uv_run until the handles are closed, then server_free(). */
void server_stop(struct server *s);
/* NULL is fine. */
void server_free(struct server *s);

#endif
