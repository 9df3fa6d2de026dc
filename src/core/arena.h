/*
 * arena.h - the memory of one request: many small pieces, one budget, dropped whole. Pure.
 *
 * When the budget is spent the request fails, never the process. Freed memory is wiped: it held
 * somebody's prompt.
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include <stddef.h>

#include "core/span.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used, budget; /* bytes, block headers included */
};

/* An arena that gives out at most budget_bytes; takes no memory before the first allocation. */
void arena_init(struct arena *a, size_t budget_bytes);
/* Wipes and frees everything; safe twice. */
void arena_fini(struct arena *a);
/* n zeroed bytes aligned for any type, valid until arena_fini(); NULL past the budget. */
void *arena_alloc(struct arena *a, size_t n);
/* count * size zeroed bytes; NULL past the budget or when the product overflows. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A copy of s with a NUL after it (not counted); .p is NULL past the budget. */
struct span arena_copy(struct arena *a, struct span s);

#endif
