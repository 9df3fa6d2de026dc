/*
 * supervise.h - starts key holder and worker, watches them, holds nothing. Source: K1, A3.
 */
#ifndef SUPERVISE_SUPERVISE_H
#define SUPERVISE_SUPERVISE_H

struct supervise_options {
	unsigned loops; /* number of channels between worker and key holder */
	/* Run in the children; their result is the exit status. `channel` has `loops` ends. */
	int (*keyholder)(void *ctx, const int *channel);
	int (*worker)(void *ctx, const int *channel);
	/* In the supervisor, once both run: drops what only they need (K1). NULL: nothing. */
	void (*started)(void *ctx);
	void (*close_listeners)(void *ctx); /* in the key holder: it serves nobody */
	void *ctx;
};

/*
 * Forks both, waits, forwards SIGTERM and SIGINT to the worker as SIGTERM (a second one kills all
 * at once). Worker ends with 0: stops the key holder, returns 0. Anything else: stops both, returns
 * 1, and the log says which of them ended and how.
 *
 * Call while there is one thread. The children are leaders of process groups of their own, so that
 * a terminal's interrupt reaches the supervisor alone, and they die with it. The caller's signal
 * mask is theirs, and is restored when supervise() returns.
 */
int supervise(const struct supervise_options *opt);

#endif
