/*
 * anchor.h - a receipt key and what vouches for it, read from a key set. Pure.
 * Source: interfaces.md R1-R3, RFC 7517, RFC 7638.
 */
#ifndef RECEIPT_ANCHOR_H
#define RECEIPT_ANCHOR_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/es256.h"

/* What the signing key signs to vouch for the receipt key: this, then the key's SPKI DER. */
#define RECEIPT_KEY_CONTEXT "tee-receipt-key-v1"

/* iss of every receipt of `key` is keccak(signing_spki). */
struct receipt_anchor {
	struct es256_pub key;
	struct buf signing_spki; /* RSA SPKI DER; owned */
	bool has_attestation;	 /* the JWK carries a document; it is not judged here */
	struct buf attestation;	 /* its bytes, decoded; owned */
};

/*
 * Reads the key with this kid from a JWK set as clients archive it (R3). Further members and keys
 * are passed over, as RFC 7517 5 asks; every member that is read is checked: kty, crv, x, y, kid
 * (the thumbprint), use, alg, signing_key (an RSA SPKI) and receipt_key_signature (R2 a).
 * kid		.p == NULL: the set must hold exactly one key
 * On success the caller owns the anchor: receipt_anchor_fini(). On error *a is empty.
 * Errors: MALFORMED, TOO_LARGE, REFUSED (no such key, two of them, or it is not vouched for), NOMEM
 */
MUST_USE struct err
receipt_anchor_read(struct receipt_anchor *a, struct span jwks, struct span kid);
/* Safe twice. */
void receipt_anchor_fini(struct receipt_anchor *a);

/*
 * The kid in a JWS header, before anything is verified. Appended to b.
 * Errors: MALFORMED, TOO_LARGE
 */
MUST_USE struct err receipt_kid(struct span jws, struct buf *b);

#endif
