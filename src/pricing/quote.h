/*
 * quote.h - what a price source says of a token. Pure. Source: x402.md 7.7; docs/charging.md.
 */
#ifndef PRICING_QUOTE_H
#define PRICING_QUOTE_H

#include "pricing/cost.h"

/*
 * A source's answer {"0x<contract>":{"usd":<number>}}; the contract in any letter case.
 * Errors: MALFORMED (no such JSON, a name twice), those of token_price_parse(). *p is then left
 * alone.
 */
MUST_USE struct err quote_parse(struct token_price *p, struct span answer, struct span contract);

#endif
