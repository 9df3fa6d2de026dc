#include "crypto/ecdsa.h"

#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "codec/json.h"

enum { CURVE_NAME_MAX_BYTES = 32, OBJECT_NAME_MAX_BYTES = 128, DER_SIG_MAX_BYTES = 160 };

static const struct {
	const char *curve, *digest;
	int width; /* of r and of s */
} algs[ECDSA_N_ALGS] = {
	[ECDSA_ES256] = { "prime256v1", "SHA256", 32 },
	[ECDSA_ES384] = { "secp384r1", "SHA384", 48 },
	[ECDSA_ES512] = { "secp521r1", "SHA512", 66 },
};

struct ecdsa_cert {
	X509 *x;
	EVP_PKEY *pkey; /* NULL: none that the library can read */
	enum ecdsa_alg alg;
};

struct ecdsa_key {
	EVP_PKEY *pkey;
	enum ecdsa_alg alg;
};

/* A failed call leaves a note on the thread's error queue. */
static struct err
library_failed(enum err_code code, const char *what)
{
	ERR_clear_error();
	return (struct err){ code, what };
}

static enum ecdsa_alg
alg_of(EVP_PKEY *pkey)
{
	char curve[CURVE_NAME_MAX_BYTES];

	if (pkey != NULL && EVP_PKEY_is_a(pkey, "EC") &&
	    EVP_PKEY_get_utf8_string_param(
		pkey, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof(curve), NULL) == 1)
		for (int i = 0; i < ECDSA_N_ALGS; i++)
			if (span_eq(span_str(curve), span_str(algs[i].curve)))
				return (enum ecdsa_alg)i;
	ERR_clear_error();
	return ECDSA_NONE;
}

/* Nobody is asked for a passphrase. */
static int
no_passphrase(char *out, int size, int writing, void *ctx)
{
	return -1;
}

static BIO *
bio_of(struct span s)
{
	return s.n == 0 || s.n > ECDSA_CERT_MAX_BYTES ? NULL : BIO_new_mem_buf(s.p, (int)s.n);
}

/* One certificate of exactly these bytes; another spelling of it would have another PCR8. */
static X509 *
read_der(struct span der)
{
	const unsigned char *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);
	unsigned char *again = NULL;
	int n;

	if (x == NULL)
		return NULL;
	n = i2d_X509(x, &again);
	if (n <= 0 || p != der.p + der.n || !span_eq(span_of(again, (size_t)n), der)) {
		X509_free(x);
		x = NULL;
	}
	OPENSSL_free(again);
	return x;
}

struct err
ecdsa_cert_from_pem(struct ecdsa_cert **out, struct span pem)
{
	BIO *bio = bio_of(pem);
	unsigned char *der = NULL;
	struct ecdsa_cert *c;
	long n = 0;

	*out = NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		BIO_free(bio);
		return FAIL(SYSTEM, "certificate: memory");
	}
	if (bio != NULL &&
	    PEM_bytes_read_bio(&der, &n, NULL, PEM_STRING_X509, bio, no_passphrase, NULL) == 1)
		c->x = read_der(span_of(der, (size_t)n));
	OPENSSL_free(der);
	BIO_free(bio);
	if (c->x == NULL) {
		ecdsa_cert_free(c);
		return library_failed(
		    ERR_MALFORMED, "RFC 7468 5: no certificate in PEM, or it is not DER");
	}
	c->pkey = X509_get_pubkey(c->x);
	c->alg = alg_of(c->pkey);
	ERR_clear_error();
	*out = c;
	return OK;
}

void
ecdsa_cert_free(struct ecdsa_cert *c)
{
	if (c == NULL)
		return;
	EVP_PKEY_free(c->pkey);
	X509_free(c->x);
	free(c);
}

enum ecdsa_alg
ecdsa_cert_alg(const struct ecdsa_cert *c)
{
	return c->alg;
}

struct err
ecdsa_cert_der(const struct ecdsa_cert *c, struct buf *der)
{
	unsigned char *bytes = NULL;
	int n = i2d_X509(c->x, &bytes);

	if (n > 0)
		buf_put(der, span_of(bytes, (size_t)n));
	OPENSSL_free(bytes);
	return n > 0 ? buf_check(der) : library_failed(ERR_SYSTEM, "certificate: cannot encode");
}

/* r || s to DER SEQUENCE { r, s }, as the library wants it; its length, or 0. */
static int
sig_to_der(struct span sig, int width, unsigned char **der)
{
	BIGNUM *r = BN_bin2bn(sig.p, width, NULL), *s = BN_bin2bn(sig.p + width, width, NULL);
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
ecdsa_cert_verify(const struct ecdsa_cert *c, struct span msg, struct span sig)
{
	unsigned char *der = NULL;
	EVP_MD_CTX *ctx = NULL;
	struct err e = OK;
	int n;

	if (c->alg == ECDSA_NONE)
		return FAIL(REFUSED, "eif.md 4: the certificate's key is on none of the curves");
	if (sig.n != 2 * (size_t)algs[c->alg].width)
		return FAIL(REFUSED, "RFC 9053 2.1: the signature has not the curve's length");
	if ((n = sig_to_der(sig, algs[c->alg].width, &der)) == 0 ||
	    (ctx = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestVerifyInit_ex(ctx, NULL, algs[c->alg].digest, NULL, NULL, c->pkey, NULL) != 1)
		e = FAIL(SYSTEM, "ECDSA: context");
	else if (EVP_DigestVerify(ctx, der, (size_t)n, msg.p, msg.n) != 1)
		e = FAIL(REFUSED, "RFC 9053 2.1: the signature does not fit the certificate");
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ERR_clear_error();
	return e;
}

/*
 * Description.
 */
static void
put_object_name(struct buf *json, const ASN1_OBJECT *o)
{
	char text[OBJECT_NAME_MAX_BYTES] = "";

	OBJ_obj2txt(text, sizeof(text), o, 0); /* leaves "" when it cannot be told */
	json_put_string(json, span_str(text));
}

static void
put_member(struct buf *json, const char *name)
{
	buf_put_str(json, ",\"");
	buf_put_str(json, name);
	buf_put_str(json, "\":");
}

/* The value as UTF-8; of an attribute that comes twice, the last one, as nitro-cli's map keeps. */
static void
put_issuer(struct buf *json, const X509_NAME *name)
{
	int n = X509_NAME_entry_count(name);
	bool later = false;

	buf_put_byte(json, '{');
	for (int i = 0; i < n; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
		unsigned char *value = NULL;
		int value_n;

		if (X509_NAME_get_index_by_OBJ(name, object, i) >= 0)
			continue;
		if (later)
			buf_put_byte(json, ',');
		later = true;
		put_object_name(json, object);
		buf_put_byte(json, ':');
		value_n = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(entry));
		if (value_n < 0)
			buf_put_str(json, "null");
		else
			json_put_string(json, span_of(value, (size_t)value_n));
		OPENSSL_free(value);
	}
	buf_put_byte(json, '}');
}

static void
put_time(struct buf *json, const ASN1_TIME *t)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	if (bio != NULL && ASN1_TIME_print(bio, t) == 1) {
		n = BIO_get_mem_data(bio, &text);
		json_put_string(json, span_of(text, (size_t)n));
	} else {
		buf_put_str(json, "null");
	}
	BIO_free(bio);
}

static void
put_colon_hex(struct buf *json, const ASN1_BIT_STRING *bits)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *p = ASN1_STRING_get0_data(bits);
	int n = ASN1_STRING_length(bits);

	buf_put_byte(json, '"');
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_put_byte(json, ':');
		buf_put_byte(json, (uint8_t)digits[p[i] >> 4]);
		buf_put_byte(json, (uint8_t)digits[p[i] & 0xf]);
	}
	buf_put_byte(json, '"');
}

struct err
ecdsa_cert_describe(const struct ecdsa_cert *c, struct buf *json)
{
	const ASN1_BIT_STRING *signature;
	const X509_ALGOR *algor;
	const ASN1_OBJECT *object;

	X509_get0_signature(&signature, &algor, c->x);
	X509_ALGOR_get0(&object, NULL, NULL, algor);
	buf_put_str(json, "{\"IssuerName\":");
	put_issuer(json, X509_get_issuer_name(c->x));
	put_member(json, "Algorithm");
	put_object_name(json, object);
	put_member(json, "NotBefore");
	put_time(json, X509_get0_notBefore(c->x));
	put_member(json, "NotAfter");
	put_time(json, X509_get0_notAfter(c->x));
	put_member(json, "Signature");
	put_colon_hex(json, signature);
	buf_put_byte(json, '}');
	ERR_clear_error();
	return buf_check(json);
}

/*
 * Signing.
 */
struct err
ecdsa_key_from_pem(struct ecdsa_key **out, struct span pem)
{
	BIO *bio = bio_of(pem);
	struct ecdsa_key *k;

	*out = NULL;
	if ((k = calloc(1, sizeof(*k))) == NULL) {
		BIO_free(bio);
		return FAIL(SYSTEM, "key: memory");
	}
	if (bio != NULL)
		k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (k->pkey == NULL) {
		ecdsa_key_free(k);
		return library_failed(
		    ERR_MALFORMED, "RFC 7468 10: no private key in PEM without a passphrase");
	}
	if ((k->alg = alg_of(k->pkey)) == ECDSA_NONE) {
		ecdsa_key_free(k);
		return FAIL(REFUSED, "eif.md 4: the key is not on P-384, P-256 or P-521");
	}
	*out = k;
	return OK;
}

void
ecdsa_key_free(struct ecdsa_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* clears the private number */
	free(k);
}

enum ecdsa_alg
ecdsa_key_alg(const struct ecdsa_key *k)
{
	return k->alg;
}

bool
ecdsa_key_fits(const struct ecdsa_key *k, const struct ecdsa_cert *c)
{
	bool fits = c->pkey != NULL && EVP_PKEY_eq(k->pkey, c->pkey) == 1;

	ERR_clear_error();
	return fits;
}

static bool
put_fixed(struct buf *sig, const uint8_t *der, size_t n, int width)
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)n);
	uint8_t *out = s == NULL ? NULL : buf_grow(sig, 2 * (size_t)width);
	bool ok = out != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(s), out, width) == width &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(s), out + width, width) == width;

	ECDSA_SIG_free(s);
	return ok;
}

struct err
ecdsa_key_sign(const struct ecdsa_key *k, struct span msg, struct buf *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[DER_SIG_MAX_BYTES];
	size_t n = sizeof(der);
	bool ok = ctx != NULL &&
	    EVP_DigestSignInit_ex(ctx, NULL, algs[k->alg].digest, NULL, NULL, k->pkey, NULL) == 1 &&
	    EVP_DigestSign(ctx, der, &n, msg.p, msg.n) == 1 &&
	    put_fixed(sig, der, n, algs[k->alg].width);

	EVP_MD_CTX_free(ctx);
	return ok ? OK : library_failed(ERR_SYSTEM, "ECDSA: cannot sign");
}
