/*
 * answer.h - an HTTP/1.1 answer that was read up to the end of its connection. Strict. Pure.
 * Source: RFC 9112 4, 5, 6, 7.
 */
#ifndef CMD_ANSWER_H
#define CMD_ANSWER_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

/*
 * Takes apart one whole answer. Its body has a Content-Length that is kept, or is chunked; a body
 * that the end of the connection would end could have been cut by anyone.
 * *status	100 to 599
 * body		appended
 * Errors:	MALFORMED, TOO_LARGE (past body's bound)
 */
MUST_USE struct err answer_parse(struct span whole, unsigned *status, struct buf *body);

#endif
