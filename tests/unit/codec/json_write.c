/* json_write.c: string literals, and what Python's json.dumps prints. */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/limits.h"

static void
string_literals(void **state)
{
	static const struct {
		const char *rule, *text;
		size_t n;
		const char *want;
	} rows[] = {
		{ "empty", "", 0, "\"\"" },
		{ "plain", "abc", 3, "\"abc\"" },
		{ "UTF-8 stays", "Gr\xc3\xbc\xf0\x9f\x98\x80", 8,
		    "\"Gr\xc3\xbc\xf0\x9f\x98\x80\"" },
		{ "quote and backslash", "a\"b\\", 4, "\"a\\\"b\\\\\"" },
		{ "slash and delete stay", "/\x7f", 2, "\"/\x7f\"" },
		{ "short escapes", "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" },
		{ "other control bytes", "\0\x01\x1f", 3, "\"\\u0000\\u0001\\u001f\"" },
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct json doc;
		struct arena a;
		struct span back;
		struct buf b;

		buf_init(&b, 256);
		arena_init(&a, 1 << 16);
		json_put_string(&b, span_of(rows[r].text, rows[r].n));
		if (!span_eq(buf_span(&b), span_str(rows[r].want)))
			fail_msg("%s: %.*s", rows[r].rule, (int)b.n, b.p);
		assert_int_equal(json_parse(&doc, buf_span(&b), 1).code, ERR_OK);
		assert_int_equal(json_string(&doc, 0, &a, &back).code, ERR_OK);
		assert_true(span_eq(back, span_of(rows[r].text, rows[r].n)));
		json_fini(&doc);
		arena_fini(&a);
		buf_fini(&b);
	}
}

/* json -> json.dumps(json.loads(x), sort_keys=True), as Python 3 prints it. */
static const struct {
	const char *rule, *json, *want;
} rows[] = {
	{ "words", "[ null,true , false]", "[null, true, false]" },
	{ "empty ones", "[{},[],\"\"]", "[{}, [], \"\"]" },
	{ "separators", "{\"b\" :1,\"a\":[1,2]}", "{\"a\": [1, 2], \"b\": 1}" },
	{ "integers of any size", "[123456789012345678901234567890,-7,0]",
	    "[123456789012345678901234567890, -7, 0]" },
	{ "the integer -0", "[-0]", "[0]" },
	{ "floats", "[1.0,1e2,-0.0,1E-7,0.1,1e16,123456789012345680.0,5e-324]",
	    "[1.0, 100.0, -0.0, 1e-07, 0.1, 1e+16, 1.2345678901234568e+17, 5e-324]" },
	{ "underflow", "[1e-999]", "[0.0]" },
	{ "names by code point",
	    "{\"\\ud83d\\ude00\":6,\"\\uff5e\":7,\"\xc3\xa9\":5,\"a\":4,\"a_\":3,"
	    "\"B\":2,\"b\":1,\"10\":8,\"9\":9}",
	    "{\"10\": 8, \"9\": 9, \"B\": 2, \"a\": 4, \"a_\": 3, \"b\": 1, \"\\u00e9\": 5, "
	    "\"\\uff5e\": 7, \"\\ud83d\\ude00\": 6}" },
	{ "the last of equal names, at every depth",
	    "{\"a\":{\"x\":1,\"\\u0078\":2},\"a\":{\"y\":1,\"y\":[]}}", "{\"a\": {\"y\": []}}" },
	{ "escapes of names", "{\"a\\/\\u0062\\n\":0}", "{\"a/b\\n\": 0}" },
	{ "what is ASCII stays", "\" !#[]^~'\"", "\" !#[]^~'\"" },
	{ "short escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
	{ "escapes without need", "\"\\u0041\\u0022\\u005c\\u000a\\u0008\"",
	    "\"A\\\"\\\\\\n\\b\"" },
	{ "control bytes and delete", "\"\\u0000\\u001F\x7f\\u007F\"",
	    "\"\\u0000\\u001f\\u007f\\u007f\"" },
	{ "above ASCII, in lower-case hex", "\"\xc2\x80\xc3\xbf\xe2\x82\xac\\uABCD\xef\xbf\xbf\"",
	    "\"\\u0080\\u00ff\\u20ac\\uabcd\\uffff\"" },
	{ "astral characters as pairs", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\\ud83d\\ude00\"",
	    "\"\\ud800\\udc00\\udbff\\udfff\\ud83d\\ude00\"" },
	{ "lone surrogates keep their escape", "\"\\ud83d \\uDE00\\ud83d\"",
	    "\"\\ud83d \\ude00\\ud83d\"" },
};

static void
python(void **state)
{
	struct arena a;
	struct json doc;
	struct buf b;

	buf_init(&b, 4096);
	arena_init(&a, 1 << 20);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		buf_clear(&b);
		assert_int_equal(json_parse(&doc, span_str(rows[r].json), 1000).code, ERR_OK);
		assert_int_equal(json_put_python(&b, &doc, 0, &a).code, ERR_OK);
		if (!span_eq(buf_span(&b), span_str(rows[r].want)))
			fail_msg("%s: %.*s", rows[r].rule, (int)b.n, b.p);
		json_fini(&doc);
	}
	arena_fini(&a);
	buf_fini(&b);
}

static void
python_errors(void **state)
{
	struct arena a;
	struct json doc;
	struct buf b;

	buf_init(&b, 64);
	arena_init(&a, 1 << 20);
	assert_int_equal(json_parse(&doc, SPAN_LIT("[[{\"a\":1e999}]]"), 10).code, ERR_OK);
	assert_int_equal(json_put_python(&b, &doc, 0, &a).code, ERR_REFUSED);
	json_fini(&doc);
	arena_fini(&a);

	arena_init(&a, 8);
	assert_int_equal(json_parse(&doc, SPAN_LIT("[{\"a\":1}]"), 10).code, ERR_OK);
	assert_int_equal(json_put_python(&b, &doc, 0, &a).code, ERR_NOMEM);
	json_fini(&doc);
	arena_fini(&a);
	buf_fini(&b);

	/* Past the bound the buffer says so, and nothing is written beyond it. */
	buf_init(&b, 8);
	arena_init(&a, 1 << 20);
	assert_int_equal(json_parse(&doc, SPAN_LIT("[\"123456789\"]"), 10).code, ERR_OK);
	assert_int_equal(json_put_python(&b, &doc, 0, &a).code, ERR_OK);
	assert_int_equal(buf_check(&b).code, ERR_TOO_LARGE);
	json_fini(&doc);
	arena_fini(&a);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(string_literals),
		cmocka_unit_test(python),
		cmocka_unit_test(python_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
