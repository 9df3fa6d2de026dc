/*
 * keys.h - the private keys and what may be signed with them. No descriptor; time is handed in.
 * Source: interfaces.md K2, K3, R2.
 */
#ifndef KEYHOLDER_KEYS_H
#define KEYHOLDER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "keyholder/proto.h"

struct keys;

enum { CHAT_CLOCK_TOLERANCE_S = 5 }; /* K3: a chat's time against ours */

/*
 * Generates all keys and the identity made of them.
 * platform	written into every receipt; "local-simulation" adds loopback addresses to the
 *		certificate; borrowed for the life of the keys
 * Errors:	SYSTEM
 */
MUST_USE struct err keys_make(struct keys **out, const char *platform, uint64_t now_unix_s);
/* Wipes them. */
void keys_free(struct keys *k);
/* Its public parts, and the TLS key; borrowed for the life of the keys. Errors: MALFORMED. */
MUST_USE struct err keys_facts(const struct keys *k, struct key_facts *f);
/* FALSE when the identity, which holds the TLS key, may be paged out. */
bool keys_locked(const struct keys *k);

/* The signing key's word for the seal key (P3). Errors: SYSTEM, TOO_LARGE. */
MUST_USE struct err
keys_vouch_seal(const struct keys *k, struct span seal_spki, uint8_t signature[static PSS_SIG_LEN]);

/*
 * Appends the answer's body. Safe from several threads at once.
 * Errors: REFUSED (K3: a time too far from now; receipt_sign()), TOO_LARGE, SYSTEM
 */
MUST_USE struct err
keys_answer(const struct keys *k, const struct key_request *r, uint64_t now_unix_s, struct buf *b);

#endif
