/*
 * api.h - one small request to a service and its whole answer, bounded in bytes and time. Over
 * net/egress, for services whose answers are read at once (facilitator, price source, nitriding).
 */
#ifndef NET_API_H
#define NET_API_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"
#include "net/egress.h"

struct api_call;

struct api_answer {
	enum egress_fault fault; /* NONE: status and body are whole; TOO_LARGE: the body too */
	unsigned status;	 /* 0: no head came */
	struct span body;	 /* what came of it; borrowed until the callback returns */
	const struct egress_call *call; /* for egress_field(), likewise */
};
/* Last and only call, unless cancelled; the api_call is dead afterwards. */
typedef void api_done(void *ctx, const struct api_answer *a);

struct api_request {
	enum egress_method method;
	const char *url;
	const char *const *field; /* as egress; NULL: those of JSON, sent and wanted */
	struct span body;	  /* of a POST; copied */
	size_t answer_max_bytes;
	uint32_t total_ms; /* of all: name, connection, answer */
	api_done *done;
	void *ctx;
};
/*
 * Starts it on e, which may be freed only when the call is over or cancelled.
 * Errors: those of egress_start(); *out is NULL then, and done is not called.
 */
MUST_USE struct err api_start(struct api_call **out, struct egress *e, const struct api_request *r);
/* Forgets the call at once; done is not called. Not from inside it. NULL is fine. */
void api_cancel(struct api_call *c);

#endif
