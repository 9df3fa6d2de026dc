/*
 * attestation.h - GET /enclave/attestation?nonce=: a document over a stranger's nonce.
 * Source: nitro-attestation.md 5.4 (statuses, texts and the order of checks are nitriding's).
 */
#ifndef GATEWAY_ATTESTATION_H
#define GATEWAY_ATTESTATION_H

#include "gateway/call.h"

#define ATTESTATION_MAGIC 0x61740001u

struct attestation;

/* Answers at once what fails at once: then NULL. `route` as in struct call. */
struct attestation *attestation_begin(
    struct loop *loop, struct exchange *x, const struct http_head *head, const char *route);

/* From the wire side (struct exchange_ops). */
void attestation_on_gone(struct attestation *a);
void attestation_on_wire_error(struct attestation *a, const struct failure *f);

#endif
