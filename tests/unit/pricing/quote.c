/* quote.c: which number of a source's answer is the price. */
#include "pricing/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ASSET "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
#define LOWER "0xfbc2051ae2265686a469421b2c5a2d5462fbf5eb"

static const struct {
	const char *rule, *answer, *want;
} answers[] = {
	{ "as the source writes it", "{\"" LOWER "\":{\"usd\":0.123}}", "0.123" },
	{ "another letter case", "{\"" ASSET "\":{\"usd\":1.2e-05}}", "0.000012" },
	{ "other tokens and currencies beside it",
	    "{\"0x00\":{\"usd\":9},\"" LOWER "\":{\"eur\":5,\"usd\":2}}", "2" },
	{ "the token twice", "{\"" LOWER "\":{\"usd\":1},\"" ASSET "\":{\"usd\":2}}", NULL },
	{ "a name twice", "{\"" LOWER "\":{\"usd\":1,\"usd\":2}}", NULL },
	{ "a string is no number", "{\"" LOWER "\":{\"usd\":\"1\"}}", NULL },
	{ "null", "{\"" LOWER "\":{\"usd\":null}}", NULL },
	{ "no such token", "{}", NULL },
	{ "an entry that is no object", "{\"" LOWER "\":1}", NULL },
	{ "an array", "[]", NULL },
	{ "half a document", "{\"" LOWER "\":{\"usd\":0.1", NULL },
	{ "a page", "<html>", NULL },
};

static void
read_answers(void **state)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct token_price p = { .text = "untouched", .text_len = 9 };
		struct err e = quote_parse(&p, span_str(answers[i].answer), SPAN_LIT(ASSET));
		const char *want = answers[i].want == NULL ? "untouched" : answers[i].want;

		if ((e.code == ERR_OK) != (answers[i].want != NULL))
			fail_msg("%s: %d", answers[i].rule, e.code);
		if (!span_eq(token_price_text(&p), span_str(want)))
			fail_msg("%s: %.*s", answers[i].rule, (int)p.text_len, p.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
