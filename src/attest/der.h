/*
 * der.h - is this DER? OpenSSL reads more encodings than one; a certificate that two readers take
 * apart differently must not pass. Pure; allocates nothing. Source: X.690 8.1, 10.1, 11.1, 8.3.2.
 */
#ifndef ATTEST_DER_H
#define ATTEST_DER_H

#include <stdbool.h>

#include "core/span.h"

enum { DER_MAX_DEPTH = 16 };

/*
 * Exactly one value that fills `s`: definite lengths in their shortest form, single-byte tags,
 * booleans 00 or ff, integers without spare bytes; constructed values are looked into.
 */
bool der_is_strict(struct span s);

#endif
