#include "crypto/certificate.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/rng.h"

#define ORGANISATION "AWS Nitro enclave application"

enum { X509_V3 = 2, SERIAL_LEN = 16, DAY_S = 24 * 60 * 60 };
/* Clients check with their own clock: a minute of difference must not refuse a new enclave. */
enum { BACKDATE_S = 60 * 60 };

/* Positive, not zero, at most 20 bytes (RFC 5280 4.1.2.2). */
static bool
set_serial(X509 *x)
{
	uint8_t raw[SERIAL_LEN];
	BIGNUM *n;
	bool ok;

	rng_bytes(raw, sizeof(raw));
	raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40);
	n = BN_bin2bn(raw, sizeof(raw), NULL);
	ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok;
}

static bool
set_name(X509 *x)
{
	X509_NAME *name = X509_get_subject_name(x);

	return X509_NAME_add_entry_by_txt(
		   name, "O", MBSTRING_ASC, (const unsigned char *)ORGANISATION, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, name) == 1;
}

static bool
set_validity(X509 *x, uint64_t now_unix_s)
{
	time_t from = (time_t)now_unix_s - BACKDATE_S;

	return ASN1_TIME_set(X509_getm_notBefore(x), from) != NULL &&
	    ASN1_TIME_adj(X509_getm_notAfter(x), from, CERTIFICATE_DAYS, 0) != NULL;
}

static bool
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

/*
 * No CA: the anchor is the leaf itself, and OpenSSL, Node and Go take a leaf they were given as
 * the root without asking whether it could sign others. Nothing else can then hang below it.
 */
static bool
add_extensions(X509 *x, bool loopback)
{
	return add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(x, NID_ext_key_usage, "serverAuth") &&
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, NID_subject_alt_name,
		loopback ? "DNS:localhost,IP:127.0.0.1,IP:::1" : "DNS:localhost");
}

static bool
fill(X509 *x, EVP_PKEY *pkey, bool loopback, uint64_t now_unix_s)
{
	return X509_set_version(x, X509_V3) == 1 && set_serial(x) && set_name(x) &&
	    set_validity(x, now_unix_s) && X509_set_pubkey(x, pkey) == 1 &&
	    add_extensions(x, loopback) && X509_sign(x, pkey, EVP_sha256()) > 0;
}

static struct err
put_key(EVP_PKEY *pkey, struct buf *b)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	unsigned char *der = NULL;
	int n = info == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);

	if (n > 0)
		buf_put(b, span_of(der, (size_t)n));
	OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
	PKCS8_PRIV_KEY_INFO_free(info); /* clears its copy */
	return n > 0 ? buf_check(b) : FAIL(SYSTEM, "TLS key: cannot encode");
}

static struct err
put_certificate(X509 *x, struct buf *b)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	if (n > 0)
		buf_put(b, span_of(der, (size_t)n));
	OPENSSL_free(der);
	return n > 0 ? buf_check(b) : FAIL(SYSTEM, "TLS certificate: cannot encode");
}

struct err
certificate_make(struct buf *cert_der, struct buf *key_der, bool loopback, uint64_t now_unix_s)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	struct err e;

	if (pkey == NULL || x == NULL || !fill(x, pkey, loopback, now_unix_s))
		e = FAIL(SYSTEM, "TLS certificate: cannot make");
	else if (!failed(e = put_certificate(x, cert_der)))
		e = put_key(pkey, key_der);
	X509_free(x);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return e;
}
