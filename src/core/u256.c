#include "core/u256.h"

#include <assert.h>

enum { LIMBS = 4 };

__extension__ typedef unsigned __int128 wide;

bool
u256_is_zero(struct u256 a)
{
	return (a.limb[0] | a.limb[1] | a.limb[2] | a.limb[3]) == 0;
}

int
u256_cmp(struct u256 a, struct u256 b)
{
	for (size_t i = LIMBS; i-- > 0;)
		if (a.limb[i] != b.limb[i])
			return a.limb[i] < b.limb[i] ? -1 : 1;
	return 0;
}

struct u256
u256_min(struct u256 a, struct u256 b)
{
	return u256_cmp(a, b) < 0 ? a : b;
}

bool
u256_u64(struct u256 a, uint64_t *v)
{
	if ((a.limb[1] | a.limb[2] | a.limb[3]) != 0)
		return false;
	*v = a.limb[0];
	return true;
}

bool
u256_add(struct u256 *out, struct u256 a, struct u256 b)
{
	uint64_t carry = 0;

	for (size_t i = 0; i < LIMBS; i++) {
		wide sum = (wide)a.limb[i] + b.limb[i] + carry;

		a.limb[i] = (uint64_t)sum;
		carry = (uint64_t)(sum >> 64);
	}
	*out = carry == 0 ? a : U256_ZERO;
	return carry == 0;
}

/* a - b modulo 2^256. */
static struct u256
subtract(struct u256 a, struct u256 b)
{
	uint64_t borrow = 0;

	for (size_t i = 0; i < LIMBS; i++) {
		wide taken = (wide)b.limb[i] + borrow;

		borrow = a.limb[i] < taken;
		a.limb[i] = (uint64_t)(a.limb[i] - taken);
	}
	return a;
}

bool
u256_sub(struct u256 *out, struct u256 a, struct u256 b)
{
	bool fits = u256_cmp(a, b) >= 0;

	*out = fits ? subtract(a, b) : U256_ZERO;
	return fits;
}

bool
u256_mul(struct u256 *out, struct u256 a, struct u256 b)
{
	uint64_t r[2 * LIMBS] = { 0 };
	bool fits;

	for (size_t i = 0; i < LIMBS; i++) {
		uint64_t carry = 0;

		for (size_t j = 0; j < LIMBS; j++) {
			wide sum = (wide)a.limb[i] * b.limb[j] + r[i + j] + carry;

			r[i + j] = (uint64_t)sum;
			carry = (uint64_t)(sum >> 64);
		}
		r[i + LIMBS] = carry;
	}
	fits = (r[4] | r[5] | r[6] | r[7]) == 0;
	*out = fits ? (struct u256){ { r[0], r[1], r[2], r[3] } } : U256_ZERO;
	return fits;
}

/* Digit by digit, in base 2^64, as on paper; *v becomes the quotient, the rest is returned. */
static uint64_t
divide_small(struct u256 *v, uint64_t by)
{
	wide rest = 0;

	for (size_t i = LIMBS; i-- > 0;) {
		rest = rest << 64 | v->limb[i];
		v->limb[i] = (uint64_t)(rest / by); /* fits: the rest before was below `by` */
		rest %= by;
	}
	return (uint64_t)rest;
}

/* Bit by bit: three microseconds, for divisors above 64 bits, which are rare. */
static struct u256
divide(struct u256 a, struct u256 b, struct u256 *rest)
{
	struct u256 quotient = U256_ZERO, r = U256_ZERO;

	for (unsigned bit = 256; bit-- > 0;) {
		uint64_t top = r.limb[3] >> 63;

		for (size_t i = LIMBS; i-- > 1;)
			r.limb[i] = r.limb[i] << 1 | r.limb[i - 1] >> 63;
		r.limb[0] = r.limb[0] << 1 | (a.limb[bit / 64] >> bit % 64 & 1);
		/* With `top` the remainder is r + 2^256: above b, and r - b is right modulo 2^256. */
		if (top != 0 || u256_cmp(r, b) >= 0) {
			r = subtract(r, b);
			quotient.limb[bit / 64] |= 1ull << bit % 64;
		}
	}
	*rest = r;
	return quotient;
}

struct u256
u256_div(struct u256 a, struct u256 b, struct u256 *rest)
{
	struct u256 left;
	uint64_t small;

	assert(!u256_is_zero(b));
	if (u256_u64(b, &small))
		left = u256_of(divide_small(&a, small));
	else
		a = divide(a, b, &left);
	if (rest != NULL)
		*rest = left;
	return a;
}

struct u256
u256_div_up(struct u256 a, struct u256 b)
{
	struct u256 rest;
	struct u256 quotient = u256_div(a, b, &rest);
	bool fits = true;

	/* A remainder means b >= 2, so the quotient is at most 2^255. */
	if (!u256_is_zero(rest))
		fits = u256_add(&quotient, quotient, u256_of(1));
	assert(fits);
	return quotient;
}

/* v * by + add, for small factors; false when it does not fit. */
static bool
shift_in(struct u256 *v, uint64_t by, uint64_t add)
{
	uint64_t carry = add;

	for (size_t i = 0; i < LIMBS; i++) {
		wide sum = (wide)v->limb[i] * by + carry;

		v->limb[i] = (uint64_t)sum;
		carry = (uint64_t)(sum >> 64);
	}
	return carry == 0;
}

struct u256
u256_ten_to(unsigned n)
{
	struct u256 v = u256_of(1);

	assert(n < U256_DIGITS);
	for (unsigned i = 0; i < n; i++)
		(void)shift_in(&v, 10, 0);
	return v;
}

bool
u256_parse(struct u256 *v, struct span text)
{
	struct u256 sum = U256_ZERO;

	if (text.n == 0 || text.n > U256_DIGITS || (text.n > 1 && text.p[0] == '0'))
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9' ||
		    !shift_in(&sum, 10, (uint64_t)(text.p[i] - '0')))
			return false;
	*v = sum;
	return true;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
u256_parse_hex(struct u256 *v, struct span text)
{
	struct u256 sum = U256_ZERO;

	if (text.n < 3 || text.n > 2 + 2 * U256_BYTES || text.p[0] != '0' || text.p[1] != 'x')
		return false;
	for (size_t i = 2; i < text.n; i++) {
		int digit = hex_digit(text.p[i]);

		if (digit < 0)
			return false;
		(void)shift_in(&sum, 16, (uint64_t)digit);
	}
	*v = sum;
	return true;
}

struct span
u256_text(struct u256 v, char room[static U256_DIGITS])
{
	size_t at = U256_DIGITS;

	do {
		room[--at] = (char)('0' + (int)divide_small(&v, 10));
	} while (!u256_is_zero(v));
	return span_of(room + at, U256_DIGITS - at);
}

void
u256_put(struct buf *b, struct u256 v)
{
	char room[U256_DIGITS];

	buf_put(b, u256_text(v, room));
}

struct u256
u256_load(const uint8_t bytes[static U256_BYTES])
{
	struct u256 v = U256_ZERO;

	for (size_t i = 0; i < U256_BYTES; i++)
		v.limb[3 - i / 8] = v.limb[3 - i / 8] << 8 | bytes[i];
	return v;
}

void
u256_store(struct u256 v, uint8_t bytes[static U256_BYTES])
{
	for (size_t i = 0; i < U256_BYTES; i++)
		bytes[i] = (uint8_t)(v.limb[3 - i / 8] >> (56 - i % 8 * 8));
}
