/*
 * child.h - the key holder: the process that owns the private keys. Source: interfaces.md K2, K3.
 */
#ifndef KEYHOLDER_CHILD_H
#define KEYHOLDER_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "attest/pcrs.h"
#include "core/buf.h"
#include "enclave/device.h"

struct keyholder_options {
	const int *channel; /* one socket pair end for each loop of the worker */
	size_t n_channels;  /* at most PASSFD_MAX */
	/*
	 * Where the supervisor sends n_channels new ends for a new worker (sys/passfd.h); the old
	 * ones are then closed. -1: there will be none, and the last channel's end is ours.
	 */
	int control;
	struct buf *provisioned; /* of the environment, moved to locked pages; NULL: nothing */
	/*
	 * The security module of an enclave, open; its descriptor is ours. NULL: a software module
	 * is made, which "aws-nitro" does not take (A5).
	 */
	struct nsm_device *nsm;
	const struct attest_pcrs *soft_pcrs; /* of the software module; NULL: zero */
	bool app_hash_free; /* KEY_APP_HASH takes any: local mode, for another program behind us */
	const char *platform; /* "local-simulation" or "aws-nitro": written into every receipt */
	unsigned threads;     /* signing threads; 2 */
};

/*
 * Makes the keys, then serves until SIGTERM, or until `control` (without one: every channel) is
 * closed. Returns the exit status. Wipes the keys on every path out.
 */
int keyholder_main(const struct keyholder_options *opt);

#endif
