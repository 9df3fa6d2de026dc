/*
 * fetch.h - one HTTPS GET, small enough to be read by whoever has to trust it.
 *
 * No certificate authority is asked: the gateway signs its certificate itself, and what makes it
 * genuine is the attestation document that names its hash. So the leaf is handed to the caller, who
 * must compare it (interfaces.md V3). Blocking; each request is a connection of its own.
 */
#ifndef CMD_FETCH_H
#define CMD_FETCH_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum { FETCH_HOST_MAX_BYTES = 253, FETCH_LEAF_MAX_BYTES = 8192 };
enum { FETCH_BODY_MAX_BYTES = 1 << 20, FETCH_MS = 20000 /* the whole request, DNS apart */ };

struct fetch_url {
	char host[FETCH_HOST_MAX_BYTES + 1]; /* an address of version 6 without brackets */
	char port[6];
};

/*
 * https://host[:port] and no more; one slash may follow.
 * Errors: MALFORMED
 */
MUST_USE struct err fetch_url_parse(struct fetch_url *u, struct span text);

/*
 * Gets `path` (which begins with a slash and needs no escaping).
 * body		an empty buffer: the body of a 200
 * leaf_der	an empty buffer: the certificate that the server showed
 * Errors:	UPSTREAM (no connection, no TLS, another status, not HTTP), TIMEOUT, TOO_LARGE, NOMEM
 */
MUST_USE struct err
fetch_get(const struct fetch_url *u, const char *path, struct buf *body, struct buf *leaf_der);

#endif
