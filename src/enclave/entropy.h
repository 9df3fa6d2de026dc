/*
 * entropy.h - an enclave boots from an identical image, without disk or saved seed: before the
 * first key, the kernel's pool is fed from the hypervisor. Source: nitro-attestation.md 1.3; K2.
 */
#ifndef ENCLAVE_ENTROPY_H
#define ENCLAVE_ENTROPY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "core/span.h"
#include "enclave/nsm.h"

enum { ENTROPY_BYTES = 2048 };

/* Where the bytes go: the kernel, or a test's record. */
struct entropy_sink {
	struct err (*take)(void *ctx, struct span bytes);
	void *ctx;
};

/* Gives the sink ENTROPY_BYTES of the module's. Errors: those of nsm_random() and of the sink. */
MUST_USE struct err entropy_feed(const struct nsm_port *p, const struct entropy_sink *sink);
/*
 * The same into the kernel's pool, credited at eight bits a byte. *credited is false where we may
 * not credit (no CAP_SYS_ADMIN): the bytes are then mixed in, and the kernel's own driver has to
 * vouch for the pool. Errors: also SYSTEM.
 */
MUST_USE struct err entropy_seed(const struct nsm_port *p, bool *credited);

#endif
