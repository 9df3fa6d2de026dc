/*
 * The one form of JWE that is opened: sealed here, then each part bent. That others seal it as we
 * open it, tests/e2e/provisioning.test.mjs shows with jose. Source: RFC 7516, RFC 7518; P3.
 */
#include "crypto/jwe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../sealer.h"

static struct seal_key *key, *other;
static struct es256_pub pub;

static int
set_up(void **state)
{
	if (failed(seal_key_generate(&key)) || failed(seal_key_generate(&other)))
		return 1;
	seal_key_pub(key, &pub);
	return 0;
}

static int
tear_down(void **state)
{
	seal_key_free(key);
	seal_key_free(other);
	return 0;
}

/* What came of it; on success *plain holds the content, else it is untouched. */
static struct err
open_with(const struct seal_key *k, struct span text, struct buf *plain)
{
	struct jwe j;
	struct err e = jwe_parse(&j, text);

	if (!failed(e))
		e = jwe_open(plain, &j, k);
	if (failed(e))
		assert_int_equal(plain->n, 0);
	return e;
}

static void
there_and_back(void **state)
{
	static const char *const texts[] = { "", "{}", "{\"openai_api_key\":\"sk-1\"}" };
	struct buf text, plain;

	buf_init(&text, PROVISION_MAX_BYTES);
	buf_init(&plain, PROVISION_MAX_BYTES);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(seal(&text, &pub, span_str(texts[i]), NULL));
		assert_int_equal(open_with(key, buf_span(&text), &plain).code, ERR_OK);
		assert_true(span_eq(buf_span(&plain), span_str(texts[i])));
		buf_clear(&plain);
		assert_int_equal(open_with(other, buf_span(&text), &plain).code, ERR_REFUSED);
		buf_clear(&text);
	}
	buf_fini(&text);
	buf_fini(&plain);
}

/* Every byte of what is sent counts. */
static void
every_byte(void **state)
{
	struct buf text, plain;

	buf_init(&text, PROVISION_MAX_BYTES);
	buf_init(&plain, PROVISION_MAX_BYTES);
	assert_true(seal(&text, &pub, SPAN_LIT("{\"openai_api_key\":\"sk-1\"}"), NULL));
	for (size_t i = 0; i < text.n; i++) {
		uint8_t was = text.p[i];

		text.p[i] = was == 'A' ? 'B' : 'A';
		if (!failed(open_with(key, buf_span(&text), &plain)))
			fail_msg("byte %zu of %zu", i, text.n);
		text.p[i] = was;
	}
	for (size_t n = 0; n < text.n; n++)
		if (!failed(open_with(key, span_of(text.p, n), &plain)))
			fail_msg("the first %zu bytes", n);
	assert_int_equal(open_with(key, buf_span(&text), &plain).code, ERR_OK);
	buf_fini(&text);
	buf_fini(&plain);
}

#define EPK "\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",%s}"

static const struct {
	const char *rule;
	struct bend how;
	enum err_code want;
} rows[] = {
	{ "any order", { .header = "{" EPK ", \"enc\":\"A256GCM\",\"alg\":\"ECDH-ES\"}" }, ERR_OK },
	{ "another alg", { .header = "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\"," EPK "}" },
	    ERR_REFUSED },
	{ "no alg", { .header = "{\"enc\":\"A256GCM\"," EPK "}" }, ERR_REFUSED },
	{ "another enc", { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A128GCM\"," EPK "}" },
	    ERR_REFUSED },
	{ "zip", { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"zip\":\"DEF\"," EPK "}" },
	    ERR_REFUSED },
	{ "crit",
	    { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"crit\":[\"exp\"]," EPK "}" },
	    ERR_REFUSED },
	{ "apu", { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"apu\":\"QQ\"," EPK "}" },
	    ERR_REFUSED },
	{ "alg twice",
	    { .header = "{\"alg\":\"dir\",\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\"," EPK "}" },
	    ERR_MALFORMED },
	{ "no epk", { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"x\":1}" },
	    ERR_MALFORMED },
	{ "epk on another curve",
	    { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\","
			"\"crv\":\"P-384\",%s}}" },
	    ERR_REFUSED },
	{ "epk with a private half",
	    { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\","
			"\"crv\":\"P-256\",\"d\":\"AA\",%s}}" },
	    ERR_REFUSED },
	{ "a short coordinate",
	    { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\","
			"\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}}" },
	    ERR_MALFORMED },
	{ "the point 0, 0",
	    { .header = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\","
			"\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
			"\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}" },
	    ERR_REFUSED },
	{ "no object", { .header = "[1]" }, ERR_MALFORMED },
	{ "a key wrapped beside", { .encrypted_key = "AAAA" }, ERR_MALFORMED },
	{ "a key derived for another use", { .alg = "A128GCM" }, ERR_REFUSED },
};

static void
headers(void **state)
{
	struct buf text, plain;

	buf_init(&text, PROVISION_MAX_BYTES);
	buf_init(&plain, PROVISION_MAX_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e;

		assert_true(seal(&text, &pub, SPAN_LIT("{}"), &rows[i].how));
		e = open_with(key, buf_span(&text), &plain);
		if (e.code != rows[i].want)
			fail_msg("%s: code %d, %s", rows[i].rule, (int)e.code, e.what);
		buf_clear(&text);
		buf_clear(&plain);
	}
	buf_fini(&text);
	buf_fini(&plain);
}

static void
bounds(void **state)
{
	static char large[PROVISION_MAX_BYTES + 1];
	struct buf text, plain;
	struct jwe j;

	memset(large, '.', sizeof(large));
	assert_int_equal(jwe_parse(&j, span_of(large, sizeof(large))).code, ERR_TOO_LARGE);
	assert_int_equal(jwe_parse(&j, SPAN_NONE).code, ERR_MALFORMED);
	assert_int_equal(jwe_parse(&j, SPAN_LIT("....")).code, ERR_MALFORMED);
	/* A buffer that cannot hold it. */
	buf_init(&text, PROVISION_MAX_BYTES);
	buf_init(&plain, 4);
	assert_true(seal(&text, &pub, SPAN_LIT("0123456789"), NULL));
	assert_int_equal(open_with(key, buf_span(&text), &plain).code, ERR_TOO_LARGE);
	buf_fini(&text);
	buf_fini(&plain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(headers),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
