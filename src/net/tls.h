/*
 * tls.h - the server's TLS context. Hides OpenSSL; only src/net includes its TLS headers.
 * TLS 1.2 and 1.3, no session tickets, no 0-RTT, no compression (interfaces.md H6).
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "core/err.h"
#include "core/span.h"

struct tls_context;

/*
 * A server context for one certificate and its private key (both DER; the key as PKCS#8 or SEC 1).
 * ALPN offers "http/1.1". Shared by all connections of a loop.
 */
MUST_USE struct err
tls_context_new(struct tls_context **out, struct span cert_der, struct span key_der);
void tls_context_free(struct tls_context *c);

#endif
