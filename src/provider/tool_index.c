#include "provider/tool_index.h"

#include <stdio.h>

/* FNV-1a: tells ids of one stream apart; a clash would join two calls of a stranger's choosing. */
static uint32_t
hash(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 16777619u;
	return h;
}

static bool
has_index(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) != JSON_NULL;
}

/* The number of the call that this fragment belongs to. */
static uint32_t
number(struct tool_index *t, const struct json *doc, uint32_t call)
{
	uint32_t at = json_get(doc, call, "index"), id = json_get(doc, call, "id");
	struct span name = SPAN_NONE;
	uint64_t given;

	if (id != JSON_NONE && json_type(doc, id) == JSON_STRING)
		name = json_inner(doc, id);
	if (json_u64(doc, at, 1 << 20, &given)) {
		if (given >= t->calls)
			t->calls = (uint32_t)given + 1;
	} else if (t->calls == 0 || (name.n > 0 && hash(name) != t->id)) {
		t->calls++;
	}
	if (name.n > 0)
		t->id = hash(name);
	return t->calls - 1;
}

/* The event up to and with the fragment's index; *from moves past what was put. */
static void
put_index(struct buf *b, const struct json *doc, uint32_t call, uint32_t n, size_t *from)
{
	uint32_t at = json_get(doc, call, "index");
	size_t to = at == JSON_NONE ? doc->node[call].off + 1 : doc->node[at].off;

	buf_put(b, span_cut(doc->text, *from, to));
	if (at == JSON_NONE)
		buf_put_str(b, "\"index\":");
	buf_put_u64(b, n);
	if (at == JSON_NONE && json_first(doc, call) != JSON_NONE)
		buf_put_byte(b, ',');
	*from = at == JSON_NONE ? to : to + doc->node[at].len;
}

bool
tool_index_put(
    struct tool_index choice[static TOOL_INDEX_CHOICES], const struct json *doc, struct buf *b)
{
	uint32_t choices = json_get(doc, 0, "choices");
	uint64_t place = 0;
	size_t from = 0;
	bool any = false;

	if (choices == JSON_NONE || json_type(doc, choices) != JSON_ARRAY)
		return false;
	for (uint32_t c = json_first(doc, choices); c != JSON_NONE;
	     c = json_after(doc, choices, c), place++) {
		uint32_t calls = json_get(doc, json_get(doc, c, "delta"), "tool_calls");
		uint64_t which = place;

		json_u64(doc, json_get(doc, c, "index"), TOOL_INDEX_CHOICES, &which);
		if (which >= TOOL_INDEX_CHOICES || calls == JSON_NONE ||
		    json_type(doc, calls) != JSON_ARRAY)
			continue;
		for (uint32_t k = json_first(doc, calls); k != JSON_NONE;
		     k = json_after(doc, calls, k)) {
			uint32_t n;

			if (json_type(doc, k) != JSON_OBJECT)
				continue;
			n = number(&choice[which], doc, k);
			if (has_index(doc, json_get(doc, k, "index")))
				continue;
			put_index(b, doc, k, n, &from);
			any = true;
		}
	}
	if (any)
		buf_put(b, span_cut(doc->text, from, doc->text.n));
	return any;
}
