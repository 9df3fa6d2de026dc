/* quote.c: a source's number becomes plain decimal text, exactly, or nothing. */
#include "pricing/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ASSET "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
#define LOWER "0xfbc2051ae2265686a469421b2c5a2d5462fbf5eb"

static const struct {
	const char *rule, *number, *want;
	enum err_code code;
} numbers[] = {
	{ "a decimal", "0.0712345678901234567", "0.0712345678901234567", ERR_OK },
	{ "an integer", "3", "3", ERR_OK },
	{ "zeros at the end say nothing", "10.500", "10.5", ERR_OK },
	{ "those of an integer do", "1200", "1200", ERR_OK },
	{ "a point with nothing behind it but zeros", "12.000", "12", ERR_OK },
	{ "an exponent below", "1.25e-05", "0.0000125", ERR_OK },
	{ "an exponent above", "1.25E+3", "1250", ERR_OK },
	{ "an exponent within the digits", "123.456e-1", "12.3456", ERR_OK },
	{ "an exponent that takes the point away", "0.0125e4", "125", ERR_OK },
	{ "one with a zero in front", "1e-007", "0.0000001", ERR_OK },
	{ "28 digits behind the point", "1e-28", "0.0000000000000000000000000001", ERR_OK },
	{ "29 are refused", "1e-29", NULL, ERR_REFUSED },
	{ "zero is no price", "0.000", NULL, ERR_REFUSED },
	{ "zero with an exponent", "0e5", NULL, ERR_REFUSED },
	{ "negative", "-0.1", NULL, ERR_REFUSED },
	{ "too large an exponent", "1e99999999999999999999", NULL, ERR_REFUSED },
	{ "too long a number", "1e60", NULL, ERR_REFUSED },
	{ "too many digits", "1234567890123456789012345678901234567890123456789", NULL,
	    ERR_REFUSED },
	{ "a leading zero", "01", NULL, ERR_MALFORMED },
	{ "no digit before the point", ".5", NULL, ERR_MALFORMED },
	{ "none behind it", "5.", NULL, ERR_MALFORMED },
	{ "no exponent", "5e", NULL, ERR_MALFORMED },
	{ "a plus", "+5", NULL, ERR_MALFORMED },
	{ "a blank", "5 ", NULL, ERR_MALFORMED },
	{ "nothing", "", NULL, ERR_MALFORMED },
	{ "no number", "NaN", NULL, ERR_MALFORMED },
};

static void
read_numbers(void **state)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct quote q = { "untouched" };
		struct err e = quote_read(&q, span_str(numbers[i].number));

		if (e.code != numbers[i].code)
			fail_msg("%s: %d", numbers[i].rule, e.code);
		if (strcmp(q.usd, numbers[i].want == NULL ? "untouched" : numbers[i].want) != 0)
			fail_msg("%s: %s", numbers[i].rule, q.usd);
	}
}

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
		struct quote q = { "untouched" };
		struct err e = quote_parse(&q, span_str(answers[i].answer), SPAN_LIT(ASSET));

		if ((e.code == ERR_OK) != (answers[i].want != NULL))
			fail_msg("%s: %d", answers[i].rule, e.code);
		if (strcmp(q.usd, answers[i].want == NULL ? "untouched" : answers[i].want) != 0)
			fail_msg("%s: %s", answers[i].rule, q.usd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_numbers),
		cmocka_unit_test(read_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
