/*
 * cose.h - the envelope of an attestation document: COSE_Sign1 with ES384 and nothing else. Pure;
 * allocates nothing but what OpenSSL needs for one signature.
 * Source: RFC 9052 4.2 to 4.4; nitro-attestation.md 2.1, 3 steps 1, 2, 6.
 */
#ifndef ATTEST_COSE_H
#define ATTEST_COSE_H

#include <openssl/types.h>

#include "core/err.h"
#include "core/span.h"

enum { COSE_MAX_BYTES = 32768, COSE_PAYLOAD_MAX_BYTES = 16384, ES384_SIG_LEN = 96 };

/* Borrows the document's bytes. */
struct cose {
	struct span protected_header; /* as received: it is signed in this spelling */
	struct span payload;	      /* 1 to COSE_PAYLOAD_MAX_BYTES */
	struct span signature;	      /* r and s, ES384_SIG_LEN */
};

/*
 * Reads an envelope, with or without tag 18: four members, alg -35 alone in the protected header,
 * nothing in the other one, nothing after it. The payload is not looked into.
 * Errors: MALFORMED, TOO_LARGE, REFUSED (alg); what begins with the vectors' identifier
 */
MUST_USE struct err cose_read(struct cose *c, struct span document);

/* Errors: REFUSED ("cose-signature", "cose-sig-range"), NOMEM */
MUST_USE struct err cose_verify(const struct cose *c, EVP_PKEY *p384_key);

#endif
