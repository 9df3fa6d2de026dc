/*
 * multi.h - libcurl's multi interface on a libuv loop: sockets and one timer, no HTTP knowledge.
 * Used by egress.c only.
 *
 * libcurl forbids most of its calls from inside its callbacks; multi_inside() tells.
 */
#ifndef NET_MULTI_H
#define NET_MULTI_H

#include <stdbool.h>
#include <curl/curl.h>
#include <uv.h>

#include "core/err.h"

struct multi;

/* A transfer ended. Called outside of libcurl: any function here but multi_free() may be used. */
typedef void multi_done_fn(CURL *easy, CURLcode result);

/*
 * connections_max bounds the open connections. Of idle ones 128 are kept for later transfers (where
 * many end at once a few more: each later one closes one), and none after 75 s without a transfer.
 * Errors: NOMEM, SYSTEM.
 */
MUST_USE struct err
multi_new(struct multi **out, uv_loop_t *loop, long connections_max, multi_done_fn *done);
/*
 * All transfers have been removed before. Closes the pooled connections; the loop must turn once
 * more, so that libuv lets go of the handles.
 */
void multi_free(struct multi *m);

/* Errors: SYSTEM. Each transfer that was added is removed once, also when it has ended. Not inside. */
MUST_USE struct err multi_add(struct multi *m, CURL *easy);
void multi_remove(struct multi *m, CURL *easy);
/* Unpauses; may call the transfer's callbacks and `done` before it returns. Not inside. */
void multi_unpause(struct multi *m, CURL *easy);
/* Does at once what libcurl would do in the loop's next turn. May call back. Not inside. */
void multi_turn(struct multi *m);
bool multi_inside(const struct multi *m);

/*
 * What libcurl's callbacks must tell of a connection's descriptor: that it was opened (false: no
 * memory), and that it is to be closed, which this does; the result is close(2)'s.
 */
bool multi_connection(struct multi *m, curl_socket_t fd);
int multi_close(struct multi *m, curl_socket_t fd);

#endif
