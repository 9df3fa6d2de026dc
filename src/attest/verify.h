/*
 * verify.h - an attestation document against what a client expects. Pure: the time is an input.
 * Source: nitro-attestation.md 3; interfaces.md V2 to V4.
 */
#ifndef ATTEST_VERIFY_H
#define ATTEST_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/document.h"
#include "attest/pcrs.h"
#include "core/check.h"
#include "core/err.h"
#include "core/span.h"

/* The checks, in the order in which they are made; the first that fails ends it. */
#define ATTEST_CHECKS(CHECK)                                                                      \
	CHECK(envelope, "nitro-attestation.md 3.1-3.3", "COSE_Sign1, ES384, nothing after it")    \
	CHECK(members, "nitro-attestation.md 3.3, 3.4", "the payload has the documented members") \
	CHECK(chain, "nitro-attestation.md 3.5",                                                  \
	    "certificates lead from the pinned root to the leaf")                                 \
	CHECK(                                                                                    \
	    document_signature, "nitro-attestation.md 3.6", "the leaf's key signed the document") \
	CHECK(age, "nitro-attestation.md 3.7", "the document is recent")                          \
	CHECK(document_nonce, "nitro-attestation.md 3.8", "it answers the nonce that was sent")   \
	CHECK(pcrs, "interfaces.md V2, V6", "the measurements are the expected ones")             \
	CHECK(debug, "interfaces.md V4", "the enclave is not in debug mode")                      \
	CHECK(user_data, "nitro-attestation.md 3.8", "user_data is the expected one")

enum {
#define ATTEST_COUNT(name, source, what) +1
	ATTEST_N_CHECKS = 0 ATTEST_CHECKS(ATTEST_COUNT)
#undef ATTEST_COUNT
};

/* Clocks differ: a document may be of this much later. */
enum { ATTEST_AHEAD_MAX_S = 60 };

/* Where a span has .p == NULL anything goes; an empty span is an expectation like any other. */
struct attest_policy {
	struct span root_der; /* attest_root_aws(), or another one */
	uint64_t at_unix_s;   /* for certificates and age */
	bool at_own_time;     /* certificates at the document's time: valid when signed, no more */
	bool any_age;	      /* max_age_s does not count */
	uint64_t max_age_s;
	struct span nonce, user_data;
	const struct attest_pcrs *pcrs; /* any one may match */
	size_t n_pcrs;			/* 0: the check is skipped */
	bool allow_debug;
};

struct attest_verdict {
	struct check check[ATTEST_N_CHECKS];
};

/*
 * Verifies one document.
 * *d		set once the signature passed, so that a refused client can be told what it met; empty
 *		before. Only on success is it what was expected. Borrows `document`
 * *v		every check with its verdict, on error too
 * Errors:	MALFORMED, TOO_LARGE, REFUSED; NOMEM. `what` begins with the identifier that the
 *		shared vectors give the reason, then a colon.
 */
MUST_USE struct err attest_verify(struct attest_verdict *v, struct attest_document *d,
    const struct attest_policy *p, struct span document);

#endif
