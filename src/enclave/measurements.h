/*
 * measurements.h - an image's PCRs as nitro-cli prints them. Pure. Source: interfaces.md V6.
 */
#ifndef ENCLAVE_MEASUREMENTS_H
#define ENCLAVE_MEASUREMENTS_H

#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

enum { MEASUREMENTS_MAX = 16, MEASUREMENT_LEN = 48 };

/* PCR 0 to 15; those that the text does not name are zero. */
struct measurements {
	uint8_t pcr[MEASUREMENTS_MAX][MEASUREMENT_LEN];
};

/*
 * {"Measurements":{"HashAlgorithm":"Sha384 { ... }","PCR0":"<96 hex digits>",...}}, or the inner
 * object alone. PCR0, PCR1 and PCR2 must be there.
 * Errors: MALFORMED
 */
MUST_USE struct err measurements_parse(struct measurements *m, struct span text);

#endif
