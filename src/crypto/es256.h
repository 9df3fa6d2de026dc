/*
 * es256.h - the receipt key: ECDSA P-256 with SHA-256, signatures as r || s (JWS form).
 * Source: RFC 7518 3.4, RFC 7638. Hides OpenSSL.
 */
#ifndef CRYPTO_ES256_H
#define CRYPTO_ES256_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum { ES256_SIG_LEN = 64, ES256_COORD_LEN = 32, ES256_KID_LEN = 43 };

struct es256_key; /* private key; owned by the key holder alone */

/* A public key: the two coordinates are its value. */
struct es256_pub {
	uint8_t x[ES256_COORD_LEN], y[ES256_COORD_LEN];
};

MUST_USE struct err es256_key_generate(struct es256_key **out);
void es256_key_free(struct es256_key *k);
void es256_key_pub(const struct es256_key *k, struct es256_pub *out);
/* The thumbprint of its public key, as es256_pub_kid() makes it; borrowed from the key. */
struct span es256_key_kid(const struct es256_key *k);
/* Signature over `msg`, hashed once. Safe from several threads at once. */
MUST_USE struct err
es256_sign(const struct es256_key *k, struct span msg, uint8_t sig[static ES256_SIG_LEN]);

/* SubjectPublicKeyInfo DER (91 bytes, uncompressed point), appended to b. */
void es256_pub_spki(const struct es256_pub *k, struct buf *b);
/* RFC 7638 thumbprint, base64url, no NUL. */
void es256_pub_kid(const struct es256_pub *k, char out[static ES256_KID_LEN]);
/* Errors: REFUSED (point not on the curve, or the signature does not fit). */
MUST_USE struct err es256_verify(const struct es256_pub *k, struct span msg, struct span sig);

#endif
