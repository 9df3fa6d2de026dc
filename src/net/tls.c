#include "net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

enum { RECORD_MAX_BYTES = 16384 };

/* struct tls_context is an SSL_CTX under a name of ours. */
static SSL_CTX *
ssl_ctx(struct tls_context *c)
{
	return (SSL_CTX *)c;
}

static int
choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
    unsigned int in_n, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *chosen;

	/* A client that offers only what we do not speak is told so (RFC 7301 3.2). */
	if (SSL_select_next_proto(&chosen, out_n, ours, sizeof(ours) - 1, in, in_n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static struct err
set_policy(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
		SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* A write may stop half-way, and the rest may have moved in memory when it goes on. */
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A record's header and body in one read(2). */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
	    SSL_CTX_set_ciphersuites(ctx,
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") != 1)
		return FAIL(SYSTEM, "tls: OpenSSL refuses our settings");
	return OK;
}

static struct err
set_identity(SSL_CTX *ctx, struct span cert_der, struct span key_der)
{
	const unsigned char *p = key_der.p;
	EVP_PKEY *key = NULL;
	struct err e = OK;

	if (cert_der.n > INT_MAX || key_der.n > LONG_MAX)
		return FAIL(TOO_LARGE, "tls: certificate or key");
	if (SSL_CTX_use_certificate_ASN1(ctx, (int)cert_der.n, cert_der.p) != 1)
		return FAIL(MALFORMED, "tls: certificate");
	if ((key = d2i_AutoPrivateKey(NULL, &p, (long)key_der.n)) == NULL ||
	    p != key_der.p + key_der.n)
		e = FAIL(MALFORMED, "tls: private key");
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		e = FAIL(REFUSED, "tls: the key is not the certificate's");
	EVP_PKEY_free(key);
	return e;
}

struct err
tls_context_new(struct tls_context **out, struct span cert_der, struct span key_der)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct err e;

	*out = NULL;
	if (ctx == NULL)
		return FAIL(NOMEM, "tls: context");
	e = set_policy(ctx);
	if (!failed(e))
		e = set_identity(ctx, cert_der, key_der);
	ERR_clear_error();
	if (failed(e)) {
		SSL_CTX_free(ctx);
		return e;
	}
	*out = (struct tls_context *)ctx;
	return OK;
}

void
tls_context_pad(struct tls_context *c, size_t bytes)
{
	SSL_CTX_set_block_padding(ssl_ctx(c), bytes);
}

void
tls_context_free(struct tls_context *c)
{
	SSL_CTX_free(ssl_ctx(c));
}

struct err
tls_link_init(struct tls_link *l, struct tls_context *c, int fd)
{
	l->ssl = SSL_new(ssl_ctx(c));
	if (l->ssl == NULL || SSL_set_fd(l->ssl, fd) != 1) {
		tls_link_fini(l);
		return FAIL(NOMEM, "tls: connection");
	}
	SSL_set_accept_state(l->ssl);
	return OK;
}

void
tls_link_fini(struct tls_link *l)
{
	SSL_free(l->ssl);
	l->ssl = NULL;
}

/* What a call that did not succeed wants. */
static enum tls_result
result(const SSL *ssl, int ret)
{
	switch (SSL_get_error(ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_EOF;
	default:
		ERR_clear_error();
		return TLS_LOST;
	}
}

enum tls_result
tls_link_handshake(struct tls_link *l)
{
	int ret;

	ERR_clear_error();
	ret = SSL_do_handshake(l->ssl);
	return ret == 1 ? TLS_OK : result(l->ssl, ret);
}

bool
tls_link_is_h2(const struct tls_link *l)
{
	const unsigned char *name = NULL;
	unsigned int n = 0;

	SSL_get0_alpn_selected(l->ssl, &name, &n);
	return span_eq(span_of(name, n), SPAN_LIT("h2"));
}

enum tls_result
tls_link_read(struct tls_link *l, uint8_t *p, size_t n, size_t *got)
{
	int ret;

	*got = 0;
	ERR_clear_error();
	ret = SSL_read_ex(l->ssl, p, n, got);
	return ret == 1 ? TLS_OK : result(l->ssl, ret);
}

enum tls_result
tls_link_write(struct tls_link *l, struct span bytes, size_t *put)
{
	size_t n = bytes.n < RECORD_MAX_BYTES ? bytes.n : RECORD_MAX_BYTES;
	int ret;

	*put = 0;
	ERR_clear_error();
	ret = SSL_write_ex(l->ssl, bytes.p, n, put);
	return ret == 1 ? TLS_OK : result(l->ssl, ret);
}

bool
tls_link_pending(const struct tls_link *l)
{
	return SSL_has_pending(l->ssl) == 1;
}

void
tls_link_bye(struct tls_link *l)
{
	ERR_clear_error();
	SSL_shutdown(l->ssl);
	ERR_clear_error();
}
