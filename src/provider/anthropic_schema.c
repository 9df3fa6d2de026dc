/*
 * anthropic_schema.c - JSON schemas within the subset that structured outputs compile.
 */
#include <stdio.h>

#include "core/limits.h"
#include "provider/anthropic.h"
#include "provider/pieces.h"

enum keyword {
	RAW,	/* travels as it is */
	SCHEMA, /* holds a schema */
	LIST,	/* an array of schemas */
	MAP,	/* an object of schemas */
	CLOSED, /* additionalProperties: always false */
	SAID,	/* description */
	DROPPED,
	TOLD, /* not known there: told in the description */
};

static bool
is_one_of(const struct json *doc, uint32_t at, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (json_is(doc, at, words[i]))
			return true;
	return false;
}

static enum keyword
keyword_of(const struct json *doc, uint32_t name)
{
	static const char *const raw[] = { "type", "required", "enum", "const", "$ref", "title" };
	static const char *const formats[] = { "date-time", "time", "date", "duration", "email",
		"hostname", "uri", "ipv4", "ipv6", "uuid" };
	static const char *const lists[] = { "anyOf", "allOf", "oneOf" };
	static const char *const maps[] = { "properties", "$defs", "definitions" };
	enum json_type type = json_type(doc, name + 1);
	uint64_t least;

	if (is_one_of(doc, name, raw, sizeof(raw) / sizeof(raw[0])))
		return RAW;
	if (json_is(doc, name, "items"))
		return type == JSON_OBJECT ? SCHEMA : TOLD;
	if (is_one_of(doc, name, lists, 3))
		return type == JSON_ARRAY ? LIST : TOLD;
	if (is_one_of(doc, name, maps, 3))
		return type == JSON_OBJECT ? MAP : TOLD;
	if (json_is(doc, name, "additionalProperties"))
		return CLOSED;
	if (json_is(doc, name, "description"))
		return type == JSON_STRING ? SAID : DROPPED;
	if (json_is(doc, name, "$schema") || json_is(doc, name, "$id"))
		return DROPPED;
	if (json_is(doc, name, "format"))
		return is_one_of(doc, name + 1, formats, sizeof(formats) / sizeof(formats[0]))
		    ? RAW
		    : TOLD;
	if (json_is(doc, name, "minItems"))
		return json_u64(doc, name + 1, 1, &least) ? RAW : TOLD;
	return TOLD;
}

static void
put_name(struct buf *b, bool *any, struct span name)
{
	if (*any)
		buf_put_byte(b, ',');
	*any = true;
	buf_put(b, name);
	buf_put_byte(b, ':');
}

/* "description": what it was, and what would be refused elsewhere. */
static void
put_description(struct translation *t, uint32_t at, bool *any)
{
	struct span said = SPAN_NONE;
	bool told = false;
	struct buf value;

	for (uint32_t c = json_first(t->doc, at); c != JSON_NONE; c = json_after(t->doc, at, c)) {
		enum keyword k = keyword_of(t->doc, c);

		if (k == SAID)
			said = json_inner(t->doc, c + 1);
		told = told || k == TOLD;
	}
	if (said.p == NULL && !told)
		return;
	put_name(t->b, any, SPAN_LIT("\"description\""));
	buf_put_byte(t->b, '"');
	buf_put(t->b, said);
	told = false;
	buf_init(&value, BODY_MAX_BYTES);
	for (uint32_t c = json_first(t->doc, at); c != JSON_NONE; c = json_after(t->doc, at, c)) {
		if (keyword_of(t->doc, c) != TOLD || !request_counts(t->doc, at, c))
			continue;
		buf_put_str(t->b, told ? "; " : said.n > 0 ? " (" : "(");
		told = true;
		buf_put(t->b, json_inner(t->doc, c));
		buf_put_str(t->b, ": ");
		buf_clear(&value);
		pieces_put_compact(&value, t->doc, c + 1);
		pieces_put_escaped(t->b, buf_span(&value));
	}
	buf_fini(&value);
	buf_put_str(t->b, told ? ")\"" : "\"");
}

static bool put_children(struct translation *t, uint32_t at, const char *param, bool map);

static bool
put_keyword(struct translation *t, uint32_t c, const char *param, bool *any)
{
	switch (keyword_of(t->doc, c)) {
	case RAW:
		put_name(t->b, any, json_raw(t->doc, c));
		buf_put(t->b, json_raw(t->doc, c + 1));
		return true;
	case SCHEMA:
		put_name(t->b, any, json_raw(t->doc, c));
		return anthropic_put_schema(t, c + 1, param);
	case LIST:
		put_name(t->b, any,
		    json_is(t->doc, c, "oneOf") ? SPAN_LIT("\"anyOf\"") : json_raw(t->doc, c));
		return put_children(t, c + 1, param, false);
	case MAP:
		put_name(t->b, any, json_raw(t->doc, c));
		return put_children(t, c + 1, param, true);
	case CLOSED:
		return json_type(t->doc, c + 1) == JSON_FALSE ||
		    refuse(t->no, "unsupported_parameter", param,
			"%s: additionalProperties other than false are not supported by this "
			"model's provider.",
			param);
	case SAID:
	case DROPPED:
	case TOLD:
		break;
	}
	return true;
}

/* Depth is bounded by JSON_MAX_DEPTH: the schema is part of a parsed document. */
static bool
put_children(struct translation *t, uint32_t at, const char *param, bool map)
{
	bool any = false;

	buf_put_byte(t->b, map ? '{' : '[');
	for (uint32_t c = json_first(t->doc, at); c != JSON_NONE; c = json_after(t->doc, at, c)) {
		if (map && !request_counts(t->doc, at, c))
			continue;
		if (map)
			put_name(t->b, &any, json_raw(t->doc, c));
		else if (any)
			buf_put_byte(t->b, ',');
		any = true;
		if (!anthropic_put_schema(t, map ? c + 1 : c, param))
			return false;
	}
	buf_put_byte(t->b, map ? '}' : ']');
	return true;
}

bool
anthropic_put_schema(struct translation *t, uint32_t at, const char *param)
{
	uint32_t type = json_get(t->doc, at, "type");
	bool any = false, both;

	if (json_type(t->doc, at) != JSON_OBJECT) { /* true and false are schemas, too */
		buf_put(t->b, json_raw(t->doc, at));
		return true;
	}
	both = json_get(t->doc, at, "anyOf") != JSON_NONE &&
	    json_get(t->doc, at, "oneOf") != JSON_NONE;
	if (both)
		return refuse(t->no, "unsupported_parameter", param,
		    "%s: oneOf beside anyOf is not supported by this model's provider.", param);
	buf_put_byte(t->b, '{');
	for (uint32_t c = json_first(t->doc, at); c != JSON_NONE; c = json_after(t->doc, at, c))
		if (request_counts(t->doc, at, c) && !put_keyword(t, c, param, &any))
			return false;
	if (json_is(t->doc, type, "object") || json_get(t->doc, at, "properties") != JSON_NONE) {
		put_name(t->b, &any, SPAN_LIT("\"additionalProperties\""));
		buf_put_str(t->b, "false");
	}
	put_description(t, at, &any);
	buf_put_byte(t->b, '}');
	return true;
}
