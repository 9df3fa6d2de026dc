/*
 * The software module: every request through the client, and its documents before the verifier
 * that clients use. Source: A4; nitro-attestation.md 1.2, 2, 3.
 */
#include "enclave/softnsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attest/verify.h"

enum { DAY_S = 86400 };
static uint64_t now_ms = UINT64_C(1795000000123);

static uint64_t
test_clock(void)
{
	return now_ms;
}

static struct soft_nsm *soft;
static struct nsm_port port;

static int
set_up(void **state)
{
	static struct attest_pcrs m;

	m.named = 1u << 2;
	m.value[2][47] = 7;
	if (failed(soft_nsm_new(&soft, &m, test_clock)))
		return 1;
	port = soft_nsm_port(soft);
	return 0;
}

static int
tear_down(void **state)
{
	soft_nsm_free(soft);
	return 0;
}

static void
pcrs(void **state)
{
	uint8_t value[NSM_PCR_LEN];
	struct nsm_about about;
	struct nsm_pcr pcr;

	assert_int_equal(nsm_describe(&port, &about).code, ERR_OK);
	assert_int_equal(about.max_pcrs, 32);
	assert_int_equal(about.locked_pcrs, 0xffff);
	assert_int_equal(nsm_describe_pcr(&port, 2, &pcr).code, ERR_OK);
	assert_true(pcr.locked);
	assert_int_equal(pcr.value[47], 7);
	assert_int_equal(nsm_describe_pcr(&port, 32, &pcr).code, ERR_REFUSED);
	/* 0 to 15 are the hypervisor's. */
	assert_string_equal(
	    nsm_extend_pcr(&port, 15, SPAN_LIT("x"), value).what, "NSM: ReadOnlyIndex");
	assert_int_equal(nsm_lock_pcr(&port, 0).code, ERR_REFUSED);
	assert_int_equal(nsm_extend_pcr(&port, 16, SPAN_LIT("\1\2\3"), value).code, ERR_OK);
	assert_int_equal(nsm_describe_pcr(&port, 16, &pcr).code, ERR_OK);
	assert_memory_equal(pcr.value, value, NSM_PCR_LEN);
	assert_false(pcr.locked);
	assert_int_equal(nsm_lock_pcr(&port, 16).code, ERR_OK);
	assert_int_equal(nsm_extend_pcr(&port, 16, SPAN_LIT("x"), value).code, ERR_REFUSED);
	assert_int_equal(nsm_lock_pcrs(&port, 20).code, ERR_OK);
	assert_int_equal(nsm_lock_pcrs(&port, 33).code, ERR_REFUSED);
	assert_int_equal(nsm_describe(&port, &about).code, ERR_OK);
	assert_int_equal(about.locked_pcrs, 0xfffff);
}

static void
randomness(void **state)
{
	uint8_t a[NSM_RANDOM_MAX_BYTES], b[NSM_RANDOM_MAX_BYTES];
	size_t n;

	assert_int_equal(nsm_random(&port, a, &n).code, ERR_OK);
	assert_int_equal(n, NSM_RANDOM_MAX_BYTES);
	assert_int_equal(nsm_random(&port, b, &n).code, ERR_OK);
	assert_memory_not_equal(a, b, sizeof(a));
}

/* At `at_unix_s`, against the module's own root. */
static struct err
verify(struct span document, struct span nonce, uint64_t at_unix_s, struct attest_document *d)
{
	struct attest_policy policy = { .root_der = soft_nsm_get_root(soft),
		.at_unix_s = at_unix_s,
		.max_age_s = 60,
		.nonce = nonce,
		.allow_debug = true };
	struct attest_verdict verdict;

	return attest_verify(&verdict, d, &policy, document);
}

static void
documents(void **state)
{
	struct nsm_claims c = { .nonce = SPAN_LIT("nonce"), .user_data = SPAN_LIT("user") };
	struct attest_document d;
	uint64_t time_ms;
	struct buf b;

	buf_init(&b, NSM_ANSWER_MAX_BYTES);
	assert_int_equal(nsm_attest(&port, &c, &b).code, ERR_OK);
	assert_int_equal(nsm_document_time(buf_span(&b), &time_ms).code, ERR_OK);
	assert_int_equal(time_ms, now_ms);
	assert_int_equal(verify(buf_span(&b), c.nonce, now_ms / 1000, &d).code, ERR_OK);
	assert_true(span_eq(d.user_data, c.user_data));
	assert_null(d.public_key.p);
	assert_int_equal(d.n_cabundle, 4);
	assert_int_equal(d.pcr[2].p[47], 7);
	assert_int_not_equal(
	    verify(buf_span(&b), SPAN_LIT("other"), now_ms / 1000, &d).code, ERR_OK);
	/* Three hours and it ends. */
	assert_int_not_equal(
	    verify(buf_span(&b), c.nonce, now_ms / 1000 + 4 * 3600, &d).code, ERR_OK);
	b.p[b.n - 1] ^= 1;
	assert_int_not_equal(verify(buf_span(&b), c.nonce, now_ms / 1000, &d).code, ERR_OK);
	buf_fini(&b);
}

static void
chain_is_renewed(void **state)
{
	struct nsm_claims c = { .nonce = SPAN_LIT("nonce") };
	struct attest_document d;
	struct buf b;

	buf_init(&b, NSM_ANSWER_MAX_BYTES);
	for (int i = 0; i < 4; i++) {
		/* Hours later, then weeks: past the end of every level but the root. */
		now_ms += i < 2 ? UINT64_C(3) * 3600 * 1000 : UINT64_C(21) * DAY_S * 1000;
		buf_clear(&b);
		assert_int_equal(nsm_attest(&port, &c, &b).code, ERR_OK);
		assert_int_equal(verify(buf_span(&b), c.nonce, now_ms / 1000, &d).code, ERR_OK);
	}
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pcrs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(randomness, set_up, tear_down),
		cmocka_unit_test_setup_teardown(documents, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chain_is_renewed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
