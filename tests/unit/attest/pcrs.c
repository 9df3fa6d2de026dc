/*
 * attest/pcrs.c and attest/user_data.c: what an expectation file may say, when it fixes the code,
 * and the 68 bytes.
 */
#include "attest/pcrs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "attest/user_data.h"

#define TEN    "a0a0a0a0a0"
#define A_PCR  "\"" TEN TEN TEN TEN TEN TEN TEN TEN TEN "a0a0a0\""
#define ZEROS  "0000000000"
#define NO_PCR "\"" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "000000\""

static const struct {
	const char *rule, *text;
	enum err_code want;
	uint32_t named;
	bool suffice;
} rows[] = {
	{ "V6: as nitro-cli prints it",
	    "{\"Measurements\":{\"HashAlgorithm\":\"Sha384 { ... }\",\"PCR0\":" A_PCR
	    ",\"PCR1\":" A_PCR ",\"PCR2\":" NO_PCR "}}",
	    ERR_OK, 7, true },
	{ "V6: the inner object alone", "{\"PCR0\":" A_PCR "}", ERR_OK, 1, true },
	{ "V6: members beside Measurements",
	    "{\"EifVersion\":4,\"Measurements\":{\"PCR0\":" A_PCR "}}", ERR_OK, 1, true },
	{ "V2: PCR1 and PCR2", "{\"PCR1\":" A_PCR ",\"PCR2\":" A_PCR "}", ERR_OK, 6, true },
	{ "V2: PCR1 alone is not enough", "{\"PCR1\":" A_PCR "}", ERR_OK, 2, false },
	{ "V2: PCR2 and PCR8 are not enough", "{\"PCR2\":" A_PCR ",\"PCR8\":" A_PCR "}", ERR_OK,
	    0x104, false },
	{ "V6: the last PCR", "{\"PCR31\":" A_PCR "}", ERR_OK, 0x80000000u, false },
	{ "no such PCR", "{\"PCR32\":" A_PCR "}", ERR_MALFORMED, 0, false },
	{ "a name misspelt", "{\"pcr0\":" A_PCR "}", ERR_MALFORMED, 0, false },
	{ "a number with a leading zero", "{\"PCR00\":" A_PCR "}", ERR_MALFORMED, 0, false },
	{ "another hash", "{\"HashAlgorithm\":\"Sha256\",\"PCR0\":" A_PCR "}", ERR_REFUSED, 0,
	    false },
	{ "a value cut short", "{\"PCR0\":\"a0\"}", ERR_MALFORMED, 0, false },
	{ "a value that is no text", "{\"PCR0\":null}", ERR_MALFORMED, 0, false },
	{ "the same PCR twice", "{\"PCR0\":" A_PCR ",\"PCR0\":" NO_PCR "}", ERR_MALFORMED, 0,
	    false },
	{ "nothing expected", "{}", ERR_MALFORMED, 0, false },
	{ "nothing expected inside", "{\"Measurements\":{\"HashAlgorithm\":\"Sha384\"}}",
	    ERR_MALFORMED, 0, false },
	{ "no object", "[]", ERR_MALFORMED, 0, false },
	{ "nothing at all", "", ERR_MALFORMED, 0, false },
};

static void
files(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct attest_pcrs e = { 0 };
		struct err err = attest_pcrs_read(&e, span_str(rows[i].text));

		if (err.code != rows[i].want)
			fail_msg("%s: %s", rows[i].rule, failed(err) ? err.what : "accepted");
		if (failed(err))
			continue;
		if (e.named != rows[i].named || attest_pcrs_suffice(&e) != rows[i].suffice)
			fail_msg("%s: names %x", rows[i].rule, (unsigned)e.named);
	}
}

static void
expectations(void **state)
{
	static const struct span a = SPAN_LIT(A_PCR), none = SPAN_LIT(NO_PCR);
	struct span a_hex = span_cut(a, 1, a.n - 1), none_hex = span_cut(none, 1, none.n - 1);
	uint8_t value[PCR_LEN];
	struct attest_document d = { 0 };
	struct attest_pcrs e = { 0 };

	memset(value, 0xa0, sizeof(value));
	d.pcr[0] = d.pcr[3] = span_of(value, sizeof(value));
	assert_false(attest_pcrs_match(&e, &d)); /* nothing expected is no match */
	assert_int_equal(attest_pcrs_add(&e, 0, a_hex).code, ERR_OK);
	assert_true(attest_pcrs_match(&e, &d));
	assert_int_equal(attest_pcrs_add(&e, 0, a_hex).code, ERR_OK);
	assert_int_equal(attest_pcrs_add(&e, 0, none_hex).code, ERR_REFUSED);
	assert_true(attest_pcrs_match(&e, &d));
	assert_int_equal(attest_pcrs_add(&e, 31, none_hex).code, ERR_OK);
	assert_false(
	    attest_pcrs_match(&e, &d)); /* the document has no PCR31: not the same as zero */
	assert_int_equal(attest_pcrs_add(&e, 32, a_hex).code, ERR_MALFORMED);
}

static void
sixty_eight_bytes(void **state)
{
	uint8_t bytes[USER_DATA_LEN + 1] = { 0 };
	struct user_data u, back;

	memset(u.tls_certificate, 0x11, sizeof(u.tls_certificate));
	memset(u.signing_key, 0x22, sizeof(u.signing_key));
	user_data_encode(&u, bytes);
	assert_int_equal(bytes[0], 0x12);
	assert_int_equal(bytes[1], 0x20);
	assert_int_equal(bytes[2], 0x11);
	assert_int_equal(bytes[33], 0x11);
	assert_int_equal(bytes[34], 0x12);
	assert_int_equal(bytes[35], 0x20);
	assert_int_equal(bytes[36], 0x22);
	assert_int_equal(bytes[67], 0x22);
	assert_int_equal(user_data_parse(&back, span_of(bytes, USER_DATA_LEN)).code, ERR_OK);
	assert_memory_equal(&u, &back, sizeof(u));
	assert_int_equal(
	    user_data_parse(&back, span_of(bytes, USER_DATA_LEN - 1)).code, ERR_MALFORMED);
	assert_int_equal(
	    user_data_parse(&back, span_of(bytes, USER_DATA_LEN + 1)).code, ERR_MALFORMED);
	assert_int_equal(user_data_parse(&back, SPAN_NONE).code, ERR_MALFORMED);
	for (size_t i = 0; i < USER_DATA_LEN; i += 34) {
		bytes[i] ^= 1;
		assert_int_equal(
		    user_data_parse(&back, span_of(bytes, USER_DATA_LEN)).code, ERR_MALFORMED);
		bytes[i] ^= 1;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(expectations),
		cmocka_unit_test(sixty_eight_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
