/*
 * claims.h - a receipt's claims, read strictly: one JSON object of the types of R7. Pure.
 * Source: interfaces.md R7, R8.
 */
#ifndef RECEIPT_CLAIMS_H
#define RECEIPT_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"
#include "crypto/digest.h"
#include "crypto/keccak.h"
#include "receipt/receipt.h"

/* What a verifier compares. Spans borrow the payload and hold no escapes. */
struct receipt_claims {
	struct span iss, jti, platform, path;
	struct span nonce; /* .p == NULL: the request had none */
	uint64_t iat_unix_s, status, res_len;
	uint8_t req[SHA256_LEN], res[SHA256_LEN];
	enum receipt_outcome outcome;
	bool has_pair;
	uint8_t request_hash[KECCAK_LEN], output_hash[KECCAK_LEN];
};

/*
 * Reads a receipt's payload. Every claim of R7 that is there has R7's type and range, and those
 * that every receipt has are there; later versions may claim more; no name comes twice at any
 * depth. On error *c is undefined.
 * Errors: MALFORMED (what names the claim), TOO_LARGE, NOMEM
 */
MUST_USE struct err receipt_claims_read(struct receipt_claims *c, struct span payload);

#endif
