/*
 * call.h - a request that is no inference: what it asked, and its one answer with its one log line.
 */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "gateway/gateway.h"
#include "gateway/reply.h"

/* Not to be copied: the reply's fields point into it. */
struct call {
	struct loop *loop;
	struct exchange *x;
	const struct http_head *head;
	struct reply reply;
	const char *route; /* pattern, for log and metrics */
	struct span rest;  /* of the path, after a pattern that ends in a slash */
	uint64_t began_us;
};

/* H2: it came through a proxy, or from a browser. */
bool call_is_foreign(const struct http_head *head);

/* Answers, logs and counts. */
void call_answer(struct call *c, unsigned status, const char *content_type, struct span body);
/* 200 with this JSON, whose buffer is freed. */
void call_answer_json(struct call *c, struct buf *b);
/* An error in the shape of the path: OpenAI's object on /v1, a line of text elsewhere (H4, E1). */
void call_fail_with(struct call *c, const struct failure *f);
void
call_fail(struct call *c, unsigned status, const char *type, const char *code, const char *message);
void call_not_found(struct call *c);

#endif
