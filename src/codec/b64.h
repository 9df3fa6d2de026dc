/*
 * b64.h - base64, standard (padded) and URL-safe (unpadded, zero spare bits). Pure.
 * Source: RFC 4648 4 and 5; interfaces.md R1.
 */
#ifndef CODEC_B64_H
#define CODEC_B64_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

void b64_put(struct buf *b, struct span bytes);	   /* standard alphabet, with padding */
void b64url_put(struct buf *b, struct span bytes); /* URL-safe alphabet, no padding */

/*
 * Strict readers: only the one spelling that the writer above gives is accepted (padding rules,
 * zero spare bits, no white space, no foreign byte). Appended to b.
 * Errors: MALFORMED; TOO_LARGE past b's bound (b then holds what it held before).
 */
MUST_USE struct err b64_parse(struct buf *b, struct span text);
MUST_USE struct err b64url_parse(struct buf *b, struct span text);

#endif
