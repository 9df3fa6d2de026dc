/*
 * json.c: what is JSON and what is not. The rows named y_, n_ and i_ are the cases of the public
 * JSON parsing test suite (github.com/nst/JSONTestSuite), written down here; i_ are those on which
 * RFC 8259 leaves the choice, with the choice that was made.
 */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/limits.h"

struct row {
	const char *rule;
	struct span text;
};
#define ROW(rule, text)                                           \
	{                                                         \
		rule,                                             \
		{                                                 \
			(const uint8_t *)(text), sizeof(text) - 1 \
		}                                                 \
	}

static const struct row accepted[] = {
	ROW("y_array_arraysWithSpaces", "[[]   ]"),
	ROW("y_array_empty-string", "[\"\"]"),
	ROW("y_array_empty", "[]"),
	ROW("y_array_ending_with_newline", "[\"a\"]\n"),
	ROW("y_array_false", "[false]"),
	ROW("y_array_heterogeneous", "[null, 1, \"1\", {}]"),
	ROW("y_array_null", "[null]"),
	ROW("y_array_with_1_and_newline", "[1\n]"),
	ROW("y_array_with_leading_space", " [1]"),
	ROW("y_array_with_several_null", "[1,null,null,null,2]"),
	ROW("y_array_with_trailing_space", "[2] "),
	ROW("y_number_0e+1", "[0e+1]"),
	ROW("y_number_0e1", "[0e1]"),
	ROW("y_number_after_space", "[ 4]"),
	ROW("y_number_double_close_to_zero",
	    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"),
	ROW("y_number_int_with_exp", "[20e1]"),
	ROW("y_number_minus_zero", "[-0]"),
	ROW("y_number_negative_int", "[-123]"),
	ROW("y_number_negative_one", "[-1]"),
	ROW("y_number_negative_zero", "[-0]"),
	ROW("y_number_real_capital_e_neg_exp", "[1E-2]"),
	ROW("y_number_real_capital_e_pos_exp", "[1E+2]"),
	ROW("y_number_real_capital_e", "[1E22]"),
	ROW("y_number_real_exponent", "[123e45]"),
	ROW("y_number_real_fraction_exponent", "[123.456e78]"),
	ROW("y_number_real_neg_exp", "[1e-2]"),
	ROW("y_number_real_pos_exponent", "[1e+2]"),
	ROW("y_number_simple_int", "[123]"),
	ROW("y_number_simple_real", "[123.456789]"),
	ROW("y_object_basic", "{\"asd\":\"sdf\"}"),
	ROW("y_object_duplicated_key_and_value", "{\"a\":\"b\",\"a\":\"b\"}"),
	ROW("y_object_duplicated_key", "{\"a\":\"b\",\"a\":\"c\"}"),
	ROW("y_object_empty_key", "{\"\":0}"),
	ROW("y_object_empty", "{}"),
	ROW("y_object_escaped_null_in_key", "{\"foo\\u0000bar\": 42}"),
	ROW("y_object_extreme_numbers", "{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
	ROW("y_object_string_unicode",
	    "{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430\"}"),
	ROW("y_object_with_newlines", "{\n\"a\": \"b\"\n}"),
	ROW("y_string_1_2_3_bytes_UTF-8_sequences", "[\"\\u0060\\u012a\\u12AB\"]"),
	ROW("y_string_accepted_surrogate_pair", "[\"\\uD801\\udc37\"]"),
	ROW("y_string_accepted_surrogate_pairs", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
	ROW("y_string_allowed_escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
	ROW("y_string_backslash_and_u_escaped_zero", "[\"\\\\u0000\"]"),
	ROW("y_string_backslash_doublequotes", "[\"\\\"\"]"),
	ROW("y_string_comments", "[\"a/*b*/c/*d//e\"]"),
	ROW("y_string_double_escape_a", "[\"\\\\a\"]"),
	ROW("y_string_double_escape_n", "[\"\\\\n\"]"),
	ROW("y_string_escaped_control_character", "[\"\\u0012\"]"),
	ROW("y_string_escaped_noncharacter", "[\"\\uFFFF\"]"),
	ROW("y_string_in_array", "[\"asd\"]"),
	ROW("y_string_last_surrogates_1_and_2", "[\"\\uDBFF\\uDFFF\"]"),
	ROW("y_string_nbsp_uescaped", "[\"new\\u00A0line\"]"),
	ROW("y_string_nonCharacterInUTF-8_U+10FFFF", "[\"\xf4\x8f\xbf\xbf\"]"),
	ROW("y_string_nonCharacterInUTF-8_U+FFFF", "[\"\xef\xbf\xbf\"]"),
	ROW("y_string_null_escape", "[\"\\u0000\"]"),
	ROW("y_string_one-byte-utf-8", "[\"\\u002c\"]"),
	ROW("y_string_pi", "[\"\xcf\x80\"]"),
	ROW("y_string_reservedCharacterInUTF-8_U+1BFFF", "[\"\xf0\x9b\xbf\xbf\"]"),
	ROW("y_string_simple_ascii", "[\"asd \"]"),
	ROW("y_string_space", "\" \""),
	ROW("y_string_surrogates_U+1D11E_MUSICAL_SYMBOL_G_CLEF", "[\"\\uD834\\uDd1e\"]"),
	ROW("y_string_three-byte-utf-8", "[\"\\u0821\"]"),
	ROW("y_string_two-byte-utf-8", "[\"\\u0123\"]"),
	ROW("y_string_u+2028_line_sep", "[\"\xe2\x80\xa8\"]"),
	ROW("y_string_uEscape", "[\"\\u0061\\u30af\\u30EA\\u30b9\"]"),
	ROW("y_string_unescaped_char_delete", "[\"\x7f\"]"),
	ROW("y_string_unicode_escaped_double_quote", "[\"\\u0022\"]"),
	ROW("y_string_unicodeEscapedBackslash", "[\"\\u005C\"]"),
	ROW("y_string_utf8", "[\"\xe2\x82\xac\xf0\x9d\x84\x9e\"]"),
	ROW("y_structure_lonely_false", "false"),
	ROW("y_structure_lonely_int", "42"),
	ROW("y_structure_lonely_negative_real", "-0.1"),
	ROW("y_structure_lonely_null", "null"),
	ROW("y_structure_lonely_string", "\"asd\""),
	ROW("y_structure_lonely_true", "true"),
	ROW("y_structure_string_empty", "\"\""),
	ROW("y_structure_trailing_newline", "[\"a\"]\n"),
	ROW("y_structure_whitespace_array", " [] "),
	ROW("RFC 8259 2: all four bytes of white space", "\t\r\n [\t1\r,\n2 ]\t\r\n "),
	ROW("RFC 8259 4: white space around a colon", "{\"a\" \t:\n1 , \"b\":2}"),
	ROW("i_number_double_huge_neg_exp: numbers stay text", "[123.456e-789]"),
	ROW("i_number_huge_exp: numbers stay text", "[0.4e00669999999999999999999999999999]"),
	ROW("i_number_real_pos_overflow: numbers stay text", "[123123e100000]"),
	ROW("i_number_too_big_pos_int: numbers stay text", "[100000000000000000000]"),
	ROW("i_object_key_lone_2nd_surrogate: kept, as Python does", "{\"\\uDFAA\":0}"),
	ROW("i_string_1st_surrogate_but_2nd_missing: kept", "[\"\\uDADA\"]"),
	ROW("i_string_1st_valid_surrogate_2nd_invalid: kept", "[\"\\uD888\\u1234\"]"),
	ROW("i_string_incomplete_surrogate_and_escape_valid: kept", "[\"\\uD800\\n\"]"),
	ROW("i_string_inverted_surrogates_U+1D11E: kept", "[\"\\uDd1e\\uD834\"]"),
	ROW("i_string_lone_second_surrogate: kept", "[\"\\uDFAA\"]"),
	ROW("RFC 3629 4: the ends of every length",
	    "\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\""),
};

static const struct row refused[] = {
	ROW("n_array_1_true_without_comma", "[1 true]"),
	ROW("n_array_a_invalid_utf8", "[a\xe5]"),
	ROW("n_array_colon_instead_of_comma", "[\"\": 1]"),
	ROW("n_array_comma_after_close", "[\"\"],"),
	ROW("n_array_comma_and_number", "[,1]"),
	ROW("n_array_double_comma", "[1,,2]"),
	ROW("n_array_double_extra_comma", "[\"x\",,]"),
	ROW("n_array_extra_close", "[\"x\"]]"),
	ROW("n_array_extra_comma", "[\"\",]"),
	ROW("n_array_incomplete_invalid_value", "[x"),
	ROW("n_array_incomplete", "[\"x\""),
	ROW("n_array_inner_array_no_comma", "[3[4]]"),
	ROW("n_array_invalid_utf8", "[\xff]"),
	ROW("n_array_items_separated_by_semicolon", "[1:2]"),
	ROW("n_array_just_comma", "[,]"),
	ROW("n_array_just_minus", "[-]"),
	ROW("n_array_missing_value", "[   , \"\"]"),
	ROW("n_array_newlines_unclosed", "[\"a\",\n4\n,1,"),
	ROW("n_array_number_and_comma", "[1,]"),
	ROW("n_array_number_and_several_commas", "[1,,]"),
	ROW("n_array_spaces_vertical_tab_formfeed", "[\"\x0b\x61\"\\f]"),
	ROW("n_array_star_inside", "[*]"),
	ROW("n_array_unclosed", "[\"\""),
	ROW("n_array_unclosed_trailing_comma", "[1,"),
	ROW("n_array_unclosed_with_new_lines", "[1,\n1\n,1"),
	ROW("n_array_unclosed_with_object_inside", "[{}"),
	ROW("n_incomplete_false", "[fals]"),
	ROW("n_incomplete_null", "[nul]"),
	ROW("n_incomplete_true", "[tru]"),
	ROW("n_multidigit_number_then_00", "123\0"),
	ROW("n_number_++", "[++1234]"),
	ROW("n_number_+1", "[+1]"),
	ROW("n_number_+Inf", "[+Inf]"),
	ROW("n_number_-01", "[-01]"),
	ROW("n_number_-1.0.", "[-1.0.]"),
	ROW("n_number_-2.", "[-2.]"),
	ROW("n_number_-NaN", "[-NaN]"),
	ROW("n_number_.-1", "[.-1]"),
	ROW("n_number_.2e-3", "[.2e-3]"),
	ROW("n_number_0.1.2", "[0.1.2]"),
	ROW("n_number_0.3e+", "[0.3e+]"),
	ROW("n_number_0.3e", "[0.3e]"),
	ROW("n_number_0.e1", "[0.e1]"),
	ROW("n_number_0_capital_E+", "[0E+]"),
	ROW("n_number_0_capital_E", "[0E]"),
	ROW("n_number_0e+", "[0e+]"),
	ROW("n_number_0e", "[0e]"),
	ROW("n_number_1.0e+", "[1.0e+]"),
	ROW("n_number_1.0e-", "[1.0e-]"),
	ROW("n_number_1.0e", "[1.0e]"),
	ROW("n_number_1_000", "[1 000.0]"),
	ROW("n_number_1eE2", "[1eE2]"),
	ROW("n_number_2.e+3", "[2.e+3]"),
	ROW("n_number_2.e-3", "[2.e-3]"),
	ROW("n_number_2.e3", "[2.e3]"),
	ROW("n_number_9.e+", "[9.e+]"),
	ROW("n_number_expression", "[1+2]"),
	ROW("n_number_hex_1_digit", "[0x1]"),
	ROW("n_number_hex_2_digits", "[0x42]"),
	ROW("n_number_Inf", "[Inf]"),
	ROW("n_number_infinity", "[Infinity]"),
	ROW("n_number_minus_infinity", "[-Infinity]"),
	ROW("n_number_invalid+-", "[0e+-1]"),
	ROW("n_number_invalid-negative-real", "[-123.123foo]"),
	ROW("n_number_invalid-utf-8-in-bigger-int", "[123\xe5]"),
	ROW("n_number_invalid-utf-8-in-exponent", "[1e1\xe5]"),
	ROW("n_number_invalid-utf-8-in-int", "[0\xe5]\n"),
	ROW("n_number_minus_sign_with_trailing_garbage", "[-foo]"),
	ROW("n_number_minus_space_1", "[- 1]"),
	ROW("n_number_NaN", "[NaN]"),
	ROW("n_number_neg_int_starting_with_zero", "[-012]"),
	ROW("n_number_neg_real_without_int_part", "[-.123]"),
	ROW("n_number_neg_with_garbage_at_end", "[-1x]"),
	ROW("n_number_real_garbage_after_e", "[1ea]"),
	ROW("n_number_real_with_invalid_utf8_after_e", "[1e\xe5]"),
	ROW("n_number_real_without_fractional_part", "[1.]"),
	ROW("n_number_starting_with_dot", "[.123]"),
	ROW("n_number_U+FF11_fullwidth_digit_one", "[\xef\xbc\x91]"),
	ROW("n_number_with_alpha_char", "[1.8011670033376514H-308]"),
	ROW("n_number_with_alpha", "[1.2a-3]"),
	ROW("n_number_with_leading_zero", "[012]"),
	ROW("n_object_bad_value", "[\"x\", truth]"),
	ROW("n_object_bracket_key", "{[: \"x\"}\n"),
	ROW("n_object_comma_instead_of_colon", "{\"x\", null}"),
	ROW("n_object_double_colon", "{\"x\"::\"b\"}"),
	ROW("n_object_emoji", "{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}"),
	ROW("n_object_garbage_at_end", "{\"a\":\"a\" 123}"),
	ROW("n_object_key_with_single_quotes", "{key: 'value'}"),
	ROW("n_object_lone_continuation_byte_in_key_and_trailing_comma", "{\"\xb9\":\"0\",}"),
	ROW("n_object_missing_colon", "{\"a\" b}"),
	ROW("n_object_missing_key", "{:\"b\"}"),
	ROW("n_object_missing_semicolon", "{\"a\" \"b\"}"),
	ROW("n_object_missing_value", "{\"a\":"),
	ROW("n_object_no-colon", "{\"a\""),
	ROW("n_object_non_string_key_but_huge_number_instead", "{9999E9999:1}"),
	ROW("n_object_non_string_key", "{1:1}"),
	ROW("n_object_repeated_null_null", "{null:null,null:null}"),
	ROW("n_object_several_trailing_commas", "{\"id\":0,,,,,}"),
	ROW("n_object_single_quote", "{'a':0}"),
	ROW("n_object_trailing_comma", "{\"id\":0,}"),
	ROW("n_object_trailing_comment", "{\"a\":\"b\"}/**/"),
	ROW("n_object_trailing_comment_open", "{\"a\":\"b\"}/**//"),
	ROW("n_object_trailing_comment_slash_open", "{\"a\":\"b\"}//"),
	ROW("n_object_two_commas_in_a_row", "{\"a\":\"b\",,\"c\":\"d\"}"),
	ROW("n_object_unquoted_key", "{a: \"b\"}"),
	ROW("n_object_unterminated-value", "{\"a\":\"a"),
	ROW("n_object_with_single_string", "{ \"foo\" : \"bar\", \"a\" }"),
	ROW("n_object_with_trailing_garbage", "{\"a\":\"b\"}#"),
	ROW("n_single_space", " "),
	ROW("n_string_1_surrogate_then_escape", "[\"\\uD800\\\"]"),
	ROW("n_string_1_surrogate_then_escape_u", "[\"\\uD800\\u\"]"),
	ROW("n_string_1_surrogate_then_escape_u1", "[\"\\uD800\\u1\"]"),
	ROW("n_string_1_surrogate_then_escape_u1x", "[\"\\uD800\\u1x\"]"),
	ROW("n_string_accentuated_char_no_quotes", "[\xc3\xa9]"),
	ROW("n_string_backslash_00", "[\"\\\0\"]"),
	ROW("n_string_escape_x", "[\"\\x00\"]"),
	ROW("n_string_escaped_backslash_bad", "[\"\\\\\\\"]"),
	ROW("n_string_escaped_ctrl_char_tab", "[\"\\\t\"]"),
	ROW("n_string_escaped_emoji", "[\"\\\xf0\x9f\x8c\x80\"]"),
	ROW("n_string_incomplete_escape", "[\"\\\"]"),
	ROW("n_string_incomplete_escaped_character", "[\"\\u00A\"]"),
	ROW("n_string_incomplete_surrogate", "[\"\\uD834\\uDd\"]"),
	ROW("n_string_incomplete_surrogate_escape_invalid", "[\"\\uD800\\uD800\\x\"]"),
	ROW("n_string_invalid-utf-8-in-escape", "[\"\\u\xe5\"]"),
	ROW("n_string_invalid_backslash_esc", "[\"\\a\"]"),
	ROW("n_string_invalid_unicode_escape", "[\"\\uqqqq\"]"),
	ROW("n_string_invalid_utf8_after_escape", "[\"\\\xe5\"]"),
	ROW("n_string_leading_uescaped_thinspace", "[\\u0020\"asd\"]"),
	ROW("n_string_no_quotes_with_bad_escape", "[\\n]"),
	ROW("n_string_single_doublequote", "\""),
	ROW("n_string_single_quote", "['single quote']"),
	ROW("n_string_single_string_no_double_quotes", "abc"),
	ROW("n_string_start_escape_unclosed", "[\"\\"),
	ROW("n_string_unescaped_ctrl_char", "[\"a\0a\"]"),
	ROW("n_string_unescaped_newline", "[\"new\nline\"]"),
	ROW("n_string_unescaped_tab", "[\"\t\"]"),
	ROW("RFC 8259 7: the last control byte", "\"\x1f\""),
	ROW("RFC 8259 7: control byte after eight plain bytes", "\"12345678\x01\""),
	ROW("n_string_unicode_CapitalU", "\"\\UA66D\""),
	ROW("n_string_with_trailing_garbage", "\"\"x"),
	ROW("n_structure_angle_bracket_.", "<.>"),
	ROW("n_structure_angle_bracket_null", "[<null>]"),
	ROW("n_structure_array_trailing_garbage", "[1]x"),
	ROW("n_structure_array_with_extra_array_close", "[1]]"),
	ROW("n_structure_array_with_unclosed_string", "[\"asd]"),
	ROW("n_structure_ascii-unicode-identifier", "a\xc3\xa5"),
	ROW("n_structure_capitalized_True", "[True]"),
	ROW("n_structure_close_unopened_array", "1]"),
	ROW("n_structure_comma_instead_of_closing_brace", "{\"x\": true,"),
	ROW("n_structure_double_array", "[][]"),
	ROW("n_structure_end_array", "]"),
	ROW("n_structure_incomplete_UTF8_BOM", "\xef\xbb{}"),
	ROW("n_structure_lone-invalid-utf-8", "\xe5"),
	ROW("n_structure_lone-open-bracket", "["),
	ROW("n_structure_no_data", ""),
	ROW("n_structure_null-byte-outside-string", "[\0]"),
	ROW("n_structure_number_with_trailing_garbage", "2@"),
	ROW("n_structure_object_followed_by_closing_object", "{}}"),
	ROW("n_structure_object_unclosed_no_value", "{\"\":"),
	ROW("n_structure_object_with_comment", "{\"a\":/*comment*/\"b\"}"),
	ROW("n_structure_object_with_trailing_garbage", "{\"a\": true} \"x\""),
	ROW("n_structure_open_array_apostrophe", "['"),
	ROW("n_structure_open_array_comma", "[,"),
	ROW("n_structure_open_array_open_object", "[{"),
	ROW("n_structure_open_array_open_string", "[\"a"),
	ROW("n_structure_open_object", "{"),
	ROW("n_structure_open_object_close_array", "{]"),
	ROW("n_structure_open_object_comma", "{,"),
	ROW("n_structure_open_object_open_array", "{["),
	ROW("n_structure_open_object_string_with_apostrophes", "{'a'"),
	ROW("n_structure_open_open", "[\"\\{[\"\\{[\"\\{[\"\\{"),
	ROW("n_structure_single_eacute", "\xe9"),
	ROW("n_structure_single_star", "*"),
	ROW("n_structure_trailing_#", "{\"a\":\"b\"}#{}"),
	ROW("n_structure_U+2060_word_joined", "[\xe2\x81\xa0]"),
	ROW("n_structure_uescaped_LF_before_string", "[\\u000A\"\"]"),
	ROW("n_structure_unclosed_array", "[1"),
	ROW("n_structure_unclosed_array_partial_null", "[ false, nul"),
	ROW("n_structure_unclosed_array_unfinished_false", "[ true, fals"),
	ROW("n_structure_unclosed_array_unfinished_true", "[ false, tru"),
	ROW("n_structure_unclosed_object", "{\"asd\":\"asd\""),
	ROW("n_structure_unicode-identifier", "\xc3\xa5"),
	ROW("n_structure_UTF8_BOM_no_data", "\xef\xbb\xbf"),
	ROW("n_structure_whitespace_formfeed", "[\f]"),
	ROW("n_structure_whitespace_U+2060_word_joiner", "[\xe2\x81\xa0]"),
	ROW("i_structure_UTF-8_BOM_empty_object: RFC 8259 8.1, not added and not ignored",
	    "\xef\xbb\xbf{}"),
	ROW("i_string_UTF-16LE_with_BOM", "\xff\xfe[\0\"\0\xe9\0\"\0]\0"),
	ROW("i_string_utf16BE_no_BOM", "\0[\0\"\0\xe9\0\"\0]"),
	ROW("i_string_UTF-8_invalid_sequence", "[\"\xe6\x97\xa5\xd1\x88\xfa\"]"),
	ROW("i_string_UTF8_surrogate_U+D800", "[\"\xed\xa0\x80\"]"),
	ROW("the last encoded surrogate", "[\"\xed\xbf\xbf\"]"),
	ROW("i_string_invalid_utf-8", "[\"\xff\"]"),
	ROW("i_string_iso_latin_1", "[\"\xe9\"]"),
	ROW("i_string_lone_utf8_continuation_byte", "[\"\x81\"]"),
	ROW("i_string_not_in_unicode_range", "[\"\xf4\xbf\xbf\xbf\"]"),
	ROW("the first above U+10FFFF", "[\"\xf4\x90\x80\x80\"]"),
	ROW("i_string_overlong_sequence_2_bytes", "[\"\xc0\xaf\"]"),
	ROW("i_string_overlong_sequence_6_bytes", "[\"\xfc\x83\xbf\xbf\xbf\xbf\"]"),
	ROW("i_string_overlong_sequence_6_bytes_null", "[\"\xfc\x80\x80\x80\x80\x80\"]"),
	ROW("overlong in three bytes", "[\"\xe0\x9f\xbf\"]"),
	ROW("overlong in four bytes", "[\"\xf0\x8f\xbf\xbf\"]"),
	ROW("i_string_truncated-utf-8", "[\"\xe0\xff\"]"),
	ROW("truncated UTF-8 at the end of a string", "\"\xe2\x82\""),
	ROW("truncated UTF-8 at the end of the text: two bytes", "\"\xc2"),
	ROW("truncated UTF-8 at the end of the text: three bytes", "\"\xe2\x82"),
	ROW("truncated UTF-8 at the end of the text: four bytes", "\"\xf0\x9f\x98"),
	ROW("RFC 8259 7: text ends inside \\u", "\"\\u00"),
};

/* An allocation of exactly the text: a read past its end is then the sanitizer's business. */
static struct err
parse_exact(struct json *doc, struct span text, struct arena *a)
{
	uint8_t *copy = arena_alloc(a, text.n);

	assert_non_null(copy);
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	return json_parse(doc, span_of(copy, text.n), JSON_MAX_NODES);
}

static void
grammar(void **state)
{
	const size_t n_accepted = sizeof(accepted) / sizeof(accepted[0]);
	const size_t n_refused = sizeof(refused) / sizeof(refused[0]);
	struct arena a;
	struct json doc;

	arena_init(&a, 1 << 20);
	for (size_t r = 0; r < n_accepted; r++) {
		struct err e = parse_exact(&doc, accepted[r].text, &a);

		if (failed(e))
			fail_msg("%s: %s", accepted[r].rule, e.what);
		if (doc.node[0].next != doc.n)
			fail_msg("%s: the root does not span the document", accepted[r].rule);
		json_fini(&doc);
	}
	for (size_t r = 0; r < n_refused; r++) {
		if (parse_exact(&doc, refused[r].text, &a).code != ERR_MALFORMED)
			fail_msg("%s", refused[r].rule);
		assert_null(doc.node);
		assert_int_equal(doc.n, 0);
	}
	arena_fini(&a);
}

/* No prefix of an object is JSON, wherever it is cut. */
static void
every_prefix(void **state)
{
	static const char text[] =
	    "{\"a\":[1,-2.5e+7,true,false,null,\"\\u00e9\\n\xc3\xa9\"],\"b\":{}}";
	struct arena a;
	struct json doc;

	arena_init(&a, 1 << 20);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(parse_exact(&doc, span_of(text, n), &a).code, ERR_MALFORMED);
	assert_int_equal(parse_exact(&doc, span_of(text, sizeof(text) - 1), &a).code, ERR_OK);
	json_fini(&doc);
	arena_fini(&a);
}

static void
put_nested(struct buf *b, const char *open, const char *close, int depth)
{
	buf_clear(b);
	for (int i = 0; i < depth; i++)
		buf_put_str(b, open);
	buf_put_byte(b, '1');
	for (int i = 0; i < depth; i++)
		buf_put_str(b, close);
}

static void
bounds(void **state)
{
	static const char *const nests[][2] = { { "[", "]" }, { "{\"a\":", "}" } };
	struct json doc;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < 2; i++) {
		put_nested(&b, nests[i][0], nests[i][1], JSON_MAX_DEPTH);
		assert_int_equal(json_parse(&doc, buf_span(&b), JSON_MAX_NODES).code, ERR_OK);
		json_fini(&doc);
		put_nested(&b, nests[i][0], nests[i][1], JSON_MAX_DEPTH + 1);
		assert_int_equal(
		    json_parse(&doc, buf_span(&b), JSON_MAX_NODES).code, ERR_TOO_LARGE);
		put_nested(&b, nests[i][0], nests[i][1], 100000);
		assert_int_equal(
		    json_parse(&doc, buf_span(&b), JSON_MAX_NODES).code, ERR_TOO_LARGE);
	}
	/* n_structure_100000_opening_arrays: an answer, not a crash. */
	buf_clear(&b);
	for (int i = 0; i < 100000; i++)
		buf_put_byte(&b, '[');
	assert_int_equal(json_parse(&doc, buf_span(&b), JSON_MAX_NODES).code, ERR_TOO_LARGE);
	buf_fini(&b);

	assert_int_equal(json_parse(&doc, SPAN_LIT("[1,2]"), 3).code, ERR_OK);
	json_fini(&doc);
	assert_int_equal(json_parse(&doc, SPAN_LIT("[1,2]"), 2).code, ERR_TOO_LARGE);
	assert_int_equal(json_parse(&doc, SPAN_LIT("{\"a\":1}"), 2).code, ERR_TOO_LARGE);
	assert_int_equal(json_parse(&doc, SPAN_LIT("1"), 0).code, ERR_TOO_LARGE);
	/* Refused by its length before a byte is read. */
	assert_int_equal(
	    json_parse(&doc, span_of("1", ((size_t)1 << 30) + 1), 1).code, ERR_TOO_LARGE);
}

/* The index grows past its first allocation and ends at the limit. */
static void
many_values(void **state)
{
	struct json doc;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_str(&b, "[0");
	for (int i = 1; i < 100000; i++)
		buf_put_str(&b, ",0");
	buf_put_byte(&b, ']');
	assert_int_equal(json_parse(&doc, buf_span(&b), 100001).code, ERR_OK);
	assert_int_equal(doc.n, 100001);
	assert_int_equal(doc.node[0].count, 100000);
	json_fini(&doc);
	json_fini(&doc);
	assert_int_equal(json_parse(&doc, buf_span(&b), 100000).code, ERR_TOO_LARGE);
	buf_fini(&b);
}

static void
shape(void **state)
{
	static const char text[] = " {\"a\":[1,[],{\"x\":\"\\n\"}], \"b\" : -0.5 }";
	static const struct {
		enum json_type type;
		uint32_t next, count;
		const char *raw;
	} want[] = {
		{ JSON_OBJECT, 10, 2, "{\"a\":[1,[],{\"x\":\"\\n\"}], \"b\" : -0.5 }" },
		{ JSON_STRING, 2, 0, "\"a\"" },
		{ JSON_ARRAY, 8, 3, "[1,[],{\"x\":\"\\n\"}]" },
		{ JSON_INT, 4, 0, "1" },
		{ JSON_ARRAY, 5, 0, "[]" },
		{ JSON_OBJECT, 8, 1, "{\"x\":\"\\n\"}" },
		{ JSON_STRING, 7, 0, "\"x\"" },
		{ JSON_STRING, 8, 1, "\"\\n\"" },
		{ JSON_STRING, 9, 0, "\"b\"" },
		{ JSON_FLOAT, 10, 0, "-0.5" },
	};
	struct json doc;
	uint32_t c;

	assert_int_equal(json_parse(&doc, span_str(text), 10).code, ERR_OK);
	assert_int_equal(doc.n, 10);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(json_type(&doc, i), want[i].type);
		assert_int_equal(doc.node[i].next, want[i].next);
		assert_int_equal(doc.node[i].count, want[i].count);
		if (!span_eq(json_raw(&doc, i), span_str(want[i].raw)))
			fail_msg("node %u", i);
	}
	c = json_first(&doc, 0);
	assert_int_equal(c, 1);
	c = json_after(&doc, 0, c);
	assert_int_equal(c, 8);
	assert_int_equal(json_after(&doc, 0, c), JSON_NONE);
	c = json_first(&doc, 2);
	assert_int_equal(c, 3);
	c = json_after(&doc, 2, c);
	assert_int_equal(c, 4);
	c = json_after(&doc, 2, c);
	assert_int_equal(c, 5);
	assert_int_equal(json_after(&doc, 2, c), JSON_NONE);
	assert_int_equal(json_first(&doc, 4), JSON_NONE);
	assert_int_equal(json_first(&doc, 3), JSON_NONE);
	assert_int_equal(json_first(&doc, JSON_NONE), JSON_NONE);
	json_fini(&doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammar),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(bounds),
		cmocka_unit_test(many_values),
		cmocka_unit_test(shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
