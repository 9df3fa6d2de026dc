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

/* rho and pi walk the lanes in one cycle that starts at lane 1: the lane each step lands on. */
static const uint8_t pi_lane[ROUNDS] = { 10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13,
	12, 2, 20, 14, 22, 9, 6, 1 };
static const uint8_t rho_bits[ROUNDS] = { 1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8,
	25, 43, 62, 18, 39, 61, 20, 44 };

static uint64_t
rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void
permute(uint64_t a[static LANES])
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t c[5], moved;

		for (unsigned x = 0; x < 5; x++)
			c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
		for (unsigned x = 0; x < 5; x++) {
			uint64_t d = c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1);

			for (unsigned y = 0; y < LANES; y += 5)
				a[y + x] ^= d;
		}
		moved = a[1];
		for (unsigned i = 0; i < ROUNDS; i++) {
			uint64_t next = a[pi_lane[i]];

			a[pi_lane[i]] = rotate(moved, rho_bits[i]);
			moved = next;
		}
		for (unsigned y = 0; y < LANES; y += 5) {
			for (unsigned x = 0; x < 5; x++)
				c[x] = a[y + x];
			for (unsigned x = 0; x < 5; x++)
				a[y + x] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
		}
		a[0] ^= round_constant[round];
	}
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
