/*
 * limits.h - the bounds of one server, as values: tests shorten what core/limits.h sets.
 */
#ifndef HTTP_LIMITS_H
#define HTTP_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/limits.h"

struct http_limits {
	uint32_t tls_handshake_ms;  /* from accept to the end of the handshake */
	uint32_t keepalive_idle_ms; /* until the first byte of a request */
	uint32_t head_ms;	    /* from its first byte to the end of the head */
	uint32_t body_ms;	    /* from the end of the head to the end of the body */
	uint32_t body_grace_ms;	    /* before the rate counts */
	uint32_t body_min_rate_bps; /* bytes a second since the end of the head */
	uint32_t write_stall_ms;    /* the client took less than CONN_STALL_BYTES */
	uint32_t linger_ms;	    /* for the client to read an error it did not wait for */
	size_t conn_max;
};

/* Five seconds each: a hiccup of a radio link, and time to read an answer. */
#define HTTP_LIMITS_DEFAULT                         \
	((struct http_limits){                      \
	    .tls_handshake_ms = TLS_HANDSHAKE_MS,   \
	    .keepalive_idle_ms = KEEPALIVE_IDLE_MS, \
	    .head_ms = HEAD_MS,                     \
	    .body_ms = BODY_MS,                     \
	    .body_grace_ms = 5000,                  \
	    .body_min_rate_bps = BODY_MIN_RATE_BPS, \
	    .write_stall_ms = WRITE_STALL_MS,       \
	    .linger_ms = 5000,                      \
	    .conn_max = CONN_MAX_PER_LOOP,          \
	})

#endif
