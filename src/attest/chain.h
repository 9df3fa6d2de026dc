/*
 * chain.h - the certificates of an attestation document, from the pinned root to the leaf. Pure.
 * Source: nitro-attestation.md 2.5, 3 step 5; RFC 5280.
 *
 * The chain is walked in exactly the order in which it was sent: there is no path search and no
 * trust store. OpenSSL takes certificates apart and checks signatures; every rule is here.
 */
#ifndef ATTEST_CHAIN_H
#define ATTEST_CHAIN_H

#include <openssl/types.h>
#include <stdint.h>

#include "attest/document.h"
#include "core/err.h"
#include "core/span.h"

/*
 * Verifies root, cabundle and leaf of `d` at one time.
 * root_der	the pinned root; cabundle[0] must be these bytes, and these are used
 * at_unix_s	must lie within every certificate's validity, bounds included
 * *leaf_key	the leaf's public key, on P-384; the caller's: EVP_PKEY_free(). NULL on error
 * Errors:	MALFORMED, REFUSED, NOMEM; what begins with the vectors' identifier
 */
MUST_USE struct err attest_chain_verify(
    const struct attest_document *d, struct span root_der, uint64_t at_unix_s, EVP_PKEY **leaf_key);

#endif
