/*
 * legacy.c - answers as clients hold them, bodies and streams: reading one twice gives the same,
 * what was refused leaves nothing behind, and a body that is accepted is still one with white space
 * around it.
 */
#include "receipt/legacy.h"

#include <assert.h>
#include <string.h>

static bool
blank(const struct legacy_fields *f)
{
	static const struct legacy_fields none;

	return span_eq(span_of(f, sizeof(*f)), span_of(&none, sizeof(none)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t delivered[3][KECCAK_LEN] = { 0 };
	struct legacy_fields f[3];
	struct err e[3];
	struct buf spaced;

	if (size == 0 || size > 1 << 16)
		return 0;
	e[0] = legacy_read(span_of(data, size), &f[0], delivered[0]);
	e[1] = legacy_read(span_of(data, size), &f[1], delivered[1]);
	assert(e[0].code == e[1].code);
	assert(span_eq(span_of(&f[0], sizeof(f[0])), span_of(&f[1], sizeof(f[1]))));
	if (failed(e[0])) {
		assert(e[0].what != NULL && blank(&f[0]));
		return 0;
	}
	assert(span_eq(span_of(delivered[0], KECCAK_LEN), span_of(delivered[1], KECCAK_LEN)));
	if (data[0] != '{')
		return 0;
	buf_init(&spaced, size + 2);
	buf_put_byte(&spaced, ' ');
	buf_put(&spaced, span_of(data, size));
	buf_put_byte(&spaced, '\n');
	e[2] = legacy_read(buf_span(&spaced), &f[2], delivered[2]);
	assert(!failed(e[2]));
	assert(span_eq(span_of(&f[0], sizeof(f[0])), span_of(&f[2], sizeof(f[2]))));
	assert(span_eq(span_of(delivered[0], KECCAK_LEN), span_of(delivered[2], KECCAK_LEN)));
	buf_fini(&spaced);
	return 0;
}
