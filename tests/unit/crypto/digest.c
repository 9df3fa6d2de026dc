/* SHA-256, constant-time comparison and randomness. Values: FIPS 180-4 examples by NIST. */
#include "crypto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/hex.h"
#include "crypto/ct.h"
#include "crypto/rng.h"

static const struct {
	const char *rule, *message, *want;
} rows[] = {
	{ "FIPS 180-4: no bytes", "",
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "FIPS 180-4: one block", "abc",
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "FIPS 180-4: two blocks", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void
assert_digest(const char *rule, const uint8_t *digest, const char *want)
{
	uint8_t bytes[SHA256_LEN];

	assert_int_equal(hex_parse(bytes, sizeof(bytes), span_str(want)).code, ERR_OK);
	if (!span_eq(span_of(digest, SHA256_LEN), span_of(bytes, sizeof(bytes))))
		fail_msg("%s", rule);
}

static void
whole(void **state)
{
	uint8_t digest[SHA256_LEN];

	for (size_t i = 0; i < ROWS; i++) {
		sha256_of(span_str(rows[i].message), digest);
		assert_digest(rows[i].rule, digest, rows[i].want);
	}
	sha256_of(SPAN_NONE, digest);
	assert_digest("a span of nothing is no bytes", digest, rows[0].want);
}

static void
in_parts(void **state)
{
	uint8_t digest[SHA256_LEN];

	for (size_t i = 0; i < ROWS; i++) {
		struct span s = span_str(rows[i].message);

		for (size_t cut = 0; cut <= s.n; cut++) {
			struct sha256 *h = sha256_new();

			assert_non_null(h);
			sha256_update(h, span_cut(s, 0, cut));
			sha256_peek(h, digest); /* looking must not disturb */
			sha256_update(h, span_cut(s, cut, s.n));
			assert_int_equal(sha256_count(h), s.n);
			sha256_peek(h, digest);
			assert_digest(rows[i].rule, digest, rows[i].want);
			sha256_peek(h, digest);
			assert_digest("a second look sees the same", digest, rows[i].want);
			sha256_free(h);
		}
	}
	sha256_free(NULL);
}

static void
equality(void **state)
{
	assert_true(ct_equal(SPAN_LIT("secret"), SPAN_LIT("secret")));
	assert_true(ct_equal(SPAN_NONE, SPAN_LIT("")));
	assert_false(ct_equal(SPAN_LIT("secret"), SPAN_LIT("secre")));
	assert_false(ct_equal(SPAN_LIT("secret"), SPAN_LIT("Secret")));
	assert_false(ct_equal(SPAN_LIT("secret"), SPAN_LIT("secreT")));
}

static void
uuid(void **state)
{
	char first[UUID_LEN], second[UUID_LEN];

	rng_uuid(first);
	rng_uuid(second);
	assert_false(span_eq(span_of(first, UUID_LEN), span_of(second, UUID_LEN)));
	for (size_t i = 0; i < UUID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			assert_int_equal(first[i], '-');
		else if (i == 14) /* RFC 9562 5.4: version */
			assert_int_equal(first[i], '4');
		else if (i == 19) /* RFC 9562 4.1: variant */
			assert_non_null(strchr("89ab", first[i]));
		else
			assert_non_null(strchr("0123456789abcdef", first[i]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(in_parts),
		cmocka_unit_test(equality),
		cmocka_unit_test(uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
