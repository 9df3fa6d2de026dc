/*
 * json.h - a strict index over received JSON text: nothing is converted, every value stays the
 * bytes that were sent. Pure. Source: RFC 8259; stack.md "JSON: why not a library".
 *
 * One node per value and per member name, in document order. An object's children alternate
 * name, value; an array's are values. `next` is the index of the first node after the subtree,
 * so that skipping a value costs nothing.
 *
 * Strict: UTF-8 is checked (no overlong forms, no encoded surrogates, nothing above U+10FFFF),
 * control bytes in strings are errors, depth and node count are bounded, nothing may follow the
 * value but white space, NaN and Infinity do not exist. Lone surrogate escapes are kept
 * (Python accepts them, and the request hash must agree with Python).
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum json_type {
	JSON_NULL = 1,
	JSON_FALSE,
	JSON_TRUE,
	JSON_INT,   /* number text without '.', 'e', 'E' */
	JSON_FLOAT, /* number text with one of them */
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_node {
	uint32_t off, len; /* the value's bytes in the text; strings with their quotes */
	uint32_t next;	   /* index of the first node after this value */
	uint32_t count;	   /* array: values; object: members; string: 1 if it has escapes */
	uint8_t type;	   /* enum json_type */
};

struct json {
	struct span text;
	struct json_node *node; /* owned by the document; node[0] is the root */
	uint32_t n;
};

/* "No such node": what lookups return when a member is absent. */
#define JSON_NONE UINT32_MAX

/*
 * Indexes `text`, which must outlive the document. At most max_nodes nodes (JSON_MAX_NODES in
 * core/limits.h), depth at most JSON_MAX_DEPTH.
 * On success the caller owns the index: json_fini(). On error *doc is empty.
 * Errors: MALFORMED (what names the rule), TOO_LARGE (nodes, depth, or text above 1 GiB), NOMEM.
 */
MUST_USE struct err json_parse(struct json *doc, struct span text, uint32_t max_nodes);
/* Wipes and frees the index; safe twice. */
void json_fini(struct json *doc);

enum json_type json_type(const struct json *doc, uint32_t at);
/* The bytes of a value as received; strings with their quotes. */
struct span json_raw(const struct json *doc, uint32_t at);
/* A string's bytes between its quotes, escapes as received. */
struct span json_inner(const struct json *doc, uint32_t at);

/*
 * The value of member `name` (decoded names are compared), JSON_NONE when absent or when `at` is
 * JSON_NONE or no object. Of equal names the last one counts, as in Python.
 */
uint32_t json_get(const struct json *doc, uint32_t at, const char *name);
/*
 * Refuses a document in which some object, at any depth, has two equal member names.
 * Errors: MALFORMED, NOMEM
 */
MUST_USE struct err json_no_duplicates(const struct json *doc);

/*
 * Children, in order: for (c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)).
 * In objects c is the member's name and c + 1 its value.
 */
uint32_t json_first(const struct json *doc, uint32_t at);
uint32_t json_after(const struct json *doc, uint32_t parent, uint32_t child);

/* A string equals this text once decoded; false for other types. */
bool json_is(const struct json *doc, uint32_t at, const char *text);
/* An INT that is decimal digits (no sign) up to max. */
bool json_u64(const struct json *doc, uint32_t at, uint64_t max, uint64_t *v);
/* A number as a double (correctly rounded, no locale); false for other types and for overflow. */
bool json_double(const struct json *doc, uint32_t at, double *v);
/*
 * A string decoded to UTF-8. A lone surrogate becomes U+FFFD, as TextEncoder and Node do.
 * Without escapes the span borrows the document's text, else it lives in `a`.
 * Errors: MALFORMED (not a string), NOMEM (the arena's budget).
 */
MUST_USE struct err
json_string(const struct json *doc, uint32_t at, struct arena *a, struct span *out);

/*
 * Walks the code points of string bytes between quotes (json_inner()). Surrogate pairs written as
 * escapes are joined; lone ones are returned as they are (0xd800-0xdfff).
 */
struct json_points {
	struct span s;
	size_t at;
};
/* FALSE at the end. The bytes must come from a document that json_parse() accepted. */
bool json_point(struct json_points *it, uint32_t *cp);
/* UTF-8 of a code point (three bytes for a lone surrogate, which is then no valid UTF-8). */
size_t json_utf8(uint32_t cp, uint8_t out[static 4]);

/* A member of an object, its duplicates folded into it. */
struct json_member {
	struct span name; /* decoded; a lone surrogate as in json_utf8() */
	uint32_t at;	  /* the last member of this name; its value is at + 1 */
	uint32_t first;	  /* position of the first one of this name: its place in a Python dict */
};
/*
 * The members of the object at `at`, each name once, sorted by code point: n log n.
 * *out and the names live in the document or in `a`.
 * Errors: NOMEM (the arena's budget)
 */
MUST_USE struct err json_members(
    const struct json *doc, uint32_t at, struct arena *a, struct json_member **out, uint32_t *n);

/*
 * Writers. All put text into `b`; whether it fitted, buf_check() says.
 */
/* `s` (UTF-8) as a string literal with quotes: `"`, `\` and control bytes escaped, the rest as is. */
void json_put_string(struct buf *b, struct span s);
/*
 * A string's inner bytes (json_inner()) as an ASCII literal with quotes, in the spelling of
 * Python's json.dumps: opengradient.md 4.2.
 */
void json_put_ascii(struct buf *b, struct span inner);
/*
 * The value at `at` as Python's json.dumps(x, sort_keys=True) prints it: ", " and ": ", ASCII,
 * names sorted by code point and the last of equal names, floats by repr(), integers exact.
 * Errors: NOMEM (sorting needs the arena), REFUSED (a float that overflows: Python would print
 * Infinity). Source: opengradient.md 4.2.
 */
MUST_USE struct err
json_put_python(struct buf *b, const struct json *doc, uint32_t at, struct arena *a);

#endif
