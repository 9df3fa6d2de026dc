/*
 * query.h - one parameter of a query string, read as nitriding reads it. Pure.
 * Source: nitro-attestation.md 5.4 (Go's net/url: ParseQuery).
 */
#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

/*
 * Appends the decoded value of the first parameter of this name to *value (made by buf_init);
 * *found: whether there is one. Names are compared decoded; '+' is a space.
 * Errors: MALFORMED: some parameter, whichever, holds a ';' or an escape that is none; TOO_LARGE.
 */
MUST_USE struct err
query_first(struct span query, const char *name, struct buf *value, bool *found);

#endif
