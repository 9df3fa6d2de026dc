/*
 * certificate.h - the enclave's TLS identity: a P-256 key and the certificate it signs for itself.
 * Pure. Source: opengradient.md 1 (as nitriding makes it). Hides OpenSSL.
 */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

enum { CERTIFICATE_DAYS = 356, CERTIFICATE_MAX_BYTES = 2048 };

/*
 * A new key and its certificate for the name "localhost", valid for CERTIFICATE_DAYS from now on.
 * loopback	names 127.0.0.1 and ::1 too (local mode: clients there check the address)
 * cert_der	appended
 * key_der	PKCS#8, appended: secret
 * Errors:	SYSTEM, TOO_LARGE; both buffers may then hold a part
 */
MUST_USE struct err
certificate_make(struct buf *cert_der, struct buf *key_der, bool loopback, uint64_t now_unix_s);

#endif
