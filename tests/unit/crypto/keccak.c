/* keccak-256, against values from an independent implementation that was checked with SHA3-256. */
#include "crypto/keccak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/hex.h"
#include "core/buf.h"

static void
assert_digest(const char *rule, const uint8_t digest[static KECCAK_LEN], const char *want)
{
	struct buf text;

	buf_init(&text, 64);
	hex_put(&text, span_of(digest, KECCAK_LEN));
	if (!span_eq(buf_span(&text), span_str(want)))
		fail_msg("%s", rule);
	buf_fini(&text);
}

/* The message of length n has the bytes 7 * i mod 256. */
static const struct {
	const char *rule;
	size_t n;
	const char *want;
} rows[] = {
	{ "empty message", 0, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" },
	{ "one byte", 1, "bc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a" },
	{ "below a lane", 7, "1586228c35ffc29412852c4c2a477eb4ed36118f629e9387dac9d1a18f789fe4" },
	{ "one lane", 8, "859accfe2b4b0bf279503c72f528cd48ddfa470f467b40f77411ee6bab13a4ef" },
	{ "above a lane", 9, "51a741db225adb218854de9d0b6d3c340a9837e22096f0f2175753a760bd9411" },
	{ "two bytes of padding", 134,
	    "c5b44954afefc88803399256a6a2804367cb9b7d96416a9a975d964488c32208" },
	{ "both padding marks in one byte", 135,
	    "154f5dc27520a599653a2b10189cf53f5ce03b7c594d11fd98f67012ea304b6c" },
	{ "a whole block", 136,
	    "81e7ecb492d033f1692e770a6eb874e70aac45ec10da93483fc8d3537805c097" },
	{ "a block and a byte", 137,
	    "a595973359b39ba1fec5cf8f40710c5a213e76281dd4f174f1ea83106ee7759b" },
	{ "two blocks but one byte", 271,
	    "f0f79e1b757cfc6a5cb0263d2636afe57489bb73ab924b875b896868a9fb3cf4" },
	{ "two blocks", 272, "99d5a295c114ab3f94028d25825ea798399dacfc613f0193fb32c3c4973f1777" },
	{ "two blocks and a byte", 273,
	    "27005ba9916961e2ddd78d739ee52ff4b2a2e90b40fa4730516d8f1ee4bf25cb" },
	{ "4 KiB", 4096, "6e8e59a43f8d57c8c233464330056609579a3cfeb41fc1b5d83e58ad787c8246" },
};

static void
digests(void **state)
{
	uint8_t message[4096], digest[KECCAK_LEN];

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(7 * i);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		keccak_256(span_of(message, rows[r].n), digest);
		assert_digest(rows[r].rule, digest, rows[r].want);
	}
	keccak_256(SPAN_LIT("abc"), digest);
	assert_digest("abc, padded 0x01 and not 0x06", digest,
	    "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
}

/* However a message is cut into updates, the digest is the same. */
static void
any_cut(void **state)
{
	uint8_t message[300], whole[KECCAK_LEN], pieces[KECCAK_LEN];
	struct keccak k;

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i ^ 0x5a);
	keccak_256(span_of(message, sizeof(message)), whole);
	for (size_t cut = 0; cut <= sizeof(message); cut++) {
		keccak_init(&k);
		keccak_update(&k, span_of(message, cut));
		keccak_update(&k, SPAN_NONE);
		keccak_update(&k, span_of(message + cut, sizeof(message) - cut));
		keccak_final(&k, pieces);
		assert_memory_equal(pieces, whole, KECCAK_LEN);
	}
	for (size_t i = 0; i < sizeof(k.state) / sizeof(k.state[0]); i++)
		assert_int_equal(k.state[i], 0); /* wiped by keccak_final() */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests),
		cmocka_unit_test(any_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
