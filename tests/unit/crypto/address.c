#include "crypto/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* EIP-55, "Test Cases", and addresses of x402.md 4.1. */
static const char *const spellings[] = {
	"0x52908400098527886E0F7030069857D2E4169EE7",
	"0x8617E340B3D01FA5F11F306F4090FD50E238070D",
	"0xde709f2102306220921060314715629080e2fb77",
	"0x27b1fdb04752bbc536007a920d24acb045561c26",
	"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
	"0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
	"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
	"0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	"0x000000000022D473030F116dDEE9F6B43aC78BA3",
	"0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002",
};

static void
spells(void **state)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		char lower[ADDRESS_LEN];
		struct address a, b;
		struct buf out;

		for (size_t k = 0; k < ADDRESS_LEN; k++) {
			char c = spellings[i][k];

			lower[k] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
		}
		assert_true(address_parse(&a, span_of(lower, ADDRESS_LEN)));
		assert_true(address_parse(&b, span_str(spellings[i])));
		assert_true(address_eq(&a, &b));
		buf_init(&out, ADDRESS_LEN);
		address_put(&out, &a);
		if (!span_eq(buf_span(&out), span_str(spellings[i])))
			fail_msg("%s is written %.*s", spellings[i], (int)out.n, out.p);
		b.b[ADDRESS_BYTES - 1] ^= 1;
		assert_false(address_eq(&a, &b));
		buf_fini(&out);
	}
}

static const char *const wrong[] = {
	"",
	"0x",
	"52908400098527886E0F7030069857D2E4169EE7",
	"0x52908400098527886E0F7030069857D2E4169EE",
	"0x52908400098527886E0F7030069857D2E4169EE71",
	"0X52908400098527886E0F7030069857D2E4169EE7",
	"0x52908400098527886E0F7030069857D2E4169EEg",
	" 0x52908400098527886E0F7030069857D2E4169EE",
	"0x52908400098527886E0F7030069857D2E4169EE7\n",
};

static void
refuses(void **state)
{
	struct address a = { { 7 } };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (address_parse(&a, span_str(wrong[i])))
			fail_msg("\"%s\"", wrong[i]);
	assert_int_equal(a.b[0], 7);
}

static const struct {
	const char *rule, *text, *spelling;
	enum err_code want;
} typed[] = {
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
typed_by_people(void **state)
{
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
		struct address address;
		char text[ADDRESS_LEN];
		struct err e = address_parse_typed(&address, span_str(typed[i].text));

		if (e.code != typed[i].want)
			fail_msg("%s: code %d", typed[i].rule, (int)e.code);
		if (failed(e))
			continue;
		address_text(&address, text);
		if (!span_eq(span_of(text, sizeof(text)), span_str(typed[i].spelling)))
			fail_msg("%s: %.42s", typed[i].rule, text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spells),
		cmocka_unit_test(refuses),
		cmocka_unit_test(typed_by_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
