/*
 * signed_answer.h - the tee_* fields of an answer, judged against the signing key. Pure.
 * Source: opengradient.md 4 and 5 (rule R2); interfaces.md S1.
 */
#ifndef RECEIPT_SIGNED_ANSWER_H
#define RECEIPT_SIGNED_ANSWER_H

#include "core/check.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/keccak.h"
#include "receipt/canonical.h"
#include "receipt/legacy.h"

/* The checks, in the order in which they are made; the first that fails ends it. */
#define SIGNED_ANSWER_CHECKS(CHECK)                                                      \
	CHECK(fields, "interfaces.md S1", "the answer carries well-formed tee_* fields") \
	CHECK(tee_id, "opengradient.md 1", "tee_id is keccak-256 of the signing key")    \
	CHECK(request_hash, "opengradient.md 4.1",                                       \
	    "tee_request_hash is keccak-256 of the request's canonical text")            \
	CHECK(output_hash, "opengradient.md 4.3",                                        \
	    "tee_output_hash is keccak-256 of what was delivered")                       \
	CHECK(signature, "opengradient.md 4.3",                                          \
	    "tee_signature is the signing key's over both hashes and tee_timestamp")

enum {
#define SIGNED_ANSWER_COUNT(name, source, what) +1
	SIGNED_ANSWER_N_CHECKS = 0 SIGNED_ANSWER_CHECKS(SIGNED_ANSWER_COUNT)
#undef SIGNED_ANSWER_COUNT
};

struct signed_answer {
	struct check check[SIGNED_ANSWER_N_CHECKS];
	struct legacy_fields fields; /* valid once the first check passed */
};

/*
 * Judges a whole response (a JSON body or a stream) to `request` against a signing key.
 * signing_spki	DER, as pss_pub_from_pem() gives it
 * *v		every check with its verdict, on error too
 * Errors:	MALFORMED, REFUSED (what names the rule), TOO_LARGE, NOMEM
 */
MUST_USE struct err signed_answer_judge(
    struct signed_answer *v, struct span signing_spki, struct span request, struct span response);

/* keccak-256 of the canonical text of request bytes. Errors: MALFORMED, REFUSED, TOO_LARGE, NOMEM */
MUST_USE struct err signed_answer_request_hash(
    struct span request, enum canonical_form form, uint8_t out[static KECCAK_LEN]);
/* tee_signature, which must be there, fits the key. Errors: MALFORMED, REFUSED */
MUST_USE struct err
signed_answer_signature(const struct legacy_fields *f, struct span signing_spki);

#endif
