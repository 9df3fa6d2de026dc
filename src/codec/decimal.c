#include "codec/decimal.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * No double, and no midpoint of two doubles, has more than 767 significant digits. So the first
 * 768 digits and one that says whether anything but zeros followed decide the rounding.
 */
enum { DIGITS_MAX = 768, EXPONENT_MAX = 5000, DOUBLE_DIGITS = 17 };

/* 0.d1 d2 d3 ... times ten to the exponent; d1 is not 0. n is 0 when the value is zero. */
struct decimal {
	bool negative, more; /* more: digits other than 0 were left out */
	char digits[DIGITS_MAX];
	size_t n;
	int64_t exponent;
};

static void
take_digit(struct decimal *d, uint8_t c)
{
	if (d->n < DIGITS_MAX)
		d->digits[d->n++] = (char)c;
	else if (c != '0')
		d->more = true;
}

static bool
is_digit(struct span s, size_t at)
{
	return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

/* The digits before and after the point. False: not as RFC 8259 6 writes them. */
static bool
take_fraction(struct decimal *d, struct span s, size_t *at)
{
	size_t start = *at;

	if (!is_digit(s, *at) || (s.p[*at] == '0' && is_digit(s, *at + 1)))
		return false;
	for (; is_digit(s, *at); (*at)++)
		if (d->n > 0 || s.p[*at] != '0')
			take_digit(d, s.p[*at]);
	/* A number's first digit is 0 only if it is alone. */
	d->exponent = d->n > 0 ? (int64_t)(*at - start) : 0;
	if (*at == s.n || s.p[*at] != '.')
		return true;
	(*at)++;
	if (!is_digit(s, *at))
		return false;
	for (; is_digit(s, *at); (*at)++) {
		if (d->n > 0 || s.p[*at] != '0')
			take_digit(d, s.p[*at]);
		else
			d->exponent--;
	}
	return true;
}

static bool
take_exponent(struct decimal *d, struct span s, size_t *at)
{
	/* Past any text's length, so that no count of zeros can bring the value back. */
	const int64_t enough = INT64_MAX / 20;
	bool negative = false;
	int64_t e = 0;

	if (*at == s.n || (s.p[*at] != 'e' && s.p[*at] != 'E'))
		return true;
	(*at)++;
	if (*at < s.n && (s.p[*at] == '+' || s.p[*at] == '-'))
		negative = s.p[(*at)++] == '-';
	if (!is_digit(s, *at))
		return false;
	for (; is_digit(s, *at); (*at)++)
		if (e < enough)
			e = e * 10 + (s.p[*at] - '0');
	d->exponent += negative ? -e : e;
	return true;
}

bool
decimal_to_double(struct span text, double *v)
{
	char copy[DIGITS_MAX + 32];
	struct decimal d = { 0 };
	size_t at = 0;
	double got;

	if (text.n > 0 && text.p[0] == '-') {
		d.negative = true;
		at = 1;
	}
	if (!take_fraction(&d, text, &at) || !take_exponent(&d, text, &at) || at != text.n)
		return false;
	if (d.n == 0 || d.exponent < -EXPONENT_MAX) {
		*v = d.negative ? -0.0 : 0.0;
		return true;
	}
	if (d.exponent > EXPONENT_MAX)
		return false;
	/* strtod() reads the decimal point of the locale: always "C", nothing here changes it. */
	(void)snprintf(copy, sizeof(copy), "%s0.%.*s%se%d", d.negative ? "-" : "", (int)d.n,
	    d.digits, d.more ? "1" : "", (int)d.exponent);
	got = strtod(copy, NULL);
	if (!isfinite(got))
		return false;
	*v = got;
	return true;
}

/* Adds one to the last of n digits; true when that gives 10000..., which is one digit again. */
static void
next_digits(char *digits, size_t n, int *exponent)
{
	size_t i = n;

	while (i > 0 && digits[i - 1] == '9')
		digits[--i] = '0';
	if (i > 0) {
		digits[i - 1]++;
		return;
	}
	digits[0] = '1';
	(*exponent)++;
}

static bool
reads_back(const char *digits, size_t n, int exponent, double v)
{
	char text[DOUBLE_DIGITS + 32];

	(void)snprintf(
	    text, sizeof(text), "%c.%.*se%d", digits[0], (int)n - 1, digits + 1, exponent);
	return strtod(text, NULL) == v;
}

/*
 * The fewest digits that read back as v (> 0), and of those the nearest. d.ddd times ten to
 * *exponent; returns their number, trailing zeros counted.
 *
 * Two decimals of up to 15 digits are never the same normal double, so that fewer digits than 15
 * show as zeros at the end of 15. Subnormal ones have less room and are tried from one digit on.
 *
 * Below a power of two doubles lie twice as dense as above it. There the nearest n digits can lie
 * just below v and miss it while the next ones above still hit it: 2^-44 is 5.684341886080802e-14.
 */
static size_t
shortest(double v, char digits[static DOUBLE_DIGITS], int *exponent)
{
	for (size_t n = v < DBL_MIN ? 1 : DBL_DIG;; n++) {
		char text[DOUBLE_DIGITS + 16];
		const char *p;
		int e = 0;

		(void)snprintf(text, sizeof(text), "%.*e", (int)n - 1, v);
		digits[0] = text[0];
		if (n > 1)
			memcpy(digits + 1, text + 2, n - 1);
		p = text + (n > 1 ? n + 1 : 1); /* at the e */
		for (size_t i = 2; p[i] != '\0'; i++)
			e = e * 10 + (p[i] - '0');
		*exponent = p[1] == '-' ? -e : e;
		if (n == DOUBLE_DIGITS || reads_back(digits, n, *exponent, v))
			return n;
		next_digits(digits, n, exponent);
		if (reads_back(digits, n, *exponent, v))
			return n;
	}
}

static void
put_zeros(struct buf *b, int n)
{
	for (int i = 0; i < n; i++)
		buf_put_byte(b, '0');
}

void
decimal_put_repr(struct buf *b, double v)
{
	char digits[DOUBLE_DIGITS];
	int exponent;
	size_t n;

	if (signbit(v))
		buf_put_byte(b, '-');
	if (v == 0) {
		buf_put_str(b, "0.0");
		return;
	}
	n = shortest(fabs(v), digits, &exponent);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (exponent < -4 || exponent >= 16) {
		buf_put(b, span_of(digits, 1));
		if (n > 1) {
			buf_put_byte(b, '.');
			buf_put(b, span_of(digits + 1, n - 1));
		}
		buf_put_str(b, exponent < 0 ? "e-" : "e+");
		if (abs(exponent) < 10)
			buf_put_byte(b, '0');
		buf_put_u64(b, (uint64_t)abs(exponent));
	} else if (exponent < 0) {
		buf_put_str(b, "0.");
		put_zeros(b, -exponent - 1);
		buf_put(b, span_of(digits, n));
	} else {
		size_t whole = (size_t)exponent + 1;

		buf_put(b, span_of(digits, n < whole ? n : whole));
		put_zeros(b, n < whole ? (int)(whole - n) : 0);
		buf_put_byte(b, '.');
		if (n > whole)
			buf_put(b, span_of(digits + whole, n - whole));
		else
			buf_put_byte(b, '0');
	}
}
