/*
 * tls.h - the server's TLS context, and one TLS connection over a descriptor. Hides OpenSSL; only
 * src/net includes its TLS headers.
 * TLS 1.2 and 1.3, no session tickets, no 0-RTT, no compression (interfaces.md H6).
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

struct tls_context;

/*
 * A server context for one certificate and its private key (both DER; the key as PKCS#8 or SEC 1).
 * ALPN offers "h2", then "http/1.1". Shared by all connections of a loop.
 * Errors: MALFORMED (certificate or key), REFUSED (they do not belong together), NOMEM
 */
MUST_USE struct err
tls_context_new(struct tls_context **out, struct span cert_der, struct span key_der);
void tls_context_free(struct tls_context *c);
/*
 * Records of TLS 1.3 to clients become a multiple of so many bytes before they are encrypted (RFC
 * 8446 5.4), so that their lengths say less about the words in a stream (H6). 2 to 16384.
 * Connections that are set up afterwards; those of TLS 1.2 have no such thing.
 */
void tls_context_pad(struct tls_context *c, size_t bytes);

/* One connection; over any descriptor that behaves like a stream socket. */
struct tls_link {
	struct ssl_st *ssl; /* NULL: none */
};
enum tls_result {
	TLS_OK,		/* some bytes moved, or the handshake is done */
	TLS_WANT_READ,	/* again when the descriptor can be read */
	TLS_WANT_WRITE, /* again when it can be written */
	TLS_EOF,  /* the peer ended its side, with close_notify or without: HTTP has lengths */
	TLS_LOST, /* reset, or the peer broke the protocol */
};
/*
 * A server side that has not begun; the descriptor stays the caller's. The process must ignore
 * SIGPIPE. Errors: NOMEM
 */
MUST_USE struct err tls_link_init(struct tls_link *l, struct tls_context *c, int fd);
/* Safe twice. */
void tls_link_fini(struct tls_link *l);
enum tls_result tls_link_handshake(struct tls_link *l);
/* After the handshake: whether ALPN chose HTTP/2. A client without ALPN speaks HTTP/1.1. */
bool tls_link_is_h2(const struct tls_link *l);
/* Moves at least one byte when TLS_OK; a record of at most 16 KiB a call. */
enum tls_result tls_link_read(struct tls_link *l, uint8_t *p, size_t n, size_t *got);
enum tls_result tls_link_write(struct tls_link *l, struct span bytes, size_t *put);
/* Bytes were read from the descriptor that tls_link_read() has not given out: no event comes. */
bool tls_link_pending(const struct tls_link *l);
/* Sends close_notify if it can be sent at once. */
void tls_link_bye(struct tls_link *l);

#endif
