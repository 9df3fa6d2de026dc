/*
 * channel.h - the key holder's ends of the socket pairs, one a loop.
 *
 * The main thread alone receives; any thread sends. Closing only shuts the socket down: its number
 * stays taken until channels_fini(), so that a signing thread can never answer a stranger.
 */
#ifndef KEYHOLDER_CHANNEL_H
#define KEYHOLDER_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

struct channel {
	int fd;
	bool asked; /* something came already: an identity is no longer due (main thread) */
	atomic_bool closed;
};

enum channel_got { CHANNEL_MESSAGE, CHANNEL_NOTHING, CHANNEL_ENDED };

/* The next datagram into p; one longer than max is CHANNEL_ENDED, as is one of no bytes. */
enum channel_got channel_receive(struct channel *c, uint8_t *p, size_t max, size_t *n);
/*
 * Sends one datagram, waiting at most wait_ms for room. A loop that does not read, or is gone, has
 * its channel closed.
 */
void channel_send(struct channel *c, struct span datagram, int wait_ms);
void channel_close(struct channel *c);

#endif
