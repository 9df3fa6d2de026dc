/*
 * json.c - the index against a second parser, json-c 0.16 at its strictest: whatever both accept
 * must have the same shape and values, and they may disagree about what is JSON only where stack.md
 * ("JSON: why not a library") and lenient() below say so.
 */
#include "codec/json.h"

#include <assert.h>
/* Its enum has the name of ours. */
#define json_type jsonc_type
#include <json-c/json.h>
#undef json_type
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

static bool
is_digit(struct span text, size_t at)
{
	return at < text.n && text.p[at] >= '0' && text.p[at] <= '9';
}

/* It reads 1. and -.5 as numbers, and -01 and 01.5. */
static bool
lenient_number(struct span text, size_t at)
{
	if (text.p[at] == '.')
		return at == 0 || !is_digit(text, at - 1) || !is_digit(text, at + 1);
	return text.p[at] == '0' && is_digit(text, at + 1) &&
	    (at == 0 || (!is_digit(text, at - 1) && text.p[at - 1] != '.'));
}

/* The rules of RFC 8259 and RFC 3629 that json-c 0.16 does not hold, even when told to be strict. */
static bool
lenient(struct err e, struct span text)
{
	static const char *const rules[] = {
		"RFC 3629 4: ill-formed UTF-8", /* overlong forms, surrogates, above U+10FFFF */
		"RFC 8259 7: control byte in a string",
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (span_eq(span_str(e.what), span_str(rules[i])))
			return true;
	for (size_t i = 0; i < text.n; i++)
		if (lenient_number(text, i))
			return true;
	/* It knows these values; we know no such words. */
	return span_find(text, SPAN_LIT("NaN"), 0) != SIZE_MAX ||
	    span_find(text, SPAN_LIT("Infinity"), 0) != SIZE_MAX;
}

/*
 * Both parsers replace lone surrogates, but not in the same places; and json-c takes a pair for a
 * lone one when the character's low 16 bits would be one (U+1D800).
 */
static bool
has_surrogate(struct span inner)
{
	struct json_points it = { inner, 0 };
	uint32_t cp;

	while (json_point(&it, &cp))
		if ((cp & 0xf800) == 0xd800)
			return true;
	return false;
}

static void compare(const struct json *doc, uint32_t at, struct json_object *o, struct arena *a);

static void
compare_number(const struct json *doc, uint32_t at, struct json_object *o)
{
	double v;

	if (json_type(doc, at) == JSON_INT && json_raw(doc, at).n <= 18) {
		/* Longer ones are clamped silently. */
		assert(json_double(doc, at, &v));
		assert((double)json_object_get_int64(o) == v);
	} else if (json_type(doc, at) == JSON_FLOAT) {
		assert(json_object_is_type(o, json_type_double));
		if (json_double(doc, at, &v))
			assert(json_object_get_double(o) == v);
		else
			assert(isinf(json_object_get_double(o)));
	}
}

static void
compare_string(const struct json *doc, uint32_t at, struct json_object *o, struct arena *a)
{
	struct span s;

	assert(json_object_is_type(o, json_type_string));
	if (has_surrogate(json_inner(doc, at)))
		return;
	assert(!failed(json_string(doc, at, a, &s)));
	assert(
	    span_eq(s, span_of(json_object_get_string(o), (size_t)json_object_get_string_len(o))));
}

static void
compare_object(const struct json *doc, uint32_t at, struct json_object *o, struct arena *a)
{
	struct json_member *members;
	struct json_object *value;
	uint32_t n;

	assert(json_object_is_type(o, json_type_object));
	assert(!failed(json_members(doc, at, a, &members, &n)));
	/* A NUL ends a name there, and may make it equal to another. */
	for (uint32_t i = 0; i < n; i++)
		if (memchr(members[i].name.p, 0, members[i].name.n) != NULL ||
		    has_surrogate(json_inner(doc, members[i].at)))
			return;
	assert(json_object_object_length(o) == (int)n);
	for (uint32_t i = 0; i < n; i++) {
		struct span name = arena_copy(a, members[i].name);

		assert(name.p != NULL);
		assert(json_object_object_get_ex(o, (const char *)name.p, &value));
		assert(json_get(doc, at, (const char *)name.p) == members[i].at + 1);
		compare(doc, members[i].at + 1, value, a);
	}
}

static void
compare(const struct json *doc, uint32_t at, struct json_object *o, struct arena *a)
{
	size_t i = 0;

	switch (json_type(doc, at)) {
	case JSON_NULL:
		assert(o == NULL);
		break;
	case JSON_FALSE:
	case JSON_TRUE:
		assert(json_object_is_type(o, json_type_boolean));
		assert(json_object_get_boolean(o) == (json_type(doc, at) == JSON_TRUE));
		break;
	case JSON_INT:
	case JSON_FLOAT:
		compare_number(doc, at, o);
		break;
	case JSON_STRING:
		compare_string(doc, at, o, a);
		break;
	case JSON_ARRAY:
		assert(json_object_is_type(o, json_type_array));
		assert(json_object_array_length(o) == doc->node[at].count);
		for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
			compare(doc, c, json_object_array_get_idx(o, i++), a);
		break;
	case JSON_OBJECT:
		compare_object(doc, at, o, a);
		break;
	}
}

/* json-c's verdict; *o is its value (NULL for null), to be released. */
static bool
second_parser(struct span text, struct json_object **o)
{
	struct json_tokener *t = json_tokener_new_ex(JSON_MAX_DEPTH + 2);
	char *copy = malloc(text.n + 1);
	bool good;

	assert(t != NULL && copy != NULL);
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	copy[text.n] = '\n'; /* so that a number at the end is known to be whole */
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*o = json_tokener_parse_ex(t, copy, (int)text.n + 1);
	good = json_tokener_get_error(t) == json_tokener_success;
	for (size_t i = json_tokener_get_parse_end(t); i < text.n && good; i++)
		good = copy[i] == ' ' || copy[i] == '\t' || copy[i] == '\r' || copy[i] == '\n';
	json_tokener_free(t);
	free(copy);
	return good;
}

/* What every accepted document promises. */
static void
check_index(const struct json *doc)
{
	assert(doc->n > 0 && doc->node[0].next == doc->n);
	for (uint32_t at = 0; at < doc->n; at++) {
		const struct json_node *node = &doc->node[at];
		uint32_t seen = 0;

		assert(node->len > 0 && node->off + (size_t)node->len <= doc->text.n);
		assert(node->next > at && node->next <= doc->n);
		if (node->type < JSON_ARRAY)
			continue;
		for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
			seen++;
		assert(seen == node->count);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct json_object *o = NULL;
	struct json doc;
	struct arena a;
	struct err e;
	bool theirs;

	if (size > 1 << 16)
		return 0;
	e = json_parse(&doc, text, JSON_MAX_NODES);
	theirs = second_parser(text, &o);
	if (!failed(e)) {
		check_index(&doc);
		(void)json_no_duplicates(&doc).code;
		assert(theirs);
		arena_init(&a, REQUEST_ARENA_BYTES);
		compare(&doc, 0, o, &a);
		arena_fini(&a);
	} else {
		assert(doc.node == NULL && e.what != NULL);
		assert(!theirs || e.code == ERR_TOO_LARGE || lenient(e, text));
	}
	json_object_put(o);
	json_fini(&doc);
	return 0;
}
