/*
 * jwe.h - one form of compact JWE: ECDH-ES on P-256 with A256GCM, opened and never made here. Pure.
 * Source: RFC 7516 7.1, RFC 7518 4.6 and 5.3; interfaces.md P3. Hides OpenSSL.
 */
#ifndef CRYPTO_JWE_H
#define CRYPTO_JWE_H

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/es256.h"

enum { JWE_IV_LEN = 12, JWE_TAG_LEN = 16 };

/* Before its SPKI in what the signing key signs (P3). */
#define SEAL_KEY_CONTEXT "tee-sealing-key-v1"

struct seal_key; /* private key of ECDH on P-256; owned by the key holder alone */

MUST_USE struct err seal_key_generate(struct seal_key **out);
/* Wipes; NULL is fine. */
void seal_key_free(struct seal_key *k);
void seal_key_pub(const struct seal_key *k, struct es256_pub *out);

/* What a JWE says before it is opened. */
struct jwe {
	struct es256_pub epk; /* any two numbers: whether they are a point, jwe_open() finds out */
	struct span header;   /* as sent, which is authenticated with the content; borrowed */
	struct span content;  /* base64url, strict; borrowed */
	uint8_t iv[JWE_IV_LEN], tag[JWE_TAG_LEN];
};

/*
 * Five strict base64url parts, the second empty; a header that is exactly an object with alg
 * "ECDH-ES", enc "A256GCM" and epk, which is exactly a P-256 point: no crit, no zip, no apu.
 * Errors: MALFORMED, REFUSED (another alg, enc or member), TOO_LARGE; what is for the operator.
 */
MUST_USE struct err jwe_parse(struct jwe *j, struct span text);
/*
 * Appends the content, which is secret. Errors: REFUSED (a point not on the curve; a byte of it was
 * changed, or it was sealed for another key), SYSTEM, TOO_LARGE; then *plain is as it was.
 */
MUST_USE struct err jwe_open(struct buf *plain, const struct jwe *j, const struct seal_key *k);

#endif
