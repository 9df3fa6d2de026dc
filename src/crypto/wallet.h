/*
 * wallet.h - the enclave's secp256k1 key. Only its address is used: opengradient.md 1. Hides OpenSSL.
 */
#ifndef CRYPTO_WALLET_H
#define CRYPTO_WALLET_H

#include <stdint.h>

#include "core/err.h"

enum { WALLET_POINT_LEN = 64 };

struct wallet_key; /* private key; owned by the key holder alone */

/* Errors: SYSTEM. */
MUST_USE struct err wallet_key_generate(struct wallet_key **out);
void wallet_key_free(struct wallet_key *k);
/* The public point x || y, of which keccak-256 makes the address (crypto/address.h). */
void wallet_key_point(const struct wallet_key *k, uint8_t out[static WALLET_POINT_LEN]);

#endif
