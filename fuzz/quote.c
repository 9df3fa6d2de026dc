/* A price that was read is plain decimal text, which reads back as itself. */
#include <stdlib.h>

#include "pricing/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct quote *q)
{
	struct span text = span_str(q->usd);
	struct quote again;

	if (text.n == 0 || text.n > QUOTE_TEXT_MAX)
		abort();
	if (failed(quote_read(&again, text)) || !span_eq(span_str(again.usd), text))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quote q;

	if (!failed(quote_read(&q, span_of(data, size))))
		check(&q);
	if (!failed(quote_parse(&q, span_of(data, size), SPAN_LIT("0xfbc2"))))
		check(&q);
	return 0;
}
