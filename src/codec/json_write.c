#include "codec/json.h"

#include "codec/decimal.h"

static const char hex_digits[] = "0123456789abcdef";

/* \uxxxx for a code unit of UTF-16. */
static void
put_unit(struct buf *b, uint32_t unit)
{
	uint8_t text[6] = { '\\', 'u' };

	for (int i = 0; i < 4; i++)
		text[2 + i] = (uint8_t)hex_digits[unit >> (12 - 4 * i) & 0xf];
	buf_put(b, span_of(text, sizeof(text)));
}

/* The letter of a short escape, or 0. Python and the JSON of RFC 8259 know the same ones. */
static uint8_t
short_escape(uint32_t cp)
{
	switch (cp) {
	case '"':
	case '\\':
		return (uint8_t)cp;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static void
put_escaped(struct buf *b, uint32_t cp)
{
	uint8_t letter = short_escape(cp);

	if (letter != 0) {
		uint8_t pair[2] = { '\\', letter };

		buf_put(b, span_of(pair, sizeof(pair)));
	} else if (cp > 0xffff) {
		put_unit(b, 0xd800 + ((cp - 0x10000) >> 10));
		put_unit(b, 0xdc00 + ((cp - 0x10000) & 0x3ff));
	} else {
		put_unit(b, cp);
	}
}

/* Where the run of bytes that need no escape ends, from `at` on. */
static size_t
plain_until(struct span s, size_t at, uint8_t last)
{
	while (at < s.n && s.p[at] >= 0x20 && s.p[at] <= last && s.p[at] != '"' && s.p[at] != '\\')
		at++;
	return at;
}

void
json_put_string(struct buf *b, struct span s)
{
	buf_put_byte(b, '"');
	for (size_t at = 0; at < s.n; at++) {
		size_t end = plain_until(s, at, 0xff);

		buf_put(b, span_cut(s, at, end));
		if (end < s.n)
			put_escaped(b, s.p[end]);
		at = end;
	}
	buf_put_byte(b, '"');
}

void
json_put_ascii(struct buf *b, struct span inner)
{
	struct json_points it = { inner, 0 };
	uint32_t cp;

	buf_put_byte(b, '"');
	for (;;) {
		size_t end = plain_until(inner, it.at, 0x7e);

		buf_put(b, span_cut(inner, it.at, end));
		it.at = end;
		if (!json_point(&it, &cp))
			break;
		/* A character may have been spelled as an escape without need: \/ or \u0041. */
		if (cp >= 0x20 && cp <= 0x7e && short_escape(cp) == 0)
			buf_put_byte(b, (uint8_t)cp);
		else
			put_escaped(b, cp);
	}
	buf_put_byte(b, '"');
}

static struct err
put_number(struct buf *b, const struct json *doc, uint32_t at)
{
	struct span raw = json_raw(doc, at);
	double v;

	if (json_type(doc, at) == JSON_INT) {
		buf_put(b, span_eq(raw, SPAN_LIT("-0")) ? SPAN_LIT("0") : raw);
		return OK;
	}
	if (!json_double(doc, at, &v))
		return FAIL(REFUSED, "opengradient.md 4.2: a number beyond a double");
	decimal_put_repr(b, v);
	return OK;
}

/* Recursion ends: json_parse() bounds the depth by JSON_MAX_DEPTH. */
static struct err
put_array(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	bool later = false;

	buf_put_byte(b, '[');
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		if (later)
			buf_put_str(b, ", ");
		later = true;
		TRY(json_put_python(b, doc, c, a));
	}
	buf_put_byte(b, ']');
	return OK;
}

static struct err
put_object(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	struct json_member *members;
	uint32_t n;

	TRY(json_members(doc, at, a, &members, &n));
	buf_put_byte(b, '{');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_put_str(b, ", ");
		json_put_ascii(b, json_inner(doc, members[i].at));
		buf_put_str(b, ": ");
		TRY(json_put_python(b, doc, members[i].at + 1, a));
	}
	buf_put_byte(b, '}');
	return OK;
}

struct err
json_put_python(struct buf *b, const struct json *doc, uint32_t at, struct arena *a)
{
	switch (json_type(doc, at)) {
	case JSON_INT:
	case JSON_FLOAT:
		return put_number(b, doc, at);
	case JSON_STRING:
		json_put_ascii(b, json_inner(doc, at));
		return OK;
	case JSON_ARRAY:
		return put_array(b, doc, at, a);
	case JSON_OBJECT:
		return put_object(b, doc, at, a);
	default:
		buf_put(b, json_raw(doc, at)); /* null, true, false */
		return OK;
	}
}
