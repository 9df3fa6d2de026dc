/*
 * span.h - borrowed bytes. A span never owns; NUL is a byte like any other. Pure.
 */
#ifndef CORE_SPAN_H
#define CORE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t n;
};

#define SPAN_NONE   ((struct span){ NULL, 0 })
/* A span over a string literal, without its NUL. */
#define SPAN_LIT(s) ((struct span){ (const uint8_t *)("" s), sizeof(s) - 1 })

static inline struct span
span_of(const void *p, size_t n)
{
	return (struct span){ p, n };
}

static inline struct span
span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, s == NULL ? 0 : strlen(s) };
}

/* The bytes [from, to) of `s`; the caller has checked from <= to <= s.n. */
static inline struct span
span_cut(struct span s, size_t from, size_t to)
{
	/* An empty span may have no address to count from. */
	return (struct span){ from == 0 ? s.p : s.p + from, to - from };
}

/* Equal bytes. Not constant time: never for secrets (crypto/ct.h). */
bool span_eq(struct span a, struct span b);
/* Equal but for the case of ASCII letters (HTTP field names, media types). */
bool span_eq_nocase(struct span a, struct span b);
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
/* Order of the bytes, then of the lengths: < 0, 0, > 0. */
int span_cmp(struct span a, struct span b);
/* First position of `needle` at or after `from`; SIZE_MAX when absent. */
size_t span_find(struct span hay, struct span needle, size_t from);
/* Last position of `needle`; SIZE_MAX when absent. */
size_t span_rfind(struct span hay, struct span needle);
/* Without leading and trailing bytes of " \t\r\n". */
struct span span_trim(struct span s);
/*
 * Decimal digits only (no sign, no space, no leading zero but "0" itself) as an integer.
 * Returns false, and leaves `v` alone, on anything else and on values above `max`.
 */
bool span_u64(struct span s, uint64_t max, uint64_t *v);

#endif
