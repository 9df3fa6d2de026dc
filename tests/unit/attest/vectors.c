/*
 * attest/verify.c on the 222 published vectors: verdict, reason, and every member of what is
 * accepted; with no allocation above 64 KiB, whatever a length claims.
 */
#include "attest/verify.h"

#include <openssl/crypto.h>

#include "vectors.h"

#include "attest/root.h"
#include "core/buf.h"
#include "crypto/digest.h"

enum { N_VECTORS = 222, N_ACCEPTED = 34, DOCUMENT_MAX_BYTES = 1 << 20, ALLOCATION_MAX = 64 << 10 };

static struct vectors v;
static uint8_t file_bytes[DOCUMENT_MAX_BYTES];
static struct buf test_root;

/* What OpenSSL asks for is capped and watched; the verifier's own code asks for nothing. */
static bool capped;
static size_t largest;

static void *
cap_realloc(void *p, size_t n, const char *file, int line)
{
	if (capped && n > largest)
		largest = n;
	return capped && n > ALLOCATION_MAX ? NULL : realloc(p, n);
}

static void *
cap_malloc(size_t n, const char *file, int line)
{
	return n == 0 ? NULL : cap_realloc(NULL, n, file, line);
}

static void
cap_free(void *p, const char *file, int line)
{
	free(p);
}

static struct span
read_vector(const char *name)
{
	char path[1024];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/attestation/%s", TEST_VECTORS, name);
	if ((f = fopen(path, "rb")) == NULL)
		fail_msg("cannot open %s", path);
	n = fread(file_bytes, 1, sizeof(file_bytes), f);
	fclose(f);
	assert_true(n < sizeof(file_bytes));
	return span_of(file_bytes, n);
}

static void
read_policy_pcrs(uint32_t policy, struct attest_policy *p, struct attest_pcrs *pcrs)
{
	uint32_t at = json_get(&v.doc, policy, "pcrs");

	if (at == JSON_NONE)
		return;
	for (uint32_t c = json_first(&v.doc, at); c != JSON_NONE; c = json_after(&v.doc, at, c)) {
		uint64_t index;

		assert_true(span_u64(json_inner(&v.doc, c), 31, &index));
		assert_int_equal(
		    attest_pcrs_add(pcrs, index, json_inner(&v.doc, c + 1)).code, ERR_OK);
	}
	p->pcrs = pcrs;
	p->n_pcrs = 1;
}

/* Freshness, nonce and the rest only where the vector's policy asks. */
static struct attest_policy
read_policy(uint32_t row, struct attest_pcrs *pcrs)
{
	struct attest_policy p = {
		.root_der = attest_root_aws(), .any_age = true, .allow_debug = true
	};
	uint32_t policy = json_get(&v.doc, row, "policy");

	assert_true(
	    json_u64(&v.doc, vectors_get(&v, row, "verify_at_unix"), UINT32_MAX, &p.at_unix_s));
	if (json_is(&v.doc, json_get(&v.doc, row, "root"), "test-root.pem"))
		p.root_der = buf_span(&test_root);
	if (policy == JSON_NONE)
		return p;
	if (json_get(&v.doc, policy, "nonce") != JSON_NONE)
		p.nonce = vectors_hex(&v, policy, "nonce");
	if (json_get(&v.doc, policy, "user_data") != JSON_NONE)
		p.user_data = vectors_hex(&v, policy, "user_data");
	p.any_age = !json_u64(
	    &v.doc, json_get(&v.doc, policy, "max_age"), UINT32_MAX, &p.max_age_s);
	if (json_get(&v.doc, policy, "reject_debug") != JSON_NONE)
		p.allow_debug = false;
	read_policy_pcrs(policy, &p, pcrs);
	return p;
}

static void
expect_optional(const char *id, uint32_t row, const char *name, struct span got)
{
	uint32_t at = json_get(&v.doc, row, name);

	if (at == JSON_NONE || json_type(&v.doc, at) == JSON_NULL)
		assert_null(got.p);
	else if (got.p == NULL || !span_eq(got, vectors_hex(&v, row, name)))
		fail_msg("%s: %s differs", id, name);
}

static void
expect_digest(const char *id, struct span der, struct span want)
{
	uint8_t digest[SHA256_LEN];

	sha256_of(der, digest);
	if (!span_eq(span_of(digest, sizeof(digest)), want))
		fail_msg("%s: a certificate differs", id);
}

/* What the index says of a genuine document. */
static void
expect_members(const char *id, uint32_t row, const struct attest_document *d)
{
	uint32_t pcrs = vectors_get(&v, row, "pcrs"),
		 bundle = vectors_get(&v, row, "cabundle_sha256");
	uint64_t timestamp, count, index;
	size_t n = 0;

	assert_true(json_u64(&v.doc, vectors_get(&v, row, "timestamp_ms"), UINT64_MAX, &timestamp));
	assert_true(json_u64(&v.doc, vectors_get(&v, row, "cabundle_count"), 16, &count));
	assert_int_equal(d->timestamp_ms, timestamp);
	assert_int_equal(d->n_cabundle, count);
	assert_true(span_eq(d->module_id, vectors_text(&v, row, "module_id")));
	for (uint32_t c = json_first(&v.doc, pcrs); c != JSON_NONE;
	     c = json_after(&v.doc, pcrs, c)) {
		struct attest_pcrs one = { 0 };

		assert_true(span_u64(json_inner(&v.doc, c), 31, &index));
		assert_int_equal(
		    attest_pcrs_add(&one, index, json_inner(&v.doc, c + 1)).code, ERR_OK);
		if (!attest_pcrs_match(&one, d))
			fail_msg("%s: PCR%u differs", id, (unsigned)index);
	}
	for (unsigned i = 0; i < PCR_COUNT; i++)
		n += d->pcr[i].p != NULL;
	assert_true(json_u64(&v.doc, vectors_get(&v, row, "pcr_count"), 32, &count));
	assert_int_equal(n, count);
	assert_int_equal(attest_document_debug(d),
	    json_type(&v.doc, vectors_get(&v, row, "debug_mode")) == JSON_TRUE);
	expect_optional(id, row, "nonce", d->nonce);
	expect_optional(id, row, "user_data", d->user_data);
	expect_optional(id, row, "public_key", d->public_key);
	expect_digest(id, d->certificate, vectors_hex(&v, row, "certificate_sha256"));
	n = 0;
	for (uint32_t c = json_first(&v.doc, bundle); c != JSON_NONE;
	     c = json_after(&v.doc, bundle, c)) {
		uint8_t want[SHA256_LEN];

		assert_int_equal(hex_parse(want, sizeof(want), json_inner(&v.doc, c)).code, ERR_OK);
		expect_digest(id, d->cabundle[n++], span_of(want, sizeof(want)));
	}
	assert_int_equal(n, d->n_cabundle);
}

/* The part of `what` before the colon. */
static struct span
reason_of(struct err e)
{
	struct span what = span_str(e.what);
	size_t colon = span_find(what, SPAN_LIT(":"), 0);

	return colon == SIZE_MAX ? what : span_cut(what, 0, colon);
}

static void
expect_verdict(uint32_t row, const struct attest_policy *p, struct span document, size_t *accepted)
{
	const char *id = (const char *)vectors_text(&v, row, "id").p;
	bool accept = json_is(&v.doc, vectors_get(&v, row, "expect"), "accept");
	struct attest_document d;
	struct attest_verdict verdict;
	struct err e;

	capped = true;
	e = attest_verify(&verdict, &d, p, document);
	capped = false;
	if (accept != !failed(e))
		fail_msg("%s: %s", id, failed(e) ? e.what : "accepted");
	if (accept && json_get(&v.doc, row, "timestamp_ms") != JSON_NONE)
		expect_members(id, row, &d);
	if (!accept) {
		struct span want = vectors_text(&v, row, "reject_reason");

		if (!span_eq(want, reason_of(e)))
			fail_msg("%s: %s, not %s", id, e.what, (const char *)want.p);
		/* Nothing leaves before the signature was verified. */
		assert_int_equal(d.module_id.p != NULL, verdict.check[3].verdict == CHECK_PASSED);
	}
	*accepted += accept;
}

static void
every_vector(void **state)
{
	uint32_t list = vectors_get(&v, 0, "vectors");
	size_t n = 0, accepted = 0;

	for (uint32_t c = json_first(&v.doc, list); c != JSON_NONE;
	     c = json_after(&v.doc, list, c)) {
		struct attest_pcrs pcrs = { 0 };
		struct attest_policy p = read_policy(c, &pcrs);
		struct span s = read_vector((const char *)vectors_text(&v, c, "file").p);
		/* A block of its own: a read past the end is seen. */
		uint8_t *own = test_malloc(s.n + (s.n == 0));

		memcpy(own, s.p, s.n);
		expect_verdict(c, &p, span_of(own, s.n), &accepted);
		test_free(own);
		n++;
	}
	assert_int_equal(n, N_VECTORS);
	assert_int_equal(accepted, N_ACCEPTED);
	assert_true(largest > 0 && largest <= ALLOCATION_MAX);
}

/* A prefix of a good document is never one. */
static void
every_cut(void **state)
{
	struct attest_policy p = { .root_der = attest_root_aws(),
		.at_own_time = true,
		.any_age = true,
		.allow_debug = true };
	struct span s = read_vector("real/opengradient-2026.cbor");
	struct attest_verdict verdict;
	struct attest_document d;

	assert_int_equal(attest_verify(&verdict, &d, &p, s).code, ERR_OK);
	for (size_t n = 0; n < s.n; n++)
		if (!failed(attest_verify(&verdict, &d, &p, span_cut(s, 0, n))))
			fail_msg("cut to %zu bytes", n);
}

static void
root_is_pinned(void **state)
{
	uint8_t digest[SHA256_LEN];
	struct span der = read_vector("aws-nitro-root-g1.der");
	struct buf pem;

	assert_true(span_eq(attest_root_aws(), der));
	sha256_of(attest_root_aws(), digest);
	assert_true(
	    span_eq(span_of(digest, sizeof(digest)), vectors_hex(&v, 0, "root_der_sha256")));
	sha256_of(buf_span(&test_root), digest);
	assert_true(
	    span_eq(span_of(digest, sizeof(digest)), vectors_hex(&v, 0, "test_root_der_sha256")));
	buf_init(&pem, ATTEST_MEMBER_MAX_BYTES);
	assert_int_equal(attest_root_from_pem(&pem, read_vector("index.json")).code, ERR_MALFORMED);
	assert_int_equal(attest_root_from_pem(&pem, SPAN_NONE).code, ERR_MALFORMED);
	assert_int_equal(pem.n, 0);
	buf_fini(&pem);
}

static int
setup(void **state)
{
	vectors_open(&v, "attestation/index.json");
	buf_init(&test_root, ATTEST_MEMBER_MAX_BYTES);
	assert_int_equal(
	    attest_root_from_pem(&test_root, read_vector("test-root.pem")).code, ERR_OK);
	return 0;
}

static int
teardown(void **state)
{
	buf_fini(&test_root);
	vectors_close(&v);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vector),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(root_is_pinned),
	};

	/* Before OpenSSL's first allocation, or it keeps its own. */
	if (CRYPTO_set_mem_functions(cap_malloc, cap_realloc, cap_free) != 1)
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
