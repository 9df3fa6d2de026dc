/*
 * buf.h - owned bytes that grow up to a bound and are wiped when freed; large ones go back to the
 * kernel (pages.h). Pure.
 *
 * Writers do not check every put: a buffer that hit its bound, or for which memory was refused,
 * remembers it, takes nothing more, and says so in buf_check(). Nothing may leave a buffer
 * before buf_check() returned OK.
 *
 * Invariant: n <= cap <= max, and p holds cap bytes (NULL when cap is 0).
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

struct buf {
	uint8_t *p;
	size_t n, cap, max;
	bool over; /* a put did not fit, or memory was refused */
};

/* An empty buffer for at most max_bytes. */
void buf_init(struct buf *b, size_t max_bytes);
/* Wipes and frees the bytes; safe twice; the struct is then empty with its old bound. */
void buf_fini(struct buf *b);
/* Forgets the content (wiped) and the overflow mark; keeps the memory. */
void buf_clear(struct buf *b);

void buf_put(struct buf *b, struct span s);
void buf_put_str(struct buf *b, const char *s);
void buf_put_byte(struct buf *b, uint8_t c);
/* Decimal digits of v. */
void buf_put_u64(struct buf *b, uint64_t v);
/* Room for n more bytes at the end, counted as content; NULL when they do not fit. */
uint8_t *buf_grow(struct buf *b, size_t n);
/* Memory for n more bytes, no more than that; what cannot be had is noticed by the next put. */
void buf_reserve(struct buf *b, size_t n);
/* Drops the first n bytes (n <= b->n); the rest moves to the front. */
void buf_drop(struct buf *b, size_t n);
/* Cuts the content to n bytes (n <= b->n). */
void buf_truncate(struct buf *b, size_t n);

/* OK, or TOO_LARGE when a put did not fit (memory refused counts as such). */
MUST_USE struct err buf_check(const struct buf *b);
/* The content; borrowed until the next call that changes the buffer. */
struct span buf_span(const struct buf *b);

#endif
