/* json_read.c: lookups, decoded strings, equal names. */
#include "codec/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/limits.h"

static void
parse(struct json *doc, const char *text)
{
	struct err e = json_parse(doc, span_str(text), JSON_MAX_NODES);

	if (failed(e))
		fail_msg("%s: %s", text, e.what);
}

static void
lookups(void **state)
{
	static const struct {
		const char *rule, *text, *name, *raw; /* raw NULL: absent */
	} rows[] = {
		{ "a member", "{\"a\":1,\"b\":2}", "b", "2" },
		{ "the last of equal names", "{\"a\":1,\"b\":2,\"a\":3}", "a", "3" },
		{ "names are compared decoded", "{\"\\u0061\\u00e9\":1}", "a\xc3\xa9", "1" },
		{ "a pair of escapes is one character", "{\"\\ud83d\\ude00\":1}",
		    "\xf0\x9f\x98\x80", "1" },
		{ "a lone surrogate is its three bytes, which no valid text holds",
		    "{\"\\ud83d\":1}", "\xed\xa0\xbd", "1" },
		{ "a prefix is another name", "{\"ab\":1}", "a", NULL },
		{ "a longer name is another name", "{\"a\":1}", "ab", NULL },
		{ "an escaped prefix is another name", "{\"a\\u0062\":1}", "a", NULL },
		{ "the empty name", "{\"\":1}", "", "1" },
		{ "a NUL ends no name", "{\"a\\u0000\":1}", "a", NULL },
		{ "only members of this object", "{\"x\":{\"a\":1}}", "a", NULL },
		{ "a value is not a name", "{\"x\":\"a\"}", "a", NULL },
		{ "an array has no members", "[\"a\",1]", "a", NULL },
		{ "a string has no members", "\"a\"", "a", NULL },
	};
	struct json doc;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint32_t at;

		parse(&doc, rows[r].text);
		at = json_get(&doc, 0, rows[r].name);
		if ((at == JSON_NONE) != (rows[r].raw == NULL))
			fail_msg("%s", rows[r].rule);
		if (at != JSON_NONE && !span_eq(json_raw(&doc, at), span_str(rows[r].raw)))
			fail_msg("%s: another value", rows[r].rule);
		json_fini(&doc);
	}
	parse(&doc, "{}");
	assert_int_equal(json_get(&doc, JSON_NONE, "a"), JSON_NONE);
	json_fini(&doc);
}

static void
comparisons(void **state)
{
	static const struct {
		const char *rule, *json, *text;
		bool want;
	} rows[] = {
		{ "equal bytes", "\"user\"", "user", true },
		{ "escapes are decoded", "\"\\u0075s\\u0065r\"", "user", true },
		{ "case matters", "\"User\"", "user", false },
		{ "a prefix", "\"use\"", "user", false },
		{ "an escaped prefix", "\"\\u0075se\"", "user", false },
		{ "more than the text", "\"\\u0075sers\"", "user", false },
		{ "a number is no string", "1", "1", false },
		{ "null is no string", "null", "null", false },
		{ "empty", "\"\"", "", true },
	};
	struct json doc;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		parse(&doc, rows[r].json);
		if (json_is(&doc, 0, rows[r].text) != rows[r].want)
			fail_msg("%s", rows[r].rule);
		json_fini(&doc);
	}
	parse(&doc, "1");
	assert_false(json_is(&doc, JSON_NONE, ""));
	json_fini(&doc);
}

static void
integers(void **state)
{
	static const struct {
		const char *rule, *json;
		uint64_t max;
		bool ok;
		uint64_t want;
	} rows[] = {
		{ "zero", "0", 0, true, 0 },
		{ "at the bound", "100", 100, true, 100 },
		{ "above the bound", "101", 100, false, 0 },
		{ "the largest", "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "one more", "18446744073709551616", UINT64_MAX, false, 0 },
		{ "twenty digits more", "1844674407370955161618446744073709551616", UINT64_MAX,
		    false, 0 },
		{ "a sign", "-1", UINT64_MAX, false, 0 },
		{ "a negative zero", "-0", UINT64_MAX, false, 0 },
		{ "a float", "1.0", UINT64_MAX, false, 0 },
		{ "an exponent", "1e2", UINT64_MAX, false, 0 },
		{ "a string", "\"1\"", UINT64_MAX, false, 0 },
	};
	struct json doc;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint64_t v = 0;

		parse(&doc, rows[r].json);
		if (json_u64(&doc, 0, rows[r].max, &v) != rows[r].ok || v != rows[r].want)
			fail_msg("%s", rows[r].rule);
		assert_false(json_u64(&doc, JSON_NONE, 1, &v));
		json_fini(&doc);
	}
}

static void
doubles(void **state)
{
	static const struct {
		const char *rule, *json;
		bool ok;
		double want;
	} rows[] = {
		{ "a float", "0.1", true, 0.1 },
		{ "an integer", "3", true, 3 },
		{ "the integer -0 has no sign", "-0", true, 0.0 },
		{ "the float -0.0 has one", "-0.0", true, -0.0 },
		{ "overflow", "1e400", false, 7 },
		{ "a string", "\"1\"", false, 7 },
		{ "true", "true", false, 7 },
	};
	struct json doc;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		double v = 7;

		parse(&doc, rows[r].json);
		if (json_double(&doc, 0, &v) != rows[r].ok || v != rows[r].want ||
		    signbit(v) != signbit(rows[r].want))
			fail_msg("%s", rows[r].rule);
		assert_false(json_double(&doc, JSON_NONE, &v));
		json_fini(&doc);
	}
}

static void
strings(void **state)
{
	static const struct {
		const char *rule, *json, *want;
		size_t n;
	} rows[] = {
		{ "empty", "\"\"", "", 0 },
		{ "no escapes", "\"Gr\xc3\xbc\"", "Gr\xc3\xbc", 4 },
		{ "the short escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
		{ "NUL is a byte like any other", "\"a\\u0000b\"", "a\0b", 3 },
		{ "one to three bytes", "\"\\u007f\\u0080\\u07FF\\u0800\\uffff\"",
		    "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11 },
		{ "a pair", "\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80", 4 },
		{ "the last pair", "\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf", 4 },
		{ "a lone high one is replaced", "\"\\ud800x\"", "\xef\xbf\xbdx", 4 },
		{ "a lone low one is replaced", "\"\\udc00\"", "\xef\xbf\xbd", 3 },
		{ "halves in the wrong order", "\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd",
		    6 },
		{ "a high one before a pair", "\"\\ud83d\\ud83d\\ude00\"",
		    "\xef\xbf\xbd\xf0\x9f\x98\x80", 7 },
		{ "a high one before another escape", "\"\\ud83d\\n\"", "\xef\xbf\xbd\n", 4 },
		{ "an escaped backslash before u", "\"\\\\ud83d\"", "\\ud83d", 6 },
	};
	struct arena a;
	struct json doc;
	struct span got;

	arena_init(&a, 1 << 16);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		parse(&doc, rows[r].json);
		assert_int_equal(json_string(&doc, 0, &a, &got).code, ERR_OK);
		if (!span_eq(got, span_of(rows[r].want, rows[r].n)))
			fail_msg("%s", rows[r].rule);
		json_fini(&doc);
	}
	parse(&doc, "[1]");
	assert_int_equal(json_string(&doc, 0, &a, &got).code, ERR_MALFORMED);
	assert_int_equal(json_string(&doc, 1, &a, &got).code, ERR_MALFORMED);
	assert_int_equal(json_string(&doc, JSON_NONE, &a, &got).code, ERR_MALFORMED);
	json_fini(&doc);
	arena_fini(&a);

	arena_init(&a, 8);
	parse(&doc, "\"\\n\"");
	assert_int_equal(json_string(&doc, 0, &a, &got).code, ERR_NOMEM);
	json_fini(&doc);
	parse(&doc, "\"n\"");
	assert_int_equal(json_string(&doc, 0, &a, &got).code, ERR_OK);
	json_fini(&doc);
	arena_fini(&a);
}

static void
points(void **state)
{
	static const uint32_t want[] = { 'a', 0xe9, 0x20ac, 0x1f600, 0xd83d, 0x1f600, 0xdc00, '"',
		0 };
	struct json_points it;
	struct json doc;
	uint32_t cp;

	parse(&doc,
	    "\"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\\ud83d\\ud83d\\ude00\\udc00\\\"\\u0000\"");
	it = (struct json_points){ json_inner(&doc, 0), 0 };
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_true(json_point(&it, &cp));
		assert_int_equal(cp, want[i]);
	}
	assert_false(json_point(&it, &cp));
	json_fini(&doc);
}

static void
duplicates(void **state)
{
	static const struct {
		const char *rule, *json;
		enum err_code want;
	} rows[] = {
		{ "none", "{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":1}]}", ERR_OK },
		{ "no object", "[1,1]", ERR_OK },
		{ "equal values of different names", "{\"a\":\"b\",\"b\":\"a\"}", ERR_OK },
		{ "a prefix is another name", "{\"a\":1,\"aa\":1,\"\":1}", ERR_OK },
		{ "at the root", "{\"a\":1,\"b\":2,\"a\":1}", ERR_MALFORMED },
		{ "deep inside", "[[{\"x\":{\"a\":1,\"a\":2}}]]", ERR_MALFORMED },
		{ "one of them spelled with an escape", "{\"a\":1,\"\\u0061\":2}", ERR_MALFORMED },
		{ "a pair as escapes and as UTF-8", "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}",
		    ERR_MALFORMED },
		{ "lone surrogates that are equal", "{\"\\ud83d\":1,\"\\uD83D\":2}",
		    ERR_MALFORMED },
		{ "lone surrogates that differ", "{\"\\ud83d\":1,\"\\ud83e\":2,\"\\ufffd\":3}",
		    ERR_OK },
		{ "the empty name twice", "{\"\":1,\"\":2}", ERR_MALFORMED },
		{ "after a NUL they differ", "{\"a\\u0000b\":1,\"a\\u0000c\":2}", ERR_OK },
	};
	struct json doc;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		parse(&doc, rows[r].json);
		if (json_no_duplicates(&doc).code != rows[r].want)
			fail_msg("%s", rows[r].rule);
		json_fini(&doc);
	}
}

/* Members sorted by code point, each once, with the last value and the first place. */
static void
members(void **state)
{
	static const char text[] =
	    "{\"b\":0,\"\\ud83d\\ude00\":1,\"\\uff5e\":2,\"\\ud83d\":3,\"B\":4,"
	    "\"10\":5,\"9\":6,\"a\\u005f\":7,\"a\":8,\"\xc3\xa9\":9,\"b\":10}";
	static const char *const order[] = { "5", "6", "4", "8", "7", "10", "9", "3", "2", "1" };
	static const uint32_t first[] = { 5, 6, 4, 8, 7, 0, 9, 3, 2, 1 };
	struct json_member *m;
	struct arena a;
	struct json doc;
	uint32_t n;

	arena_init(&a, 1 << 16);
	parse(&doc, text);
	assert_int_equal(json_members(&doc, 0, &a, &m, &n).code, ERR_OK);
	assert_int_equal(n, 10);
	for (uint32_t i = 0; i < n; i++) {
		if (!span_eq(json_raw(&doc, m[i].at + 1), span_str(order[i])))
			fail_msg("place %u", i);
		assert_int_equal(m[i].first, first[i]);
	}
	arena_fini(&a);
	arena_init(&a, 64);
	assert_int_equal(json_members(&doc, 0, &a, &m, &n).code, ERR_NOMEM);
	arena_fini(&a);
	json_fini(&doc);
}

/* A hundred thousand members in the worst order: sorted, not compared pair by pair. */
static void
many_members(void **state)
{
	enum { MEMBERS = 100000 };
	struct json_member *m;
	struct arena a;
	struct json doc;
	struct buf b;
	uint32_t n;

	buf_init(&b, 4 << 20);
	for (int i = 0; i < MEMBERS; i++) {
		buf_put_str(&b, i == 0 ? "{\"" : ",\"");
		buf_put_u64(&b, (uint64_t)(1000000 - i));
		buf_put_str(&b, "\":0");
	}
	buf_put_byte(&b, '}');
	assert_int_equal(buf_check(&b).code, ERR_OK);
	assert_int_equal(json_parse(&doc, buf_span(&b), JSON_MAX_NODES).code, ERR_OK);
	assert_int_equal(json_no_duplicates(&doc).code, ERR_OK);
	arena_init(&a, 64 << 20);
	assert_int_equal(json_members(&doc, 0, &a, &m, &n).code, ERR_OK);
	assert_int_equal(n, MEMBERS);
	for (uint32_t i = 1; i < n; i++)
		assert_true(span_cmp(m[i - 1].name, m[i].name) < 0);
	arena_fini(&a);
	json_fini(&doc);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups),
		cmocka_unit_test(comparisons),
		cmocka_unit_test(integers),
		cmocka_unit_test(doubles),
		cmocka_unit_test(strings),
		cmocka_unit_test(points),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(members),
		cmocka_unit_test(many_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
