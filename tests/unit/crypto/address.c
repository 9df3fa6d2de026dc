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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spells),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
