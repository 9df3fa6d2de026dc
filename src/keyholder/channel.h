/*
 * channel.h - the key holder's ends of the socket pairs, one a loop.
 *
 * The main thread alone receives; any thread sends. Closing only shuts the socket down: its number
 * stays taken while somebody refers to the channel, so that a signing thread can never answer a
 * stranger, nor a new worker what the one before it had asked.
 */
#ifndef KEYHOLDER_CHANNEL_H
#define KEYHOLDER_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

/* What came already decides what is due (K3). */
enum channel_stage {
	CHANNEL_NEW,	 /* nothing: an identity is due */
	CHANNEL_KNOWN,	 /* the identity was asked for: what was provisioned is due */
	CHANNEL_SERVING, /* only signatures are due */
};

struct channel {
	int fd;
	unsigned number;	  /* of the loop, for the log */
	enum channel_stage stage; /* main thread */
	atomic_bool closed;
	atomic_uint refs;
};

/* A channel with one reference, on fd, which is its own; NULL without memory: fd is not. */
struct channel *channel_new(int fd, unsigned number);
struct channel *channel_ref(struct channel *c);
/* With the last reference the descriptor goes. NULL is fine. */
void channel_unref(struct channel *c);

enum channel_got { CHANNEL_MESSAGE, CHANNEL_NOTHING, CHANNEL_ENDED };

/* The next datagram into p; one longer than max is CHANNEL_ENDED, as is one of no bytes. */
enum channel_got channel_receive(struct channel *c, uint8_t *p, size_t max, size_t *n);
/*
 * Sends one datagram unless there is no room for it: then FALSE, and nothing was sent. A channel
 * that is closed, or whose loop is gone, takes everything.
 */
bool channel_try_send(struct channel *c, struct span datagram);
/*
 * Sends one datagram, waiting at most wait_ms for room. A loop that does not read, or is gone, has
 * its channel closed.
 */
void channel_send(struct channel *c, struct span datagram, int wait_ms);
void channel_close(struct channel *c);

#endif
