/*
 * receipt.h - receipts: the claims a gateway signs, and how they are written. Pure.
 * Source: interfaces.md section 7 (R1, R4-R7), docs/receipt.md. They are read in receipt/judge.h.
 */
#ifndef RECEIPT_RECEIPT_H
#define RECEIPT_RECEIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/es256.h"

#define RECEIPT_TYP "tee-receipt+jwt"
#define CONFIG_TYP  "tee-config+jwt"

enum receipt_outcome { RECEIPT_COMPLETE, RECEIPT_TRUNCATED, RECEIPT_FAILED };

/* "complete", "truncated", "failed": the claim's value. */
const char *receipt_outcome_name(enum receipt_outcome outcome);

/*
 * Who paid what: amounts in atomic units as decimal text, addresses as EIP-55. scheme.p == NULL:
 * nobody did.
 */
struct receipt_payment {
	struct span scheme, network, asset, payer, pay_to, facilitator, permit_nonce;
	struct span cap, charged, session_total, price_usd;
	uint64_t price_unix_s;
};

/*
 * What one answer claims. Spans borrow; .p == NULL leaves the member out. Hashes are pointers to
 * 32 bytes; NULL leaves the member out.
 */
struct receipt {
	struct span jti, path, nonce, model, provider, served_model;
	unsigned status;
	const uint8_t *req, *res;
	uint64_t res_len;
	const uint8_t *fwd, *up;
	struct {
		struct span host, tls, request_id, account;
		const uint8_t *spki, *cert;
	} upstream; /* host.p == NULL: no upstream member */
	enum receipt_outcome outcome;
	struct span finish_reason;   /* JSON text: a string, an array of strings, or null */
	struct span usage;	     /* JSON text: an object */
	const struct span *adjusted; /* parameter names */
	size_t n_adjusted;
	uint64_t limit; /* tokens, the output limit that money imposed; 0: none */
	struct receipt_payment payment;
	const uint8_t *config;
	const uint8_t *request_hash, *output_hash; /* the legacy pair; both or none */
};

/*
 * Appends the members as a JSON object, in the order of R7's table, without iss, iat and platform
 * (the key holder writes those itself: K3). Strangers' strings (model, served_model, host,
 * request_id, account, nonce) are cut at RECEIPT_FOREIGN_BYTES on a character's boundary; what is
 * no UTF-8 in them becomes U+FFFD, so that the claims stay JSON whatever a provider sent.
 */
void receipt_put_members(struct buf *b, const struct receipt *r);

/*
 * The key holder's half: header, iss, iat and platform before the worker's members. Appended to
 * out, on success only.
 * Errors: MALFORMED (members are no JSON), REFUSED (not one object, a name twice, or one of iss,
 *	iat, platform), TOO_LARGE (above RECEIPT_MAX_BYTES), NOMEM, SYSTEM
 */
MUST_USE struct err receipt_sign(struct buf *out, const struct es256_key *key, struct span iss,
    struct span platform, uint64_t iat_unix_s, struct span members);

#endif
