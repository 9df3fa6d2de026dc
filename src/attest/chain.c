#include "attest/chain.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <time.h>

#include "attest/der.h"
#include "crypto/ct.h"

enum { X509_V3 = 2, UTC_TIME_LEN = 13, GENERALIZED_TIME_LEN = 15 };

struct extensions {
	bool has_bc, bc_critical, is_ca, has_path_len;
	bool has_ku;
	uint64_t path_len;
	uint32_t usage; /* KU_* */
};

/* Strict DER, one certificate, version 3. The caller frees *out. */
static struct err
parse(struct span der, X509 **out)
{
	const unsigned char *p = der.p;

	*out = der_is_strict(der) ? d2i_X509(NULL, &p, (long)der.n) : NULL;
	ERR_clear_error();
	if (*out != NULL && p == der.p + der.n && X509_get_version(*out) == X509_V3)
		return OK;
	X509_free(*out);
	*out = NULL;
	return FAIL(MALFORMED, "x509-parse: nitro-attestation.md 3.5.2: not one X.509 v3 in DER");
}

static bool
is_ecdsa_sha384(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid;
	int type;

	X509_ALGOR_get0(&oid, &type, NULL, alg);
	return OBJ_obj2nid(oid) == NID_ecdsa_with_SHA384 && type == V_ASN1_UNDEF;
}

static struct err
check_algorithms(const X509 *x)
{
	const X509_ALGOR *outer, *key_alg;
	const ASN1_OBJECT *oid, *curve;
	X509_ALGOR *alg;
	int type;

	X509_get0_signature(NULL, &outer, x);
	if (!is_ecdsa_sha384(outer) || !is_ecdsa_sha384(X509_get0_tbs_sigalg(x)))
		return FAIL(REFUSED,
		    "x509-sigalg: nitro-attestation.md 3.5.2: not ecdsa-with-SHA384 in both "
		    "places");
	if (X509_PUBKEY_get0_param(NULL, NULL, NULL, &alg, X509_get_X509_PUBKEY(x)) != 1)
		return FAIL(MALFORMED, "x509-parse: nitro-attestation.md 3.5.2: no public key");
	key_alg = alg;
	X509_ALGOR_get0(&oid, &type, (const void **)&curve, key_alg);
	if (OBJ_obj2nid(oid) != NID_X9_62_id_ecPublicKey || type != V_ASN1_OBJECT ||
	    OBJ_obj2nid(curve) != NID_secp384r1)
		return FAIL(REFUSED, "x509-keytype: nitro-attestation.md 3.5.2: no key on P-384");
	if (X509_get0_pubkey(x) == NULL)
		return FAIL(REFUSED,
		    "x509-pubkey: nitro-attestation.md 3.5.2: the key's point is not on the curve");
	return OK;
}

static struct err
read_basic_constraints(struct extensions *e, X509_EXTENSION *ext, bool critical)
{
	BASIC_CONSTRAINTS *bc = X509V3_EXT_d2i(ext);
	bool good = bc != NULL;

	if (good) {
		e->has_bc = true;
		e->bc_critical = critical;
		e->is_ca = bc->ca != 0;
		e->has_path_len = bc->pathlen != NULL;
		good = bc->pathlen == NULL ||
		    ASN1_INTEGER_get_uint64(&e->path_len, bc->pathlen) == 1;
	}
	BASIC_CONSTRAINTS_free(bc);
	return good ? OK : FAIL(MALFORMED, "x509-parse: RFC 5280 4.2.1.9: basicConstraints");
}

static struct err
read_key_usage(struct extensions *e, X509_EXTENSION *ext)
{
	ASN1_BIT_STRING *bits = X509V3_EXT_d2i(ext);

	if (bits == NULL)
		return FAIL(MALFORMED, "x509-parse: RFC 5280 4.2.1.3: keyUsage");
	e->has_ku = true;
	/* Bit 0 of the string is the highest bit of its first byte; KU_* are written so. */
	if (ASN1_STRING_length(bits) > 0)
		e->usage = ASN1_STRING_get0_data(bits)[0];
	ASN1_BIT_STRING_free(bits);
	return OK;
}

static struct err
read_extension(struct extensions *e, X509_EXTENSION *ext)
{
	const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(ext);
	bool critical = X509_EXTENSION_get_critical(ext) == 1;
	int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));

	if (nid != NID_basic_constraints && nid != NID_key_usage)
		return critical ? FAIL(REFUSED,
				      "x509-unknown-critical: nitro-attestation.md 3.5.2: a "
				      "critical extension that is not understood")
				: OK;
	if (!der_is_strict(
		span_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value))))
		return FAIL(MALFORMED, "x509-parse: RFC 5280 4.2: an extension is not DER");
	return nid == NID_basic_constraints ? read_basic_constraints(e, ext, critical)
					    : read_key_usage(e, ext);
}

static struct err
read_extensions(struct extensions *e, const X509 *x)
{
	*e = (struct extensions){ 0 };
	for (int i = 0; i < X509_get_ext_count(x); i++) {
		X509_EXTENSION *ext = X509_get_ext(x, i);

		if (X509_get_ext_by_OBJ(x, X509_EXTENSION_get_object(ext), i) != -1)
			return FAIL(MALFORMED, "x509-parse: RFC 5280 4.2: an extension twice");
		TRY(read_extension(e, ext));
	}
	return OK;
}

/* UTCTime or GeneralizedTime in DER's one form (to the second, Z), as Unix seconds. */
static bool
read_time(const ASN1_TIME *t, uint64_t *unix_s)
{
	int want = ASN1_STRING_type(t) == V_ASN1_UTCTIME ? UTC_TIME_LEN : GENERALIZED_TIME_LEN;
	struct tm tm;
	time_t s;

	if (ASN1_STRING_length(t) != want || ASN1_STRING_get0_data(t)[want - 1] != 'Z' ||
	    ASN1_TIME_to_tm(t, &tm) != 1 || (s = timegm(&tm)) < 0)
		return false;
	*unix_s = (uint64_t)s;
	return true;
}

static struct err
check_validity(const X509 *x, uint64_t at_unix_s)
{
	uint64_t from, until;

	if (!read_time(X509_get0_notBefore(x), &from) || !read_time(X509_get0_notAfter(x), &until))
		return FAIL(MALFORMED, "x509-parse: RFC 5280 4.1.2.5: a time");
	if (at_unix_s < from)
		return FAIL(REFUSED,
		    "cert-not-yet-valid: nitro-attestation.md 3.5.3: a certificate is of later");
	if (at_unix_s > until)
		return FAIL(
		    REFUSED, "cert-expired: nitro-attestation.md 3.5.3: a certificate has expired");
	return OK;
}

/* cas_below: how many CA certificates follow this one. */
static struct err
check_ca(const struct extensions *e, size_t cas_below)
{
	if (!e->has_bc || !e->bc_critical || !e->is_ca)
		return FAIL(REFUSED,
		    "issuer-not-ca: nitro-attestation.md 3.5.4: no critical basicConstraints with "
		    "CA true");
	if (!e->has_ku || (e->usage & KU_KEY_CERT_SIGN) == 0)
		return FAIL(REFUSED,
		    "issuer-ku: nitro-attestation.md 3.5.4: an issuer may not sign certificates");
	if (e->has_path_len && e->path_len < cas_below)
		return FAIL(REFUSED,
		    "path-length: nitro-attestation.md 3.5.4: more CAs below than allowed");
	return OK;
}

static struct err
check_leaf(const struct extensions *e)
{
	if (e->is_ca || e->has_path_len)
		return FAIL(REFUSED, "leaf-is-ca: nitro-attestation.md 3.5.5: the leaf is a CA");
	if (!e->has_ku || (e->usage & KU_DIGITAL_SIGNATURE) == 0)
		return FAIL(REFUSED,
		    "leaf-ku: nitro-attestation.md 3.5.5: the leaf may not sign documents");
	return OK;
}

static bool
same_name(const X509_NAME *a, const X509_NAME *b)
{
	const unsigned char *pa, *pb;
	size_t na, nb;

	return X509_NAME_get0_der(a, &pa, &na) == 1 && X509_NAME_get0_der(b, &pb, &nb) == 1 &&
	    span_eq(span_of(pa, na), span_of(pb, nb));
}

static struct err
check_issued(X509 *x, X509 *issuer)
{
	int good;

	if (!same_name(X509_get_issuer_name(x), X509_get_subject_name(issuer)))
		return FAIL(REFUSED,
		    "issuer-name: nitro-attestation.md 3.5.6: the issuer's name is another");
	good = X509_verify(x, X509_get0_pubkey(issuer));
	ERR_clear_error();
	return good == 1
	    ? OK
	    : FAIL(REFUSED,
		  "cert-signature: nitro-attestation.md 3.5.6: the issuer did not sign this");
}

/* One certificate: its own rules, then that the one above it issued it (none above the root). */
static struct err
check_certificate(X509 *x, X509 *issuer, uint64_t at_unix_s, bool leaf, size_t cas_below)
{
	struct extensions e;

	TRY(check_algorithms(x));
	TRY(read_extensions(&e, x));
	TRY(check_validity(x, at_unix_s));
	TRY(leaf ? check_leaf(&e) : check_ca(&e, cas_below));
	return issuer == NULL ? OK : check_issued(x, issuer);
}

static struct err
walk(const struct attest_document *d, struct span root_der, uint64_t at_unix_s, X509 **above)
{
	for (size_t i = 0; i <= d->n_cabundle; i++) {
		bool leaf = i == d->n_cabundle;
		struct span der = leaf ? d->certificate : i == 0 ? root_der : d->cabundle[i];
		struct err e;
		X509 *x;

		TRY(parse(der, &x));
		e = check_certificate(x, *above, at_unix_s, leaf, leaf ? 0 : d->n_cabundle - 1 - i);
		X509_free(*above);
		*above = x;
		TRY(e);
	}
	return OK;
}

struct err
attest_chain_verify(
    const struct attest_document *d, struct span root_der, uint64_t at_unix_s, EVP_PKEY **leaf_key)
{
	X509 *last = NULL;
	struct err e;

	*leaf_key = NULL;
	if (!ct_equal(d->cabundle[0], root_der))
		return FAIL(REFUSED,
		    "untrusted-root: nitro-attestation.md 3.5.1: cabundle does not begin with the "
		    "pinned root");
	if (!failed(e = walk(d, root_der, at_unix_s, &last)) &&
	    (*leaf_key = X509_get_pubkey(last)) == NULL)
		e = FAIL(NOMEM, "attestation: memory for a key");
	X509_free(last);
	ERR_clear_error();
	return e;
}
