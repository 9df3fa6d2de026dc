/*
 * user_data.h - the 68 bytes with which an enclave binds its TLS certificate and its signing key:
 * two multihashes. Read and written here. Pure. Source: opengradient.md 2; nitro-attestation.md 5.4.
 */
#ifndef ATTEST_USER_DATA_H
#define ATTEST_USER_DATA_H

#include <stdint.h>

#include "core/err.h"
#include "core/span.h"
#include "crypto/digest.h"

enum { USER_DATA_LEN = 68 };

struct user_data {
	uint8_t tls_certificate[SHA256_LEN]; /* SHA-256 of the whole certificate's DER */
	uint8_t signing_key[SHA256_LEN];     /* SHA-256 of the key's SPKI DER */
};

void user_data_encode(const struct user_data *u, uint8_t out[static USER_DATA_LEN]);
/* Errors: MALFORMED ("user_data: ...": another length, or other multihash prefixes) */
MUST_USE struct err user_data_parse(struct user_data *u, struct span bytes);

#endif
