/*
 * judge.h - a receipt against what a client holds: key, request, response. Pure.
 * Source: interfaces.md R4-R8, V3, V5; docs/verification.md.
 */
#ifndef RECEIPT_JUDGE_H
#define RECEIPT_JUDGE_H

#include <stdbool.h>

#include "core/check.h"
#include "core/err.h"
#include "core/span.h"
#include "receipt/anchor.h"
#include "receipt/receipt.h"

/* A response that an event stream begins with: "data:", "event:" or a comment's ":". */
bool receipt_is_stream(struct span response);

/*
 * Splits a streamed response at the last `,"tee_receipt":` (R5). *content is what `res` covers,
 * *jws the receipt, *done whether `data: [DONE]` follows. Nothing else may follow.
 * Errors: MALFORMED; REFUSED (no receipt: the stream was cut)
 */
MUST_USE struct err
receipt_split_stream(struct span response, struct span *content, struct span *jws, bool *done);

/* The checks, in the order in which they are made; the first that fails ends it. */
#define RECEIPT_CHECKS(CHECK)                                                                      \
	CHECK(signature, "interfaces.md R1, R8", "the receipt key signed the receipt")             \
	CHECK(claims, "interfaces.md R7", "the claims are one object of the documented types")     \
	CHECK(issuer, "interfaces.md R2", "iss is keccak-256 of the key that vouches")             \
	CHECK(nonce, "interfaces.md R7", "nonce is the one that was sent")                         \
	CHECK(request, "interfaces.md R7", "req is SHA-256 of the request")                        \
	CHECK(outcome, "interfaces.md R5, R6", "the outcome fits the end of the response")         \
	CHECK(response, "interfaces.md R4, R5, V5", "res is SHA-256 of the response's content")    \
	CHECK(id, "interfaces.md R7", "jti is the id in the response")                             \
	CHECK(fields, "interfaces.md S1", "the tee_* fields say what the receipt says")            \
	CHECK(request_hash, "opengradient.md 4.1",                                                 \
	    "hash.request is keccak-256 of the request's canonical text")                          \
	CHECK(                                                                                     \
	    output_hash, "opengradient.md 4.3", "hash.output is keccak-256 of what was delivered") \
	CHECK(tee_signature, "opengradient.md 4.3",                                                \
	    "tee_signature is the signing key's over both hashes and tee_timestamp")

enum {
#define RECEIPT_COUNT(name, source, what) +1
	RECEIPT_N_CHECKS = 0 RECEIPT_CHECKS(RECEIPT_COUNT)
#undef RECEIPT_COUNT
};

/* What the client holds. */
struct receipt_case {
	struct span request;  /* .p == NULL: not at hand, its checks are skipped */
	struct span response; /* all bytes of the body, after transfer decoding */
	struct span nonce;    /* .p == NULL: any */
};

struct receipt_verdict {
	struct check check[RECEIPT_N_CHECKS];
	/* Valid once "claims" passed. */
	enum receipt_outcome outcome;
	bool covered;  /* false: truncated, and the client has fewer bytes (V5) */
	bool hardware; /* the platform that was claimed is no simulation */
	char jti[129]; /* with NUL; letters, digits, '-', '_' only */
	uint64_t iat_unix_s;
};

/*
 * Verifies signature and claims of `jws` against the anchor and what the client holds: see
 * RECEIPT_CHECKS. A stream that ends with a receipt must end with this one.
 * *v		every check with its verdict, on error too
 * Errors:	MALFORMED, REFUSED, TOO_LARGE (what names the rule), NOMEM
 */
MUST_USE struct err receipt_judge(struct receipt_verdict *v, const struct receipt_anchor *a,
    struct span jws, const struct receipt_case *c);

#endif
