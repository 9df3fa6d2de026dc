/*
 * child.h - the key holder: the process that owns the private keys. Source: interfaces.md K2, K3.
 */
#ifndef KEYHOLDER_CHILD_H
#define KEYHOLDER_CHILD_H

#include <stdbool.h>
#include <stddef.h>

struct keyholder_options {
	const int *channel; /* one socket pair end for each loop of the worker */
	size_t n_channels;
	const char *platform; /* "local-simulation" or "aws-nitro": written into every receipt */
	unsigned threads;     /* signing threads; 2 */
};

/*
 * Makes the keys, then serves until every channel is closed or SIGTERM. Returns the exit status.
 * Wipes the keys on every path out.
 */
int keyholder_main(const struct keyholder_options *opt);

#endif
