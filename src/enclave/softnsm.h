/*
 * softnsm.h - the security module of local mode: the same messages as the device's, documents of
 * the same shape, under a root that was made a moment ago and proves nothing.
 *
 * It is linked into the program, and reached through keyholder_options alone: nothing in enclave
 * mode leads here (A5). Its limits and errors are those of the device (nitro-attestation.md 1.2).
 */
#ifndef ENCLAVE_SOFTNSM_H
#define ENCLAVE_SOFTNSM_H

#include <stdint.h>

#include "attest/pcrs.h"
#include "core/err.h"
#include "core/span.h"
#include "enclave/nsm.h"

struct soft_nsm;

/*
 * pcrs		what PCR 0 to 15 hold; those not named are zero. NULL: all, as of a debug enclave
 * clock_ms	the time of documents, in milliseconds since 1970: the hypervisor's clock
 * Errors:	SYSTEM
 */
MUST_USE struct err
soft_nsm_new(struct soft_nsm **out, const struct attest_pcrs *pcrs, uint64_t (*clock_ms)(void));
void soft_nsm_free(struct soft_nsm *s);
/* The way in; `ctx` of the port is *s. */
struct nsm_port soft_nsm_port(struct soft_nsm *s);
/* DER of the root that verifiers are to be given; borrowed for the life of *s. */
struct span soft_nsm_get_root(const struct soft_nsm *s);

#endif
