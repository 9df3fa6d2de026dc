/*
 * recover.h - who made an ECDSA signature over secp256k1. Hides libsecp256k1.
 */
#ifndef CRYPTO_RECOVER_H
#define CRYPTO_RECOVER_H

#include <stdint.h>

#include "core/err.h"
#include "crypto/address.h"

enum { RECOVER_SIG_LEN = 65 };

/*
 * The address whose key signed `digest`; sig is r || s || v.
 * Errors: REFUSED: v is not 27 or 28 (0 and 1 are refused by contracts), s is above half the
 *	order (the malleable twin; M8), r or s is out of range, or no key fits.
 */
MUST_USE struct err recover_signer(struct address *signer, const uint8_t digest[static 32],
    const uint8_t sig[static RECOVER_SIG_LEN]);

#endif
