/*
 * crc32.h - the CRC-32 of zlib, gzip and IEEE 802.3, eight bytes a step. Pure.
 * It finds accidents; it is no protection. Source: eif.md 1.3.
 */
#ifndef EIF_CRC32_H
#define EIF_CRC32_H

#include <stdint.h>

#include "core/span.h"

struct crc32 {
	uint32_t state;
	uint32_t table[8][256]; /* table[k]: what a byte does k bytes later */
};

void crc32_init(struct crc32 *c);
void crc32_update(struct crc32 *c, struct span s);
/* The CRC of what was absorbed so far; it may go on. */
uint32_t crc32_value(const struct crc32 *c);

#endif
