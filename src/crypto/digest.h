/*
 * digest.h - SHA-256 over OpenSSL's EVP. Pure.
 */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

enum { SHA256_LEN = 32 };

/* A running hash that also counts what it absorbed. */
struct sha256;

/* NULL when memory is refused. */
struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *h);
void sha256_update(struct sha256 *h, struct span s);
/* Bytes absorbed so far. */
uint64_t sha256_count(const struct sha256 *h);
/* Digest of what was absorbed so far; the hash may go on. */
void sha256_peek(const struct sha256 *h, uint8_t out[static SHA256_LEN]);

void sha256_of(struct span s, uint8_t out[static SHA256_LEN]);

#endif
