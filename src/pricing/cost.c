#include "pricing/cost.h"

#include <assert.h>
#include <string.h>

enum {
	PICO_DECIMALS = 12,
	PRICE_MAX_DIGITS = 28,	 /* what the reference's decimals hold: below 10^28 < 2^94 */
	PRICE_MAX_DECIMALS = 30, /* 10^(30 + 6) < 2^120: with 2^130 of tokens still below 2^256 */
	PRICE_MAX_WHOLE = 9,
	USD_MAX_WHOLE = 6,
	REFERENCE_DIGITS = 28, /* significant digits of cost_usd */
};

/*
 * Digits of a decimal number without its point and its leading zeros, and where the point was.
 */
struct number {
	uint8_t digit[96];
	size_t n;
	int scale; /* value = digits / 10^scale */
};

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* An exponent: e, a sign or none, one to three digits. */
static bool
read_exponent(struct span s, int *exponent)
{
	uint64_t v;
	bool minus;

	if (s.n == 0)
		return false;
	minus = s.p[0] == '-';
	if (s.p[0] == '-' || s.p[0] == '+')
		s = span_cut(s, 1, s.n);
	/* "e-05" is how C prints it, and Python. */
	while (s.n > 1 && s.p[0] == '0')
		s = span_cut(s, 1, s.n);
	if (!span_u64(s, 999, &v))
		return false;
	*exponent = minus ? -(int)v : (int)v;
	return true;
}

static struct err
read_number(struct number *out, struct span text, bool exponent_allowed)
{
	size_t at = 0;
	int exponent = 0;

	*out = (struct number){ .n = 0 };
	if (text.n == 0 || !is_digit(text.p[0]))
		return FAIL(MALFORMED, "RFC 8259 6: a number begins with a digit");
	if (text.n > 1 && text.p[0] == '0' && is_digit(text.p[1]))
		return FAIL(MALFORMED, "RFC 8259 6: a number with a leading zero");
	for (bool point = false; at < text.n; at++) {
		if (text.p[at] == '.' && !point) {
			point = true;
			if (at + 1 == text.n || !is_digit(text.p[at + 1]))
				return FAIL(MALFORMED, "RFC 8259 6: no digit after the point");
			continue;
		}
		if (!is_digit(text.p[at]))
			break;
		out->scale += point;
		if (out->n == 0 && text.p[at] == '0')
			continue;
		if (out->n == sizeof(out->digit))
			return FAIL(TOO_LARGE, "charging.md: a number of too many digits");
		out->digit[out->n++] = text.p[at];
	}
	if (at < text.n) {
		if (!exponent_allowed || (text.p[at] | 0x20) != 'e' ||
		    !read_exponent(span_cut(text, at + 1, text.n), &exponent))
			return FAIL(MALFORMED, "RFC 8259 6: not a number");
		out->scale -= exponent;
	}
	return OK;
}

struct err
pico_usd_parse(uint64_t *pico_usd, struct span text)
{
	struct number v;
	struct u256 pico;

	TRY(read_number(&v, text, false));
	for (; v.scale > PICO_DECIMALS && v.n > 0 && v.digit[v.n - 1] == '0'; v.scale--)
		v.n--;
	if (v.n > 0 && v.scale > PICO_DECIMALS)
		return FAIL(TOO_LARGE, "charging.md: a price below a pico-dollar");
	if (v.n > USD_MAX_WHOLE + (size_t)v.scale)
		return FAIL(TOO_LARGE, "charging.md: a price above 10^6 USD");
	pico = U256_ZERO;
	if (v.n > 0 &&
	    (!u256_parse(&pico, span_of(v.digit, v.n)) ||
		!u256_mul(&pico, pico, u256_ten_to((unsigned)(PICO_DECIMALS - v.scale)))))
		return FAIL(TOO_LARGE, "charging.md: a price above 10^6 USD");
	if (!u256_u64(pico, pico_usd))
		return FAIL(TOO_LARGE, "charging.md: a price above 10^6 USD");
	return OK;
}

/* digits / 10^scale in plain notation: "0.0071", "12.5", "3". */
static void
put_plain(struct buf *b, struct u256 digits, unsigned scale)
{
	char room[U256_DIGITS];
	struct span text = u256_text(digits, room);

	if (text.n <= scale) {
		buf_put_str(b, "0.");
		for (size_t zeros = scale - text.n; zeros > 0; zeros--)
			buf_put_byte(b, '0');
		buf_put(b, text);
		return;
	}
	buf_put(b, span_cut(text, 0, text.n - scale));
	if (scale > 0) {
		buf_put_byte(b, '.');
		buf_put(b, span_cut(text, text.n - scale, text.n));
	}
}

struct err
token_price_parse(struct token_price *p, struct span text)
{
	struct token_price out = { .scale = 0 };
	struct number v;
	struct buf b;

	TRY(read_number(&v, text, true));
	if (v.n == 0)
		return FAIL(REFUSED, "charging.md: a price of zero");
	if (v.n > PRICE_MAX_DIGITS || v.scale > PRICE_MAX_DECIMALS ||
	    (int)v.n - v.scale > PRICE_MAX_WHOLE)
		return FAIL(TOO_LARGE, "charging.md: 28 digits, 30 decimals, 10^9 USD at most");
	if (!u256_parse(&out.digits, span_of(v.digit, v.n)))
		return FAIL(MALFORMED, "charging.md: no digits");
	/* Whole numbers written with an exponent, "1e3": at most 10^9. */
	for (; v.scale < 0; v.scale++)
		if (!u256_mul(&out.digits, out.digits, u256_of(10)))
			return FAIL(TOO_LARGE, "charging.md: 10^9 USD at most");
	out.scale = (unsigned)v.scale;
	buf_init(&b, sizeof(out.text));
	put_plain(&b, out.digits, out.scale);
	if (failed(buf_check(&b))) {
		buf_fini(&b);
		return FAIL(TOO_LARGE, "charging.md: a price of too many digits");
	}
	memcpy(out.text, b.p, b.n);
	out.text_len = b.n;
	buf_fini(&b);
	*p = out;
	return OK;
}

/* a * b, or the largest number: a bound that nothing pays for. */
static struct u256
mul_capped(struct u256 a, struct u256 b)
{
	struct u256 out;

	return u256_mul(&out, a, b) ? out : U256_MAX;
}

static struct u256
add_capped(struct u256 a, struct u256 b)
{
	struct u256 out;

	return u256_add(&out, a, b) ? out : U256_MAX;
}

/* 10^x, where pico-dollars x 10^x / price digits are atomic units. */
static unsigned
unit_shift(const struct token_price *p)
{
	return TOKEN_DECIMALS - PICO_DECIMALS + p->scale;
}

static struct u256
units_of_pico(const struct token_price *p, struct u256 pico_usd)
{
	struct u256 scaled = mul_capped(pico_usd, u256_ten_to(unit_shift(p)));

	/* The one rounding (M2, M4). */
	return u256_cmp(scaled, U256_MAX) == 0 ? U256_MAX : u256_div_up(scaled, p->digits);
}

struct u256
cost_units(const struct tariff *t, const struct token_price *p, const struct cost_counts *use)
{
	struct u256 pico = mul_capped(u256_of(t->input_pico_usd), u256_of(use->prompt_tokens));

	pico = add_capped(
	    pico, mul_capped(u256_of(t->output_pico_usd), u256_of(use->completion_tokens)));
	pico = add_capped(pico, mul_capped(u256_of(t->image_pico_usd), u256_of(use->images)));
	return units_of_pico(p, pico);
}

struct u256
cost_worst(const struct tariff *t, const struct token_price *p, uint64_t prompt_tokens, uint32_t n,
    uint64_t output_limit)
{
	struct u256 prompt = mul_capped(u256_of(t->input_pico_usd), u256_of(prompt_tokens));
	struct u256 output = mul_capped(u256_of(output_limit), u256_of(n));

	output = mul_capped(output, u256_of(t->output_pico_usd));
	return units_of_pico(p, add_capped(prompt, output));
}

bool
cost_output_limit(const struct tariff *t, const struct token_price *p, uint64_t prompt_tokens,
    uint32_t n, struct u256 units, uint64_t most, uint64_t *output_limit)
{
	struct u256 prompt = mul_capped(u256_of(t->input_pico_usd), u256_of(prompt_tokens));
	struct u256 each = mul_capped(u256_of(t->output_pico_usd), u256_of(n));
	struct u256 left;
	uint64_t limit = most;

	assert(n >= 1);
	*output_limit = 0;
	/*
	 * ceil(X / digits) <= units says the same as X <= units x digits. Capping the product
	 * only makes what is bought smaller, and no cap of a policy comes near.
	 */
	left = u256_div(mul_capped(units, p->digits), u256_ten_to(unit_shift(p)), NULL);
	if (!u256_sub(&left, left, prompt))
		return false;
	if (!u256_is_zero(each) && u256_u64(u256_div(left, each, NULL), &limit) && limit > most)
		limit = most;
	*output_limit = limit;
	return true;
}

/* A decimal number as the reference's library holds it: digits x 10^exponent. */
struct decimal {
	struct u256 digits;
	int exponent;
};

/* To REFERENCE_DIGITS significant digits, half to even; whether anything was lost. */
static bool
decimal_round(struct decimal *d)
{
	char room[U256_DIGITS];
	size_t n = u256_text(d->digits, room).n;
	struct u256 unit, rest, twice;
	int order;

	if (n <= REFERENCE_DIGITS)
		return false;
	unit = u256_ten_to((unsigned)(n - REFERENCE_DIGITS));
	d->digits = u256_div(d->digits, unit, &rest);
	d->exponent += (int)(n - REFERENCE_DIGITS);
	twice = mul_capped(rest, u256_of(2));
	order = u256_cmp(twice, unit);
	if (order > 0 || (order == 0 && (d->digits.limb[0] & 1) != 0)) {
		d->digits = add_capped(d->digits, u256_of(1));
		(void)decimal_round(d); /* 99...9 became 10^28: one zero goes */
	}
	return !u256_is_zero(rest);
}

void
cost_put_usd(struct buf *b, const struct token_price *p, struct u256 units)
{
	struct decimal usd = { units, -TOKEN_DECIMALS };
	struct u256 tenth, rest;

	/* units / 10^18; an exact quotient loses its zeros behind the point. */
	if (!decimal_round(&usd))
		while (usd.exponent < 0) {
			tenth = u256_div(usd.digits, u256_of(10), &rest);
			if (!u256_is_zero(rest))
				break;
			usd.digits = tenth;
			usd.exponent++;
		}
	/* Both factors are below 10^28. */
	usd.digits = mul_capped(usd.digits, p->digits);
	usd.exponent -= (int)p->scale;
	(void)decimal_round(&usd);
	for (; usd.exponent > 0; usd.exponent--)
		usd.digits = mul_capped(usd.digits, u256_of(10));
	put_plain(b, usd.digits, (unsigned)-usd.exponent);
}

void
cost_put_block(struct buf *b, const struct token_price *p, struct u256 units)
{
	buf_put_str(b, "{\"cost_opg\":\"");
	u256_put(b, units);
	buf_put_str(b, "\",\"cost_usd\":\"");
	cost_put_usd(b, p, units);
	buf_put_str(b, "\",\"opg_price_usd\":\"");
	buf_put(b, token_price_text(p));
	buf_put_str(b, "\"}");
}
