/*
 * decimal.h - numbers as text: Python's repr() of a double. Pure, no locale.
 */
#ifndef CODEC_DECIMAL_H
#define CODEC_DECIMAL_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/span.h"

/*
 * JSON number text (any length) to the nearest double, ties to even. Returns false when the text
 * is no JSON number or overflows to infinity; underflow gives 0.
 */
bool decimal_to_double(struct span text, double *v);
/*
 * The shortest digits that read back as v, laid out as Python's repr(): exponent form when the
 * decimal exponent is < -4 or >= 16, else at least ".0". v must be finite.
 * Source: opengradient.md 4.2, vectors/signing/number_format.json.
 */
void decimal_put_repr(struct buf *b, double v);

#endif
