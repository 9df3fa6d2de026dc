#include "attest/user_data.h"

/* Multihash: sha2-256, 32 bytes. */
static const uint8_t prefix[] = { 0x12, 0x20 };

enum { PREFIX_LEN = sizeof(prefix), SECOND = PREFIX_LEN + SHA256_LEN };

void
user_data_encode(const struct user_data *u, uint8_t out[static USER_DATA_LEN])
{
	memcpy(out, prefix, PREFIX_LEN);
	memcpy(out + PREFIX_LEN, u->tls_certificate, SHA256_LEN);
	memcpy(out + SECOND, prefix, PREFIX_LEN);
	memcpy(out + SECOND + PREFIX_LEN, u->signing_key, SHA256_LEN);
}

struct err
user_data_parse(struct user_data *u, struct span bytes)
{
	struct span want = span_of(prefix, sizeof(prefix));

	if (bytes.p == NULL || bytes.n != USER_DATA_LEN || !span_starts(bytes, want) ||
	    !span_starts(span_cut(bytes, SECOND, bytes.n), want))
		return FAIL(MALFORMED,
		    "user_data: opengradient.md 2: not two SHA-256 multihashes, 68 bytes");
	memcpy(u->tls_certificate, bytes.p + PREFIX_LEN, SHA256_LEN);
	memcpy(u->signing_key, bytes.p + SECOND + PREFIX_LEN, SHA256_LEN);
	return OK;
}
