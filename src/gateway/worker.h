/*
 * worker.h - the process that talks to clients and providers: one thread a loop. Source: K1, A3.
 */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include "gateway/gateway.h"

struct listeners {
	int plain[LOOPS_MAX], tls[LOOPS_MAX]; /* one of each a loop; -1: none */
	int internal;			      /* loop 0's; -1: none */
};

/*
 * Serves until a shutdown is complete. `gw` was filled by config_load(), less its credentials,
 * which come from the key holder; `channel` has one end of a socket pair to it for each loop.
 * Returns the exit status.
 */
int worker_main(struct gateway *gw, const struct listeners *listeners, const int *channel,
    struct supervise_note *note);

#endif
