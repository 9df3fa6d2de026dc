#include "crypto/pss.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/digest.h"

enum { KEY_BITS = 2048, PUB_MIN_BITS = 2048, PUB_MAX_BITS = 8192, PUB_EXPONENT = 65537 };

struct pss_key {
	EVP_PKEY *pkey;
	/*
	 * Set up for signing once; each signature works on a copy, which spares it the lookup of
	 * algorithms and lets threads sign side by side. Never changed after generation.
	 */
	EVP_PKEY_CTX *template;
};

struct pss_pub {
	EVP_PKEY *pkey;
};

/* A failed call leaves a note on the thread's error queue, where TLS code would trip over it. */
static struct err
library_failed(const char *what)
{
	ERR_clear_error();
	return (struct err){ ERR_SYSTEM, what };
}

/* Padding and hashes that both sides fix: SHA-256, MGF1-SHA-256, salt of 32 bytes. */
static bool
set_padding(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 &&
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, SHA256_LEN) > 0;
}

static struct err
put_spki(EVP_PKEY *pkey, struct buf *b)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);

	if (n <= 0)
		return library_failed("SPKI: cannot encode");
	buf_put(b, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return buf_check(b);
}

struct err
pss_key_generate(struct pss_key **out)
{
	struct pss_key *k;

	*out = NULL;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return FAIL(SYSTEM, "RSA key: memory");
	if ((k->pkey = EVP_RSA_gen(KEY_BITS)) == NULL ||
	    (k->template = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL)) == NULL ||
	    EVP_PKEY_sign_init(k->template) <= 0 || !set_padding(k->template)) {
		pss_key_free(k);
		return library_failed("RSA key: cannot generate");
	}
	*out = k;
	return OK;
}

void
pss_key_free(struct pss_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_CTX_free(k->template);
	EVP_PKEY_free(k->pkey); /* clears the private numbers */
	free(k);
}

struct err
pss_key_spki(const struct pss_key *k, struct buf *b)
{
	return put_spki(k->pkey, b);
}

struct err
pss_sign(const struct pss_key *k, struct span msg, uint8_t sig[static PSS_SIG_LEN])
{
	uint8_t digest[SHA256_LEN];
	size_t n = PSS_SIG_LEN;
	EVP_PKEY_CTX *ctx;
	int ok;

	sha256_of(msg, digest);
	if ((ctx = EVP_PKEY_CTX_dup(k->template)) == NULL)
		return library_failed("RSA-PSS: context");
	ok = EVP_PKEY_sign(ctx, sig, &n, digest, sizeof(digest));
	EVP_PKEY_CTX_free(ctx);
	if (ok <= 0 || n != PSS_SIG_LEN)
		return library_failed("RSA-PSS: cannot sign");
	return OK;
}

static struct err
judge_pub(EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	bool usual;

	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
		return FAIL(REFUSED, "opengradient.md 1: the signing key is RSA");
	if (EVP_PKEY_get_bits(pkey) < PUB_MIN_BITS || EVP_PKEY_get_bits(pkey) > PUB_MAX_BITS)
		return FAIL(REFUSED, "opengradient.md 1: RSA of 2048 to 8192 bits");
	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
		return library_failed("RSA key: no exponent");
	usual = BN_is_word(e, PUB_EXPONENT);
	BN_free(e);
	return usual ? OK : FAIL(REFUSED, "opengradient.md 1: RSA with e = 65537");
}

/* The library reads laxer encodings too; tee_id is a hash of the bytes, so one spelling counts. */
static struct err
judge_encoding(EVP_PKEY *pkey, struct span der)
{
	struct buf again;
	struct err e;

	buf_init(&again, RSA_SPKI_MAX_BYTES);
	e = put_spki(pkey, &again);
	if (!failed(e) && !span_eq(buf_span(&again), der))
		e = FAIL(MALFORMED, "SPKI: not the DER encoding");
	buf_fini(&again);
	return e;
}

struct err
pss_pub_parse(struct pss_pub **out, struct span spki_der)
{
	const unsigned char *at = spki_der.p;
	struct pss_pub *k;
	struct err e;

	*out = NULL;
	if (spki_der.n == 0 || spki_der.n > RSA_SPKI_MAX_BYTES)
		return FAIL(MALFORMED, "SPKI: length");
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return FAIL(SYSTEM, "RSA key: memory");
	k->pkey = d2i_PUBKEY(NULL, &at, (long)spki_der.n);
	if (k->pkey == NULL || at != spki_der.p + spki_der.n)
		e = FAIL(MALFORMED, "SPKI: not one public key");
	else if (!failed(e = judge_pub(k->pkey)))
		e = judge_encoding(k->pkey, spki_der);
	ERR_clear_error();
	if (failed(e))
		pss_pub_free(k);
	else
		*out = k;
	return e;
}

/* The DER inside exactly one PEM block "PUBLIC KEY", which the caller frees; NULL otherwise. */
static unsigned char *
pem_block(struct span pem, long *n)
{
	static const struct span begin = SPAN_LIT("-----BEGIN PUBLIC KEY-----");
	static const struct span end = SPAN_LIT("-----END PUBLIC KEY-----");
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	BIO *bio;

	/* The library would skip text before the block and ignore blocks after it. */
	pem = span_trim(pem);
	if (pem.n > INT_MAX || !span_starts(pem, begin) ||
	    span_find(pem, end, 0) != pem.n - end.n ||
	    (bio = BIO_new_mem_buf(pem.p, (int)pem.n)) == NULL)
		return NULL;
	if (PEM_read_bio(bio, &name, &header, &der, n) != 1)
		der = NULL;
	OPENSSL_free(name);
	OPENSSL_free(header);
	BIO_free(bio);
	ERR_clear_error();
	return der;
}

struct err
pss_pub_from_pem(struct pss_pub **out, struct span pem, struct buf *spki_der)
{
	unsigned char *der;
	struct err e;
	long n = 0;

	*out = NULL;
	if ((der = pem_block(pem, &n)) == NULL)
		return FAIL(MALFORMED, "RFC 7468: not one PEM PUBLIC KEY");
	if (!failed(e = pss_pub_parse(out, span_of(der, (size_t)n)))) {
		buf_put(spki_der, span_of(der, (size_t)n));
		e = buf_check(spki_der);
	}
	OPENSSL_free(der);
	if (failed(e)) {
		pss_pub_free(*out);
		*out = NULL;
	}
	return e;
}

void
pss_pub_free(struct pss_pub *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

struct err
pss_verify(const struct pss_pub *k, struct span msg, struct span sig)
{
	uint8_t digest[SHA256_LEN];
	EVP_PKEY_CTX *ctx;
	struct err e = OK;

	sha256_of(msg, digest);
	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL)) == NULL ||
	    EVP_PKEY_verify_init(ctx) <= 0 || !set_padding(ctx))
		e = library_failed("RSA-PSS: context");
	else if (sig.n != (size_t)EVP_PKEY_get_size(k->pkey) ||
	    EVP_PKEY_verify(ctx, sig.p, sig.n, digest, sizeof(digest)) != 1)
		e = FAIL(REFUSED, "opengradient.md 4.3: the RSA-PSS signature does not fit");
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return e;
}
