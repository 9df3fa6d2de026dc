/*
 * texts.h - vectors, and texts that differ from them in one place.
 */
#ifndef TESTS_RECEIPT_TEXTS_H
#define TESTS_RECEIPT_TEXTS_H

#include <stdio.h>

#include "core/buf.h"
#include "core/span.h"

enum { TEXT_MAX_BYTES = 1 << 20 };

/* The vector `name` of tests/vectors/receipt in a buffer of its own. */
static inline struct buf
text_vector(const char *name)
{
	char path[512], chunk[4096];
	struct buf b;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/receipt/%s", TEST_VECTORS, name);
	buf_init(&b, TEXT_MAX_BYTES);
	if ((f = fopen(path, "rb")) == NULL)
		fail_msg("cannot open %s", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(&b, span_of(chunk, n));
	fclose(f);
	assert_true(b.n > 0 && !b.over);
	return b;
}

/* `text` with its first `from` replaced by `to`; `from` must be there ("" is the beginning). */
static inline struct buf
text_with(struct span text, const char *from, const char *to)
{
	size_t at = *from == '\0' ? 0 : span_find(text, span_str(from), 0);
	struct buf b;

	if (at == SIZE_MAX)
		fail_msg("not in the text: %s", from);
	buf_init(&b, TEXT_MAX_BYTES);
	buf_put(&b, span_cut(text, 0, at));
	buf_put_str(&b, to);
	buf_put(&b, span_cut(text, at + span_str(from).n, text.n));
	assert_false(b.over);
	return b;
}

#endif
