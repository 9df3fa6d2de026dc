#include "eif/crc32.h"

/* 0x04c11db7 with its bits in the order in which they leave a serial line. */
#define POLYNOMIAL 0xedb88320u

enum { STEP = 8 };

void
crc32_init(struct crc32 *c)
{
	c->state = 0xffffffff;
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t v = byte;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
		c->table[0][byte] = v;
	}
	for (int k = 1; k < STEP; k++)
		for (uint32_t byte = 0; byte < 256; byte++) {
			uint32_t v = c->table[k - 1][byte];

			c->table[k][byte] = v >> 8 ^ c->table[0][v & 0xff];
		}
}

static uint32_t
le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void
crc32_update(struct crc32 *c, struct span s)
{
	uint32_t v = c->state;
	const uint8_t *p = s.p;
	size_t n = s.n;

	for (; n >= STEP; p += STEP, n -= STEP) {
		uint32_t lo = v ^ le32(p), hi = le32(p + 4);

		v = c->table[7][lo & 0xff] ^ c->table[6][lo >> 8 & 0xff] ^
		    c->table[5][lo >> 16 & 0xff] ^ c->table[4][lo >> 24] ^ c->table[3][hi & 0xff] ^
		    c->table[2][hi >> 8 & 0xff] ^ c->table[1][hi >> 16 & 0xff] ^
		    c->table[0][hi >> 24];
	}
	for (; n > 0; p++, n--)
		v = v >> 8 ^ c->table[0][(v ^ *p) & 0xff];
	c->state = v;
}

uint32_t
crc32_value(const struct crc32 *c)
{
	return c->state ^ 0xffffffff;
}
