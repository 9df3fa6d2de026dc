/* Addresses with checksums. Source: EIP-55 and its own examples. */
#include "crypto/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *rule, *text, *spelling;
	enum err_code want;
} rows[] = {
	{ "EIP-55: the checksum", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
	    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ERR_OK },
	{ "EIP-55: another", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", ERR_OK },
	{ "EIP-55: all capitals by nature", "0x52908400098527886E0F7030069857D2E4169EE7",
	    "0x52908400098527886E0F7030069857D2E4169EE7", ERR_OK },
	{ "small letters claim no checksum", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359",
	    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", ERR_OK },
	{ "capitals claim none", "0xDBF03B407C01E7CD3CBEA99509D93F8DDDC8C6FB",
	    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", ERR_OK },
	{ "a digit was mistyped", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee", NULL, ERR_REFUSED },
	{ "a letter's case was", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", NULL, ERR_REFUSED },
	{ "one digit less", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", NULL, ERR_MALFORMED },
	{ "one more", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed0", NULL, ERR_MALFORMED },
	{ "no prefix", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed00", NULL, ERR_MALFORMED },
	{ "a capital prefix", "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", NULL, ERR_MALFORMED },
	{ "no digit", "0xgAeb6053F3E94C9b9A09f33669435E7Ef1BeAed00", NULL, ERR_MALFORMED },
	{ "nothing", "", NULL, ERR_MALFORMED },
};

static void
spellings(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t address[ADDRESS_BYTES];
		char text[ADDRESS_LEN];
		struct err e = address_parse(address, span_str(rows[i].text));

		if (e.code != rows[i].want)
			fail_msg("%s: code %d", rows[i].rule, (int)e.code);
		if (failed(e))
			continue;
		address_put(address, text);
		if (!span_eq(span_of(text, sizeof(text)), span_str(rows[i].spelling)))
			fail_msg("%s: %.42s", rows[i].rule, text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(spellings) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
