#include "codec/hex.h"

void
hex_put(struct buf *b, struct span bytes)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t *to;

	if (bytes.n == 0)
		return;
	if (bytes.n > SIZE_MAX / 2 || (to = buf_grow(b, 2 * bytes.n)) == NULL) {
		b->over = true;
		return;
	}
	for (size_t i = 0; i < bytes.n; i++) {
		*to++ = (uint8_t)digits[bytes.p[i] >> 4];
		*to++ = (uint8_t)digits[bytes.p[i] & 15];
	}
}

/* 16 for a byte that is no digit. */
static unsigned
digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
}

struct err
hex_parse(uint8_t *out, size_t n, struct span text)
{
	if (n > SIZE_MAX / 2 || text.n != 2 * n)
		return FAIL(MALFORMED, "hex: wrong number of digits");
	for (size_t i = 0; i < text.n; i++)
		if (digit_value(text.p[i]) > 15)
			return FAIL(MALFORMED, "hex: not a digit");
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(digit_value(text.p[2 * i]) << 4 |
		    digit_value(text.p[2 * i + 1]));
	return OK;
}
