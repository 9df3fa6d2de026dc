/* decimal.c: the nearest double of a text, and the shortest text of a double. */
#include "codec/decimal.h"

#include <math.h>
#include <string.h>

#include "../vectors.h"

static struct vectors vectors;

/* repr() of the double nearest to `text`, or nothing when there is none. */
static void
repr(struct buf *b, struct span text)
{
	double v;

	buf_clear(b);
	if (decimal_to_double(text, &v))
		decimal_put_repr(b, v);
}

static void
published_vectors(void **state)
{
	uint32_t list, seen = 0;
	struct buf got;

	buf_init(&got, 4096);
	vectors_open(&vectors, "signing/number_format.json");
	list = vectors_get(&vectors, 0, "vectors");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c), seen++) {
		struct span in = vectors_text(&vectors, c, "json_in");
		struct json doc;

		repr(&got, in);
		if (!span_eq(buf_span(&got), vectors_text(&vectors, c, "as_float_json_dumps")))
			fail_msg("%s as a float: %.*s", (const char *)in.p, (int)got.n, got.p);
		buf_clear(&got);
		assert_int_equal(json_parse(&doc, in, 1).code, ERR_OK);
		assert_int_equal(json_put_python(&got, &doc, 0, &vectors.arena).code, ERR_OK);
		if (!span_eq(buf_span(&got), vectors_text(&vectors, c, "as_is_json_dumps")))
			fail_msg("%s as it is: %.*s", (const char *)in.p, (int)got.n, got.p);
		json_fini(&doc);
	}
	assert_int_equal(seen, 24);
	vectors_close(&vectors);
	buf_fini(&got);
}

static const struct {
	const char *rule, *text, *want; /* NULL: no number, or none that a double can hold */
} rows[] = {
	{ "zero", "0", "0.0" },
	{ "negative zero", "-0", "-0.0" },
	{ "zero with any exponent", "0e99999999999999999999", "0.0" },
	{ "negative zero with any exponent", "-0.000E-99999999999999999999", "-0.0" },
	{ "sixteen digits before the point: still fixed", "9999999999999998",
	    "9999999999999998.0" },
	{ "seventeen: an exponent", "10000000000000000", "1e+16" },
	{ "rounds up to sixteen zeros", "9999999999999999.9", "1e+16" },
	{ "four zeros after the point: still fixed", "0.00012345", "0.00012345" },
	{ "five: an exponent", "0.000012345", "1.2345e-05" },
	{ "an exponent has at least two digits", "1e+100", "1e+100" },
	{ "sign and capital E", "-1.5E+3", "-1500.0" },
	{ "a power of two whose nearest 16 digits miss it", "5.684341886080801486968994140625e-14",
	    "5.684341886080802e-14" },
	{ "the smallest power of two that is normal", "2.2250738585072014e-308",
	    "2.2250738585072014e-308" },
	{ "the largest subnormal", "2.225073858507201e-308", "2.225073858507201e-308" },
	{ "half the smallest subnormal ties to even: 0",
	    "2.4703282292062327208299439634110864618e-324", "0.0" },
	{ "a little more than that", "2.4703282292062328e-324", "5e-324" },
	{ "underflow is 0", "1e-400", "0.0" },
	{ "negative underflow is -0", "-1e-99999999999", "-0.0" },
	{ "halfway to the next integer ties to even", "9007199254740993", "9007199254740992.0" },
	{ "halfway and a bit rounds up", "9007199254740993.00000000000000000000000000000000001",
	    "9007199254740994.0" },
	{ "the largest double", "179769313486231570e291", "1.7976931348623157e+308" },
	{ "rounds down to the largest double", "1.7976931348623158e308",
	    "1.7976931348623157e+308" },
	{ "halfway beyond the largest double overflows", "1.797693134862315808e308", NULL },
	{ "overflow", "1e309", NULL },
	{ "overflow of the exponent's own digits", "1e99999999999999999999999999", NULL },
	{ "RFC 8259 6: empty", "", NULL },
	{ "RFC 8259 6: only a sign", "-", NULL },
	{ "RFC 8259 6: plus sign", "+1", NULL },
	{ "RFC 8259 6: leading zero", "01", NULL },
	{ "RFC 8259 6: no digit before the point", ".5", NULL },
	{ "RFC 8259 6: no digit after the point", "1.", NULL },
	{ "RFC 8259 6: no digit in the exponent", "1e", NULL },
	{ "RFC 8259 6: no digit after the exponent's sign", "1e-", NULL },
	{ "RFC 8259 6: white space", " 1", NULL },
	{ "RFC 8259 6: bytes after it", "1x", NULL },
	{ "RFC 8259 6: hexadecimal", "0x10", NULL },
	{ "RFC 8259 6: infinity", "inf", NULL },
	{ "RFC 8259 6: not a number", "nan", NULL },
	{ "no locale's comma", "1,5", NULL },
};

static void
rules(void **state)
{
	struct buf got;

	buf_init(&got, 4096);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const char *want = rows[r].want == NULL ? "" : rows[r].want;

		repr(&got, span_str(rows[r].text));
		if (!span_eq(buf_span(&got), span_str(want)))
			fail_msg("%s: %.*s", rows[r].rule, (int)got.n, got.p);
	}
	buf_fini(&got);
}

static void
put_many(struct buf *b, uint8_t c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_put_byte(b, c);
}

/* Long texts: digits past those that are kept still decide a tie. */
static void
long_texts(void **state)
{
	struct buf text, got;

	buf_init(&text, 4 << 20);
	buf_init(&got, 4096);

	buf_put_str(&text, "0.");
	put_many(&text, '0', 1 << 20);
	buf_put_str(&text, "15e1048577");
	repr(&got, buf_span(&text));
	assert_true(span_eq(buf_span(&got), SPAN_LIT("1.5")));

	buf_clear(&text);
	buf_put_byte(&text, '7');
	put_many(&text, '0', 1 << 20);
	buf_put_str(&text, ".0e-1048576");
	repr(&got, buf_span(&text));
	assert_true(span_eq(buf_span(&got), SPAN_LIT("7.0")));

	/* 2^53 + 1 is halfway; one digit a million places later decides. */
	for (int more = 0; more <= 1; more++) {
		buf_clear(&text);
		buf_put_str(&text, "9007199254740993.");
		put_many(&text, '0', 1 << 20);
		buf_put_byte(&text, more ? '1' : '0');
		repr(&got, buf_span(&text));
		assert_true(span_eq(buf_span(&got),
		    more ? SPAN_LIT("9007199254740994.0") : SPAN_LIT("9007199254740992.0")));
	}
	buf_fini(&got);
	buf_fini(&text);
}

/* Every power of two and its neighbours read back as themselves, in at most 17 digits. */
static void
powers_of_two(void **state)
{
	struct buf got;

	buf_init(&got, 64);
	for (int e = -1074; e <= 1023; e++) {
		double base = ldexp(1, e),
		       near[3] = { nextafter(base, 0), base, nextafter(base, INFINITY) };

		for (int i = 0; i < 3; i++) {
			double back = -1;

			buf_clear(&got);
			decimal_put_repr(&got, near[i]);
			if (!decimal_to_double(buf_span(&got), &back) || back != near[i])
				fail_msg("2^%d: %.*s", e, (int)got.n, got.p);
			assert_true(got.n <= 24);
		}
	}
	buf_fini(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(rules),
		cmocka_unit_test(long_texts),
		cmocka_unit_test(powers_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
