/*
 * Decimal text of price feeds and model tables: what is shown reads back as the same price, and a
 * charge at it has a cost.
 */
#include <stdlib.h>

#include "pricing/cost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cost_counts use = { UINT64_MAX, 12345, 1 };
	struct token_price p, again;
	uint64_t pico = 0, limit;
	struct tariff t;
	struct u256 cost;
	struct buf b;

	(void)failed(pico_usd_parse(&pico, span_of(data, size)));
	t = (struct tariff){ pico, pico, pico };
	if (failed(token_price_parse(&p, span_of(data, size))))
		return 0;
	if (failed(token_price_parse(&again, token_price_text(&p))) ||
	    !span_eq(token_price_text(&p), token_price_text(&again)) ||
	    u256_cmp(p.digits, again.digits) != 0 || p.scale != again.scale)
		abort();
	cost = cost_units(&t, &p, &use);
	if (pico != 0 && (u256_is_zero(cost) || u256_cmp(cost, U256_MAX) == 0))
		abort();
	if (cost_output_limit(&t, &p, 7, 3, cost, UINT64_MAX, &limit) && limit != UINT64_MAX &&
	    u256_cmp(cost_worst(&t, &p, 7, 3, limit), cost) > 0)
		abort();
	buf_init(&b, 512);
	cost_put_block(&b, &p, cost);
	if (failed(buf_check(&b)))
		abort();
	buf_fini(&b);
	return 0;
}
