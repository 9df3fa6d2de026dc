/*
 * peer.h - whom we trust as an upstream, and who it was. Hides OpenSSL from egress.c.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "net/egress.h"

struct roots; /* certificates that may end a chain; read once, then no file is touched */

/* ca_file NULL: no roots, every handshake fails. Errors: NOMEM; SYSTEM (unreadable, no PEM). */
MUST_USE struct err roots_new(struct roots **out, const char *ca_file);
void roots_free(struct roots *r);
/* Makes the roots the only ones of an SSL_CTX; false when OpenSSL refuses. */
bool roots_apply(const struct roots *r, void *ssl_ctx);

/* Fills all but host from a connected SSL; false when its peer was not verified. */
bool peer_record(struct egress_peer *peer, void *ssl);

/*
 * For a body that only the end of the connection delimits: from now on it is remembered whether
 * the peer ends it with close_notify, beyond the life of the connection. NULL: OpenSSL refuses.
 */
void *peer_hold(void *ssl);
/* Was there a close_notify? Lets go of it. */
bool peer_release_closed(void *ssl);

#endif
