/*
 * document.h - the members of an attestation document's payload. Pure; allocates nothing.
 * Source: nitro-attestation.md 2.2, 2.3, 3 steps 3 and 4.
 */
#ifndef ATTEST_DOCUMENT_H
#define ATTEST_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

enum { PCR_COUNT = 32, PCR_LEN = 48 };
enum { ATTEST_MEMBER_MAX_BYTES = 1024 }; /* certificates, public_key, user_data, nonce */
enum { CABUNDLE_MAX = 16 };		 /* the hypervisor sends 4 */

/* Borrows the document's bytes. An optional member that is absent or null has .p == NULL. */
struct attest_document {
	struct span module_id;
	uint64_t timestamp_ms;	    /* since the Unix epoch, the hypervisor's clock */
	struct span pcr[PCR_COUNT]; /* PCR_LEN bytes, or .p == NULL: the document has no such PCR */
	struct span certificate;    /* DER of the leaf */
	struct span cabundle[CABUNDLE_MAX]; /* DER, root first */
	size_t n_cabundle;
	struct span public_key, user_data, nonce;
};

/*
 * Reads the payload. Nothing in *d is to be believed before the signature was verified: only
 * attest_verify() (attest/verify.h) hands it on.
 * Errors: MALFORMED, TOO_LARGE, REFUSED; what begins with the vectors' identifier
 */
MUST_USE struct err attest_document_read(struct attest_document *d, struct span payload);

/* PCR0, 1 and 2 are there and all zero: an enclave in debug mode. Others may not be zero. */
bool attest_document_debug(const struct attest_document *d);

#endif
