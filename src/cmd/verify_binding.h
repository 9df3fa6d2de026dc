/*
 * verify_binding.h - which keys an attestation document speaks for. Source: interfaces.md R2, R3, V3.
 */
#ifndef CMD_VERIFY_BINDING_H
#define CMD_VERIFY_BINDING_H

#include "attest/document.h"
#include "cmd/report.h"
#include "cmd/verify_policy.h"
#include "core/err.h"
#include "core/span.h"
#include "receipt/anchor.h"

/*
 * user_data's second hash is SHA-256 of this signing key's SPKI.
 * Errors: MALFORMED (user_data), REFUSED ("signing-key-mismatch")
 */
MUST_USE struct err binding_signing_key(const struct attest_document *d, struct span spki);

/*
 * public_key is this receipt key's SPKI. *verdict is set to CHECK_NONE where the document says
 * "dummy": behind nitriding the signing key alone vouches for the receipt key (R2 a).
 * Errors: REFUSED ("receipt-key-mismatch")
 */
MUST_USE struct err binding_receipt_key(
    const struct attest_document *d, const struct es256_pub *key, enum check_verdict *verdict);

/*
 * Both, as checks of the report: for a key set whose keys a verified document must name.
 */
MUST_USE struct err
binding_judge(const struct attest_document *d, const struct receipt_anchor *a, struct report *r);

/* The policy under which the document that a key set carries is judged: at its own time (V3). */
struct attest_policy binding_archived_policy(const struct verify_policy *p);

#endif
