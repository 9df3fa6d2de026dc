/* anchor.c: the key set. Rows change one place of the vector's set, which is fine. */
#include "receipt/anchor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "texts.h"

#define KID "Sn_iToCFyq9j9QZUj9Jg59UJILJfwFsGbAk7V7jM17k"
#define X   "dTiU5YUq73R6EB_smcKK8R_IzgFGIQnfAck6aysw47o"
#define Y   "1rFwyce3IO0gYKqVNuXuOCXmfhj2CWxd6WPwE1Zk_bE"
/* A P-256 key where the RSA key belongs. */
#define EC_SPKI                                                                                    \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdTiU5YUq73R6EB_smcKK8R_IzgFGIQnfAck6aysw47rWsXDJx7cg" \
	"7SBgqpU25e44JeZ-GPYJbF3pY_ATVmT9sQ"

static const struct {
	const char *rule, *from, *to;
	enum err_code want;
} rows[] = {
	{ "as it stands", "", "", ERR_OK },
	{ "RFC 7517 4: further members", "\"kty\"", "\"later\":{\"a\":[1]},\"kty\"", ERR_OK },
	{ "RFC 7517 5: further keys", "\"keys\": [", "\"keys\": [{\"kty\":\"OKP\"},{\"kid\":1},",
	    ERR_OK },
	{ "RFC 7517 5: further members of the set", "\"keys\"", "\"later\":1,\"keys\"", ERR_OK },
	{ "RFC 7517 4: a member twice", "\"kty\"", "\"alg\":\"none\",\"kty\"", ERR_MALFORMED },
	{ "the set twice", "\"keys\"", "\"keys\":[],\"keys\"", ERR_MALFORMED },
	{ "two keys of one kid", "\"keys\": [", "\"keys\": [{\"kid\":\"" KID "\"},", ERR_REFUSED },
	{ "a key that is no object", "\"keys\": [", "\"keys\": [1,", ERR_MALFORMED },
	{ "no set", "\"keys\"", "\"key\"", ERR_MALFORMED },
	{ "a set that is no array", "\"keys\": [", "\"keys\": {}, \"other\": [", ERR_MALFORMED },
	{ "something before the set", "", "x", ERR_MALFORMED },
	{ "R1: kty", "\"EC\"", "\"RSA\"", ERR_REFUSED },
	{ "R1: no kty", "\"kty\"", "\"ktz\"", ERR_REFUSED },
	{ "R1: crv", "\"P-256\"", "\"P-384\"", ERR_REFUSED },
	{ "R1: no crv", "\"crv\"", "\"crw\"", ERR_REFUSED },
	{ "R1: use", "\"sig\"", "\"enc\"", ERR_REFUSED },
	{ "R1: no use", "\"use\"", "\"usf\"", ERR_REFUSED },
	{ "R1: alg", "\"ES256\"", "\"ES384\"", ERR_REFUSED },
	{ "R1: alg is text", "\"ES256\"", "256", ERR_REFUSED },
	{ "R1: no alg", "\"alg\"", "\"alh\"", ERR_REFUSED },
	{ "R1: kid is not this key's thumbprint", "\"x\": \"d", "\"x\": \"e", ERR_REFUSED },
	{ "RFC 7518 6.2.1.2: x of 31 bytes", "\"x\": \"dTiU", "\"x\": \"dT", ERR_MALFORMED },
	{ "RFC 7518 6.2.1.2: x of 33 bytes", "\"x\": \"d", "\"x\": \"dd", ERR_MALFORMED },
	{ "RFC 7515 2: x with padding", X, X "=", ERR_MALFORMED },
	{ "RFC 4648 3.5: y with spare bits", "Zk_bE\"", "Zk_bF\"", ERR_MALFORMED },
	{ "no x", "\"x\"", "\"xx\"", ERR_MALFORMED },
	{ "no y", "\"y\"", "\"yy\"", ERR_MALFORMED },
	{ "R2: the coordinates changed places", X "\",\n   \"y\": \"" Y, Y "\",\n   \"y\": \"" X,
	    ERR_REFUSED },
	{ "R3: no signing_key", "\"signing_key\"", "\"signing_kez\"", ERR_MALFORMED },
	{ "R3: signing_key is text", "\"signing_key\"", "\"signing_key\": 1, \"o\"",
	    ERR_MALFORMED },
	{ "R3: signing_key is base64url", "\"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmB3w43m2",
	    "\"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmB3w43m+", ERR_MALFORMED },
	{ "R2: another signing_key", "\"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmB3w43m2",
	    "\"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmB3w43m3", ERR_REFUSED },
	{ "R3: signing_key is RSA", "\"signing_key\"", "\"signing_key\": \"" EC_SPKI "\", \"o\"",
	    ERR_REFUSED },
	{ "R2: no receipt_key_signature", "\"receipt_key_signature\"", "\"receipt_key\"",
	    ERR_MALFORMED },
	{ "R2: receipt_key_signature is standard base64", "\"VtFB0jHzDg8+5w0", "\"VtFB0jHzDg8-5w0",
	    ERR_MALFORMED },
	{ "R2: another receipt_key_signature", "\"VtFB", "\"VtFC", ERR_REFUSED },
	{ "R2: an empty receipt_key_signature", "\"receipt_key_signature\"",
	    "\"receipt_key_signature\": \"\", \"o\"", ERR_REFUSED },
	{ "R3: attestation is text", "\"kty\"", "\"attestation\":1,\"kty\"", ERR_MALFORMED },
	{ "R3: attestation is there", "\"kty\"", "\"attestation\":\"hEShATgi\",\"kty\"", ERR_OK },
};

static void
members(void **state)
{
	struct buf jwks = text_vector("jwks.json");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text = text_with(buf_span(&jwks), rows[i].from, rows[i].to);
		struct receipt_anchor a;
		struct err e = receipt_anchor_read(&a, buf_span(&text), SPAN_LIT(KID));

		if (e.code != rows[i].want)
			fail_msg("%s: %d %s", rows[i].rule, e.code, e.what);
		if (failed(e) && a.signing_spki.n != 0)
			fail_msg("%s: something is left on error", rows[i].rule);
		receipt_anchor_fini(&a);
		receipt_anchor_fini(&a);
		buf_fini(&text);
	}
	buf_fini(&jwks);
}

static void
which_key(void **state)
{
	struct buf jwks = text_vector("jwks.json"), two, none;
	struct receipt_anchor a;

	assert_int_equal(receipt_anchor_read(&a, buf_span(&jwks), SPAN_NONE).code, ERR_OK);
	assert_false(a.has_attestation);
	assert_int_equal(a.key.x[0], 0x75);
	receipt_anchor_fini(&a);
	assert_string_equal(receipt_anchor_read(&a, buf_span(&jwks), SPAN_LIT("another")).what,
	    "RFC 7517 4.5: no such key in the key set");
	assert_int_equal(receipt_anchor_read(&a, buf_span(&jwks), SPAN_LIT("")).code, ERR_REFUSED);

	two = text_with(buf_span(&jwks), "\"keys\": [", "\"keys\": [{\"kty\":\"OKP\"},");
	assert_int_equal(receipt_anchor_read(&a, buf_span(&two), SPAN_NONE).code, ERR_REFUSED);
	none = text_with(buf_span(&jwks), "\"keys\": [", "\"keys\": [], \"old\": [");
	assert_int_equal(receipt_anchor_read(&a, buf_span(&none), SPAN_NONE).code, ERR_REFUSED);
	buf_fini(&none);
	buf_fini(&two);
	two = text_with(buf_span(&jwks), "\"kty\"", "\"attestation\":\"hEShATgi\",\"kty\"");
	assert_int_equal(receipt_anchor_read(&a, buf_span(&two), SPAN_NONE).code, ERR_OK);
	assert_true(a.has_attestation);
	receipt_anchor_fini(&a);
	buf_fini(&two);
	buf_fini(&jwks);
}

/* R1: whoever wrote the set cannot give the key another name. */
static void
other_name(void **state)
{
	static const char *const names[] = { "\"another\"", "\"\"", "1", "null" };
	struct buf jwks = text_vector("jwks.json");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf text = text_with(buf_span(&jwks), "\"" KID "\"", names[i]);
		struct receipt_anchor a;

		assert_int_equal(
		    receipt_anchor_read(&a, buf_span(&text), SPAN_NONE).code, ERR_REFUSED);
		buf_fini(&text);
	}
	buf_fini(&jwks);
}

static void
too_large(void **state)
{
	struct buf jwks = text_vector("jwks.json"), text;
	struct receipt_anchor a;

	buf_init(&text, 2 << 20);
	memset(buf_grow(&text, 1 << 20), ' ', 1 << 20);
	buf_put(&text, buf_span(&jwks));
	assert_int_equal(receipt_anchor_read(&a, buf_span(&text), SPAN_NONE).code, ERR_TOO_LARGE);
	buf_fini(&text);
	buf_fini(&jwks);
}

static const struct {
	const char *rule, *jws, *kid;
} kids[] = {
	/* {"kid":"k"} */
	{ "a kid", "eyJraWQiOiJrIn0.x.y", "k" },
	{ "no dot", "eyJraWQiOiJrIn0", NULL },
	{ "no base64", "eyJraWQiOiJrIn0=.x.y", NULL },
	{ "no JSON", "AAAA.x.y", NULL },
	{ "nothing", "", NULL },
	{ "an empty header", ".x.y", NULL },
	{ "no object: []", "W10.x.y", NULL },
	{ "no kid: {}", "e30.x.y", NULL },
	{ "an empty kid: {\"kid\":\"\"}", "eyJraWQiOiIifQ.x.y", NULL },
	{ "a number: {\"kid\":1}", "eyJraWQiOjF9.x.y", NULL },
	{ "an escape: {\"kid\":\"\\u006b\"}", "eyJraWQiOiJcdTAwNmIifQ.x.y", NULL },
};

static void
kid_of_a_header(void **state)
{
	for (size_t i = 0; i < sizeof(kids) / sizeof(kids[0]); i++) {
		struct buf kid;
		struct err e;

		buf_init(&kid, 64);
		e = receipt_kid(span_str(kids[i].jws), &kid);
		if (kids[i].kid == NULL
			? e.code != ERR_MALFORMED || kid.n != 0
			: failed(e) || !span_eq(buf_span(&kid), span_str(kids[i].kid)))
			fail_msg("%s", kids[i].rule);
		buf_fini(&kid);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(which_key),
		cmocka_unit_test(other_name),
		cmocka_unit_test(too_large),
		cmocka_unit_test(kid_of_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
