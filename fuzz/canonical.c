/*
 * canonical.c - the canonical text of any JSON: it is ASCII, it is the same when written twice, and
 * it is its own canonical form in Python's spelling.
 */
#include "receipt/canonical.h"

#include <assert.h>

#include "core/limits.h"

static void
check_text(struct span text)
{
	struct arena a;
	struct json doc;
	struct buf again;

	for (size_t i = 0; i < text.n; i++)
		assert(text.p[i] >= 0x20 && text.p[i] <= 0x7e);
	arena_init(&a, REQUEST_ARENA_BYTES);
	buf_init(&again, BODY_MAX_BYTES);
	assert(!failed(json_parse(&doc, text, JSON_MAX_NODES)));
	assert(!failed(json_no_duplicates(&doc)));
	assert(!failed(json_put_python(&again, &doc, 0, &a)));
	assert(span_eq(buf_span(&again), text));
	json_fini(&doc);
	buf_fini(&again);
	arena_fini(&a);
}

static void
check_form(const struct json *doc, enum canonical_form form)
{
	struct buf text[2];
	struct err e[2];

	for (int i = 0; i < 2; i++) {
		struct arena a;

		arena_init(&a, REQUEST_ARENA_BYTES);
		buf_init(&text[i], BODY_MAX_BYTES);
		e[i] = canonical_put(&text[i], form, doc, &a);
		arena_fini(&a);
	}
	assert(e[0].code == e[1].code);
	if (!failed(e[0])) {
		assert(span_eq(buf_span(&text[0]), buf_span(&text[1])));
		check_text(buf_span(&text[0]));
	}
	buf_fini(&text[0]);
	buf_fini(&text[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json doc;

	if (size > 1 << 16 || failed(json_parse(&doc, span_of(data, size), JSON_MAX_NODES)))
		return 0;
	check_form(&doc, CANONICAL_CHAT);
	check_form(&doc, CANONICAL_COMPLETION);
	json_fini(&doc);
	return 0;
}
