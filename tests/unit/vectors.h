/*
 * vectors.h - a file of tests/vectors, read and indexed. For tests: anything wrong fails the test.
 */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/hex.h"
#include "codec/json.h"
#include "core/arena.h"
#include "core/limits.h"

enum { VECTORS_MAX_BYTES = 1 << 20 };

struct vectors {
	uint8_t text[VECTORS_MAX_BYTES];
	struct json doc;
	struct arena arena; /* decoded strings live here */
};

/* `path` is relative to tests/vectors. The struct is large: make it static. */
static inline void
vectors_open(struct vectors *v, const char *path)
{
	char full[1024];
	size_t n;
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s/%s", TEST_VECTORS, path);
	if ((f = fopen(full, "rb")) == NULL)
		fail_msg("%s: cannot be opened", full);
	n = fread(v->text, 1, sizeof(v->text), f);
	fclose(f);
	assert_true(n < sizeof(v->text));
	arena_init(&v->arena, 4 * VECTORS_MAX_BYTES);
	assert_int_equal(json_parse(&v->doc, span_of(v->text, n), JSON_MAX_NODES).code, ERR_OK);
}

static inline void
vectors_close(struct vectors *v)
{
	json_fini(&v->doc);
	arena_fini(&v->arena);
}

/* Member `name` of the object at `at`; it must exist. */
static inline uint32_t
vectors_get(struct vectors *v, uint32_t at, const char *name)
{
	uint32_t found = json_get(&v->doc, at, name);

	if (found == JSON_NONE)
		fail_msg("vectors: no member %s", name);
	return found;
}

/* A string member, decoded, with a NUL after it. */
static inline struct span
vectors_text(struct vectors *v, uint32_t at, const char *name)
{
	struct span s;

	assert_int_equal(
	    json_string(&v->doc, vectors_get(v, at, name), &v->arena, &s).code, ERR_OK);
	s = arena_copy(&v->arena, s);
	assert_non_null(s.p);
	return s;
}

/* A string member of hex digits, as bytes. */
static inline struct span
vectors_hex(struct vectors *v, uint32_t at, const char *name)
{
	struct span text = vectors_text(v, at, name);
	uint8_t *bytes = arena_alloc(&v->arena, text.n / 2);

	if (span_starts(text, SPAN_LIT("0x")))
		text = span_cut(text, 2, text.n);
	assert_non_null(bytes);
	assert_int_equal(hex_parse(bytes, text.n / 2, text).code, ERR_OK);
	return span_of(bytes, text.n / 2);
}

#endif
