/*
 * address.h - account addresses of the chain: 20 bytes, and their spelling with a checksum. Pure.
 * Source: EIP-55.
 */
#ifndef CRYPTO_ADDRESS_H
#define CRYPTO_ADDRESS_H

#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

enum { ADDRESS_BYTES = 20, ADDRESS_LEN = 42 };

/* "0x" and 40 digits, whose letters' case is the checksum; no NUL. */
void address_put(const uint8_t address[static ADDRESS_BYTES], char out[static ADDRESS_LEN]);
/*
 * Reads either spelling: letters of one case only, or the checksum, which must then fit.
 * Errors: MALFORMED (no 40 digits), REFUSED (the checksum: a digit was mistyped)
 */
MUST_USE struct err address_parse(uint8_t out[static ADDRESS_BYTES], struct span text);

#endif
