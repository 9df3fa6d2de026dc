/*
 * internal.h - nitriding's internal interface, served by ourselves to programs beside us: POST
 * /enclave/hash and GET /enclave/ready on 127.0.0.1:8080, with --enclave-internal. A listener of its
 * own on loop 0, where nothing else is served. Source: interfaces.md section 4; nitro-attestation.md 5.5.
 */
#ifndef GATEWAY_INTERNAL_H
#define GATEWAY_INTERNAL_H

#include "core/err.h"
#include "gateway/gateway.h"

struct server;

/* Serves `fd`, which is its own afterwards. Errors: those of server_new() and server_listen(). */
MUST_USE struct err internal_start(struct server **out, struct loop *loop, int fd);

#endif
