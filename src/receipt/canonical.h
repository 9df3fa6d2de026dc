/*
 * canonical.h - which members of a request are hashed, and as which bytes. Pure.
 * Source: opengradient.md 4.1, 4.2 and 5 (rule R2); interfaces.md C6.
 */
#ifndef RECEIPT_CANONICAL_H
#define RECEIPT_CANONICAL_H

#include "codec/json.h"
#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum canonical_form {
	CANONICAL_CHAT,	      /* /v1/chat/completions */
	CANONICAL_COMPLETION, /* /v1/completions */
};

/*
 * Appends the canonical text of the request `doc` (keccak-256 of it is tee_request_hash).
 * The document need not have been validated: tee-verify calls this on any JSON.
 * arena	scratch; may be dropped afterwards
 * Errors:	MALFORMED (not an object, a message without role, an unknown role, a temperature
 *		that is no number), REFUSED (number beyond a double), NOMEM, TOO_LARGE (b's bound)
 */
MUST_USE struct err
canonical_put(struct buf *b, enum canonical_form form, const struct json *doc, struct arena *arena);

#endif
