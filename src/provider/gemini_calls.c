#include "provider/gemini_calls.h"

bool
gemini_calls_begin(struct gemini_calls *c, const struct json *doc, uint32_t message)
{
	uint32_t calls = json_get(doc, message, "tool_calls");

	if (calls == JSON_NONE || json_type(doc, calls) != JSON_ARRAY ||
	    json_first(doc, calls) == JSON_NONE)
		return false;
	c->n = 0;
	for (uint32_t at = json_first(doc, calls); at != JSON_NONE && c->n < GEMINI_CALLS_MAX;
	     at = json_after(doc, calls, at)) {
		c->result[c->n] = JSON_NONE;
		c->id[c->n] = json_get(doc, at, "id");
		c->call[c->n++] = at;
	}
	return true;
}

static bool
equal(const struct json *doc, uint32_t x, uint32_t y)
{
	struct json_points a = { .s = json_inner(doc, x) }, b = { .s = json_inner(doc, y) };
	uint32_t ca, cb;
	bool more_a, more_b;

	/* Most have no escapes, and there may be a hundred thousand results to look up. */
	if (doc->node[x].count == 0 && doc->node[y].count == 0)
		return span_eq(a.s, b.s);
	do {
		more_a = json_point(&a, &ca);
		more_b = json_point(&b, &cb);
	} while (more_a && more_b && ca == cb);
	return !more_a && !more_b;
}

enum gemini_match
gemini_calls_match(
    const struct gemini_calls *c, const struct json *doc, uint32_t message, unsigned *index)
{
	uint32_t id = json_get(doc, message, "tool_call_id");
	enum gemini_match match = MATCH_NONE;

	/* Some clients number their calls anew in every turn, none within one; the first free one. */
	for (unsigned i = 0; i < c->n; i++) {
		if (!equal(doc, id, c->id[i]))
			continue;
		*index = i;
		if (c->result[i] == JSON_NONE)
			return MATCH_FIRST;
		match = MATCH_AGAIN;
	}
	return match;
}
