#include "net/peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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

bool
peer_record(struct egress_peer *peer, void *ssl)
{
	X509 *leaf = ssl == NULL ? NULL : SSL_get1_peer_certificate(ssl);
	bool good;

	/* libcurl has verified already; a record of an unverified peer must be impossible. */
	good = leaf != NULL && SSL_get_verify_result(ssl) == X509_V_OK &&
	    digest_cert(leaf, peer->cert) && digest_spki(leaf, peer->spki);
	if (good) {
		snprintf(peer->version, sizeof(peer->version), "%s", SSL_get_version(ssl));
		peer->tls = true;
	}
	X509_free(leaf);
	return good;
}

/* Where an SSL remembers that its peer said close_notify; the state of SSL_get_shutdown() does not
 * outlive libcurl's own closing. */
static int closed_index = -1;

static void
make_closed_index(void)
{
	closed_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
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
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_closed_index);
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
