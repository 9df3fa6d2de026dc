/*
 * p256.h - points on P-256, as numbers and as OpenSSL has them. For this folder alone. Pure.
 */
#ifndef CRYPTO_P256_H
#define CRYPTO_P256_H

#include <stdbool.h>

#include <openssl/types.h>

#include "crypto/es256.h"

enum { P256_POINT_LEN = 1 + 2 * ES256_COORD_LEN };

/* SEC 1 2.3.3, uncompressed. */
void p256_put_point(const struct es256_pub *k, uint8_t point[static P256_POINT_LEN]);
/* The public half of a key; FALSE when the library does not give it. */
bool p256_read(EVP_PKEY *pkey, struct es256_pub *out);
/* The caller's; NULL when the point is not on the curve. */
EVP_PKEY *p256_pkey(const struct es256_pub *k);

#endif
