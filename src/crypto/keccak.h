/*
 * keccak.h - keccak-256 as Ethereum uses it (padding 0x01, not SHA-3's 0x06). Pure.
 * Source: the Keccak reference, version 3; OpenSSL 3.0 has SHA-3 only.
 */
#ifndef CRYPTO_KECCAK_H
#define CRYPTO_KECCAK_H

#include <stdint.h>

#include "core/span.h"

enum { KECCAK_LEN = 32 };

struct keccak {
	uint64_t state[25];
	uint32_t at; /* bytes absorbed into the current block */
};

void keccak_init(struct keccak *k);
void keccak_update(struct keccak *k, struct span s);
/* Writes the digest and wipes the state. */
void keccak_final(struct keccak *k, uint8_t out[static KECCAK_LEN]);
void keccak_256(struct span s, uint8_t out[static KECCAK_LEN]);

#endif
