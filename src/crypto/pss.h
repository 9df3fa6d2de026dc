/*
 * pss.h - the enclave's RSA-2048 signing key and RSASSA-PSS with SHA-256, MGF1-SHA-256, salt 32.
 * Source: opengradient.md 1 and 4.3. Hides OpenSSL.
 */
#ifndef CRYPTO_PSS_H
#define CRYPTO_PSS_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum { PSS_SIG_LEN = 256, RSA_SPKI_MAX_BYTES = 2048 };

struct pss_key; /* private key; owned by the key holder alone */
struct pss_pub; /* public key, 2048 to 8192 bits, e = 65537 */

/* A new RSA-2048 key. Errors: SYSTEM. */
MUST_USE struct err pss_key_generate(struct pss_key **out);
void pss_key_free(struct pss_key *k);
/* SubjectPublicKeyInfo DER, appended to b. */
MUST_USE struct err pss_key_spki(const struct pss_key *k, struct buf *b);
/* Signature over `msg`, which is hashed once with SHA-256. Safe from several threads at once. */
MUST_USE struct err
pss_sign(const struct pss_key *k, struct span msg, uint8_t sig[static PSS_SIG_LEN]);

/* Reads SPKI DER; exactly one key, nothing after it. Errors: MALFORMED, REFUSED (not RSA, size). */
MUST_USE struct err pss_pub_parse(struct pss_pub **out, struct span spki_der);
/* Reads one PEM "PUBLIC KEY". The DER goes to spki_der (appended) for tee_id. */
MUST_USE struct err pss_pub_from_pem(struct pss_pub **out, struct span pem, struct buf *spki_der);
void pss_pub_free(struct pss_pub *k);
/* Errors: REFUSED when the signature does not fit. */
MUST_USE struct err pss_verify(const struct pss_pub *k, struct span msg, struct span sig);

#endif
