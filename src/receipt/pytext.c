#include "receipt/pytext.h"

static const char hex_digits[] = "0123456789abcdef";

static void
put_hex(struct buf *b, char kind, uint32_t cp, int digits)
{
	buf_put_byte(b, '\\');
	buf_put_byte(b, (uint8_t)kind);
	for (int i = digits - 1; i >= 0; i--)
		buf_put_byte(b, (uint8_t)hex_digits[cp >> (4 * i) & 0xf]);
}

static void
put_point(struct buf *b, uint32_t cp)
{
	uint8_t utf8[4];

	buf_put(b, span_of(utf8, json_utf8(cp, utf8)));
}

static void
put_repr_point(struct buf *b, uint32_t cp, uint32_t quote)
{
	if (cp == quote || cp == '\\') {
		buf_put_byte(b, '\\');
		buf_put_byte(b, (uint8_t)cp);
	} else if (cp == '\n') {
		buf_put_str(b, "\\n");
	} else if (cp == '\r') {
		buf_put_str(b, "\\r");
	} else if (cp == '\t') {
		buf_put_str(b, "\\t");
	} else if (pytext_printable(cp)) {
		put_point(b, cp);
	} else if (cp < 0x100) {
		put_hex(b, 'x', cp, 2);
	} else if (cp < 0x10000) {
		put_hex(b, 'u', cp, 4);
	} else {
		put_hex(b, 'U', cp, 8);
	}
}

/* In single quotes, unless that needs an escape and double quotes do not. */
static void
put_repr(struct buf *b, struct span inner)
{
	struct json_points it = { inner, 0 };
	bool has_single = false, has_double = false;
	uint32_t cp, quote;

	while (json_point(&it, &cp)) {
		has_single = has_single || cp == '\'';
		has_double = has_double || cp == '"';
	}
	quote = has_single && !has_double ? '"' : '\'';
	buf_put_byte(b, (uint8_t)quote);
	it.at = 0;
	while (json_point(&it, &cp))
		put_repr_point(b, cp, quote);
	buf_put_byte(b, (uint8_t)quote);
}

static struct err put_nested(struct buf *b, const struct json *doc, uint32_t at, struct arena *a);

/* Each name once, where it first stood, with its last value: so a Python dict keeps them. */
static struct err
put_dict(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	uint32_t count = doc->node[at].count, n, place = 0;
	uint32_t *last_of = arena_array(a, count, sizeof(*last_of));
	struct json_member *members;

	if (last_of == NULL)
		return FAIL(NOMEM, "pytext: members");
	TRY(json_members(doc, at, a, &members, &n));
	for (uint32_t i = 0; i < n; i++)
		last_of[members[i].first] = members[i].at;
	buf_put_byte(b, '{');
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		uint32_t last = last_of[place++];

		if (last == 0)
			continue; /* this name stood before: node 0 is never a name */
		if (place > 1)
			buf_put_str(b, ", ");
		put_repr(b, json_inner(doc, c));
		buf_put_str(b, ": ");
		TRY(put_nested(b, doc, last + 1, a));
	}
	buf_put_byte(b, '}');
	return OK;
}

static struct err
put_list(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	bool later = false;

	buf_put_byte(b, '[');
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		if (later)
			buf_put_str(b, ", ");
		later = true;
		TRY(put_nested(b, doc, c, a));
	}
	buf_put_byte(b, ']');
	return OK;
}

/* Recursion ends: json_parse() bounds the depth by JSON_MAX_DEPTH. */
static struct err
put_nested(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	switch (json_type(doc, at)) {
	case JSON_STRING:
		put_repr(b, json_inner(doc, at));
		return OK;
	case JSON_ARRAY:
		return put_list(b, doc, at, a);
	case JSON_OBJECT:
		return put_dict(b, doc, at, a);
	case JSON_TRUE:
		buf_put_str(b, "True");
		return OK;
	case JSON_FALSE:
		buf_put_str(b, "False");
		return OK;
	case JSON_NULL:
		buf_put_str(b, "None");
		return OK;
	default:
		return json_put_python(b, doc, at, a);
	}
}

struct err
pytext_put(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	struct json_points it;
	uint32_t cp;

	if (json_type(doc, at) != JSON_STRING)
		return put_nested(b, doc, at, a);
	it = (struct json_points){ json_inner(doc, at), 0 };
	while (json_point(&it, &cp))
		put_point(b, cp);
	return OK;
}
