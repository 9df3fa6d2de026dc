/* A price that was read is plain decimal text, which reads back as itself. */
#include <stdlib.h>

#include "pricing/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct token_price p, again;

	if (failed(quote_parse(&p, span_of(data, size), SPAN_LIT("0xfbc2"))))
		return 0;
	if (failed(token_price_parse(&again, token_price_text(&p))) ||
	    !span_eq(token_price_text(&again), token_price_text(&p)))
		abort();
	return 0;
}
