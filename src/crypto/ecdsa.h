/*
 * ecdsa.h - ECDSA with a PEM key and the X.509 certificate that belongs to it, on P-256, P-384 and
 * P-521 with SHA-256, SHA-384 and SHA-512: how enclave images are signed. Signatures are r || s of
 * fixed width, as COSE has them. Pure: no clock, so validity is the caller's question.
 * Source: RFC 9053 2.1, eif.md 4. Hides OpenSSL.
 */
#ifndef CRYPTO_ECDSA_H
#define CRYPTO_ECDSA_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum ecdsa_alg { ECDSA_ES256, ECDSA_ES384, ECDSA_ES512, ECDSA_N_ALGS, ECDSA_NONE = ECDSA_N_ALGS };

enum { ECDSA_SIG_MAX_BYTES = 132, ECDSA_CERT_MAX_BYTES = 32768 };

struct ecdsa_cert;
struct ecdsa_key; /* private key */

/*
 * The first certificate of a PEM text; what surrounds it and follows it is passed over.
 * Errors: MALFORMED (there is none, or it is not DER), SYSTEM
 */
MUST_USE struct err ecdsa_cert_from_pem(struct ecdsa_cert **out, struct span pem);
void ecdsa_cert_free(struct ecdsa_cert *c);
/* The algorithm of its key; ECDSA_NONE when the key is of another kind. */
enum ecdsa_alg ecdsa_cert_alg(const struct ecdsa_cert *c);
/* Its DER, appended. */
MUST_USE struct err ecdsa_cert_der(const struct ecdsa_cert *c, struct buf *der);
/* Errors: REFUSED (another kind of key, or the signature does not fit), SYSTEM */
MUST_USE struct err ecdsa_cert_verify(const struct ecdsa_cert *c, struct span msg, struct span sig);
/*
 * What nitro-cli shows of a certificate, as one JSON object, appended: IssuerName (names and
 * values), Algorithm, NotBefore, NotAfter, Signature. What has no text (a date that is none) is
 * null: a certificate that a stranger made is no reason to say nothing. Errors: TOO_LARGE
 */
MUST_USE struct err ecdsa_cert_describe(const struct ecdsa_cert *c, struct buf *json);

/*
 * A private key from PEM, without a passphrase. Errors: MALFORMED, REFUSED (not on one of the
 * curves)
 */
MUST_USE struct err ecdsa_key_from_pem(struct ecdsa_key **out, struct span pem);
void ecdsa_key_free(struct ecdsa_key *k);
enum ecdsa_alg ecdsa_key_alg(const struct ecdsa_key *k);
/* The certificate is for this key. */
bool ecdsa_key_fits(const struct ecdsa_key *k, const struct ecdsa_cert *c);
/* Appended to sig. The nonce is random: two signatures differ. Errors: SYSTEM */
MUST_USE struct err ecdsa_key_sign(const struct ecdsa_key *k, struct span msg, struct buf *sig);

#endif
