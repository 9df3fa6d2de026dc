#include "crypto/rng.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include <openssl/rand.h>

void
rng_bytes(uint8_t *p, size_t n)
{
	assert(n <= INT_MAX);
	if (n > 0 && RAND_bytes(p, (int)n) != 1)
		abort();
}

void
rng_uuid(char out[static UUID_LEN])
{
	static const char digit[16] = { '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b',
		'c', 'd', 'e', 'f' };
	uint8_t raw[16];
	size_t at = 0;

	rng_bytes(raw, sizeof(raw));
	raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40); /* RFC 9562 4.2: version 4 */
	raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80); /* RFC 9562 4.1: variant 10 */
	for (size_t i = 0; i < sizeof(raw); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = digit[raw[i] >> 4];
		out[at++] = digit[raw[i] & 0x0f];
	}
	assert(at == UUID_LEN);
}
