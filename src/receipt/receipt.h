/*
 * receipt.h - receipts: the claims a gateway signs, and judging them. Pure.
 * Source: interfaces.md section 7 (R1-R8). Writer and judge live side by side.
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
	const uint8_t *config;
	const uint8_t *request_hash, *output_hash; /* the legacy pair; both or none */
};

/*
 * Appends the members as a JSON object, in the order of R7's table, without iss, iat and platform
 * (the key holder writes those itself: K3). Strangers' strings (model, served_model, host,
 * request_id, account, nonce) are cut at RECEIPT_FOREIGN_BYTES on a character's boundary.
 */
void receipt_put_members(struct buf *b, const struct receipt *r);

/*
 * The key holder's half: header, iss, iat and platform before the worker's members.
 * Errors: REFUSED (not one JSON object, a name twice, or one of iss, iat, platform),
 *	TOO_LARGE (above RECEIPT_MAX_BYTES), SYSTEM
 */
MUST_USE struct err receipt_sign(struct buf *out, const struct es256_key *key, struct span iss,
    struct span platform, uint64_t iat_unix_s, struct span members);

/*
 * A key set as clients archive it (R3). Reads the key with this kid; every member that is read is
 * checked: kty, crv, x, y, kid (RFC 7638 thumbprint), use, alg, signing_key (RSA SPKI),
 * receipt_key_signature (R2 a). iss of every receipt of this key is keccak(SPKI).
 */
struct receipt_anchor {
	struct es256_pub key;
	struct buf signing_spki; /* owned */
	bool has_attestation;
};
/* `kid` .p == NULL: the set must hold exactly one key. Errors: MALFORMED, REFUSED. */
MUST_USE struct err
receipt_anchor_read(struct receipt_anchor *a, struct span jwks, struct span kid);
void receipt_anchor_fini(struct receipt_anchor *a);

/* The kid in a JWS header, before anything is verified. Appended to b. Errors: MALFORMED. */
MUST_USE struct err receipt_kid(struct span jws, struct buf *b);

/*
 * Splits a streamed response at the last `,"tee_receipt":` (R5). *content is what `res` covers,
 * *jws the receipt, *done whether `data: [DONE]` follows. Nothing else may follow.
 * Errors: MALFORMED; REFUSED (no receipt: the stream was cut)
 */
MUST_USE struct err
receipt_split_stream(struct span response, struct span *content, struct span *jws, bool *done);

struct receipt_check {
	struct span request;  /* .p == NULL: not checked (--allow-skip request) */
	struct span response; /* content bytes */
	struct span nonce;    /* .p == NULL: any */
	bool streamed, done;  /* the response is a stream; [DONE] followed */
};
struct receipt_verdict {
	enum receipt_outcome outcome;
	bool covered; /* false: truncated, and the client has fewer bytes (V5) */
	char jti[129];
};
/*
 * Verifies signature and claims of `jws` against the anchor and what the client holds: the claims
 * are one strict JSON object of the types of R7; iss, req, res, res_len, path, status, nonce, jti,
 * outcome against the stream's end, the legacy pair against request and response.
 * On error what names the rule. Errors: MALFORMED, REFUSED.
 */
MUST_USE struct err receipt_judge(struct receipt_verdict *v, const struct receipt_anchor *a,
    struct span jws, const struct receipt_check *c);

#endif
