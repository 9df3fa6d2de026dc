/*
 * item.h - CBOR, one data item at a time, over libcbor: what the security module speaks. Pure.
 *
 * Nothing is allocated and nothing is copied: byte and text strings borrow the input. Refused, as
 * they have no use in these messages: strings of indefinite length, and what libcbor cannot read.
 * Source: RFC 8949; nitro-attestation.md 1.2.
 */
#ifndef ENCLAVE_ITEM_H
#define ENCLAVE_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum item_kind {
	ITEM_UINT = 1,
	ITEM_NEGATIVE, /* number n stands for -1 - n */
	ITEM_BYTES,
	ITEM_TEXT,
	ITEM_ARRAY,
	ITEM_MAP,
	ITEM_TAG,
	ITEM_BOOL,
	ITEM_NULL,
	ITEM_OTHER, /* floating point and undefined */
	ITEM_BREAK,
};

struct item {
	enum item_kind kind;
	bool indefinite;   /* ARRAY, MAP: up to a break; `number` is then 0 */
	uint64_t number;   /* UINT, NEGATIVE, TAG; BOOL: 0 or 1; ARRAY: items; MAP: pairs */
	struct span bytes; /* BYTES, TEXT */
};

/* The next head (of strings: with their bytes); *s moves past it. Errors: MALFORMED. */
MUST_USE struct err item_next(struct span *s, struct item *it);
/* The same, and it must be of this kind. */
MUST_USE struct err item_want(struct span *s, enum item_kind kind, struct item *it);
/* Passes over a whole value, at most ITEM_MAX_DEPTH containers deep. Errors: MALFORMED. */
enum { ITEM_MAX_DEPTH = 8 };
MUST_USE struct err item_skip(struct span *s);

/* The entries of a container whose head was just read. */
struct item_walk {
	bool indefinite;
	uint64_t left;
};
void item_walk_init(struct item_walk *w, const struct item *container);
/*
 * *more: whether another entry follows; at the end of an indefinite one its break has been read.
 * Errors: MALFORMED.
 */
MUST_USE struct err item_walk_next(struct item_walk *w, struct span *s, bool *more);

/* Heads and whole items, in their shortest form. */
void item_put_uint(struct buf *b, uint64_t v);
void item_put_negative(struct buf *b, uint64_t n); /* the number -1 - n */
void item_put_bytes(struct buf *b, struct span s);
void item_put_text(struct buf *b, const char *s);
void item_put_array(struct buf *b, size_t n);
void item_put_map(struct buf *b, size_t pairs);
void item_put_open_map(struct buf *b); /* of indefinite length */
void item_put_break(struct buf *b);
void item_put_bool(struct buf *b, bool v);
void item_put_null(struct buf *b);
/* Bytes, or null where .p is NULL. An empty string is present: give it an address. */
void item_put_bytes_or_null(struct buf *b, struct span s);

#endif
