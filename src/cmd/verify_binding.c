#include "cmd/verify_binding.h"

#include "attest/user_data.h"
#include "crypto/ct.h"

enum { RECEIPT_SPKI_MAX_BYTES = 128 };

struct err
binding_signing_key(const struct attest_document *d, struct span spki)
{
	uint8_t digest[SHA256_LEN];
	struct user_data u;

	TRY(user_data_parse(&u, d->user_data));
	sha256_of(spki, digest);
	if (!ct_equal(
		span_of(digest, sizeof(digest)), span_of(u.signing_key, sizeof(u.signing_key))))
		return FAIL(REFUSED,
		    "signing-key-mismatch: opengradient.md 2: user_data names another signing key");
	return OK;
}

struct err
binding_receipt_key(
    const struct attest_document *d, const struct es256_pub *key, enum check_verdict *verdict)
{
	struct buf spki;
	bool same;

	if (span_eq(d->public_key, SPAN_LIT("dummy"))) {
		*verdict = CHECK_NONE;
		return OK;
	}
	buf_init(&spki, RECEIPT_SPKI_MAX_BYTES);
	es256_pub_spki(key, &spki);
	same = !failed(buf_check(&spki)) && ct_equal(d->public_key, buf_span(&spki));
	buf_fini(&spki);
	if (!same)
		return FAIL(REFUSED,
		    "receipt-key-mismatch: interfaces.md R2: the document's public_key is another "
		    "key");
	return OK;
}

struct err
binding_judge(const struct attest_document *d, const struct receipt_anchor *a, struct report *r)
{
	struct check checks[] = {
		{ "attested_signing_key", "opengradient.md 2",
		    "user_data names the signing key of the key set", CHECK_PENDING },
		{ "attested_receipt_key", "interfaces.md R2 b",
		    "the document's public_key is the receipt key", CHECK_PENDING },
	};
	struct err e = binding_signing_key(d, buf_span(&a->signing_spki));

	checks[0].verdict = failed(e) ? CHECK_FAILED : CHECK_PASSED;
	if (!failed(e)) {
		checks[1].verdict = CHECK_PASSED;
		e = binding_receipt_key(d, &a->key, &checks[1].verdict);
		if (failed(e))
			checks[1].verdict = CHECK_FAILED;
	}
	report_check(r, checks, sizeof(checks) / sizeof(checks[0]));
	return e;
}

struct attest_policy
binding_archived_policy(const struct verify_policy *p)
{
	struct attest_policy a = p->attest;

	a.at_own_time = true;
	a.any_age = true;
	a.nonce = SPAN_NONE;
	return a;
}
