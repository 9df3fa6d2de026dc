/*
 * cost.c - what the C code charges, for tests/oracle/cost.py to compare. A line on standard input:
 * input price, output price, prompt tokens, completion tokens, token price, separated by blanks. A
 * line on standard output: cost_opg and cost_usd, or "error".
 */
#include "pricing/cost.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"

enum { FIELDS = 5 };

static struct err
line_cost(struct buf *out, struct span line)
{
	struct cost_counts use = { 0 };
	struct token_price price;
	struct tariff t = { 0 };
	struct span field[FIELDS];
	struct u256 cost;

	for (size_t i = 0; i < FIELDS; i++) {
		size_t blank = span_find(line, SPAN_LIT(" "), 0);
		size_t end = blank == SIZE_MAX ? line.n : blank;

		field[i] = span_cut(line, 0, end);
		line = span_cut(line, end == line.n ? end : end + 1, line.n);
	}
	TRY(pico_usd_parse(&t.input_pico_usd, field[0]));
	TRY(pico_usd_parse(&t.output_pico_usd, field[1]));
	if (!span_u64(field[2], UINT64_MAX, &use.prompt_tokens) ||
	    !span_u64(field[3], UINT64_MAX, &use.completion_tokens))
		return FAIL(MALFORMED, "counts");
	TRY(token_price_parse(&price, field[4]));
	cost = cost_units(&t, &price, &use);
	u256_put(out, cost);
	buf_put_byte(out, ' ');
	cost_put_usd(out, &price, cost);
	return OK;
}

int
main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 1) {
		struct buf out;

		buf_init(&out, 512);
		if (failed(line_cost(&out, span_of(line, (size_t)n - 1))))
			buf_put_str(&out, "error");
		buf_put_byte(&out, '\n');
		if (fwrite(out.p, 1, out.n, stdout) != out.n)
			return 1;
		buf_fini(&out);
	}
	free(line);
	return 0;
}
