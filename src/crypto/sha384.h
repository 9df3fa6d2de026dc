/*
 * sha384.h - SHA-384 over OpenSSL's EVP: what a Nitro enclave's registers are made of. Pure.
 */
#ifndef CRYPTO_SHA384_H
#define CRYPTO_SHA384_H

#include <stdint.h>

#include "core/span.h"

enum { SHA384_LEN = 48 };

/* A running hash. */
struct sha384;

/* NULL when memory is refused. */
struct sha384 *sha384_new(void);
void sha384_free(struct sha384 *h);
void sha384_update(struct sha384 *h, struct span s);
/* `to` goes on from where `from` is; what it had absorbed is forgotten. */
void sha384_copy(struct sha384 *to, const struct sha384 *from);
/* Digest of what was absorbed; the hash must not be used again but to be freed. */
void sha384_finish(struct sha384 *h, uint8_t out[static SHA384_LEN]);

void sha384_of(struct span s, uint8_t out[static SHA384_LEN]);

#endif
