/*
 * An attestation document from strangers: read, and verified against AWS's root and against the one
 * that it brings itself, so that a changed document goes on to the certificates and the signature.
 * What is accepted is not accepted with a byte less, and its members lie within it.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>

#include "attest/chain.h"
#include "attest/cose.h"
#include "attest/root.h"
#include "attest/user_data.h"
#include "attest/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
within(struct span whole, struct span part)
{
	if (part.p != NULL && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
		abort();
}

static void
check_members(struct span whole, const struct attest_document *d)
{
	within(whole, d->module_id);
	within(whole, d->certificate);
	within(whole, d->public_key);
	within(whole, d->user_data);
	within(whole, d->nonce);
	for (unsigned i = 0; i < PCR_COUNT; i++)
		within(whole, d->pcr[i]);
	for (size_t i = 0; i < d->n_cabundle; i++)
		within(whole, d->cabundle[i]);
	if (d->n_cabundle == 0 || d->n_cabundle > CABUNDLE_MAX || d->timestamp_ms == 0)
		abort();
}

static void
verify(struct span document, struct span root)
{
	struct attest_policy p = { .root_der = root, .at_own_time = true, .any_age = true };
	struct attest_verdict verdict;
	struct attest_document d;

	if (failed(attest_verify(&verdict, &d, &p, document)))
		return;
	check_members(document, &d);
	if (!failed(attest_verify(&verdict, &d, &p, span_cut(document, 0, document.n - 1))))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct attest_document d;
	struct user_data u;
	struct cose cose;
	EVP_PKEY *key;

	verify(s, attest_root_aws());
	if (!failed(attest_document_read(&d, s)))
		check_members(s, &d);
	if (failed(cose_read(&cose, s)) || failed(attest_document_read(&d, cose.payload)))
		return 0;
	check_members(s, &d);
	verify(s, d.cabundle[0]);
	if (!failed(attest_chain_verify(&d, d.cabundle[0], d.timestamp_ms / 1000, &key)))
		(void)!failed(cose_verify(&cose, key));
	EVP_PKEY_free(key);
	(void)!failed(user_data_parse(&u, d.user_data));
	return 0;
}
