#include "enclave/softchain.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/rng.h"

enum { X509_V3 = 2, SERIAL_LEN = 16, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };
enum { LEAF = SOFT_LEVELS - 1, COORD_LEN = SOFT_SIGNATURE_LEN / 2, CERT_MAX_BYTES = 1024 };
/* A document is verifiable while its leaf is: the last minutes of one are left unused. */
enum { RENEW_BEFORE_S = 10 * MINUTE_S };

static const struct level {
	const char *name; /* the leaf's is the module id */
	int64_t lifetime_s;
	int64_t backdate_s; /* as real ones begin before they are issued */
	const char *constraints, *usage;
	bool key_ids; /* subject and authority key identifier; the leaf has neither */
} levels[SOFT_LEVELS] = {
	{ "local-simulation.nitro-enclaves", INT64_C(30) * 365 * DAY_S, HOUR_S, "critical,CA:TRUE",
	    "critical,digitalSignature,keyCertSign,cRLSign", true },
	{ "region.local-simulation.nitro-enclaves", 20 * DAY_S, HOUR_S,
	    "critical,CA:TRUE,pathlen:2", "critical,digitalSignature,keyCertSign,cRLSign", true },
	{ "zonal.local-simulation.nitro-enclaves", 6 * DAY_S, HOUR_S, "critical,CA:TRUE,pathlen:1",
	    "critical,digitalSignature,keyCertSign,cRLSign", true },
	{ "instance.local-simulation.nitro-enclaves", DAY_S, MINUTE_S, "critical,CA:TRUE,pathlen:0",
	    "critical,keyCertSign", true },
	{ NULL, 3 * HOUR_S + 3, 3, "critical,CA:FALSE", "digitalSignature,nonRepudiation", false },
};

struct soft_chain {
	EVP_PKEY *key[SOFT_LEVELS];
	X509 *cert[SOFT_LEVELS];
	uint8_t der[SOFT_LEVELS][CERT_MAX_BYTES];
	size_t der_len[SOFT_LEVELS];
	char leaf_name[64];
	uint64_t leaf_until_unix_s;
};

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

/* Names that nobody can take for those of a real module. */
static bool
set_subject(X509 *x, const char *common_name)
{
	const char *const parts[][2] = { { "C", "US" }, { "O", "local-simulation" },
		{ "OU", "not hardware" }, { "CN", common_name } };
	X509_NAME *name = X509_get_subject_name(x);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (X509_NAME_add_entry_by_txt(name, parts[i][0], MBSTRING_ASC,
			(const unsigned char *)parts[i][1], -1, -1, 0) != 1)
			return false;
	return true;
}

static bool
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool
fill(const struct soft_chain *c, unsigned i, X509 *x, uint64_t now_unix_s)
{
	const struct level *l = &levels[i];
	unsigned up = i == 0 ? 0 : i - 1;
	X509 *issuer = i == 0 ? x : c->cert[up];
	time_t from = (time_t)now_unix_s - (time_t)l->backdate_s;

	return X509_set_version(x, X509_V3) == 1 && set_serial(x) &&
	    set_subject(x, l->name != NULL ? l->name : c->leaf_name) &&
	    X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
	    ASN1_TIME_set(X509_getm_notBefore(x), from) != NULL &&
	    ASN1_TIME_set(X509_getm_notAfter(x), from + (time_t)l->lifetime_s) != NULL &&
	    X509_set_pubkey(x, c->key[i]) == 1 &&
	    add_extension(x, issuer, NID_basic_constraints, l->constraints) &&
	    add_extension(x, issuer, NID_key_usage, l->usage) &&
	    (!l->key_ids ||
		(add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
		    add_extension(x, issuer, NID_authority_key_identifier, "keyid"))) &&
	    X509_sign(x, c->key[up], EVP_sha384()) > 0;
}

static struct err
issue(struct soft_chain *c, unsigned i, uint64_t now_unix_s)
{
	uint8_t *der = c->der[i];
	X509 *x = X509_new();
	int n;

	if (x == NULL || !fill(c, i, x, now_unix_s) || (n = i2d_X509(x, NULL)) <= 0 ||
	    n > CERT_MAX_BYTES || i2d_X509(x, &der) != n) {
		X509_free(x);
		ERR_clear_error();
		return FAIL(SYSTEM, "software module: cannot make a certificate");
	}
	X509_free(c->cert[i]);
	c->cert[i] = x;
	c->der_len[i] = (size_t)n;
	return OK;
}

struct err
soft_chain_renew(struct soft_chain *c, uint64_t now_unix_s)
{
	if (now_unix_s + RENEW_BEFORE_S < c->leaf_until_unix_s)
		return OK;
	for (unsigned i = 1; i < SOFT_LEVELS; i++)
		TRY(issue(c, i, now_unix_s));
	c->leaf_until_unix_s = now_unix_s - (uint64_t)levels[LEAF].backdate_s +
	    (uint64_t)levels[LEAF].lifetime_s;
	return OK;
}

struct err
soft_chain_new(struct soft_chain **out, const char *module_id, uint64_t now_unix_s)
{
	struct soft_chain *c;
	struct err e = OK;

	*out = NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return FAIL(SYSTEM, "software module: memory");
	/* X.520 bounds a common name at 64 characters. */
	snprintf(c->leaf_name, sizeof(c->leaf_name), "%s", module_id);
	for (unsigned i = 0; i < SOFT_LEVELS && !failed(e); i++)
		if ((c->key[i] = EVP_EC_gen("P-384")) == NULL)
			e = FAIL(SYSTEM, "software module: cannot make a key");
	if (!failed(e))
		e = issue(c, 0, now_unix_s);
	if (!failed(e))
		e = soft_chain_renew(c, now_unix_s);
	if (failed(e))
		soft_chain_free(c);
	else
		*out = c;
	return e;
}

void
soft_chain_free(struct soft_chain *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < SOFT_LEVELS; i++) {
		EVP_PKEY_free(c->key[i]);
		X509_free(c->cert[i]);
	}
	free(c);
}

struct span
soft_chain_get(const struct soft_chain *c, unsigned level)
{
	return span_of(c->der[level], c->der_len[level]);
}

/* RFC 9053 2.1: two numbers of fixed length, where OpenSSL writes DER. */
static bool
from_der(const uint8_t *der, size_t n, uint8_t signature[static SOFT_SIGNATURE_LEN])
{
	const unsigned char *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
	bool ok = sig != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, COORD_LEN) == COORD_LEN &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + COORD_LEN, COORD_LEN) == COORD_LEN;

	ECDSA_SIG_free(sig);
	return ok;
}

struct err
soft_chain_sign(const struct soft_chain *c, const uint8_t digest[static SOFT_DIGEST_LEN],
    uint8_t signature[static SOFT_SIGNATURE_LEN])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(c->key[LEAF], NULL);
	uint8_t der[2 * SOFT_SIGNATURE_LEN];
	size_t n = sizeof(der);
	bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_sign(ctx, der, &n, digest, SOFT_DIGEST_LEN) == 1 &&
	    from_der(der, n, signature);

	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok ? OK : FAIL(SYSTEM, "software module: cannot sign");
}
