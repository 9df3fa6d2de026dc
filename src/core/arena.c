#include "core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/wipe.h"

enum { BLOCK_BYTES = 4096 };

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	alignas(max_align_t) uint8_t data[];
};

void
arena_init(struct arena *a, size_t budget_bytes)
{
	*a = (struct arena){ .budget = budget_bytes };
}

void
arena_fini(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->head; b != NULL; b = next) {
		next = b->next;
		wipe(b->data, b->used);
		free(b);
	}
	arena_init(a, a->budget);
}

static struct arena_block *
block_new(struct arena *a, size_t need)
{
	size_t cap = need > BLOCK_BYTES / 4 ? need : BLOCK_BYTES - sizeof(struct arena_block);
	struct arena_block *b;

	if (cap > SIZE_MAX - sizeof(*b) || cap + sizeof(*b) > a->budget - a->used)
		return NULL;
	if ((b = malloc(sizeof(*b) + cap)) == NULL)
		return NULL;
	*b = (struct arena_block){ .cap = cap };
	a->used += sizeof(*b) + cap;
	/* A large block goes behind the head, so that the head's room is not lost. */
	if (need > BLOCK_BYTES / 4 && a->head != NULL) {
		b->next = a->head->next;
		a->head->next = b;
	} else {
		b->next = a->head;
		a->head = b;
	}
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct arena_block *b = a->head;
	uint8_t *p;

	if (n == 0)
		n = 1;
	if (n > SIZE_MAX - align)
		return NULL;
	n = (n + align - 1) / align * align;
	if ((b == NULL || n > b->cap - b->used) && (b = block_new(a, n)) == NULL)
		return NULL;
	p = b->data + b->used;
	b->used += n;
	memset(p, 0, n);
	return p;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		return NULL;
	return arena_alloc(a, count * size);
}

struct span
arena_copy(struct arena *a, struct span s)
{
	uint8_t *p;

	if (s.n == SIZE_MAX || (p = arena_alloc(a, s.n + 1)) == NULL)
		return SPAN_NONE;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return span_of(p, s.n);
}
