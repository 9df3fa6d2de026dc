/*
 * jws.h - compact JWS with ES256 and nothing else. Pure. Source: RFC 7515; interfaces.md R1, R8.
 */
#ifndef CRYPTO_JWS_H
#define CRYPTO_JWS_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/es256.h"

/* Writes header.payload.signature for `payload` under `typ` (for example "tee-receipt+jwt"). */
MUST_USE struct err
jws_sign(struct buf *out, const struct es256_key *key, const char *typ, struct span payload);

/*
 * Checks a compact JWS: three strict base64url parts; a header that is exactly an object with
 * alg "ES256", the given typ and the key's kid, no other members, none twice; the signature.
 * The payload's bytes are appended to `payload` (on success only).
 * Errors: MALFORMED, REFUSED, TOO_LARGE; what names the rule.
 */
MUST_USE struct err
jws_verify(struct span jws, const struct es256_pub *key, const char *typ, struct buf *payload);

#endif
