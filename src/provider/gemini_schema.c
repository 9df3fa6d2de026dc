#include "provider/gemini_schema.h"

#include "core/limits.h"
#include "provider/members.h"

/* Where schemas stand below a schema; everything else is data and travels as it is. */
enum shape { DATA, SCHEMA, SCHEMAS, NAMED_SCHEMAS };

static const struct {
	const char *name;
	enum shape shape;
} keywords[] = {
	{ "items", SCHEMA },
	{ "additionalProperties", SCHEMA },
	{ "contains", SCHEMA },
	{ "not", SCHEMA },
	{ "if", SCHEMA },
	{ "then", SCHEMA },
	{ "else", SCHEMA },
	{ "propertyNames", SCHEMA },
	{ "unevaluatedItems", SCHEMA },
	{ "unevaluatedProperties", SCHEMA },
	{ "anyOf", SCHEMAS },
	{ "oneOf", SCHEMAS },
	{ "allOf", SCHEMAS },
	{ "prefixItems", SCHEMAS },
	{ "properties", NAMED_SCHEMAS },
	{ "patternProperties", NAMED_SCHEMAS },
	{ "dependentSchemas", NAMED_SCHEMAS },
	{ "$defs", NAMED_SCHEMAS },
	{ "definitions", NAMED_SCHEMAS },
};

static enum shape
shape_of(const struct json *doc, uint32_t name)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (json_is(doc, name, keywords[i].name))
			return keywords[i].shape;
	return DATA;
}

/* A "$ref" beside members that Gemini does not let stand there: those without a '$'. */
static bool
ref_has_neighbours(const struct json *doc, uint32_t at)
{
	if (json_get(doc, at, "$ref") == JSON_NONE || json_get(doc, at, "anyOf") != JSON_NONE)
		return false;
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		struct span name = json_inner(doc, c);

		if (name.n == 0 || name.p[0] != '$')
			return true;
	}
	return false;
}

static void
put_value(struct buf *b, const struct json *doc, uint32_t at, enum shape shape, unsigned depth);

static void
put_object(struct buf *b, const struct json *doc, uint32_t at, bool is_schema, unsigned depth)
{
	bool wrap = is_schema && ref_has_neighbours(doc, at);
	struct members m = { .b = b };

	buf_put_byte(b, '{');
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		if (is_schema && json_is(doc, c, "$schema"))
			continue;
		if (wrap && json_is(doc, c, "$ref")) {
			put_raw(&m, SPAN_LIT("\"anyOf\""), SPAN_LIT("[{"));
			buf_put(b, json_raw(doc, c));
			buf_put_byte(b, ':');
			buf_put(b, json_raw(doc, c + 1));
			buf_put_str(b, "}]");
			continue;
		}
		put_raw(&m, json_raw(doc, c), SPAN_NONE);
		put_value(b, doc, c + 1, is_schema ? shape_of(doc, c) : SCHEMA, depth - 1);
	}
	buf_put_byte(b, '}');
}

/* As deep as the document is (JSON_MAX_DEPTH), and no deeper. */
static void
put_value(struct buf *b, const struct json *doc, uint32_t at, enum shape shape, unsigned depth)
{
	enum json_type type = json_type(doc, at);
	bool any = false;

	if (depth > 0 && type == JSON_OBJECT && (shape == SCHEMA || shape == NAMED_SCHEMAS)) {
		put_object(b, doc, at, shape == SCHEMA, depth);
		return;
	}
	if (depth == 0 || type != JSON_ARRAY || shape == DATA || shape == NAMED_SCHEMAS) {
		buf_put(b, json_raw(doc, at));
		return;
	}
	buf_put_byte(b, '[');
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		if (any)
			buf_put_byte(b, ',');
		any = true;
		put_value(b, doc, c, SCHEMA, depth - 1);
	}
	buf_put_byte(b, ']');
}

void
gemini_schema_put(struct buf *b, const struct json *doc, uint32_t at)
{
	put_value(b, doc, at, SCHEMA, JSON_MAX_DEPTH);
}

bool
gemini_schema_is_empty(const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE || json_type(doc, at) == JSON_NULL)
		return true;
	if (json_type(doc, at) != JSON_OBJECT)
		return false;
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		if (!json_is(doc, c, "$schema"))
			return false;
	return true;
}
