/*
 * rng.h - the one door for randomness: OpenSSL's DRBG, seeded by the kernel.
 */
#ifndef CRYPTO_RNG_H
#define CRYPTO_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Fills n bytes; ends the process when there is no randomness: nothing here can go on without. */
void rng_bytes(uint8_t *p, size_t n);

enum { UUID_LEN = 36 };
/* A fresh UUIDv4 in lower-case text form (RFC 9562 5.4); out gets no NUL. */
void rng_uuid(char out[static UUID_LEN]);

#endif
