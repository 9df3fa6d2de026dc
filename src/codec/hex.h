/*
 * hex.h - lower-case hexadecimal. Pure.
 */
#ifndef CODEC_HEX_H
#define CODEC_HEX_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

/* Two lower-case digits a byte. */
void hex_put(struct buf *b, struct span bytes);
/* Exactly n bytes from 2n digits of either case. Errors: MALFORMED. */
MUST_USE struct err hex_parse(uint8_t *out, size_t n, struct span text);

#endif
