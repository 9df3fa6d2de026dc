#include "pricing/quote.h"

#include "codec/json.h"

enum { ANSWER_MAX_NODES = 256, DIGITS_MAX = QUOTE_TEXT_MAX, EXPONENT_MAX = 99 };

/* digit[0 .. n-1] times 10^-scale. */
struct number {
	uint8_t digit[DIGITS_MAX];
	size_t n;
	int scale;
};

static bool
is_digit(struct span s, size_t at)
{
	return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

/* Takes the digits at *at; zeros in front of all others do not count. False: too many. */
static bool
take_digits(struct number *v, struct span s, size_t *at, bool fraction)
{
	for (; is_digit(s, *at); (*at)++) {
		v->scale += fraction ? 1 : 0;
		if (v->n == 0 && s.p[*at] == '0')
			continue;
		if (v->n == DIGITS_MAX)
			return false;
		v->digit[v->n++] = s.p[*at];
	}
	return true;
}

static struct err
take_exponent(struct number *v, struct span s, size_t *at)
{
	bool minus = *at < s.n && s.p[*at] == '-';
	int exponent = 0;

	if (*at < s.n && (s.p[*at] == '-' || s.p[*at] == '+'))
		(*at)++;
	if (!is_digit(s, *at))
		return FAIL(MALFORMED, "price: no number");
	for (; is_digit(s, *at); (*at)++) {
		exponent = 10 * exponent + (s.p[*at] - '0');
		if (exponent > EXPONENT_MAX)
			return FAIL(REFUSED, "price: out of range");
	}
	v->scale += minus ? exponent : -exponent;
	return OK;
}

/* RFC 8259 6, without a sign. */
static struct err
number_read(struct number *v, struct span s)
{
	size_t at = 0;

	*v = (struct number){ .n = 0 };
	if (s.n > 0 && s.p[0] == '-')
		return FAIL(REFUSED, "price: negative");
	if (!is_digit(s, 0) || (s.p[0] == '0' && is_digit(s, 1)))
		return FAIL(MALFORMED, "price: no number");
	if (!take_digits(v, s, &at, false))
		return FAIL(REFUSED, "price: too many digits");
	if (at < s.n && s.p[at] == '.') {
		at++;
		if (!is_digit(s, at))
			return FAIL(MALFORMED, "price: no number");
		if (!take_digits(v, s, &at, true))
			return FAIL(REFUSED, "price: too many digits");
	}
	if (at < s.n && (s.p[at] | 0x20) == 'e') {
		at++;
		TRY(take_exponent(v, s, &at));
	}
	return at == s.n ? OK : FAIL(MALFORMED, "price: no number");
}

static void
put(char *text, size_t *n, char c)
{
	if (*n < QUOTE_TEXT_MAX)
		text[(*n)++] = c;
	else
		*n = QUOTE_TEXT_MAX + 1;
}

struct err
quote_read(struct quote *q, struct span number)
{
	struct quote out = { { 0 } };
	struct number v;
	size_t n = 0;

	TRY(number_read(&v, number));
	for (; v.n > 0 && v.digit[v.n - 1] == '0' && v.scale > 0; v.n--)
		v.scale--;
	if (v.n == 0)
		return FAIL(REFUSED, "price: zero");
	if (v.scale > QUOTE_FRACTION_MAX)
		return FAIL(REFUSED, "price: too many digits");
	if ((int)v.n <= v.scale)
		put(out.usd, &n, '0');
	for (int i = (int)v.n < v.scale ? (int)v.n - v.scale : 0; i < (int)v.n; i++) {
		if (i == (int)v.n - v.scale && v.scale > 0)
			put(out.usd, &n, '.');
		put(out.usd, &n, i < 0 ? '0' : (char)v.digit[i]);
	}
	for (int i = v.scale; i < 0; i++)
		put(out.usd, &n, '0');
	if (n > QUOTE_TEXT_MAX)
		return FAIL(REFUSED, "price: too many digits");
	*q = out;
	return OK;
}

static struct err
answer_read(struct quote *q, const struct json *doc, struct span contract)
{
	uint32_t entry = JSON_NONE, usd;

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "price: not an object");
	TRY(json_no_duplicates(doc));
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c)) {
		if (!span_eq_nocase(json_inner(doc, c), contract))
			continue;
		if (entry != JSON_NONE) /* in two letter cases */
			return FAIL(MALFORMED, "price: the token twice");
		entry = c + 1;
	}
	usd = json_get(doc, entry, "usd");
	if (usd == JSON_NONE ||
	    (json_type(doc, usd) != JSON_INT && json_type(doc, usd) != JSON_FLOAT))
		return FAIL(MALFORMED, "price: no price of the token");
	return quote_read(q, json_raw(doc, usd));
}

struct err
quote_parse(struct quote *q, struct span answer, struct span contract)
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, answer, ANSWER_MAX_NODES));
	e = answer_read(q, &doc, contract);
	json_fini(&doc);
	return e;
}
