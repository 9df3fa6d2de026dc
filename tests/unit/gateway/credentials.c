/* The providers' credentials on their way through the key holder. Source: K3. */
#include "gateway/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
init(struct gateway *gw)
{
	*gw = (struct gateway){ 0 };
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++)
		buf_init(&gw->upstream[i].auth, 64);
}

static void
fini(struct gateway *gw)
{
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++)
		buf_fini(&gw->upstream[i].auth);
}

static void
there_and_back(void **state)
{
	struct gateway from, to;
	struct buf b;

	init(&from);
	init(&to);
	buf_init(&b, CREDENTIALS_MAX_BYTES);
	buf_put_str(&from.upstream[PROVIDER_OPENAI].auth, "Authorization: Bearer x");
	assert_int_equal(credentials_take(&from, &b).code, ERR_OK);
	assert_int_equal(from.upstream[PROVIDER_OPENAI].auth.n, 0);
	assert_int_equal(credentials_give(&to, buf_span(&b)).code, ERR_OK);
	assert_true(span_eq(
	    buf_span(&to.upstream[PROVIDER_OPENAI].auth), SPAN_LIT("Authorization: Bearer x")));
	assert_int_equal(to.upstream[PROVIDER_ECHO].auth.n, 0);
	fini(&from);
	fini(&to);
	buf_fini(&b);
}

static const struct {
	const char *rule;
	struct span bytes;
	enum err_code want;
} rows[] = {
	{ "none at all is the version", SPAN_LIT("\x01"), ERR_OK },
	{ "one", SPAN_LIT("\x01\0\x06openai\0\x01k"), ERR_OK },
	{ "no version", SPAN_LIT(""), ERR_MALFORMED },
	{ "another version", SPAN_LIT("\x02"), ERR_MALFORMED },
	{ "half a length", SPAN_LIT("\x01\0"), ERR_MALFORMED },
	{ "a name without a credential", SPAN_LIT("\x01\0\x06openai"), ERR_MALFORMED },
	{ "an empty credential", SPAN_LIT("\x01\0\x06openai\0\0"), ERR_MALFORMED },
	{ "a credential past the end", SPAN_LIT("\x01\0\x06openai\0\x02k"), ERR_MALFORMED },
	{ "nobody's", SPAN_LIT("\x01\0\x06openax\0\x01k"), ERR_MALFORMED },
	{ "twice", SPAN_LIT("\x01\0\x06openai\0\x01k\0\x06openai\0\x01k"), ERR_MALFORMED },
	{ "trailing bytes", SPAN_LIT("\x01\0\x06openai\0\x01k!"), ERR_MALFORMED },
};

static void
strict(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway gw;
		struct err e;

		init(&gw);
		e = credentials_give(&gw, rows[i].bytes);
		if (e.code != rows[i].want)
			fail_msg("%s: code %d", rows[i].rule, (int)e.code);
		fini(&gw);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
