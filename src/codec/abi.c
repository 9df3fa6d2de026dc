#include "codec/abi.h"

#include <assert.h>

static const uint8_t zero[ABI_WORD_LEN];

static void
put_zeroes(struct buf *b, size_t n)
{
	buf_put(b, span_of(zero, n));
}

static void
put_number(struct buf *b, uint64_t v)
{
	put_zeroes(b, ABI_WORD_LEN - sizeof(v));
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_put_byte(b, (uint8_t)(v >> shift));
}

/* How many zeroes make whole words of n bytes. */
static size_t
padding(size_t n)
{
	return (ABI_WORD_LEN - n % ABI_WORD_LEN) % ABI_WORD_LEN;
}

/*
 * First a word for each argument: its value or, where the length is not in the type, where it
 * begins, counted from the first word; then those, each behind its length.
 */
void
abi_put_call(struct buf *b, const uint8_t selector[static ABI_SELECTOR_LEN],
    const struct abi_value *argument, size_t n)
{
	size_t at = n * ABI_WORD_LEN;

	buf_put(b, span_of(selector, ABI_SELECTOR_LEN));
	for (const struct abi_value *v = argument; v < argument + n; v++) {
		switch (v->type) {
		case ABI_UINT:
			put_number(b, v->number);
			break;
		case ABI_ADDRESS:
			assert(v->bytes.n == ABI_ADDRESS_LEN);
			put_zeroes(b, ABI_WORD_LEN - ABI_ADDRESS_LEN);
			buf_put(b, v->bytes);
			break;
		case ABI_BYTES:
			put_number(b, at);
			at += ABI_WORD_LEN + v->bytes.n + padding(v->bytes.n);
			break;
		}
	}
	for (const struct abi_value *v = argument; v < argument + n; v++) {
		if (v->type != ABI_BYTES)
			continue;
		put_number(b, v->bytes.n);
		buf_put(b, v->bytes);
		put_zeroes(b, padding(v->bytes.n));
	}
}
