/*
 * softchain.h - the certificates of the software module: a throw-away P-384 root and a chain of the
 * real depth, names and lifetimes below it. Hides OpenSSL. Time is handed in.
 * Source: nitro-attestation.md 2.5.
 */
#ifndef ENCLAVE_SOFTCHAIN_H
#define ENCLAVE_SOFTCHAIN_H

#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

/* Root, region, zone, instance; then the leaf, which signs documents. */
enum { SOFT_LEVELS = 5, SOFT_DIGEST_LEN = 48, SOFT_SIGNATURE_LEN = 96 };

struct soft_chain;

/* Keys and certificates of all levels; module_id names the leaf. Errors: SYSTEM. */
MUST_USE struct err
soft_chain_new(struct soft_chain **out, const char *module_id, uint64_t now_unix_s);
void soft_chain_free(struct soft_chain *c);
/* Makes what is below the root anew, with the same keys, when the leaf ends within minutes. */
MUST_USE struct err soft_chain_renew(struct soft_chain *c, uint64_t now_unix_s);
/* DER of one level, 0 the root; borrowed until soft_chain_renew(). */
struct span soft_chain_get(const struct soft_chain *c, unsigned level);
/* ES384 by the leaf: r || s, 48 bytes each. Errors: SYSTEM. */
MUST_USE struct err soft_chain_sign(const struct soft_chain *c,
    const uint8_t digest[static SOFT_DIGEST_LEN], uint8_t signature[static SOFT_SIGNATURE_LEN]);

#endif
