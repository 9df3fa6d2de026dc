/*
 * heartbeat.h - tells the network that this node is alive. Every interval the key holder signs who we
 * are and a time, and the facilitator takes it to the network's contract. The machine alone: it asks
 * a port for all that takes time, so that tests own the clock (heartbeat_port.c is the real one).
 * One a worker, on loop 0; its status can be read from any thread. Source: opengradient.md 3, 7.
 */
#ifndef GATEWAY_HEARTBEAT_H
#define GATEWAY_HEARTBEAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "gateway/settings.h"
#include "keyholder/proto.h"
#include "net/egress.h"

enum { HEARTBEAT_TX_MAX = 128, HEARTBEAT_WORDS_MAX = 128 };

/* The world, as the machine asks it. Each answer comes later, from the loop, or not at all. */
struct heartbeat_port {
	/* then heartbeat_on_signed() */
	struct err (*sign)(void *ctx, uint32_t buffer_s);
	/* JSON by POST, within HEARTBEAT_POST_MS; then heartbeat_on_answer() */
	struct err (*post)(void *ctx, const char *url, struct span body);
	/* then heartbeat_on_time() */
	void (*wait)(void *ctx, uint64_t ms);
	/* No answer and no time is wanted any more. */
	void (*forget)(void *ctx);
	uint64_t (*now_ms)(void *ctx);	   /* of the loop's clock */
	uint64_t (*now_unix_s)(void *ctx); /* for the status only */
};

/* Who we are; borrowed for the life of the machine. */
struct heartbeat_self {
	struct span tee_id, wallet; /* as published */
};

struct heartbeat {
	const struct heartbeat_port *port;
	void *ctx;
	struct heartbeat_self self;
	enum {
		BEAT_OFF,
		BEAT_REST,  /* until the next one */
		BEAT_SIGN,  /* the key holder has it */
		BEAT_POST,  /* the facilitator has it */
		BEAT_PAUSE, /* between attempts */
	} step;
	unsigned attempt; /* from 1 */
	uint64_t began_ms;
	char url[SETTINGS_URL_MAX + 16];
	struct buf body; /* what is posted; of one attempt */

	pthread_mutex_t mutex;		 /* of what follows */
	const struct settings *settings; /* NULL: it was never begun */
	bool running;
	uint64_t sent, errors, last_success_unix_s;
	char last_tx[HEARTBEAT_TX_MAX + 1], last_error[HEARTBEAT_WORDS_MAX]; /* empty: none */
};

void heartbeat_init(struct heartbeat *h, const struct heartbeat_port *port, void *ctx,
    const struct heartbeat_self *self);
void heartbeat_fini(struct heartbeat *h);

/*
 * The first beat goes out at once. Nothing happens when the settings name no contract or no
 * facilitator, or when it has begun before. s lives as long as h.
 */
void heartbeat_begin(struct heartbeat *h, const struct settings *s);
/* At once and for ever; what is under way is forgotten. */
void heartbeat_stop(struct heartbeat *h);

void heartbeat_on_signed(struct heartbeat *h, struct err e, struct span answer);
void heartbeat_on_answer(
    struct heartbeat *h, enum egress_fault fault, unsigned status, struct span body);
void heartbeat_on_time(struct heartbeat *h);

/* The body of GET /heartbeat/status. From any thread. */
void heartbeat_put_status(struct heartbeat *h, struct buf *b);

/*
 * What a facilitator answered with 200: the transaction's name into tx, with a NUL. Pure.
 * Errors: MALFORMED (no JSON object with a string txHash of 1 to HEARTBEAT_TX_MAX bytes)
 */
MUST_USE struct err heartbeat_read_answer(char tx[static HEARTBEAT_TX_MAX + 1], struct span body);

#endif
