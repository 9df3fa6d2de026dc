/*
 * u256.h - unsigned 256-bit integers: amounts, nonces and times of a chain. Pure.
 *
 * Values are passed by value and never wrap unseen: what may not fit returns false, and is then
 * not to be used. No memory is taken, nothing is constant time (amounts are public).
 */
#ifndef CORE_U256_H
#define CORE_U256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum {
	U256_BYTES = 32,
	U256_DIGITS = 78, /* of 2^256 - 1, decimal */
};

struct u256 {
	uint64_t limb[4]; /* least significant first */
};

#define U256_ZERO ((struct u256){ { 0, 0, 0, 0 } })
#define U256_MAX  ((struct u256){ { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } })

static inline struct u256
u256_of(uint64_t v)
{
	return (struct u256){ { v, 0, 0, 0 } };
}
/* 10^n; n <= 77. */
struct u256 u256_ten_to(unsigned n);

bool u256_is_zero(struct u256 a);
/* < 0, 0, > 0 */
int u256_cmp(struct u256 a, struct u256 b);
struct u256 u256_min(struct u256 a, struct u256 b);
/* The value when it fits 64 bits; *v is left alone otherwise. */
bool u256_u64(struct u256 a, uint64_t *v);

/*
 * false: the true result does not fit (sum, product) or is below zero (difference); *out is then
 * zero. `out` may be one of the operands' own variables.
 */
MUST_USE bool u256_add(struct u256 *out, struct u256 a, struct u256 b);
MUST_USE bool u256_sub(struct u256 *out, struct u256 a, struct u256 b);
MUST_USE bool u256_mul(struct u256 *out, struct u256 a, struct u256 b);
/* a / b rounded down; *rest (optional) gets a - b * (a / b). b must not be zero: asserted. */
struct u256 u256_div(struct u256 a, struct u256 b, struct u256 *rest);
/* a / b rounded up. b must not be zero: asserted. */
struct u256 u256_div_up(struct u256 a, struct u256 b);

/*
 * Decimal digits: no sign, no space, no leading zero but in "0" itself, below 2^256. This is the
 * one spelling that the writers below give.
 * Returns false, and leaves *v alone, on anything else.
 */
bool u256_parse(struct u256 *v, struct span text);
/* "0x" and 1 to 64 digits of either case; leading zeros are digits like others. */
bool u256_parse_hex(struct u256 *v, struct span text);
void u256_put(struct buf *b, struct u256 v);
/* The decimal digits, without memory of its own: a span over the end of `room`. */
struct span u256_text(struct u256 v, char room[static U256_DIGITS]);

/* Big-endian, as Solidity's words are. */
struct u256 u256_load(const uint8_t bytes[static U256_BYTES]);
void u256_store(struct u256 v, uint8_t bytes[static U256_BYTES]);

#endif
