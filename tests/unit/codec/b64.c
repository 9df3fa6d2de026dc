/* b64.c: one value, one spelling. */
#include "codec/b64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
	const char *bytes, *standard, *urlsafe;
} vectors[] = {
	/* RFC 4648 10 */
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	/* The two digits that differ. */
	{ "\xfb\xff\xfe", "+//+", "-__-" },
};

static void
both_ways(void **state)
{
	for (size_t r = 0; r < sizeof(vectors) / sizeof(vectors[0]); r++) {
		struct span bytes = span_str(vectors[r].bytes);
		struct buf text, back;

		buf_init(&text, 64);
		buf_init(&back, 64);
		b64_put(&text, bytes);
		assert_true(span_eq(buf_span(&text), span_str(vectors[r].standard)));
		assert_int_equal(b64_parse(&back, buf_span(&text)).code, ERR_OK);
		assert_true(span_eq(buf_span(&back), bytes));
		buf_clear(&text);
		buf_clear(&back);
		b64url_put(&text, bytes);
		assert_true(span_eq(buf_span(&text), span_str(vectors[r].urlsafe)));
		assert_int_equal(b64url_parse(&back, buf_span(&text)).code, ERR_OK);
		assert_true(span_eq(buf_span(&back), bytes));
		buf_fini(&text);
		buf_fini(&back);
	}
}

static const struct {
	const char *rule, *text;
	enum err_code standard, urlsafe;
} rows[] = {
	{ "four digits", "AAAA", ERR_OK, ERR_OK },
	{ "RFC 4648 3.2: padding left out", "Zg", ERR_MALFORMED, ERR_OK },
	{ "RFC 4648 3.2: padding left out, two bytes", "Zm8", ERR_MALFORMED, ERR_OK },
	{ "R1: base64url has no padding", "Zg==", ERR_OK, ERR_MALFORMED },
	{ "half the padding", "Zg=", ERR_MALFORMED, ERR_MALFORMED },
	{ "too much padding", "Zm9v====", ERR_MALFORMED, ERR_MALFORMED },
	{ "three signs of padding", "Z===", ERR_MALFORMED, ERR_MALFORMED },
	{ "padding alone", "====", ERR_MALFORMED, ERR_MALFORMED },
	{ "padding inside", "Zg==Zg==", ERR_MALFORMED, ERR_MALFORMED },
	{ "a single digit", "A", ERR_MALFORMED, ERR_MALFORMED },
	{ "five digits", "AAAAA", ERR_MALFORMED, ERR_MALFORMED },
	{ "RFC 4648 3.5: four spare bits", "Zh==", ERR_MALFORMED, ERR_MALFORMED },
	{ "R1: four spare bits, unpadded", "Zh", ERR_MALFORMED, ERR_MALFORMED },
	{ "RFC 4648 3.5: two spare bits", "Zm9=", ERR_MALFORMED, ERR_MALFORMED },
	{ "R1: two spare bits, unpadded", "Zm9", ERR_MALFORMED, ERR_MALFORMED },
	{ "the other alphabet: minus", "-AAA", ERR_MALFORMED, ERR_OK },
	{ "the other alphabet: underscore", "_AAA", ERR_MALFORMED, ERR_OK },
	{ "the other alphabet: plus", "+AAA", ERR_OK, ERR_MALFORMED },
	{ "the other alphabet: slash", "/AAA", ERR_OK, ERR_MALFORMED },
	{ "RFC 4648 3.3: line feed at the end", "AAAA\n", ERR_MALFORMED, ERR_MALFORMED },
	{ "RFC 4648 3.3: space inside", "AA A", ERR_MALFORMED, ERR_MALFORMED },
	{ "byte above 127", "AA\xc3\xa9", ERR_MALFORMED, ERR_MALFORMED },
};

static void
strict(void **state)
{
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct buf b;

		buf_init(&b, 64);
		buf_put_str(&b, "kept");
		if (b64_parse(&b, span_str(rows[r].text)).code != rows[r].standard)
			fail_msg("%s: standard", rows[r].rule);
		if (rows[r].standard != ERR_OK && !span_eq(buf_span(&b), SPAN_LIT("kept")))
			fail_msg("%s: content changed on error", rows[r].rule);
		buf_truncate(&b, 4);
		if (b64url_parse(&b, span_str(rows[r].text)).code != rows[r].urlsafe)
			fail_msg("%s: url-safe", rows[r].rule);
		if (rows[r].urlsafe != ERR_OK && !span_eq(buf_span(&b), SPAN_LIT("kept")))
			fail_msg("%s: content changed on error", rows[r].rule);
		buf_fini(&b);
	}
}

/* Every string of two digits: those that decode are those that encoding gives back. */
static void
one_spelling(void **state)
{
	unsigned accepted = 0;

	for (unsigned i = 0; i < 256 * 256; i++) {
		uint8_t text[2] = { (uint8_t)(i >> 8), (uint8_t)i };
		struct buf bytes, again;

		buf_init(&bytes, 4);
		buf_init(&again, 4);
		if (b64url_parse(&bytes, span_of(text, 2)).code == ERR_OK) {
			b64url_put(&again, buf_span(&bytes));
			assert_true(span_eq(buf_span(&again), span_of(text, 2)));
			accepted++;
		}
		buf_fini(&bytes);
		buf_fini(&again);
	}
	assert_int_equal(accepted, 256);
}

static void
bounds(void **state)
{
	struct buf b;

	buf_init(&b, 5);
	assert_int_equal(b64_parse(&b, SPAN_LIT("Zm9vYg==")).code, ERR_OK);
	assert_int_equal(b64_parse(&b, SPAN_LIT("Zm9v")).code, ERR_TOO_LARGE);
	assert_true(span_eq(buf_span(&b), SPAN_LIT("foob")));
	assert_int_equal(buf_check(&b).code, ERR_OK);
	b64_put(&b, SPAN_LIT("f"));
	assert_int_equal(buf_check(&b).code, ERR_TOO_LARGE);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(strict),
		cmocka_unit_test(one_spelling),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
