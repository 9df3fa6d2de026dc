/* abi.c - calls as the ABI specification lays them out. */
#include "codec/abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "codec/hex.h"

#define W0	"00000000000000000000000000000000000000000000000000000000000000"
#define ADDRESS "7e5f4552091a69125d5dfcb7b8c2659029395bdf"

static const uint8_t address[ABI_ADDRESS_LEN] = { 0x7e, 0x5f, 0x45, 0x52, 0x09, 0x1a, 0x69, 0x12,
	0x5d, 0x5d, 0xfc, 0xb7, 0xb8, 0xc2, 0x65, 0x90, 0x29, 0x39, 0x5b, 0xdf };

static const struct {
	const char *rule;
	uint8_t selector[ABI_SELECTOR_LEN];
	struct abi_value argument[4];
	size_t n;
	const char *hex;
} rows[] = {
	{ "no arguments: totalSupply()", { 0x18, 0x16, 0x0d, 0xdd }, { { 0 } }, 0, "18160ddd" },
	{ "static ones stand in their words: transfer(address,uint256)", { 0xa9, 0x05, 0x9c, 0xbb },
	    { { ABI_ADDRESS, 0, { address, sizeof(address) } }, { ABI_UINT, 0x45, { 0 } } }, 2,
	    "a9059cbb000000000000000000000000" ADDRESS W0 "45" },
	{ "the largest number we have", { 1, 2, 3, 4 }, { { ABI_UINT, UINT64_MAX, { 0 } } }, 1,
	    "01020304000000000000000000000000000000000000000000000000ffffffffffffffff" },
	{ "a string is a place, a length, and padded bytes: setGreeting(string)",
	    { 0xa4, 0x13, 0x68, 0x62 }, { { ABI_BYTES, 0, SPAN_LIT("Hola!") } }, 1,
	    "a4136862" W0 "20" W0
	    "05486f6c6121000000000000000000000000000000000000000000000000000000" },
	{ "none is a length alone", { 0xa4, 0x13, 0x68, 0x62 }, { { ABI_BYTES, 0, SPAN_LIT("") } },
	    1, "a4136862" W0 "20" W0 "00" },
	{ "a whole word needs no padding", { 0xa4, 0x13, 0x68, 0x62 },
	    { { ABI_BYTES, 0, SPAN_LIT("0123456789abcdef0123456789abcdef") } }, 1,
	    "a4136862" W0 "20" W0
	    "203031323334353637383961626364656630313233343536373839616263646566" },
	{ "places count from the first word, and skip what stands before", { 9, 9, 9, 9 },
	    { { ABI_BYTES, 0, SPAN_LIT("0123456789abcdef0123456789abcdefX") },
		{ ABI_UINT, 7, { 0 } }, { ABI_BYTES, 0, SPAN_LIT("Y") },
		{ ABI_ADDRESS, 0, { address, sizeof(address) } } },
	    4,
	    "09090909" W0 "80" W0 "07" W0 "e0000000000000000000000000" ADDRESS W0
	    "2130313233343536373839616263646566303132333435363738396162636465665800000000000000"
	    "000000000000000000000000000000000000000000000000" W0
	    "015900000000000000000000000000000000000000000000000000000000000000" },
};

static void
calls(void **state)
{
	struct buf b, hex;

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		buf_init(&b, 4096);
		buf_init(&hex, 8192);
		abi_put_call(&b, rows[r].selector, rows[r].argument, rows[r].n);
		hex_put(&hex, buf_span(&b));
		assert_int_equal(buf_check(&hex).code, ERR_OK);
		if (!span_eq(buf_span(&hex), span_str(rows[r].hex)))
			fail_msg("%s: %.*s", rows[r].rule, (int)hex.n, (const char *)hex.p);
		buf_fini(&b);
		buf_fini(&hex);
	}
}

static void
does_not_fit(void **state)
{
	const struct abi_value v = { ABI_BYTES, 0, SPAN_LIT("Hola!") };
	struct buf b;

	buf_init(&b, 4 + 3 * ABI_WORD_LEN - 1);
	abi_put_call(&b, rows[0].selector, &v, 1);
	assert_int_equal(buf_check(&b).code, ERR_TOO_LARGE);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls),
		cmocka_unit_test(does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
