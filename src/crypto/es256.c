#include "crypto/es256.h"

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "codec/b64.h"
#include "crypto/digest.h"
#include "crypto/p256.h"

enum { DER_SIG_MAX = 72, JWK_MAX_BYTES = 160 };

struct es256_key {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *template; /* copied for each signature, as in pss.c; never changed */
	struct es256_pub pub;
	char kid[ES256_KID_LEN];
};

/* A failed call leaves a note on the thread's error queue, where TLS code would trip over it. */
static struct err
library_failed(const char *what)
{
	ERR_clear_error();
	return (struct err){ ERR_SYSTEM, what };
}

struct err
es256_key_generate(struct es256_key **out)
{
	struct es256_key *k;

	*out = NULL;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return FAIL(SYSTEM, "P-256 key: memory");
	if ((k->pkey = EVP_EC_gen("P-256")) == NULL || !p256_read(k->pkey, &k->pub) ||
	    (k->template = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL)) == NULL ||
	    EVP_PKEY_sign_init(k->template) <= 0) {
		es256_key_free(k);
		return library_failed("P-256 key: cannot generate");
	}
	es256_pub_kid(&k->pub, k->kid);
	*out = k;
	return OK;
}

void
es256_key_free(struct es256_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_CTX_free(k->template);
	EVP_PKEY_free(k->pkey); /* clears the private number */
	free(k);
}

void
es256_key_pub(const struct es256_key *k, struct es256_pub *out)
{
	*out = k->pub;
}

struct span
es256_key_kid(const struct es256_key *k)
{
	return span_of(k->kid, sizeof(k->kid));
}

/* DER SEQUENCE { r, s } to r || s, each 32 bytes (RFC 7518 3.4). */
static bool
sig_from_der(const uint8_t *der, size_t n, uint8_t sig[static ES256_SIG_LEN])
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)n);
	bool ok = s != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, ES256_COORD_LEN) == ES256_COORD_LEN &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + ES256_COORD_LEN, ES256_COORD_LEN) ==
		ES256_COORD_LEN;

	ECDSA_SIG_free(s);
	return ok;
}

struct err
es256_sign(const struct es256_key *k, struct span msg, uint8_t sig[static ES256_SIG_LEN])
{
	uint8_t digest[SHA256_LEN], der[DER_SIG_MAX];
	size_t n = sizeof(der);
	EVP_PKEY_CTX *ctx;
	int ok;

	sha256_of(msg, digest);
	if ((ctx = EVP_PKEY_CTX_dup(k->template)) == NULL)
		return library_failed("ES256: context");
	ok = EVP_PKEY_sign(ctx, der, &n, digest, sizeof(digest));
	EVP_PKEY_CTX_free(ctx);
	if (ok <= 0 || !sig_from_der(der, n, sig))
		return library_failed("ES256: cannot sign");
	return OK;
}

void
es256_pub_spki(const struct es256_pub *k, struct buf *b)
{
	/* RFC 5480 2: id-ecPublicKey with prime256v1, then a BIT STRING with no unused bits. */
	static const uint8_t prefix[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
		0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
		0x03, 0x42, 0x00 };
	uint8_t point[P256_POINT_LEN];

	p256_put_point(k, point);
	buf_put(b, span_of(prefix, sizeof(prefix)));
	buf_put(b, span_of(point, sizeof(point)));
}

void
es256_pub_kid(const struct es256_pub *k, char out[static ES256_KID_LEN])
{
	uint8_t digest[SHA256_LEN];
	struct buf b;

	/* RFC 7638 3.2: the required members only, names in order, no white space. */
	buf_init(&b, JWK_MAX_BYTES);
	buf_put_str(&b, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	b64url_put(&b, span_of(k->x, sizeof(k->x)));
	buf_put_str(&b, "\",\"y\":\"");
	b64url_put(&b, span_of(k->y, sizeof(k->y)));
	buf_put_str(&b, "\"}");
	if (failed(buf_check(&b)))
		abort(); /* a fixed size: only memory for 256 bytes can have been refused */
	sha256_of(buf_span(&b), digest);
	buf_clear(&b);
	b64url_put(&b, span_of(digest, sizeof(digest)));
	if (b.n != ES256_KID_LEN)
		abort();
	memcpy(out, b.p, ES256_KID_LEN);
	buf_fini(&b);
}

/* r || s to DER, which the caller frees; 0 when memory is refused. */
static int
sig_to_der(struct span sig, unsigned char **der)
{
	BIGNUM *r = BN_bin2bn(sig.p, ES256_COORD_LEN, NULL);
	BIGNUM *s = BN_bin2bn(sig.p + ES256_COORD_LEN, ES256_COORD_LEN, NULL);
	ECDSA_SIG *both = ECDSA_SIG_new();
	int n = 0;

	*der = NULL;
	if (r != NULL && s != NULL && both != NULL && ECDSA_SIG_set0(both, r, s) == 1) {
		r = s = NULL; /* now the signature's */
		n = i2d_ECDSA_SIG(both, der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(both);
	return n > 0 ? n : 0;
}

struct err
es256_verify(const struct es256_pub *k, struct span msg, struct span sig)
{
	uint8_t digest[SHA256_LEN];
	EVP_PKEY_CTX *ctx = NULL;
	unsigned char *der = NULL;
	EVP_PKEY *pkey = NULL;
	struct err e = OK;
	int n;

	if (sig.n != ES256_SIG_LEN)
		return FAIL(REFUSED, "RFC 7518 3.4: an ES256 signature has 64 bytes");
	sha256_of(msg, digest);
	/* The library refuses r and s of zero, or of the group's order and above (FIPS 186-5). */
	if ((pkey = p256_pkey(k)) == NULL)
		e = FAIL(REFUSED, "SEC 1 3.2.2: the point is not on P-256");
	else if ((n = sig_to_der(sig, &der)) == 0 ||
	    (ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) == NULL ||
	    EVP_PKEY_verify_init(ctx) <= 0)
		e = library_failed("ES256: context");
	else if (EVP_PKEY_verify(ctx, der, (size_t)n, digest, sizeof(digest)) != 1)
		e = FAIL(REFUSED, "RFC 7518 3.4: the ES256 signature does not fit");
	OPENSSL_free(der);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return e;
}
