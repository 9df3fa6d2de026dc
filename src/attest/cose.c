#include "attest/cose.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "attest/cbor.h"

enum { TAG_COSE_SIGN1 = 0xd2, N_MEMBERS = 4, HEADER_ALG = 1, ES384_IS = 34 /* -1 - 34 = -35 */ };
enum { COORD_LEN = ES384_SIG_LEN / 2, ECDSA_DER_MAX_BYTES = 128 };

/* The order of P-384 (SEC 2, 2.5.1). */
static const uint8_t p384_order[COORD_LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7,
	0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73 };

static struct err
check_protected(struct span header)
{
	struct cbor_item map, key, value;
	struct cbor_children pairs;
	struct span rest = header;

	TRY(cbor_check(&rest));
	if (rest.n != 0)
		return FAIL(MALFORMED, "cose-structure: RFC 9052 3: bytes after the header");
	TRY(cbor_next(&header, &map));
	if (map.major != CBOR_MAP)
		return FAIL(MALFORMED, "cose-structure: RFC 9052 3: the header is no map");
	pairs = cbor_children(&map, header);
	if (!cbor_child(&pairs, &key) || key.major != CBOR_UINT || key.value != HEADER_ALG ||
	    !cbor_child(&pairs, &value) || value.major != CBOR_NEGATIVE ||
	    value.value != ES384_IS || cbor_child(&pairs, &key))
		return FAIL(
		    REFUSED, "cose-alg: nitro-attestation.md 2.1: the header is not ES384 alone");
	return OK;
}

static struct err
check_sizes(const struct cose *c)
{
	if (c->payload.n == 0 || c->payload.n > COSE_PAYLOAD_MAX_BYTES)
		return FAIL(TOO_LARGE,
		    "payload-size: nitro-attestation.md 2.1: the payload has 1 to 16384 bytes");
	if (c->signature.n != ES384_SIG_LEN)
		return FAIL(MALFORMED,
		    "cose-sig-length: nitro-attestation.md 2.1: the signature has 96 bytes");
	return OK;
}

struct err
cose_read(struct cose *c, struct span document)
{
	struct cbor_item array, item[N_MEMBERS];
	struct cbor_children members;
	struct span rest;

	*c = (struct cose){ 0 };
	if (document.n > COSE_MAX_BYTES)
		return FAIL(
		    TOO_LARGE, "too-large: nitro-attestation.md 3.1: more than 32768 bytes");
	if (document.n > 0 && document.p[0] == TAG_COSE_SIGN1)
		document = span_cut(document, 1, document.n);
	rest = document;
	TRY(cbor_check(&rest));
	if (rest.n != 0)
		return FAIL(MALFORMED,
		    "trailing-bytes: nitro-attestation.md 3.2: bytes after the envelope");
	TRY(cbor_next(&document, &array));
	if (array.major != CBOR_ARRAY || array.indefinite || array.value != N_MEMBERS)
		return FAIL(MALFORMED, "cose-structure: RFC 9052 4.2: not an array of four");
	members = cbor_children(&array, document);
	for (int i = 0; i < N_MEMBERS; i++) {
		if (!cbor_child(&members, &item[i]))
			return FAIL(MALFORMED, "cose-structure: RFC 9052 4.2: a member is missing");
		cbor_pass(&members.at, &item[i]);
	}
	if (item[0].major != CBOR_BYTES || item[1].major != CBOR_MAP ||
	    item[2].major != CBOR_BYTES || item[3].major != CBOR_BYTES)
		return FAIL(MALFORMED, "cose-structure: RFC 9052 4.2: a member of another type");
	*c = (struct cose){ item[0].bytes, item[2].bytes, item[3].bytes };
	TRY(check_protected(c->protected_header));
	if (item[1].value != 0 || item[1].indefinite)
		return FAIL(REFUSED,
		    "cose-unprotected: nitro-attestation.md 2.1: the unprotected header is not "
		    "empty");
	return check_sizes(c);
}

/* 0 < v < order; big endian, so the order of the bytes is that of the numbers. */
static bool
in_range(struct span v)
{
	static const uint8_t zero[COORD_LEN];

	return !span_eq(v, span_of(zero, sizeof(zero))) &&
	    span_cmp(v, span_of(p384_order, sizeof(p384_order))) < 0;
}

/* ECDSA-Sig-Value as OpenSSL wants it; its length, 0 when memory is refused. */
static size_t
signature_der(struct span raw, uint8_t der[static ECDSA_DER_MAX_BYTES])
{
	BIGNUM *r = BN_bin2bn(raw.p, COORD_LEN, NULL);
	BIGNUM *s = BN_bin2bn(raw.p + COORD_LEN, COORD_LEN, NULL);
	ECDSA_SIG *sig = ECDSA_SIG_new();
	unsigned char *out = der;
	int n = 0;

	if (r != NULL && s != NULL && sig != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* the signature's now */
		n = i2d_ECDSA_SIG(sig, NULL);
		n = n > 0 && n <= ECDSA_DER_MAX_BYTES ? i2d_ECDSA_SIG(sig, &out) : 0;
	}
	ECDSA_SIG_free(sig);
	BN_free(s);
	BN_free(r);
	return n > 0 ? (size_t)n : 0;
}

/* The head of a byte string in its shortest form (RFC 9052 4.4); n is at most 65535. */
static bool
absorb_bytes(EVP_MD_CTX *ctx, struct span s)
{
	uint8_t head[3] = { 0x59, (uint8_t)(s.n >> 8), (uint8_t)s.n };
	uint8_t medium[2] = { 0x58, (uint8_t)s.n }, small = (uint8_t)(0x40 + s.n);
	struct span h = s.n > 255 ? span_of(head, sizeof(head))
	    : s.n > 23		  ? span_of(medium, sizeof(medium))
				  : span_of(&small, 1);

	return EVP_DigestVerifyUpdate(ctx, h.p, h.n) == 1 &&
	    EVP_DigestVerifyUpdate(ctx, s.p, s.n) == 1;
}

/* Sig_structure: array of four, "Signature1", protected header, empty external data, payload. */
static bool
verify(const struct cose *c, EVP_PKEY *key, struct span der)
{
	static const struct span begin = SPAN_LIT("\x84\x6aSignature1"),
				 external = SPAN_LIT("\x40");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL, key) == 1 &&
	    EVP_DigestVerifyUpdate(ctx, begin.p, begin.n) == 1 &&
	    absorb_bytes(ctx, c->protected_header) &&
	    EVP_DigestVerifyUpdate(ctx, external.p, external.n) == 1 &&
	    absorb_bytes(ctx, c->payload) && EVP_DigestVerifyFinal(ctx, der.p, der.n) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

struct err
cose_verify(const struct cose *c, EVP_PKEY *p384_key)
{
	uint8_t der[ECDSA_DER_MAX_BYTES];
	size_t n;

	/* High s is no fault: half of the genuine documents have it. */
	if (!in_range(span_cut(c->signature, 0, COORD_LEN)) ||
	    !in_range(span_cut(c->signature, COORD_LEN, ES384_SIG_LEN)))
		return FAIL(REFUSED,
		    "cose-sig-range: nitro-attestation.md 2.1: r or s is not below the order");
	if ((n = signature_der(c->signature, der)) == 0)
		return FAIL(NOMEM, "attestation: memory for a signature");
	if (!verify(c, p384_key, span_of(der, n)))
		return FAIL(REFUSED,
		    "cose-signature: nitro-attestation.md 3.6: the leaf's key did not sign this");
	return OK;
}
