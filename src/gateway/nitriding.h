/*
 * nitriding.h - tells the nitriding daemon in front of us whose key its attestation documents must
 * name, and that we serve (H1). The daemon may come later than we, or not be there for a while:
 * attempts repeat, with growing pauses, until both were taken. The machine alone, which asks a port
 * for all that takes time (nitriding_port.c is the real one). One a worker, on loop 0; its status can
 * be read from any thread. Source: nitro-attestation.md 5.5; opengradient.md 2.
 */
#ifndef GATEWAY_NITRIDING_H
#define GATEWAY_NITRIDING_H

#include <pthread.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/digest.h"
#include "net/egress.h"

enum { NITRIDING_URL_MAX = 128, NITRIDING_WORDS_MAX = 96 };

/* The world, as the machine asks it. Each answer comes later, from the loop, or not at all. */
struct nitriding_port {
	/* within NITRIDING_MS; then nitriding_on_answer() */
	struct err (*ask)(void *ctx, enum egress_method method, const char *url, struct span body);
	/* then nitriding_on_time() */
	void (*wait)(void *ctx, uint64_t ms);
	/* No answer and no time is wanted any more. */
	void (*forget)(void *ctx);
};

struct nitriding {
	const struct nitriding_port *port;
	void *ctx;
	enum {
		NITRIDING_OFF,
		NITRIDING_HASH,	 /* it is told the hash */
		NITRIDING_READY, /* it is told that we serve */
		NITRIDING_DONE,
	} step;
	uint64_t pause_ms; /* before the next attempt, if this one fails */
	char hash_url[NITRIDING_URL_MAX + 32], ready_url[NITRIDING_URL_MAX + 32];
	struct buf hash; /* Base64, as it is posted */

	pthread_mutex_t mutex; /* of what follows */
	const char *state;     /* a literal, as /health shows it */
	uint64_t errors;
	char last_error[NITRIDING_WORDS_MAX]; /* empty: none since something worked */
};

/* url: without a slash at its end, at most NITRIDING_URL_MAX. key_sha256: of the signing key's SPKI. */
void nitriding_init(struct nitriding *n, const struct nitriding_port *port, void *ctx,
    struct span url, const uint8_t key_sha256[static SHA256_LEN]);
void nitriding_fini(struct nitriding *n);

/* Once, when clients are let in. */
void nitriding_begin(struct nitriding *n);
/* At once and for ever; what is under way is forgotten. */
void nitriding_stop(struct nitriding *n);

void nitriding_on_answer(struct nitriding *n, enum egress_fault fault, unsigned status);
void nitriding_on_time(struct nitriding *n);

/* A JSON object for /health. From any thread. */
void nitriding_put_status(struct nitriding *n, struct buf *b);

#endif
