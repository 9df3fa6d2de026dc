/*
 * quote.h - what a price source says of a token: its price in USD as plain decimal text. Pure.
 * Source: x402.md 7.7; docs/charging.md. Nothing here is a floating-point number.
 */
#ifndef PRICING_QUOTE_H
#define PRICING_QUOTE_H

#include "core/err.h"
#include "core/span.h"

enum { QUOTE_TEXT_MAX = 48, QUOTE_FRACTION_MAX = 28 };

/* A price above zero: digits, at most one point, no exponent, no needless zeros. NUL-terminated. */
struct quote {
	char usd[QUOTE_TEXT_MAX + 1];
};

/*
 * A JSON number's text, exponents too ("1.25e-05" is "0.0000125"), exactly.
 * Errors: MALFORMED (no number), REFUSED (zero, negative, or more digits than QUOTE_* allow).
 * On error *q is untouched.
 */
MUST_USE struct err quote_read(struct quote *q, struct span number);
/*
 * A source's answer {"0x<contract>":{"usd":<number>}}; the contract in any letter case.
 * Errors: MALFORMED (no such JSON, a name twice), those of quote_read()
 */
MUST_USE struct err quote_parse(struct quote *q, struct span answer, struct span contract);

#endif
