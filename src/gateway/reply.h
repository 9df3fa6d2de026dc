/*
 * reply.h - the head fields that every answer carries, and answers that need no provider.
 * Source: interfaces.md H3, H5, H6, E1.
 */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/span.h"
#include "http/exchange.h"
#include "provider/refusal.h"
#include "provider/upstream_error.h"

enum { REPLY_FIELDS = 16, REQUEST_ID_MAX = 64 };

struct reply {
	struct http_field field[REPLY_FIELDS];
	size_t n;
	char request_id[REQUEST_ID_MAX];
	size_t request_id_n;
};

/*
 * Begins a reply: X-Request-Id (the request's own if it fits H3), Cache-Control, and CORS on
 * public routes. head NULL: the request could not be read.
 */
void reply_begin(struct reply *r, const struct http_head *head, bool is_public);
/* Adds a field; both are borrowed until the reply is sent. */
void reply_add(struct reply *r, const char *name, struct span value);
/* Sends head and body at once. */
void reply_send(struct reply *r, struct exchange *x, unsigned status, const char *content_type,
    struct span body);
struct span reply_request_id(const struct reply *r);

/* What a client is told when something failed. */
struct failure {
	unsigned status;
	const char *type, *code; /* code NULL: null */
	const char *param;	 /* NULL: null */
	char message[UPSTREAM_MESSAGE_MAX + 1];
	unsigned retry_after_s; /* 0: no such field */
};
/* {"error":{...}} without the closing brace, so that members can follow (E3). */
void failure_put_open(struct buf *b, const struct failure *f);
/* The whole object. */
void failure_put(struct buf *b, const struct failure *f);
/* A refusal of a request, as a failure. The failure borrows from it. */
void failure_from_refusal(struct failure *f, const struct refusal *no);

#endif
