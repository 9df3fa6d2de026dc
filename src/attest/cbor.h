/*
 * cbor.h - a strict cursor over CBOR, for attestation documents. Pure; allocates nothing.
 * Source: RFC 8949; nitro-attestation.md 3 step 3.
 *
 * A cursor is a span that shrinks from the front: it cannot pass its end, and no length is added to
 * a pointer before it was compared with what is left. The reasons in `what` begin with the
 * identifier of the shared vectors ("cbor-truncated: ...").
 *
 * Accepted: definite and indefinite maps and arrays, integers in any width. Refused: tags, strings
 * of indefinite length, reserved additional information, counts that the bytes at hand cannot hold.
 */
#ifndef ATTEST_CBOR_H
#define ATTEST_CBOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

enum { CBOR_MAX_DEPTH = 8 };
/* Pairs of one map: a map is compared key by key, and this bounds the work. */
enum { CBOR_MAX_PAIRS = 256 };

enum cbor_major {
	CBOR_UINT = 0,
	CBOR_NEGATIVE,
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_TAG,
	CBOR_SIMPLE, /* false, true, null, undefined, floats; and the break */
};

enum { CBOR_NULL = 22 };

/* One item's head; for strings `bytes` is the content, and the cursor stands behind it. */
struct cbor_item {
	enum cbor_major major;
	bool indefinite;   /* maps and arrays */
	uint64_t value;	   /* integer (of a negative one: -1 - n), count, tag, simple value */
	struct span bytes; /* strings */
};

/*
 * Reads the next head, and a string's content with it. Children of maps and arrays follow.
 * Errors: MALFORMED; the cursor is then somewhere in the item.
 */
MUST_USE struct err cbor_next(struct span *at, struct cbor_item *item);

/*
 * Checks the whole item at *at, children included, and moves behind it: everything above, depth at
 * most CBOR_MAX_DEPTH, UTF-8 of texts, and that no map has two equal keys (decoded values are
 * compared; keys are integers or strings). What passed here can be read with cbor_next() alone.
 * Errors: MALFORMED, TOO_LARGE (pairs)
 */
MUST_USE struct err cbor_check(struct span *at);

/* The children of a map or array, in order, of bytes that cbor_check() accepted. */
struct cbor_children {
	struct span at; /* the next child */
	uint64_t left;	/* children still to come; unused when indefinite */
	bool indefinite;
};
/* `head` is the container's, `at` stands behind that head. A map's children alternate key, value. */
struct cbor_children cbor_children(const struct cbor_item *head, struct span at);
/* The next child; false at the end, where c->at stands behind the container. */
bool cbor_child(struct cbor_children *c, struct cbor_item *item);
/* Moves behind the children of the item that cbor_child() or cbor_next() just gave. */
void cbor_pass(struct span *at, const struct cbor_item *item);

/* A text of exactly these characters. */
bool cbor_is_text(const struct cbor_item *item, const char *text);

#endif
