#include "net/peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/span.h"
#include "crypto/digest.h"

struct roots {
	X509_STORE *store;
};

struct err
roots_new(struct roots **out, const char *ca_file)
{
	struct roots *r = malloc(sizeof(*r));

	*out = NULL;
	if (r == NULL || (r->store = X509_STORE_new()) == NULL) {
		free(r);
		return FAIL(NOMEM, "egress: roots");
	}
	if (ca_file != NULL && X509_STORE_load_file(r->store, ca_file) != 1) {
		ERR_clear_error();
		roots_free(r);
		return FAIL(SYSTEM, "egress: cannot read the CA file");
	}
	*out = r;
	return OK;
}

void
roots_free(struct roots *r)
{
	if (r == NULL)
		return;
	X509_STORE_free(r->store);
	free(r);
}

bool
roots_apply(const struct roots *r, void *ssl_ctx)
{
	SSL_CTX_set1_cert_store(ssl_ctx, r->store);
	/* libcurl writes session secrets to $SSLKEYLOGFILE; ours are nobody's. */
	SSL_CTX_set_keylog_callback(ssl_ctx, NULL);
	/* A connection keeps the peer it began with (TLS 1.2 could change it): know() relies on it. */
	SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION);
	return SSL_CTX_get_cert_store(ssl_ctx) == r->store;
}

static bool
digest_cert(X509 *leaf, uint8_t out[static SHA256_LEN])
{
	unsigned char *der = NULL;
	int n = i2d_X509(leaf, &der);

	if (n > 0)
		sha256_of(span_of(der, (size_t)n), out);
	OPENSSL_free(der);
	return n > 0;
}

static bool
digest_spki(X509 *leaf, uint8_t out[static SHA256_LEN])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);

	if (n > 0)
		sha256_of(span_of(der, (size_t)n), out);
	OPENSSL_free(der);
	return n > 0;
}

/* What peer_record() found out of a connection, so that its next calls need not. */
struct known {
	uint8_t spki[SHA256_LEN], cert[SHA256_LEN];
};

/* Places in an SSL, asked for once a process. -1: OpenSSL has none. */
static int known_index = -1;
/*
 * Where an SSL remembers that its peer said close_notify; the state of SSL_get_shutdown() does not
 * outlive libcurl's own closing.
 */
static int closed_index = -1;

static void
free_known(void *ssl, void *known, CRYPTO_EX_DATA *data, int index, long n, void *p)
{
	free(known);
}

static void
make_indices(void)
{
	known_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_known);
	closed_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static void
need_indices(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_indices);
}

/* A certificate's digests; a connection has one certificate for its life: no renegotiation. */
static const struct known *
know(SSL *ssl)
{
	struct known *k = SSL_get_ex_data(ssl, known_index);
	X509 *leaf;

	if (k != NULL)
		return k;
	if ((leaf = SSL_get1_peer_certificate(ssl)) == NULL)
		return NULL;
	if ((k = malloc(sizeof(*k))) == NULL || !digest_cert(leaf, k->cert) ||
	    !digest_spki(leaf, k->spki) || SSL_set_ex_data(ssl, known_index, k) != 1) {
		free(k);
		k = NULL;
	}
	X509_free(leaf);
	return k;
}

bool
peer_record(struct egress_peer *peer, void *ssl)
{
	const struct known *k;

	need_indices();
	/* libcurl has verified already; a record of an unverified peer must be impossible. */
	if (ssl == NULL || known_index < 0 || SSL_get_verify_result(ssl) != X509_V_OK ||
	    (k = know(ssl)) == NULL)
		return false;
	memcpy(peer->cert, k->cert, SHA256_LEN);
	memcpy(peer->spki, k->spki, SHA256_LEN);
	snprintf(peer->version, sizeof(peer->version), "%s", SSL_get_version(ssl));
	peer->tls = true;
	return true;
}

static void
on_info(const SSL *ssl, int where, int value)
{
	if (where == SSL_CB_READ_ALERT && (value & 0xff) == SSL_AD_CLOSE_NOTIFY)
		SSL_set_ex_data((SSL *)(uintptr_t)ssl, closed_index, &closed_index);
}

void *
peer_hold(void *ssl)
{
	need_indices();
	if (ssl == NULL || closed_index < 0 || SSL_up_ref(ssl) != 1)
		return NULL;
	SSL_set_info_callback(ssl, on_info);
	return ssl;
}

bool
peer_release_closed(void *ssl)
{
	bool closed = SSL_get_ex_data(ssl, closed_index) != NULL;

	SSL_set_info_callback(ssl, NULL);
	SSL_free(ssl);
	return closed;
}
