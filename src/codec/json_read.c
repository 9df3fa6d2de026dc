#include "codec/json.h"

#include <assert.h>
#include <string.h>

#include "codec/decimal.h"
#include "core/limits.h"

/* Work space of json_no_duplicates(): two lists of all members, and the names that had escapes. */
#define DUPLICATES_ARENA_BYTES ((size_t)JSON_MAX_NODES * 2 * sizeof(struct json_member))

enum json_type
json_type(const struct json *doc, uint32_t at)
{
	assert(at < doc->n);
	return (enum json_type)doc->node[at].type;
}

struct span
json_raw(const struct json *doc, uint32_t at)
{
	assert(at < doc->n);
	return span_of(doc->text.p + doc->node[at].off, doc->node[at].len);
}

struct span
json_inner(const struct json *doc, uint32_t at)
{
	struct span raw = json_raw(doc, at);

	assert(doc->node[at].type == JSON_STRING);
	return span_cut(raw, 1, raw.n - 1);
}

uint32_t
json_first(const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE || json_type(doc, at) < JSON_ARRAY || doc->node[at].count == 0)
		return JSON_NONE;
	return at + 1;
}

uint32_t
json_after(const struct json *doc, uint32_t parent, uint32_t child)
{
	uint32_t value = json_type(doc, parent) == JSON_OBJECT ? child + 1 : child;
	uint32_t next = doc->node[value].next;

	return next < doc->node[parent].next ? next : JSON_NONE;
}

static uint32_t
hex4(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t c = p[i];

		v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

/* The escape at s.p[*at], which stands on a backslash. */
static uint32_t
point_escaped(struct span s, size_t *at)
{
	const uint8_t *p = s.p + *at;
	uint32_t high, low;

	*at += 2;
	switch (p[1]) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'u':
		break;
	default:
		return p[1];
	}
	high = hex4(p + 2);
	*at += 4;
	if (high < 0xd800 || high > 0xdbff || s.n - *at < 6 || p[6] != '\\' || p[7] != 'u')
		return high;
	low = hex4(p + 8);
	if (low < 0xdc00 || low > 0xdfff)
		return high;
	*at += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

bool
json_point(struct json_points *it, uint32_t *cp)
{
	const uint8_t *p;

	if (it->at >= it->s.n)
		return false;
	p = it->s.p + it->at;
	if (p[0] == '\\') {
		*cp = point_escaped(it->s, &it->at);
	} else if (p[0] < 0x80) {
		*cp = p[0];
		it->at += 1;
	} else if (p[0] < 0xe0) {
		*cp = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
		it->at += 2;
	} else if (p[0] < 0xf0) {
		*cp = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		it->at += 3;
	} else {
		*cp = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 |
		    (p[3] & 0x3fu);
		it->at += 4;
	}
	return true;
}

size_t
json_utf8(uint32_t cp, uint8_t out[static 4])
{
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xc0 | cp >> 6);
		out[1] = (uint8_t)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xe0 | cp >> 12);
		out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | cp >> 18);
	out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (cp & 0x3f));
	return 4;
}

/* The string's value is `want`. */
static bool
is_text(const struct json *doc, uint32_t at, struct span want)
{
	const struct json_node *node = &doc->node[at];
	struct json_points it;
	uint32_t cp;
	size_t done = 0;

	/* Without escapes its bytes are its value, and of most names the length tells enough. */
	if (node->count == 0)
		return node->len == want.n + 2 && span_eq(json_inner(doc, at), want);
	it = (struct json_points){ json_inner(doc, at), 0 };
	while (json_point(&it, &cp)) {
		uint8_t utf8[4];
		size_t n = json_utf8(cp, utf8);

		if (want.n - done < n || !span_eq(span_of(utf8, n), span_cut(want, done, done + n)))
			return false;
		done += n;
	}
	return done == want.n;
}

bool
json_is(const struct json *doc, uint32_t at, const char *text)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING &&
	    is_text(doc, at, span_str(text));
}

uint32_t
json_get(const struct json *doc, uint32_t at, const char *name)
{
	const struct span want = span_str(name);
	uint32_t found = JSON_NONE;

	if (at == JSON_NONE || json_type(doc, at) != JSON_OBJECT)
		return JSON_NONE;
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		if (is_text(doc, c, want))
			found = c + 1;
	return found;
}

bool
json_u64(const struct json *doc, uint32_t at, uint64_t max, uint64_t *v)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_INT &&
	    span_u64(json_raw(doc, at), max, v);
}

bool
json_double(const struct json *doc, uint32_t at, double *v)
{
	enum json_type type = at == JSON_NONE ? JSON_NULL : json_type(doc, at);

	if ((type != JSON_INT && type != JSON_FLOAT) || !decimal_to_double(json_raw(doc, at), v))
		return false;
	if (type == JSON_INT && *v == 0)
		*v = 0; /* the integer -0 is 0; only a float has a negative zero */
	return true;
}

/* Decodes into the arena; lone surrogates become `lone`, or stay when `lone` is 0. */
static struct err
decode(struct span inner, uint32_t lone, struct arena *a, struct span *out)
{
	struct json_points it = { inner, 0 };
	uint32_t cp;
	uint8_t *p;
	size_t n = 0;

	/* No escape is shorter than the UTF-8 of what it stands for. */
	if ((p = arena_alloc(a, inner.n + 4)) == NULL)
		return FAIL(NOMEM, "json: string");
	while (it.at < inner.n) {
		const uint8_t *rest = inner.p + it.at;
		const uint8_t *escape = memchr(rest, '\\', inner.n - it.at);
		size_t plain = escape == NULL ? inner.n - it.at : (size_t)(escape - rest);

		memcpy(p + n, rest, plain);
		n += plain;
		it.at += plain;
		if (!json_point(&it, &cp))
			break;
		if (cp >= 0xd800 && cp <= 0xdfff && lone != 0)
			cp = lone;
		n += json_utf8(cp, p + n);
	}
	*out = span_of(p, n);
	return OK;
}

struct err
json_string(const struct json *doc, uint32_t at, struct arena *a, struct span *out)
{
	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING)
		return FAIL(MALFORMED, "json: not a string");
	if (doc->node[at].count == 0) {
		*out = json_inner(doc, at);
		return OK;
	}
	return decode(json_inner(doc, at), 0xfffd, a, out);
}

static bool
member_after(const struct json_member *a, const struct json_member *b)
{
	return span_cmp(a->name, b->name) > 0;
}

/* Bottom-up merge sort: stable, so that equal names stay in document order. */
static struct json_member *
sort_members(struct json_member *from, struct json_member *to, size_t n)
{
	for (size_t width = 1; width < n; width *= 2) {
		struct json_member *swap = from;

		for (size_t start = 0; start < n; start += 2 * width) {
			size_t i = start, mid = start + width < n ? start + width : n;
			size_t j = mid, end = mid + width < n ? mid + width : n;

			for (size_t k = start; k < end; k++)
				to[k] = j == end || (i < mid && !member_after(&from[i], &from[j]))
				    ? from[i++]
				    : from[j++];
		}
		from = to;
		to = swap;
	}
	return from;
}

struct err
json_members(
    const struct json *doc, uint32_t at, struct arena *a, struct json_member **out, uint32_t *n)
{
	uint32_t count = doc->node[at].count, i = 0;
	struct json_member *list = arena_array(a, count, sizeof(*list));
	struct json_member *scratch = arena_array(a, count, sizeof(*list));

	if (list == NULL || scratch == NULL)
		return FAIL(NOMEM, "json: members");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c), i++) {
		list[i] = (struct json_member){ json_inner(doc, c), c, i };
		if (doc->node[c].count != 0)
			TRY(decode(json_inner(doc, c), 0, a, &list[i].name));
	}
	*out = list = sort_members(list, scratch, count);
	*n = 0;
	for (i = 0; i < count; i++) {
		if (*n > 0 && span_eq(list[*n - 1].name, list[i].name))
			list[*n - 1].at = list[i].at;
		else
			list[(*n)++] = list[i];
	}
	return OK;
}

struct err
json_no_duplicates(const struct json *doc)
{
	struct arena a;
	struct err e = OK;

	arena_init(&a, DUPLICATES_ARENA_BYTES + 2 * doc->text.n);
	for (uint32_t at = 0; at < doc->n && !failed(e); at++) {
		struct json_member *members;
		uint32_t n = 0;

		if (doc->node[at].type != JSON_OBJECT || doc->node[at].count < 2)
			continue;
		e = json_members(doc, at, &a, &members, &n);
		if (!failed(e) && n != doc->node[at].count)
			e = FAIL(MALFORMED, "RFC 8259 4: two members of one name");
	}
	arena_fini(&a);
	return e;
}
