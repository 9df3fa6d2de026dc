/* The client against a scripted module. Source: nitro-attestation.md 1.2, 1.3. */
#include "enclave/nsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "enclave/entropy.h"

/* What the module says, whatever it is asked; and how often it was. */
struct script {
	struct span answer;
	struct err e;
	unsigned asked;
};

static struct err
play(void *ctx, struct span request, uint8_t *answer, size_t *n)
{
	struct script *s = ctx;

	s->asked++;
	if (failed(s->e))
		return s->e;
	memcpy(answer, s->answer.p, s->answer.n);
	*n = s->answer.n;
	return OK;
}

#define RANDOM(bytes)        \
	SPAN_LIT("\xa1\x69"  \
		 "GetRandom" \
		 "\xa1\x66"  \
		 "random" bytes)

static const struct {
	const char *rule;
	struct script script;
	enum err_code want;
	const char *what;
} rows[] = {
	{ "randomness",
	    { .answer = RANDOM("\x43"
			       "abc") },
	    ERR_OK, NULL },
	{ "no randomness", { .answer = RANDOM("\x40") }, ERR_MALFORMED, NULL },
	{ "an error has its code",
	    { .answer = SPAN_LIT("\xa1\x65"
				 "Error"
				 "\x6d"
				 "InternalError") },
	    ERR_REFUSED, "NSM: InternalError" },
	{ "an answer to something else",
	    { .answer = SPAN_LIT("\x67"
				 "LockPCR") },
	    ERR_MALFORMED, "NSM: InvalidResponse" },
	{ "an answer cut short",
	    { .answer = SPAN_LIT("\xa1\x69"
				 "GetRan") },
	    ERR_MALFORMED, NULL },
	{ "the device failed", { .e = FAIL(SYSTEM, "NSM: the device failed") }, ERR_SYSTEM,
	    "NSM: the device failed" },
};

static void
answers(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct script s = rows[i].script;
		struct nsm_port p = { play, &s };
		uint8_t out[NSM_RANDOM_MAX_BYTES];
		size_t n = 99;
		struct err e = nsm_random(&p, out, &n);

		if (e.code != rows[i].want || s.asked != 1)
			fail_msg("%s", rows[i].rule);
		if (rows[i].what != NULL)
			assert_string_equal(e.what, rows[i].what);
		assert_int_equal(n, rows[i].want == ERR_OK ? 3 : 0);
	}
}

static void
limits_of_claims(void **state)
{
	static const uint8_t zeros[NSM_PUBLIC_KEY_MAX_BYTES + 1];
	struct script s = { .answer = SPAN_LIT("\xa1\x6b"
					       "Attestation"
					       "\xa1\x68"
					       "document"
					       "\x41"
					       "d") };
	struct nsm_port p = { play, &s };
	struct nsm_claims c = { .nonce = span_of(zeros, NSM_NONCE_MAX_BYTES),
		.user_data = span_of(zeros, NSM_USER_DATA_MAX_BYTES),
		.public_key = span_of(zeros, NSM_PUBLIC_KEY_MAX_BYTES) };
	struct buf b;

	buf_init(&b, 16);
	assert_int_equal(nsm_attest(&p, &c, &b).code, ERR_OK);
	assert_int_equal(b.n, 1);
	c.nonce.n++;
	assert_int_equal(nsm_attest(&p, &c, &b).code, ERR_TOO_LARGE);
	c.nonce.n--;
	c.user_data.n++;
	assert_int_equal(nsm_attest(&p, &c, &b).code, ERR_TOO_LARGE);
	c.user_data.n--;
	c.public_key.n++;
	assert_int_equal(nsm_attest(&p, &c, &b).code, ERR_TOO_LARGE);
	assert_int_equal(s.asked, 1);
	buf_fini(&b);
}

/* --- entropy --- */

static struct err
count_bytes(void *ctx, struct span bytes)
{
	size_t *total = ctx;

	*total += bytes.n;
	return OK;
}

static struct err
refuse_bytes(void *ctx, struct span bytes)
{
	return FAIL(SYSTEM, "sink");
}

static void
entropy_is_whole_or_fails(void **state)
{
	struct script s = { .answer = RANDOM("\x43"
					     "abc") };
	struct nsm_port p = { play, &s };
	size_t total = 0;

	assert_int_equal(
	    entropy_feed(&p, &(struct entropy_sink){ count_bytes, &total }).code, ERR_OK);
	assert_int_equal(total, ENTROPY_BYTES);
	assert_int_equal(s.asked, (ENTROPY_BYTES + 2) / 3);
	s.answer = RANDOM("\x40");
	assert_int_equal(
	    entropy_feed(&p, &(struct entropy_sink){ count_bytes, &total }).code, ERR_MALFORMED);
	s.answer = RANDOM("\x41"
			  "a");
	assert_int_equal(
	    entropy_feed(&p, &(struct entropy_sink){ refuse_bytes, NULL }).code, ERR_SYSTEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(limits_of_claims),
		cmocka_unit_test(entropy_is_whole_or_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
