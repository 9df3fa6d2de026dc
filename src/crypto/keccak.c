#include "crypto/keccak.h"

#include <string.h>

#include "core/wipe.h"

enum { LANES = 25, RATE_BYTES = 136, ROUNDS = 24 };

static const uint64_t round_constant[ROUNDS] = {
	0x0000000000000001,
	0x0000000000008082,
	0x800000000000808a,
	0x8000000080008000,
	0x000000000000808b,
	0x0000000080000001,
	0x8000000080008081,
	0x8000000000008009,
	0x000000000000008a,
	0x0000000000000088,
	0x0000000080008009,
	0x000000008000000a,
	0x000000008000808b,
	0x800000000000008b,
	0x8000000000008089,
	0x8000000000008003,
	0x8000000000008002,
	0x8000000000000080,
	0x000000000000800a,
	0x800000008000000a,
	0x8000000080008081,
	0x8000000000008080,
	0x0000000080000001,
	0x8000000080008008,
};

static uint64_t
rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

/* chi for one row, whose five lanes rho and pi have just brought together. */
static void
put_row(uint64_t row[static 5], uint64_t b0, uint64_t b1, uint64_t b2, uint64_t b3, uint64_t b4)
{
	row[0] = b0 ^ (~b1 & b2);
	row[1] = b1 ^ (~b2 & b3);
	row[2] = b2 ^ (~b3 & b4);
	row[3] = b3 ^ (~b4 & b0);
	row[4] = b4 ^ (~b0 & b1);
}

/*
 * One round from a to r. Written out, lane by lane, because each request takes some fifteen
 * permutations, and walking rho and pi by tables costs four times as much.
 */
static void
one_round(uint64_t r[static LANES], const uint64_t a[static LANES], uint64_t constant)
{
	uint64_t c0 = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
	uint64_t c1 = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
	uint64_t c2 = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
	uint64_t c3 = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
	uint64_t c4 = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
	uint64_t d0 = c4 ^ rotate(c1, 1), d1 = c0 ^ rotate(c2, 1), d2 = c1 ^ rotate(c3, 1);
	uint64_t d3 = c2 ^ rotate(c4, 1), d4 = c3 ^ rotate(c0, 1);

	put_row(r, a[0] ^ d0, rotate(a[6] ^ d1, 44), rotate(a[12] ^ d2, 43), rotate(a[18] ^ d3, 21),
	    rotate(a[24] ^ d4, 14));
	put_row(r + 5, rotate(a[3] ^ d3, 28), rotate(a[9] ^ d4, 20), rotate(a[10] ^ d0, 3),
	    rotate(a[16] ^ d1, 45), rotate(a[22] ^ d2, 61));
	put_row(r + 10, rotate(a[1] ^ d1, 1), rotate(a[7] ^ d2, 6), rotate(a[13] ^ d3, 25),
	    rotate(a[19] ^ d4, 8), rotate(a[20] ^ d0, 18));
	put_row(r + 15, rotate(a[4] ^ d4, 27), rotate(a[5] ^ d0, 36), rotate(a[11] ^ d1, 10),
	    rotate(a[17] ^ d2, 15), rotate(a[23] ^ d3, 56));
	put_row(r + 20, rotate(a[2] ^ d2, 62), rotate(a[8] ^ d3, 55), rotate(a[14] ^ d4, 39),
	    rotate(a[15] ^ d0, 41), rotate(a[21] ^ d1, 2));
	r[0] ^= constant;
}

static void
permute(uint64_t a[static LANES])
{
	uint64_t b[LANES];

	for (unsigned round = 0; round < ROUNDS; round += 2) {
		one_round(b, a, round_constant[round]);
		one_round(a, b, round_constant[round + 1]);
	}
	wipe(b, sizeof(b));
}

void
keccak_init(struct keccak *k)
{
	*k = (struct keccak){ 0 };
}

static void
absorb_byte(struct keccak *k, uint8_t byte)
{
	k->state[k->at / 8] ^= (uint64_t)byte << (k->at % 8 * 8);
	if (++k->at == RATE_BYTES) {
		permute(k->state);
		k->at = 0;
	}
}

/* A whole block at once: lanes are little-endian whatever the machine is. */
static void
absorb_block(struct keccak *k, const uint8_t *p)
{
	for (unsigned i = 0; i < RATE_BYTES / 8; i++) {
		uint64_t lane = 0;

		for (unsigned j = 8; j-- > 0;)
			lane = lane << 8 | p[8 * i + j];
		k->state[i] ^= lane;
	}
	permute(k->state);
}

void
keccak_update(struct keccak *k, struct span s)
{
	size_t i = 0;

	while (i < s.n) {
		if (k->at == 0 && s.n - i >= RATE_BYTES) {
			absorb_block(k, s.p + i);
			i += RATE_BYTES;
		} else {
			absorb_byte(k, s.p[i++]);
		}
	}
}

void
keccak_final(struct keccak *k, uint8_t out[static KECCAK_LEN])
{
	/* Multi-rate padding: both marks fall on one byte when one byte is left. */
	k->state[k->at / 8] ^= (uint64_t)0x01 << (k->at % 8 * 8);
	k->state[RATE_BYTES / 8 - 1] ^= (uint64_t)0x80 << 56;
	permute(k->state);
	for (unsigned i = 0; i < KECCAK_LEN; i++)
		out[i] = (uint8_t)(k->state[i / 8] >> (i % 8 * 8));
	wipe(k, sizeof(*k));
}

void
keccak_256(struct span s, uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	keccak_init(&k);
	keccak_update(&k, s);
	keccak_final(&k, out);
}
