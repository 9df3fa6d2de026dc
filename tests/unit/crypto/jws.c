/* Compact JWS: written and read back, then each part bent. Source: RFC 7515; interfaces.md R8. */
#include "crypto/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/b64.h"
#include "core/limits.h"

#define TYP "tee-receipt+jwt"

static struct es256_key *key;
static struct es256_pub pub;
static char kid[ES256_KID_LEN + 1];

static int
set_up(void **state)
{
	if (failed(es256_key_generate(&key)))
		return 1;
	es256_key_pub(key, &pub);
	es256_pub_kid(&pub, kid);
	return 0;
}

static int
tear_down(void **state)
{
	es256_key_free(key);
	return 0;
}

/* A JWS with this header and payload text, truly signed: only the header can be at fault. */
static void
forge(struct buf *b, const char *header, const char *payload)
{
	uint8_t sig[ES256_SIG_LEN];

	b64url_put(b, span_str(header));
	buf_put_byte(b, '.');
	b64url_put(b, span_str(payload));
	assert_int_equal(es256_sign(key, buf_span(b), sig).code, ERR_OK);
	buf_put_byte(b, '.');
	b64url_put(b, span_of(sig, sizeof(sig)));
	assert_int_equal(buf_check(b).code, ERR_OK);
}

static enum err_code
judge(struct span jws, struct buf *payload)
{
	size_t before = payload->n;
	enum err_code code = jws_verify(jws, &pub, TYP, payload).code;

	if (code != ERR_OK)
		assert_int_equal(payload->n, before);
	return code;
}

static void
round_trip(void **state)
{
	static const char *const payloads[] = { "{}", "{\"a\":1}", "", "any bytes \xff\x01" };
	struct buf jws, payload;

	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		buf_init(&jws, 4096);
		buf_init(&payload, 4096);
		buf_put_str(&payload, "before");
		assert_int_equal(jws_sign(&jws, key, TYP, span_str(payloads[i])).code, ERR_OK);
		assert_int_equal(judge(buf_span(&jws), &payload), ERR_OK);
		buf_drop(&payload, 6);
		assert_true(span_eq(buf_span(&payload), span_str(payloads[i])));
		buf_fini(&jws);
		buf_fini(&payload);
	}
}

static void
header_as_written(void **state)
{
	struct buf jws, header, want;

	buf_init(&jws, 4096);
	buf_init(&header, 512);
	buf_init(&want, 512);
	/* What is in the buffer already is neither signed nor changed. */
	buf_put_str(&jws, "x");
	assert_int_equal(jws_sign(&jws, key, TYP, SPAN_LIT("{}")).code, ERR_OK);
	buf_drop(&jws, 1);
	assert_int_equal(jws_verify(buf_span(&jws), &pub, TYP, &want).code, ERR_OK);
	buf_clear(&want);
	assert_int_equal(
	    b64url_parse(
		&header, span_cut(buf_span(&jws), 0, span_find(buf_span(&jws), SPAN_LIT("."), 0)))
		.code,
	    ERR_OK);
	buf_put_str(&want, "{\"alg\":\"ES256\",\"kid\":\"");
	buf_put_str(&want, kid);
	buf_put_str(&want, "\",\"typ\":\"" TYP "\"}");
	assert_true(span_eq(buf_span(&header), buf_span(&want)));
	buf_fini(&jws);
	buf_fini(&header);
	buf_fini(&want);
}

static void
bounds(void **state)
{
	struct buf jws, payload;

	buf_init(&jws, 100);
	assert_int_equal(jws_sign(&jws, key, TYP, SPAN_LIT("{}")).code, ERR_TOO_LARGE);
	buf_fini(&jws);
	buf_init(&jws, 4096);
	buf_init(&payload, 4);
	assert_int_equal(jws_sign(&jws, key, TYP, SPAN_LIT("12345")).code, ERR_OK);
	assert_int_equal(judge(buf_span(&jws), &payload), ERR_TOO_LARGE);
	buf_fini(&jws);
	buf_fini(&payload);
}

/* %s stands for the right kid. */
static const struct {
	const char *rule, *header;
	enum err_code want;
} headers[] = {
	{ "the three members", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}", ERR_OK },
	{ "their order is free", "{\"typ\":\"" TYP "\",\"alg\":\"ES256\",\"kid\":\"%s\"}", ERR_OK },
	{ "R8: alg none", "{\"alg\":\"none\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}", ERR_REFUSED },
	{ "R8: alg RS256", "{\"alg\":\"RS256\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}", ERR_REFUSED },
	{ "R8: alg in another case", "{\"alg\":\"es256\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}",
	    ERR_REFUSED },
	{ "R8: no alg", "{\"kid\":\"%s\",\"typ\":\"" TYP "\"}", ERR_REFUSED },
	{ "R8: another typ", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"tee-config+jwt\"}",
	    ERR_REFUSED },
	{ "R8: no typ", "{\"alg\":\"ES256\",\"kid\":\"%s\"}", ERR_REFUSED },
	{ "R8: another kid", "{\"alg\":\"ES256\",\"kid\":\"%sA\",\"typ\":\"" TYP "\"}",
	    ERR_REFUSED },
	{ "R8: no kid", "{\"alg\":\"ES256\",\"typ\":\"" TYP "\"}", ERR_REFUSED },
	{ "R8: crit", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\",\"crit\":[]}",
	    ERR_REFUSED },
	{ "R8: jwk", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\",\"jwk\":{}}",
	    ERR_REFUSED },
	{ "R8: jku", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\",\"jku\":\"https:\"}",
	    ERR_REFUSED },
	{ "R8: a member twice",
	    "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}",
	    ERR_REFUSED },
	{ "RFC 7515 4: not an object", "[\"ES256\",\"%s\",\"" TYP "\"]", ERR_MALFORMED },
	{ "RFC 8259: not JSON", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\"",
	    ERR_MALFORMED },
	{ "RFC 8259: something after it", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"" TYP "\"}x",
	    ERR_MALFORMED },
};

static void
bent_headers(void **state)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		const char *gap = strstr(headers[i].header, "%s");
		struct buf jws, payload, text;
		enum err_code got;

		buf_init(&jws, 4096);
		buf_init(&payload, 4096);
		buf_init(&text, 4096);
		buf_put_str(&text, headers[i].header);
		if (gap != NULL) {
			buf_truncate(&text, (size_t)(gap - headers[i].header));
			buf_put_str(&text, kid);
			buf_put_str(&text, gap + 2);
		}
		buf_put_byte(&text, '\0');
		forge(&jws, (const char *)text.p, "{}");
		got = judge(buf_span(&jws), &payload);
		/* A name twice is told by the JSON half, with its own code. */
		if (got != headers[i].want &&
		    !(headers[i].want == ERR_REFUSED && got == ERR_MALFORMED))
			fail_msg("%s: %d", headers[i].rule, (int)got);
		buf_fini(&jws);
		buf_fini(&payload);
		buf_fini(&text);
	}
}

static void
bent_bytes(void **state)
{
	struct buf jws, payload, bent;

	buf_init(&jws, 4096);
	buf_init(&payload, 4096);
	buf_init(&bent, 4096);
	assert_int_equal(jws_sign(&jws, key, TYP, SPAN_LIT("{\"a\":1}")).code, ERR_OK);
	for (size_t i = 0; i < jws.n; i++) {
		/* Another letter of the alphabet at every place, so that each part stays base64. */
		buf_clear(&bent);
		buf_put(&bent, buf_span(&jws));
		bent.p[i] = jws.p[i] == 'A' ? 'B' : 'A';
		if (judge(buf_span(&bent), &payload) == ERR_OK)
			fail_msg("byte %zu does not matter", i);
		/* Cut short at every length. */
		if (judge(span_cut(buf_span(&jws), 0, i), &payload) == ERR_OK)
			fail_msg("the first %zu bytes suffice", i);
	}
	static const char *const tails[] = { "=", ".", " ", "\n", "A", ".A" };
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		buf_clear(&bent);
		buf_put(&bent, buf_span(&jws));
		buf_put_str(&bent, tails[i]);
		if (judge(buf_span(&bent), &payload) == ERR_OK)
			fail_msg("R1: \"%s\" after it", tails[i]);
	}
	buf_fini(&jws);
	buf_fini(&payload);
	buf_fini(&bent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(header_as_written),
		cmocka_unit_test(bounds),
		cmocka_unit_test(bent_headers),
		cmocka_unit_test(bent_bytes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
