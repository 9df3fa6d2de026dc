#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

#include "core/pages.h"
#include "core/wipe.h"

enum { FIRST_BYTES = 256 };

void
buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max = max_bytes };
}

static void
give_back(struct buf *b)
{
	if (b->cap >= PAGES_MIN_BYTES) {
		pages_free(b->p, b->cap);
		return;
	}
	wipe(b->p, b->cap);
	free(b->p);
}

void
buf_fini(struct buf *b)
{
	give_back(b);
	buf_init(b, b->max);
}

void
buf_clear(struct buf *b)
{
	wipe(b->p, b->n);
	b->n = 0;
	b->over = false;
}

static bool
move_to(struct buf *b, size_t cap)
{
	uint8_t *p;

	if (b->cap >= PAGES_MIN_BYTES) {
		if ((p = pages_move(b->p, b->cap, cap)) == NULL)
			return false;
	} else {
		/* Not realloc: it would leave the old bytes behind in freed memory. */
		p = cap >= PAGES_MIN_BYTES ? pages_move(NULL, 0, cap) : malloc(cap);
		if (p == NULL)
			return false;
		if (b->n > 0)
			memcpy(p, b->p, b->n);
		give_back(b);
	}
	b->p = p;
	b->cap = cap;
	return true;
}

static bool
grow_to(struct buf *b, size_t want)
{
	size_t cap = b->cap == 0 ? FIRST_BYTES : b->cap;

	while (cap < want)
		cap *= 2;
	return move_to(b, cap < b->max ? cap : b->max);
}

void
buf_reserve(struct buf *b, size_t n)
{
	if (!b->over && n <= b->max - b->n && n > b->cap - b->n)
		(void)move_to(b, b->n + n);
}

uint8_t *
buf_grow(struct buf *b, size_t n)
{
	if (b->over || n > b->max - b->n || (n > b->cap - b->n && !grow_to(b, b->n + n))) {
		b->over = true;
		return NULL;
	}
	b->n += n;
	return b->p + b->n - n;
}

void
buf_put(struct buf *b, struct span s)
{
	uint8_t *to;

	if (s.n > 0 && (to = buf_grow(b, s.n)) != NULL)
		memcpy(to, s.p, s.n);
}

void
buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, span_str(s));
}

void
buf_put_byte(struct buf *b, uint8_t c)
{
	buf_put(b, span_of(&c, 1));
}

void
buf_put_u64(struct buf *b, uint64_t v)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (uint8_t)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_put(b, span_of(digits + at, sizeof(digits) - at));
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void
buf_truncate(struct buf *b, size_t n)
{
	b->n = n;
}

struct err
buf_check(const struct buf *b)
{
	return b->over ? FAIL(TOO_LARGE, "buffer: past its bound") : OK;
}

struct span
buf_span(const struct buf *b)
{
	return span_of(b->p, b->n);
}
