/*
 * signature.h - the signature section of an enclave image: CBOR around a PEM certificate and a
 * COSE_Sign1 over PCR0. Reader and writer. Pure. Source: eif.md 4, RFC 8949, RFC 9052.
 *
 * Strict: definite lengths, shortest integers, the order of keys that QEMU insists on, nothing
 * after the end. Of several signatures the first is used, as the hypervisor does.
 */
#ifndef EIF_SIGNATURE_H
#define EIF_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/ecdsa.h"
#include "crypto/sha384.h"

struct eif_signature {
	bool present;
	bool good;	 /* SignatureCheck */
	const char *why; /* the first rule that it breaks; NULL when it is good */
	struct ecdsa_cert *certificate;
	struct buf certificate_der;
	uint8_t pcr8[SHA384_LEN];
};

/*
 * Reads the section and judges it: the certificate's key signed the payload, and the payload is
 * register 0 with this value. That it does not is `good`, not an error. pcr8 is left alone.
 * On success and on error alike the caller owns what is in *s: eif_signature_fini().
 * Errors: MALFORMED (no signature section at all), NOMEM, SYSTEM
 */
MUST_USE struct err eif_signature_judge(
    struct eif_signature *s, struct span section, const uint8_t pcr0[static SHA384_LEN]);
/* Safe twice. */
void eif_signature_fini(struct eif_signature *s);

/*
 * A new section, appended: `pem` (the whole text goes in) and the signature of `key` over pcr0.
 * Errors: REFUSED (key and certificate do not belong together), MALFORMED (no certificate),
 * TOO_LARGE (above EIF_SIGNATURE_MAX_BYTES), SYSTEM
 */
MUST_USE struct err eif_signature_make(struct buf *section, const struct ecdsa_key *key,
    struct span pem, const uint8_t pcr0[static SHA384_LEN]);

#endif
