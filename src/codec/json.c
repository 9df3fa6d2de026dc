#include "codec/json.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/wipe.h"

enum { FIRST_NODES = 64, TEXT_MAX_BYTES = 1 << 30 };

/* The document while it grows: where we are, and which containers are open around us. */
struct index {
	const uint8_t *p;
	size_t at, n;
	struct json *doc;
	uint32_t cap, max;
	uint32_t open[JSON_MAX_DEPTH];
	uint32_t depth;
};

static struct err
node_add(struct index *x, enum json_type type, size_t off, size_t len, uint32_t count)
{
	struct json *doc = x->doc;

	if (doc->n == x->cap) {
		uint32_t cap = x->cap > x->max / 2 ? x->max : x->cap * 2;
		struct json_node *node;

		if (x->cap >= x->max)
			return FAIL(TOO_LARGE, "json: more values than the limit");
		if (cap == 0)
			cap = x->max < FIRST_NODES ? x->max : FIRST_NODES;
		if ((node = realloc(doc->node, cap * sizeof(*node))) == NULL)
			return FAIL(NOMEM, "json: index");
		doc->node = node;
		x->cap = cap;
	}
	doc->node[doc->n] = (struct json_node){
		.off = (uint32_t)off,
		.len = (uint32_t)len,
		.next = doc->n + 1,
		.count = count,
		.type = (uint8_t)type,
	};
	doc->n++;
	return OK;
}

/* The next byte, or 0, which no grammar rule of JSON accepts. */
static uint8_t
peek(const struct index *x)
{
	return x->at < x->n ? x->p[x->at] : 0;
}

static void
skip_white(struct index *x)
{
	while (x->at < x->n &&
	    (x->p[x->at] == ' ' || x->p[x->at] == '\n' || x->p[x->at] == '\r' ||
		x->p[x->at] == '\t'))
		x->at++;
}

/* Where we stand is wrong: it differs for the reader of a log whether bytes were missing. */
static struct err
unexpected(const struct index *x, const char *what)
{
	return (struct err){ ERR_MALFORMED,
		x->at >= x->n ? "RFC 8259 2: the text ends inside a value" : what };
}

/* Length of the well-formed sequence at p, whose first byte is above 0x7f; 0: ill-formed. */
static size_t
utf8_sequence(const uint8_t *p, size_t n)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0; /* a stray continuation, an overlong form, or above U+10FFFF */
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates are not characters: RFC 3629 3 */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static bool
is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* One escape sequence; the cursor stands on its backslash. */
static struct err
scan_escape(struct index *x)
{
	x->at++;
	switch (peek(x)) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		x->at++;
		return OK;
	case 'u':
		x->at++;
		for (int i = 0; i < 4; i++, x->at++)
			if (!is_hex(peek(x)))
				return unexpected(x, "RFC 8259 7: \\u without four hex digits");
		return OK;
	default:
		return unexpected(x, "RFC 8259 7: unknown escape");
	}
}

/*
 * How many of the eight bytes at p come before the first that is a quote, a backslash, a control
 * byte or above 0x7f. In the mask a borrow may flag bytes wrongly, but only later ones.
 */
static size_t
plain_bytes(const uint8_t *p)
{
	const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
	uint64_t w, quote, slash, mask;

	memcpy(&w, p, sizeof(w));
	w = le64toh(w); /* the first byte is the lowest */
	quote = w ^ (ones * '"');
	slash = w ^ (ones * '\\');
	mask = ((w - ones * 0x20) | (quote - ones) | (slash - ones) | w) & high;
	return mask == 0 ? sizeof(w) : (size_t)__builtin_ctzll(mask) / 8;
}

/* A string, quotes included; the cursor stands on the first quote. */
static struct err
scan_string(struct index *x)
{
	size_t start = x->at++;
	uint32_t escapes = 0;

	for (;;) {
		size_t len;
		uint8_t c;

		while (x->n - x->at >= 8) {
			len = plain_bytes(x->p + x->at);
			x->at += len;
			if (len < 8)
				break;
		}
		if (x->at == x->n)
			return FAIL(MALFORMED, "RFC 8259 7: a string without its end");
		c = x->p[x->at];
		if (c == '"')
			break;
		if (c < 0x20)
			return FAIL(MALFORMED, "RFC 8259 7: control byte in a string");
		if (c == '\\') {
			escapes = 1;
			TRY(scan_escape(x));
		} else if (c < 0x80) {
			x->at++;
		} else {
			if ((len = utf8_sequence(x->p + x->at, x->n - x->at)) == 0)
				return FAIL(MALFORMED, "RFC 3629 4: ill-formed UTF-8");
			x->at += len;
		}
	}
	x->at++;
	return node_add(x, JSON_STRING, start, x->at - start, escapes);
}

static bool
scan_digits(struct index *x)
{
	size_t start = x->at;

	while (peek(x) >= '0' && peek(x) <= '9')
		x->at++;
	return x->at > start;
}

static struct err
scan_number(struct index *x)
{
	enum json_type type = JSON_INT;
	size_t start = x->at;

	if (peek(x) == '-')
		x->at++;
	if (peek(x) == '0')
		x->at++; /* a digit after it is what follows a value: refused there */
	else if (!scan_digits(x))
		return unexpected(x, "RFC 8259 6: a number without digits");
	if (peek(x) == '.') {
		type = JSON_FLOAT;
		x->at++;
		if (!scan_digits(x))
			return unexpected(x, "RFC 8259 6: a fraction without digits");
	}
	if (peek(x) == 'e' || peek(x) == 'E') {
		type = JSON_FLOAT;
		x->at++;
		if (peek(x) == '+' || peek(x) == '-')
			x->at++;
		if (!scan_digits(x))
			return unexpected(x, "RFC 8259 6: an exponent without digits");
	}
	return node_add(x, type, start, x->at - start, 0);
}

static struct err
scan_word(struct index *x, struct span word, enum json_type type)
{
	struct span rest = span_of(x->p + x->at, x->n - x->at);

	if (!span_starts(rest, word))
		return FAIL(MALFORMED, "RFC 8259 3: not a value");
	x->at += word.n;
	return node_add(x, type, x->at - word.n, word.n, 0);
}

/* A member's name and its colon. */
static struct err
scan_name(struct index *x)
{
	skip_white(x);
	if (peek(x) != '"')
		return unexpected(x, "RFC 8259 4: a member without a name");
	TRY(scan_string(x));
	skip_white(x);
	if (peek(x) != ':')
		return unexpected(x, "RFC 8259 4: a name without a colon");
	x->at++;
	return OK;
}

/* The innermost container ends with the byte before the cursor. */
static void
close_container(struct index *x)
{
	struct json_node *node = &x->doc->node[x->open[--x->depth]];

	node->len = (uint32_t)(x->at - node->off);
	node->next = x->doc->n;
}

/* The cursor stands on '{' or '['. *whole: it was empty, and is over. */
static struct err
open_container(struct index *x, bool *whole)
{
	bool object = peek(x) == '{';

	if (x->depth == JSON_MAX_DEPTH)
		return FAIL(TOO_LARGE, "json: nested deeper than the limit");
	x->open[x->depth] = x->doc->n;
	TRY(node_add(x, object ? JSON_OBJECT : JSON_ARRAY, x->at, 0, 0));
	x->depth++;
	x->at++;
	skip_white(x);
	*whole = peek(x) == (object ? '}' : ']');
	if (*whole) {
		x->at++;
		close_container(x);
		return OK;
	}
	return object ? scan_name(x) : OK;
}

/* A scalar, or the beginning of a container. *whole: a value is complete. */
static struct err
scan_value(struct index *x, bool *whole)
{
	skip_white(x);
	*whole = true;
	switch (peek(x)) {
	case '{':
	case '[':
		return open_container(x, whole);
	case '"':
		return scan_string(x);
	case 't':
		return scan_word(x, SPAN_LIT("true"), JSON_TRUE);
	case 'f':
		return scan_word(x, SPAN_LIT("false"), JSON_FALSE);
	case 'n':
		return scan_word(x, SPAN_LIT("null"), JSON_NULL);
	case '-':
	case '0' ... '9':
		return scan_number(x);
	default:
		return unexpected(x, "RFC 8259 3: not a value");
	}
}

/* A value is complete: close what ends here, up to the comma before the next value. */
static struct err
after_value(struct index *x)
{
	while (x->depth > 0) {
		struct json_node *parent = &x->doc->node[x->open[x->depth - 1]];
		bool object = parent->type == JSON_OBJECT;

		parent->count++;
		skip_white(x);
		if (peek(x) == ',') {
			x->at++;
			return object ? scan_name(x) : OK;
		}
		if (peek(x) != (object ? '}' : ']'))
			return unexpected(x, "RFC 8259 4, 5: no comma between values");
		x->at++;
		close_container(x);
	}
	return OK;
}

static struct err
index_text(struct index *x)
{
	do {
		bool whole;

		TRY(scan_value(x, &whole));
		if (whole)
			TRY(after_value(x));
	} while (x->depth > 0);
	skip_white(x);
	if (x->at < x->n)
		return FAIL(MALFORMED, "RFC 8259 2: bytes after the value");
	return OK;
}

struct err
json_parse(struct json *doc, struct span text, uint32_t max_nodes)
{
	struct index x = { .p = text.p, .n = text.n, .doc = doc, .max = max_nodes };
	struct err e;

	*doc = (struct json){ .text = text };
	if (text.n > TEXT_MAX_BYTES)
		e = FAIL(TOO_LARGE, "json: text above 1 GiB");
	else
		e = index_text(&x);
	if (failed(e))
		json_fini(doc);
	return e;
}

void
json_fini(struct json *doc)
{
	wipe(doc->node, doc->n * sizeof(*doc->node));
	free(doc->node);
	*doc = (struct json){ 0 };
}
