/*
 * nsm.h - asking the security module, whatever stands behind the port: the device (device.h), the
 * software module of local mode (softnsm.h), or a test's script. One caller at a time.
 * Source: nitro-attestation.md 1.
 */
#ifndef ENCLAVE_NSM_H
#define ENCLAVE_NSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "enclave/nsm_wire.h"

struct nsm_port {
	/*
	 * Gives the module a request of at most NSM_REQUEST_MAX_BYTES and waits. On success *n is
	 * the number of bytes of `answer`, which has room for NSM_ANSWER_MAX_BYTES.
	 * Errors: TOO_LARGE (the request), SYSTEM.
	 */
	struct err (*exchange)(void *ctx, struct span request, uint8_t *answer, size_t *n);
	void *ctx;
};

/*
 * What follows asks one thing each. Errors: REFUSED (the module's own Error; `what` is its code),
 * MALFORMED (an answer that cannot be read, or to something else), TOO_LARGE, SYSTEM.
 */

struct nsm_about {
	char module_id[128];
	uint16_t major, minor, patch, max_pcrs;
	uint32_t locked_pcrs; /* bit n: PCR n */
};
/* Also MALFORMED when its digest is not SHA384: nothing else was ever seen. */
MUST_USE struct err nsm_describe(const struct nsm_port *p, struct nsm_about *about);

struct nsm_pcr {
	uint8_t value[NSM_PCR_LEN];
	bool locked;
};
MUST_USE struct err nsm_describe_pcr(const struct nsm_port *p, unsigned index, struct nsm_pcr *pcr);
/* new = SHA-384(old || data), into `value`. */
MUST_USE struct err nsm_extend_pcr(
    const struct nsm_port *p, unsigned index, struct span data, uint8_t value[static NSM_PCR_LEN]);
MUST_USE struct err nsm_lock_pcr(const struct nsm_port *p, unsigned index);
MUST_USE struct err nsm_lock_pcrs(const struct nsm_port *p, unsigned range);

/* Bytes from the hypervisor: 1 to NSM_RANDOM_MAX_BYTES, *n of them. The caller wipes them. */
MUST_USE struct err
nsm_random(const struct nsm_port *p, uint8_t out[static NSM_RANDOM_MAX_BYTES], size_t *n);

/* A document over these three, each .p NULL where there is none; appended to *document. */
struct nsm_claims {
	struct span user_data, nonce, public_key;
};
MUST_USE struct err
nsm_attest(const struct nsm_port *p, const struct nsm_claims *claims, struct buf *document);

#endif
