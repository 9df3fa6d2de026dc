/*
 * provision.h - what the operator tells, once: kept for every worker, and the key it may be sealed
 * for. Main thread. Source: interfaces.md K2, K3, P2, P3.
 */
#ifndef KEYHOLDER_PROVISION_H
#define KEYHOLDER_PROVISION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "keyholder/keys.h"

struct seal_key;

struct provision {
	bool open;	       /* until the one provisioning */
	struct seal_key *seal; /* while it is open */
	struct buf seal_spki, seal_signature;
	uint8_t *bytes; /* on pages of their own */
	size_t n;
	uint64_t unseal_from_ms; /* of the monotonic clock: not before */
};

/*
 * Open, with a seal key of its own and `bytes`, perhaps none, of the environment. Errors: SYSTEM; in
 * any case provision_fini().
 */
MUST_USE struct err provision_init(struct provision *p, const struct keys *keys, struct span bytes);
/* Wipes; safe twice, and on a zeroed struct. */
void provision_fini(struct provision *p);

/* The body of an answer to KEY_PROVISIONED. */
void provision_put(const struct provision *p, struct buf *b);
/*
 * Opens what was sealed for the key, into *plain. After a failure the next is not before
 * UNSEAL_PAUSE_MS. Errors: REFUSED (not open any more), BUSY (too soon), MALFORMED (anything about
 * the bytes), SYSTEM.
 */
MUST_USE struct err
provision_unseal(struct provision *p, struct span jwe, uint64_t now_ms, struct buf *plain);
/*
 * These bytes count from now on, and no others ever will: the first who comes wins. Errors: REFUSED
 * (somebody did), SYSTEM: then all is as it was.
 */
MUST_USE struct err provision_commit(struct provision *p, struct span bytes);

#endif
