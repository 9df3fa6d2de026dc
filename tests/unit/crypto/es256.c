/* ES256: RFC 7515 appendix A.3, and what must be refused. */
#include "crypto/es256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/b64.h"
#include "codec/hex.h"

#define A3_X   "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define A3_Y   "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define A3_KID "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
#define A3_INPUT                                                                   \
	"eyJhbGciOiJFUzI1NiJ9."                                                    \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv" \
	"bS9pc19yb290Ijp0cnVlfQ"
#define A3_SIG                                                     \
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djx" \
	"La8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define ZERO  "0000000000000000000000000000000000000000000000000000000000000000"
/* The order of the group (SEC 2 2.4.2). */
#define ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
#define ONE   "0000000000000000000000000000000000000000000000000000000000000001"

static void
from_b64(uint8_t *out, size_t n, const char *text)
{
	struct buf b;

	buf_init(&b, 128);
	assert_int_equal(b64url_parse(&b, span_str(text)).code, ERR_OK);
	assert_int_equal(b.n, n);
	memcpy(out, b.p, n);
	buf_fini(&b);
}

static void
a3_key(struct es256_pub *k)
{
	from_b64(k->x, ES256_COORD_LEN, A3_X);
	from_b64(k->y, ES256_COORD_LEN, A3_Y);
}

static enum err_code
judge(const struct es256_pub *k, const uint8_t *sig)
{
	return es256_verify(k, span_str(A3_INPUT), span_of(sig, ES256_SIG_LEN)).code;
}

static void
rfc_example(void **state)
{
	uint8_t sig[ES256_SIG_LEN + 1] = { 0 };
	struct es256_pub k;

	a3_key(&k);
	from_b64(sig, ES256_SIG_LEN, A3_SIG);
	assert_int_equal(judge(&k, sig), ERR_OK);
	assert_int_equal(
	    es256_verify(&k, SPAN_LIT("another"), span_of(sig, ES256_SIG_LEN)).code, ERR_REFUSED);
	for (size_t bit = 0; bit < ES256_SIG_LEN * 8; bit += 37) {
		sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(judge(&k, sig), ERR_REFUSED);
		sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n <= ES256_SIG_LEN + 1; n += 13)
		assert_int_equal(es256_verify(&k, span_str(A3_INPUT), span_of(sig, n)).code,
		    n == ES256_SIG_LEN ? ERR_OK : ERR_REFUSED);
	assert_int_equal(es256_verify(&k, span_str(A3_INPUT), span_of(sig, ES256_SIG_LEN + 1)).code,
	    ERR_REFUSED);
}

static void
bad_numbers(void **state)
{
	static const struct {
		const char *rule, *r, *s;
	} rows[] = {
		{ "FIPS 186-5 6.4.2: r = 0", ZERO, ONE },
		{ "FIPS 186-5 6.4.2: s = 0", ONE, ZERO },
		{ "FIPS 186-5 6.4.2: r = n", ORDER, ONE },
		{ "FIPS 186-5 6.4.2: s = n", ONE, ORDER },
		{ "both zero", ZERO, ZERO },
	};
	uint8_t sig[ES256_SIG_LEN];
	struct es256_pub k;

	a3_key(&k);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(hex_parse(sig, 32, span_str(rows[i].r)).code, ERR_OK);
		assert_int_equal(hex_parse(sig + 32, 32, span_str(rows[i].s)).code, ERR_OK);
		if (judge(&k, sig) != ERR_REFUSED)
			fail_msg("%s", rows[i].rule);
	}
}

static void
bad_points(void **state)
{
	uint8_t sig[ES256_SIG_LEN];
	struct es256_pub good, k;

	a3_key(&good);
	from_b64(sig, sizeof(sig), A3_SIG);
	k = good;
	k.y[31] ^= 1; /* off the curve */
	assert_int_equal(judge(&k, sig), ERR_REFUSED);
	k = (struct es256_pub){ 0 };
	assert_int_equal(judge(&k, sig), ERR_REFUSED);
	memset(&k, 0xff, sizeof(k)); /* beyond the field's prime */
	assert_int_equal(judge(&k, sig), ERR_REFUSED);
}

/* The prefix was taken from `openssl ec -pubout -outform DER`; the whole has 91 bytes. */
static void
public_forms(void **state)
{
	char kid[ES256_KID_LEN];
	struct es256_pub k;
	uint8_t prefix[27];
	struct buf b;

	a3_key(&k);
	buf_init(&b, 128);
	es256_pub_spki(&k, &b);
	assert_int_equal(b.n, 91);
	assert_int_equal(hex_parse(prefix, sizeof(prefix),
			     span_str("3059301306072a8648ce3d020106082a8648ce3d030107034200"
				      "04"))
			     .code,
	    ERR_OK);
	assert_memory_equal(b.p, prefix, sizeof(prefix));
	assert_memory_equal(b.p + 27, k.x, 32);
	assert_memory_equal(b.p + 59, k.y, 32);
	/* Computed over {"crv":"P-256","kty":"EC","x":...,"y":...} with Python's hashlib. */
	es256_pub_kid(&k, kid);
	assert_memory_equal(kid, A3_KID, ES256_KID_LEN);
	buf_fini(&b);
}

static void
sign_and_verify(void **state)
{
	uint8_t first[ES256_SIG_LEN], second[ES256_SIG_LEN];
	struct es256_key *key, *other;
	struct es256_pub pub, other_pub;

	assert_int_equal(es256_key_generate(&key).code, ERR_OK);
	assert_int_equal(es256_key_generate(&other).code, ERR_OK);
	es256_key_pub(key, &pub);
	es256_key_pub(other, &other_pub);
	assert_memory_not_equal(&pub, &other_pub, sizeof(pub));
	/* Often enough for an r or s that begins with a zero byte, or has its top bit set. */
	for (int i = 0; i < 600; i++) {
		assert_int_equal(es256_sign(key, span_str(A3_INPUT), first).code, ERR_OK);
		assert_int_equal(judge(&pub, first), ERR_OK);
	}
	assert_int_equal(judge(&other_pub, first), ERR_REFUSED);
	assert_int_equal(es256_sign(key, span_str(A3_INPUT), second).code, ERR_OK);
	assert_memory_not_equal(first, second, sizeof(first));
	es256_key_free(key);
	es256_key_free(other);
	es256_key_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_example),
		cmocka_unit_test(bad_numbers),
		cmocka_unit_test(bad_points),
		cmocka_unit_test(public_forms),
		cmocka_unit_test(sign_and_verify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
