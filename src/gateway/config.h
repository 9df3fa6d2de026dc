/*
 * config.h - what the gateway publishes about itself: configuration (R9), key set (R2, R3),
 * signing key.
 */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include "core/buf.h"
#include "core/err.h"
#include "gateway/gateway.h"

/*
 * Reads model table and policy (files, or the embedded ones) and the CA bundle into *gw. On error *why gets one line for the operator: the file and what is wrong with it.
 */
MUST_USE struct err
config_load(struct gateway *gw, const struct options *opt, char *why, size_t why_bytes);
void config_unload(struct gateway *gw);

/*
 * The published configuration's bytes (RFC 8785) and their hash; s NULL: not provisioned yet. Then,
 * once `jws` is there, {"config":...,"jws":"..."}. On error *p holds nothing.
 */
MUST_USE struct err
config_write(struct published *p, const struct gateway *gw, const struct settings *s);
MUST_USE struct err config_sign(struct published *p, struct span jws);
void published_fini(struct published *p);
/* The one that counts now. */
const struct published *config_published(const struct gateway *gw);
/* The receipt key's name, from the identity. Errors: SYSTEM. */
MUST_USE struct err config_name_key(struct gateway *gw);
struct enclave;
/* The key set (R3); document .p NULL: there is none that is young enough. */
void config_put_jwks(const struct gateway *gw, struct span document, struct buf *b);
/* The JSON of GET /signing-key. */
void config_put_signing_key(const struct gateway *gw, const struct enclave *enclave, struct buf *b);

#endif
