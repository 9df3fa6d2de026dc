/*
 * A stranger's sealed provisioning: what is accepted has the one form, and opens for nobody who has
 * not the key it was sealed for.
 */
#include <stdlib.h>

#include "core/limits.h"
#include "crypto/jwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct seal_key *
our_key(void)
{
	static struct seal_key *key;

	if (key == NULL && failed(seal_key_generate(&key)))
		abort();
	return key;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf plain;
	struct jwe j;

	if (failed(jwe_parse(&j, span_of(data, size))))
		return 0;
	if (size > PROVISION_MAX_BYTES || j.header.n + j.content.n >= size || j.header.p != data)
		abort();
	buf_init(&plain, PROVISION_MAX_BYTES);
	if (!failed(jwe_open(&plain, &j, our_key())) || plain.n != 0)
		abort();
	buf_fini(&plain);
	return 0;
}
