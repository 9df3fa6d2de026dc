/*
 * nitriding_port.h - the talk with the nitriding daemon, wired: an egress of its own, which reaches
 * loopback without TLS and nothing else so, in an enclave too.
 */
#ifndef GATEWAY_NITRIDING_PORT_H
#define GATEWAY_NITRIDING_PORT_H

#include "core/err.h"
#include "gateway/gateway.h"

struct frontdoor;

/* On loop 0, whose listeners are open, before its thread is started. Errors: those of egress_new(). */
MUST_USE struct err frontdoor_start(struct frontdoor **out, struct loop *loop);
/* Nothing of it is under way any more. On loop 0. NULL is fine; safe twice. */
void frontdoor_stop(struct frontdoor *f);
/* With the loop's other handles, after frontdoor_stop(); frontdoor_free() once they are closed. */
void frontdoor_close(struct frontdoor *f);
void frontdoor_free(struct frontdoor *f);

/* A JSON object for /health. From any thread. */
void frontdoor_put_status(struct frontdoor *f, struct buf *b);

#endif
