#include "attest/verify.h"

#include <openssl/evp.h>

#include "attest/chain.h"
#include "attest/cose.h"
#include "crypto/ct.h"

enum { MS_PER_S = 1000 };

struct verifying {
	const struct attest_policy *policy;
	struct span document;
	struct cose cose;
	struct attest_document read;
	EVP_PKEY *leaf_key;
};

static struct err
check_envelope(struct verifying *s, enum check_verdict *verdict)
{
	return cose_read(&s->cose, s->document);
}

static struct err
check_members(struct verifying *s, enum check_verdict *verdict)
{
	return attest_document_read(&s->read, s->cose.payload);
}

static struct err
check_chain(struct verifying *s, enum check_verdict *verdict)
{
	uint64_t at = s->policy->at_own_time ? s->read.timestamp_ms / MS_PER_S
					     : s->policy->at_unix_s;

	return attest_chain_verify(&s->read, s->policy->root_der, at, &s->leaf_key);
}

static struct err
check_document_signature(struct verifying *s, enum check_verdict *verdict)
{
	return cose_verify(&s->cose, s->leaf_key);
}

static struct err
check_age(struct verifying *s, enum check_verdict *verdict)
{
	uint64_t now = s->policy->at_unix_s, signed_at = s->read.timestamp_ms / MS_PER_S;

	if (s->policy->any_age) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (signed_at > now && signed_at - now > ATTEST_AHEAD_MAX_S)
		return FAIL(REFUSED,
		    "in-future: nitro-attestation.md 3.7: the document is of later than now");
	if (now > signed_at && now - signed_at > s->policy->max_age_s)
		return FAIL(REFUSED, "too-old: nitro-attestation.md 3.7: the document is too old");
	return OK;
}

static struct err
check_document_nonce(struct verifying *s, enum check_verdict *verdict)
{
	if (s->policy->nonce.p == NULL) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (s->read.nonce.p == NULL || !ct_equal(s->read.nonce, s->policy->nonce))
		return FAIL(REFUSED,
		    "nonce-mismatch: nitro-attestation.md 3.8: the document answers another nonce");
	return OK;
}

static struct err
check_pcrs(struct verifying *s, enum check_verdict *verdict)
{
	if (s->policy->n_pcrs == 0) {
		*verdict = CHECK_SKIPPED;
		return OK;
	}
	for (size_t i = 0; i < s->policy->n_pcrs; i++)
		if (attest_pcrs_match(&s->policy->pcrs[i], &s->read))
			return OK;
	return FAIL(REFUSED,
	    "pcr-mismatch: nitro-attestation.md 3.8: the enclave runs other code than expected");
}

static struct err
check_debug(struct verifying *s, enum check_verdict *verdict)
{
	if (attest_document_debug(&s->read)) {
		if (!s->policy->allow_debug)
			return FAIL(REFUSED,
			    "debug-mode: interfaces.md V4: PCR0, 1 and 2 are zero "
			    "(--allow-debug)");
		*verdict = CHECK_NONE;
	}
	return OK;
}

static struct err
check_user_data(struct verifying *s, enum check_verdict *verdict)
{
	if (s->policy->user_data.p == NULL) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (s->read.user_data.p == NULL || !ct_equal(s->read.user_data, s->policy->user_data))
		return FAIL(
		    REFUSED, "user_data-mismatch: nitro-attestation.md 3.8: other user_data");
	return OK;
}

static const struct {
	struct check check;
	struct err (*run)(struct verifying *, enum check_verdict *);
} steps[ATTEST_N_CHECKS] = {
#define ATTEST_STEP(name, source, what) { { #name, source, what, CHECK_PENDING }, check_##name },
	ATTEST_CHECKS(ATTEST_STEP)
#undef ATTEST_STEP
};

struct err
attest_verify(struct attest_verdict *v, struct attest_document *d, const struct attest_policy *p,
    struct span document)
{
	struct verifying s = { .policy = p, .document = document };
	enum check_verdict verdict;
	struct err e = OK;

	*d = (struct attest_document){ 0 };
	for (size_t i = 0; i < ATTEST_N_CHECKS; i++)
		v->check[i] = steps[i].check;
	for (size_t i = 0; i < ATTEST_N_CHECKS && !failed(e); i++) {
		verdict = CHECK_PASSED;
		e = steps[i].run(&s, &verdict);
		v->check[i].verdict = failed(e) ? CHECK_FAILED : verdict;
		if (!failed(e) && steps[i].run == check_document_signature)
			*d = s.read;
	}
	EVP_PKEY_free(s.leaf_key);
	return e;
}
