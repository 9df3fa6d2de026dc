/*
 * A measurements file from strangers: what is read names a PCR, and reading it again changes
 * nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "attest/pcrs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct attest_pcrs e = { 0 };
	uint32_t named;

	if (failed(attest_pcrs_read(&e, s)))
		return 0;
	named = e.named;
	if (named == 0 || failed(attest_pcrs_read(&e, s)) || e.named != named)
		abort();
	return 0;
}
