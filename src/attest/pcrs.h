/*
 * pcrs.h - which measurements are expected of an enclave. Pure.
 * Source: interfaces.md V2, V6; nitro-attestation.md 2.4, 3 step 8.
 */
#ifndef ATTEST_PCRS_H
#define ATTEST_PCRS_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/document.h"
#include "core/err.h"
#include "core/span.h"

/* Bit i of `named` says that value[i] is expected of PCR i. All zero: nothing is expected. */
struct attest_pcrs {
	uint32_t named;
	uint8_t value[PCR_COUNT][PCR_LEN];
};

enum { PCRS_FILE_MAX_BYTES = 64 << 10 };

/*
 * Adds one expectation, from hex digits of either case.
 * Errors: MALFORMED (no such PCR, not 96 digits), REFUSED (another value is expected already)
 */
MUST_USE struct err attest_pcrs_add(struct attest_pcrs *e, uint64_t index, struct span hex);

/*
 * Adds what a measurements file says: {"Measurements":{"HashAlgorithm":"Sha384 ...","PCR0":"hex",
 * ...}} as nitro-cli prints it, or the inner object alone. A member that is no PCR is an error: a
 * name misspelt would be an expectation lost.
 * Errors: MALFORMED, TOO_LARGE, REFUSED (as above; or another hash), NOMEM
 */
MUST_USE struct err attest_pcrs_read(struct attest_pcrs *e, struct span json);

/* The expectation fixes the code: PCR0, or PCR1 and PCR2. */
bool attest_pcrs_suffice(const struct attest_pcrs *e);

/* Every PCR that is named is in the document with this value; false when none is named. */
bool attest_pcrs_match(const struct attest_pcrs *e, const struct attest_document *d);

#endif
