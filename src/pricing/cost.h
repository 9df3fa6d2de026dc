/*
 * cost.h - what an answer costs: tokens to USD to units of the payment token. Pure; integers only,
 * rounded up once, last. Source: docs/charging.md; interfaces.md M2-M4, S5.
 *
 * No function here can overflow or fail on counts: whatever a provider reports, up to 2^64 - 1 of
 * each kind, has an exact cost. Taking no more than was reserved is the caller's (M4).
 */
#ifndef PRICING_COST_H
#define PRICING_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "core/u256.h"

enum {
	TOKEN_DECIMALS = 18,	   /* OPG: atomic units in one whole token are 10^18 */
	TOKEN_PRICE_TEXT_MAX = 64, /* bytes of a price's plain decimal text */
};

/* What a model costs, in pico-dollars (10^-12 USD). */
struct tariff {
	uint64_t input_pico_usd, output_pico_usd; /* one token */
	uint64_t image_pico_usd;		  /* one image; 0 where images are not sold */
};

/*
 * A decimal number of dollars ("0.00000125") as pico-dollars: digits, at most one point between
 * digits, no sign, no exponent; at most 12 decimals that are not zero; at most 10^6 USD.
 * Errors: MALFORMED, TOO_LARGE (*pico_usd is then left alone).
 */
MUST_USE struct err pico_usd_parse(uint64_t *pico_usd, struct span text);

/* USD for one whole payment token: digits / 10^scale, never zero. */
struct token_price {
	struct u256 digits; /* below 10^28 */
	unsigned scale;	    /* at most 30 */
	char text[TOKEN_PRICE_TEXT_MAX];
	size_t text_len; /* plain decimal text, as receipts and opg_price_usd show it */
};

/*
 * Reads a price from decimal text as feeds and TEE_GATEWAY_FIXED_PRICE_USD spell it: a JSON number
 * without a sign, an exponent allowed ("7.1e-05" is kept as "0.000071"); 1 to 28 significant
 * digits, at most 30 decimals, below 10^9 USD.
 * Errors: MALFORMED, TOO_LARGE, REFUSED (zero). On error *p is left alone.
 */
MUST_USE struct err token_price_parse(struct token_price *p, struct span text);
static inline struct span
token_price_text(const struct token_price *p)
{
	return span_of(p->text, p->text_len);
}

/* What was used, or may be used at most. */
struct cost_counts {
	uint64_t prompt_tokens, completion_tokens, images;
};

/* ceil(USD / price x 10^18): the cost in atomic units of the token. */
struct u256
cost_units(const struct tariff *t, const struct token_price *p, const struct cost_counts *use);

/* M2: the most that a request can cost: its prompt bound, and n answers of output_limit tokens. */
struct u256 cost_worst(const struct tariff *t, const struct token_price *p, uint64_t prompt_tokens,
    uint32_t n, uint64_t output_limit);

/*
 * M3: the largest output_limit for which cost_worst() is at most `units`, at most `most`.
 * false: not even the prompt alone is covered (*output_limit is then 0). n >= 1.
 */
bool cost_output_limit(const struct tariff *t, const struct token_price *p, uint64_t prompt_tokens,
    uint32_t n, struct u256 units, uint64_t most, uint64_t *output_limit);

/*
 * Atomic units in USD, as R2 prints cost_usd: units / 10^18 x price in decimal arithmetic of 28
 * significant digits, half to even, plain notation; trailing zeros of the price stay.
 * Source: vectors/signing/cost.json
 */
void cost_put_usd(struct buf *b, const struct token_price *p, struct u256 units);
/* S5's block: {"cost_opg":"...","cost_usd":"...","opg_price_usd":"..."} */
void cost_put_block(struct buf *b, const struct token_price *p, struct u256 units);

#endif
