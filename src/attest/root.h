/*
 * root.h - the certificate that an attestation document's chain must begin with. Pure.
 */
#ifndef ATTEST_ROOT_H
#define ATTEST_ROOT_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum { ROOT_PEM_MAX_BYTES = 16 << 10 };

/*
 * AWS Nitro Enclaves Root G1, of the commercial partition: DER, static. Its SHA-256 is
 * 641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b (a test holds it to that).
 * Source: nitro-attestation.md 2.5
 */
struct span attest_root_aws(void);

/* Another root, one PEM CERTIFICATE; its DER is appended. Errors: MALFORMED, TOO_LARGE */
MUST_USE struct err attest_root_from_pem(struct buf *der, struct span pem);

#endif
