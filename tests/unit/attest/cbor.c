/*
 * attest/cbor.c and attest/der.c: each rule of the two grammars, and what is still allowed.
 */
#include "attest/cbor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "attest/der.h"
#include "codec/hex.h"
#include "core/buf.h"

enum { ROW_MAX_BYTES = 4096 };

/* reason: NULL when the one item is accepted, with `rest` bytes behind it. */
static const struct {
	const char *rule, *hex, *reason;
	size_t rest;
} rows[] = {
	{ "an integer", "00", NULL, 0 },
	{ "an integer in more bytes than it needs", "1800", NULL, 0 },
	{ "the largest integer", "1bffffffffffffffff", NULL, 0 },
	{ "a negative integer", "3822", NULL, 0 },
	{ "an empty byte string", "40", NULL, 0 },
	{ "what follows an item stays", "4101ff", NULL, 1 },
	{ "maps and arrays, definite", "a2016161028101", NULL, 0 },
	{ "maps and arrays, indefinite", "bf01 9f0102ff 02f6ff", NULL, 0 },
	{ "a break inside a byte string is no break", "bf0142ffffff", NULL, 0 },
	{ "null, booleans and floats are passed over", "84f6f5f4fb3ff0000000000000", NULL, 0 },
	{ "text beyond ASCII", "62c3a9", NULL, 0 },
	{ "eight levels", "8181818181818181 80", "cbor-depth", 0 },
	{ "eight levels, less one", "81818181818181 80", NULL, 0 },
	{ "nothing", "", "cbor-truncated", 0 },
	{ "an argument cut", "1900", "cbor-truncated", 0 },
	{ "a string cut", "4201", "cbor-truncated", 0 },
	{ "a length that wraps", "5bffffffffffffffff00", "cbor-truncated", 0 },
	{ "an array of more than there is", "8301", "cbor-truncated", 0 },
	{ "a map of more than there is", "bbffffffffffffffff0000", "cbor-truncated", 0 },
	{ "a map of half of what is left, and one", "a2010203", "cbor-truncated", 0 },
	{ "a map without its break", "bf0102", "cbor-truncated", 0 },
	{ "a key without its value", "bf01ff", "cbor-break", 0 },
	{ "a break alone", "ff", "cbor-break", 0 },
	{ "a break in a definite array", "8101ff", NULL, 1 },
	{ "a byte string of indefinite length", "5f4101ff", "cbor-indefinite-string", 0 },
	{ "a text of indefinite length", "7f6161ff", "cbor-indefinite-string", 0 },
	{ "an integer of indefinite length", "1f", "cbor-reserved-ai", 0 },
	{ "additional information 28", "1c", "cbor-reserved-ai", 0 },
	{ "additional information 30", "5e", "cbor-reserved-ai", 0 },
	{ "a simple value in two bytes", "f816", "cbor-reserved-ai", 0 },
	{ "a tag", "c100", "cbor-tag", 0 },
	{ "a tag inside", "81d20100", "cbor-tag", 0 },
	{ "two equal keys", "a2010201 03", "cbor-duplicate-key", 0 },
	{ "two equal keys, another spelling", "a20002180003", "cbor-duplicate-key", 0 },
	{ "two equal texts", "a2616101616102", "cbor-duplicate-key", 0 },
	{ "two equal keys behind a nested value", "bf01820203020301 04ff", "cbor-duplicate-key",
	    0 },
	{ "a text and a byte string are two keys", "a2616101416102", NULL, 0 },
	{ "1 and -2 are two keys", "a201002101", NULL, 0 },
	{ "an array as key", "a1800 0", "cbor-key", 0 },
	{ "null as key", "a1f600", "cbor-key", 0 },
	{ "a surrogate", "63eda080", "cbor-utf8", 0 },
	{ "an overlong form", "62c080", "cbor-utf8", 0 },
	{ "an overlong form of three", "63e08080", "cbor-utf8", 0 },
	{ "above U+10FFFF", "64f4908080", "cbor-utf8", 0 },
	{ "a character cut", "61c3", "cbor-utf8", 0 },
};

/* Digits with blanks between them. */
static struct span
bytes_of(const char *text, uint8_t out[static ROW_MAX_BYTES])
{
	char digits[2 * ROW_MAX_BYTES];
	size_t n = 0;

	for (; *text != '\0'; text++)
		if (*text != ' ')
			digits[n++] = *text;
	assert_int_equal(hex_parse(out, n / 2, span_of(digits, n)).code, ERR_OK);
	return span_of(out, n / 2);
}

static void
grammar(void **state)
{
	uint8_t bytes[ROW_MAX_BYTES];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span at = bytes_of(rows[i].hex, bytes);
		struct err e = cbor_check(&at);

		if (rows[i].reason == NULL
			? failed(e) || at.n != rows[i].rest
			: !failed(e) || !span_starts(span_str(e.what), span_str(rows[i].reason)))
			fail_msg("%s: %s, %zu left", rows[i].rule, failed(e) ? e.what : "accepted",
			    at.n);
	}
}

static void
pairs_are_bounded(void **state)
{
	for (unsigned n = CBOR_MAX_PAIRS; n <= CBOR_MAX_PAIRS + 1; n++) {
		struct span at;
		struct buf b;

		buf_init(&b, ROW_MAX_BYTES);
		buf_put_byte(&b, 0xbf);
		for (unsigned i = 0; i < n; i++) {
			buf_put_byte(&b, 0x19);
			buf_put_byte(&b, (uint8_t)(i >> 8));
			buf_put_byte(&b, (uint8_t)i);
			buf_put_byte(&b, 0x00);
		}
		buf_put_byte(&b, 0xff);
		assert_int_equal(buf_check(&b).code, ERR_OK);
		at = buf_span(&b);
		assert_int_equal(cbor_check(&at).code, n > CBOR_MAX_PAIRS ? ERR_TOO_LARGE : ERR_OK);
		buf_fini(&b);
	}
}

/* {1: [2, {3: 4}], 5: "a"}, walked with children passed over and without. */
static void
walks(void **state)
{
	static const char *const forms[] = { "a2 01 82 02 a1 03 04 05 61 61",
		"bf 01 9f 02 bf 03 04 ff ff 05 61 61 ff" };
	uint8_t bytes[ROW_MAX_BYTES];

	for (size_t i = 0; i < 2; i++) {
		struct span at = bytes_of(forms[i], bytes);
		struct cbor_children pairs, list;
		struct cbor_item map, item;

		assert_int_equal(cbor_next(&at, &map).code, ERR_OK);
		pairs = cbor_children(&map, at);
		assert_true(cbor_child(&pairs, &item) && item.value == 1);
		assert_true(cbor_child(&pairs, &item) && item.major == CBOR_ARRAY);
		list = cbor_children(&item, pairs.at);
		assert_true(cbor_child(&list, &item) && item.value == 2);
		assert_true(cbor_child(&list, &item) && item.major == CBOR_MAP);
		cbor_pass(&list.at, &item);
		assert_false(cbor_child(&list, &item));
		item = (struct cbor_item){ 0 };
		pairs = cbor_children(&map, at);
		assert_true(cbor_child(&pairs, &item) && cbor_child(&pairs, &item));
		cbor_pass(&pairs.at, &item);
		assert_true(cbor_child(&pairs, &item) && item.value == 5);
		assert_true(cbor_child(&pairs, &item) && cbor_is_text(&item, "a"));
		assert_false(cbor_is_text(&item, "b"));
		assert_false(cbor_child(&pairs, &item));
	}
}

static const struct {
	const char *rule, *hex;
	bool strict;
} encodings[] = {
	{ "X.690 8.1: a sequence", "3003020105", true },
	{ "X.690 8.1: empty", "3000", true },
	{ "bytes behind it", "300000", false },
	{ "X.690 10.1: a length in the long form that fits the short one", "30810 3020105", false },
	{ "X.690 10.1: two bytes of length where one does", "3082000 3020105", false },
	{ "X.690 10.1: indefinite length", "30800201050000", false },
	{ "X.690 8.1: a length past the end", "3004020105", false },
	{ "X.690 8.1: a length past its sequence", "30030203 01", false },
	{ "X.690 11.1: a boolean of 1", "3003010101", false },
	{ "X.690 11.1: true", "30030101ff", true },
	{ "X.690 8.3.2: an integer with a spare zero", "300402020005", false },
	{ "X.690 8.3.2: a zero before a high bit", "300402020085", true },
	{ "X.690 8.3.2: an integer with spare ones", "30040202ff85", false },
	{ "X.690 8.3.1: an integer of no bytes", "30020200", false },
	{ "a tag of more than one byte", "1f8101 00", false },
	{ "a primitive value is not looked into", "0403308005", true },
	{ "nothing", "", false },
	{ "a tag alone", "30", false },
};

static void
distinguished_encoding(void **state)
{
	uint8_t bytes[ROW_MAX_BYTES];
	struct buf deep;

	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		if (der_is_strict(bytes_of(encodings[i].hex, bytes)) != encodings[i].strict)
			fail_msg("%s", encodings[i].rule);
	buf_init(&deep, ROW_MAX_BYTES);
	for (unsigned left = 2 * (DER_MAX_DEPTH + 2); left > 0; left -= 2) {
		buf_put_byte(&deep, 0x30);
		buf_put_byte(&deep, (uint8_t)(left - 2));
	}
	assert_false(der_is_strict(buf_span(&deep)));
	assert_true(der_is_strict(span_cut(buf_span(&deep), 2 * 4, deep.n)));
	buf_fini(&deep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammar),
		cmocka_unit_test(pairs_are_bounded),
		cmocka_unit_test(walks),
		cmocka_unit_test(distinguished_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
