/*
 * config.h - what the gateway publishes about itself: configuration (R9), key set (R2, R3),
 * signing key. Written once at start.
 */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include "core/buf.h"
#include "core/err.h"
#include "gateway/gateway.h"

/*
 * Reads model table and policy (files, or the embedded ones), the CA bundle, and the environment's
 * keys into *gw. On error *why gets one line for the operator: the file and what is wrong with it.
 */
MUST_USE struct err
config_load(struct gateway *gw, const struct options *opt, char *why, size_t why_bytes);
void config_unload(struct gateway *gw);

/* The published configuration's bytes (RFC 8785) into gw->config, and their hash. */
MUST_USE struct err config_write(struct gateway *gw);
/* {"config":...,"jws":"..."}, once `jws` is there, and the receipt key's name. */
MUST_USE struct err config_publish(struct gateway *gw, struct span jws);
struct enclave;
/* The key set (R3); document .p NULL: there is none that is young enough. */
void config_put_jwks(const struct gateway *gw, struct span document, struct buf *b);
/* The JSON of GET /signing-key. */
void config_put_signing_key(const struct gateway *gw, const struct enclave *enclave, struct buf *b);

#endif
