/*
 * address.h - account addresses of Ethereum chains: 20 bytes, spelled with EIP-55's letter case. Pure.
 */
#ifndef CRYPTO_ADDRESS_H
#define CRYPTO_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/span.h"

enum { ADDRESS_BYTES = 20, ADDRESS_LEN = 42 };

struct address {
	uint8_t b[ADDRESS_BYTES];
};

bool address_eq(const struct address *a, const struct address *b);
/* "0x" and 40 hex digits of any case: letter case is a checksum for people, and not judged. */
bool address_parse(struct address *a, struct span text);
/* EIP-55 spelling, no NUL. */
void address_text(const struct address *a, char out[static ADDRESS_LEN]);
void address_put(struct buf *b, const struct address *a);
/* The address of a public key: its point x || y. */
void address_of_point(struct address *a, const uint8_t point[static 64]);

#endif
