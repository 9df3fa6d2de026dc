#include "receipt/anchor.h"

#include "codec/b64.h"
#include "codec/json.h"
#include "core/limits.h"
#include "crypto/pss.h"

/* A key with its attestation document is below 32 KiB; a set holds a few. */
enum { JWKS_MAX_BYTES = 1 << 20, JWKS_MAX_NODES = 4096 };
enum { HEADER_MAX_BYTES = 512, HEADER_MAX_NODES = 16, KID_MAX_BYTES = 64 };
enum { SPKI_MAX_BYTES = 128, SIGNATURE_MAX_BYTES = 1024, DOCUMENT_MAX_BYTES = 32768 };

void
receipt_anchor_fini(struct receipt_anchor *a)
{
	buf_fini(&a->signing_spki);
	buf_fini(&a->attestation);
	a->key = (struct es256_pub){ 0 };
	a->has_attestation = false;
}

/* A string member without escapes: base64 needs none, and one value must have one spelling. */
static bool
plain_string(const struct json *doc, uint32_t at, struct span *out)
{
	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING || doc->node[at].count != 0)
		return false;
	*out = json_inner(doc, at);
	return true;
}

struct err
receipt_kid(struct span jws, struct buf *b)
{
	size_t dot = span_find(jws, SPAN_LIT("."), 0);
	struct json doc = { 0 };
	struct buf header;
	struct span kid;
	struct err e;

	if (dot == SIZE_MAX)
		return FAIL(MALFORMED, "RFC 7515 3.1: not three parts");
	buf_init(&header, HEADER_MAX_BYTES);
	if (!failed(e = b64url_parse(&header, span_cut(jws, 0, dot))) &&
	    !failed(e = json_parse(&doc, buf_span(&header), HEADER_MAX_NODES))) {
		if (!plain_string(&doc, json_get(&doc, 0, "kid"), &kid) || kid.n == 0 ||
		    kid.n > KID_MAX_BYTES)
			e = FAIL(MALFORMED, "RFC 7515 4.1.4: no kid in the header");
		else
			buf_put(b, kid);
	}
	json_fini(&doc);
	buf_fini(&header);
	return failed(e) ? e : buf_check(b);
}

/* The one key of the set that is meant; of equal kids none is. */
static struct err
find_key(const struct json *doc, struct span kid, uint32_t *found)
{
	uint32_t keys = json_get(doc, 0, "keys");
	struct span name;

	*found = JSON_NONE;
	if (keys == JSON_NONE || json_type(doc, keys) != JSON_ARRAY)
		return FAIL(MALFORMED, "RFC 7517 5: a key set has an array of keys");
	for (uint32_t k = json_first(doc, keys); k != JSON_NONE; k = json_after(doc, keys, k)) {
		if (json_type(doc, k) != JSON_OBJECT)
			return FAIL(MALFORMED, "RFC 7517 5: a key is not an object");
		if (kid.p != NULL &&
		    (!plain_string(doc, json_get(doc, k, "kid"), &name) || !span_eq(name, kid)))
			continue;
		if (*found != JSON_NONE)
			return FAIL(REFUSED, "RFC 7517 4.5: two keys could be meant");
		*found = k;
	}
	if (*found == JSON_NONE)
		return FAIL(REFUSED, "RFC 7517 4.5: no such key in the key set");
	return OK;
}

static bool
read_coordinate(const struct json *doc, uint32_t at, uint8_t out[static ES256_COORD_LEN])
{
	struct span text;
	struct buf b;
	bool ok;

	if (!plain_string(doc, at, &text))
		return false;
	buf_init(&b, ES256_COORD_LEN);
	ok = !failed(b64url_parse(&b, text)) && b.n == ES256_COORD_LEN;
	if (ok)
		memcpy(out, b.p, ES256_COORD_LEN);
	buf_fini(&b);
	return ok;
}

static struct err
read_key(struct receipt_anchor *a, const struct json *doc, uint32_t jwk)
{
	char thumbprint[ES256_KID_LEN];
	struct span kid;

	if (!json_is(doc, json_get(doc, jwk, "kty"), "EC") ||
	    !json_is(doc, json_get(doc, jwk, "crv"), "P-256"))
		return FAIL(REFUSED, "interfaces.md R1: the receipt key is not on P-256");
	if (!json_is(doc, json_get(doc, jwk, "alg"), "ES256") ||
	    !json_is(doc, json_get(doc, jwk, "use"), "sig"))
		return FAIL(
		    REFUSED, "interfaces.md R1: the receipt key is not for ES256 signatures");
	if (!read_coordinate(doc, json_get(doc, jwk, "x"), a->key.x) ||
	    !read_coordinate(doc, json_get(doc, jwk, "y"), a->key.y))
		return FAIL(
		    MALFORMED, "RFC 7518 6.2.1.2: a coordinate is not 32 bytes of base64url");
	es256_pub_kid(&a->key, thumbprint);
	if (!plain_string(doc, json_get(doc, jwk, "kid"), &kid) ||
	    !span_eq(kid, span_of(thumbprint, sizeof(thumbprint))))
		return FAIL(REFUSED, "interfaces.md R1: kid is not the key's RFC 7638 thumbprint");
	return OK;
}

/* R2 a: the RSA key that signs answers says that the receipt key is its own. */
static struct err
check_vouched(const struct receipt_anchor *a, struct span signature_text)
{
	struct pss_pub *signer = NULL;
	struct buf message, signature;
	struct err e;

	buf_init(&message, sizeof(RECEIPT_KEY_CONTEXT) + SPKI_MAX_BYTES);
	buf_init(&signature, SIGNATURE_MAX_BYTES);
	buf_put_str(&message, RECEIPT_KEY_CONTEXT);
	es256_pub_spki(&a->key, &message);
	if (!failed(e = buf_check(&message)) &&
	    !failed(e = b64_parse(&signature, signature_text)) &&
	    !failed(e = pss_pub_parse(&signer, buf_span(&a->signing_spki)))) {
		e = pss_verify(signer, buf_span(&message), buf_span(&signature));
		if (e.code == ERR_REFUSED)
			e = FAIL(REFUSED,
			    "interfaces.md R2: receipt_key_signature does not fit the signing key");
	}
	pss_pub_free(signer);
	buf_fini(&signature);
	buf_fini(&message);
	return e;
}

static struct err
read_voucher(struct receipt_anchor *a, const struct json *doc, uint32_t jwk)
{
	uint32_t attestation = json_get(doc, jwk, "attestation");
	struct span spki, signature, document;

	if (!plain_string(doc, json_get(doc, jwk, "signing_key"), &spki) ||
	    !plain_string(doc, json_get(doc, jwk, "receipt_key_signature"), &signature))
		return FAIL(MALFORMED,
		    "interfaces.md R3: signing_key or receipt_key_signature is missing in the key");
	if ((a->has_attestation = attestation != JSON_NONE)) {
		if (!plain_string(doc, attestation, &document) ||
		    failed(b64_parse(&a->attestation, document)))
			return FAIL(MALFORMED,
			    "interfaces.md R3: attestation is not Base64, or above 32 KiB");
	}
	TRY(b64url_parse(&a->signing_spki, spki));
	return check_vouched(a, signature);
}

struct err
receipt_anchor_read(struct receipt_anchor *a, struct span jwks, struct span kid)
{
	struct json doc;
	struct err e;
	uint32_t jwk;

	*a = (struct receipt_anchor){ 0 };
	buf_init(&a->signing_spki, RSA_SPKI_MAX_BYTES);
	buf_init(&a->attestation, DOCUMENT_MAX_BYTES);
	if (jwks.n > JWKS_MAX_BYTES)
		return FAIL(TOO_LARGE, "key set: above 1 MiB");
	TRY(json_parse(&doc, jwks, JWKS_MAX_NODES));
	if (!failed(e = json_no_duplicates(&doc)) && !failed(e = find_key(&doc, kid, &jwk)) &&
	    !failed(e = read_key(a, &doc, jwk)))
		e = read_voucher(a, &doc, jwk);
	json_fini(&doc);
	if (failed(e))
		receipt_anchor_fini(a);
	return e;
}
