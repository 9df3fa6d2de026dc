/*
 * supervise.h - starts key holder and worker, watches them, starts a dead worker again; holds
 * nothing. Source: K1, A3.
 */
#ifndef SUPERVISE_SUPERVISE_H
#define SUPERVISE_SUPERVISE_H

#include <stdatomic.h>
#include <stdbool.h>

/*
 * Shared with the workers. They are believed in nothing else: a worker under a stranger's control
 * can end the program by this, which it also can by ending with 0.
 */
struct supervise_note {
	atomic_bool ready;     /* a worker served: from here on, one that dies is started again */
	atomic_bool stopping;  /* the worker was asked to stop: whoever dies now stays dead */
	atomic_bool app_ready; /* a program beside us said so (--enclave-internal); once for all */
	atomic_uint restarts;  /* workers started after the first; written by the supervisor */
};

struct supervise_options {
	unsigned loops; /* number of channels between worker and key holder */
	/*
	 * Run in the children; their result is the exit status. `channel` has `loops` ends. On
	 * `control` the key holder gets the ends for each further worker (sys/passfd.h).
	 */
	int (*keyholder)(void *ctx, const int *channel, int control);
	int (*worker)(void *ctx, const int *channel, struct supervise_note *note);
	/* In the supervisor, once the key holder runs: drops what only that needs. NULL: nothing. */
	void (*started)(void *ctx);
	void (*close_listeners)(void *ctx); /* in the key holder: it serves nobody */
	void *ctx;
};

enum { DEATHS_MAX = 6, DEATHS_WINDOW_S = 600 }; /* so many in so long end all */

/*
 * Forks both, waits, forwards SIGTERM and SIGINT to the worker as SIGTERM (a second one kills all
 * at once). A worker that ends with 0 ends all: returns 0. A worker that dies is started again,
 * with the same listeners and new channels to the same key holder, after 0 ms, 100 ms, 1 s, then
 * 5 s each; not during a stop, not before a first worker was ready, and not after its sixth death in
 * ten minutes. Those, and the key holder's death at any time, stop all: returns 1, and the log says
 * who ended and how.
 *
 * Call while there is one thread. The children are leaders of process groups of their own, so that
 * a terminal's interrupt reaches the supervisor alone, and they die with it. The caller's signal
 * mask is theirs, and is restored when supervise() returns.
 */
int supervise(const struct supervise_options *opt);

#endif
