/*
 * ct.h - comparison that takes the same time whatever differs. Pure.
 */
#ifndef CRYPTO_CT_H
#define CRYPTO_CT_H

#include <stdbool.h>

#include "core/span.h"

/* Equal bytes; only the lengths may be learned from the time it takes. */
bool ct_equal(struct span a, struct span b);

#endif
