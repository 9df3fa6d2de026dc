#include "x402/header.h"

#include "codec/b64.h"
#include "core/limits.h"

struct err
x402_header_decode(struct buf *b, struct span value)
{
	size_t whole = value.n / 4 * 4, rest = value.n % 4, before = b->n;
	uint8_t last[4] = "====";
	struct err e;

	if (rest == 0)
		return b64_parse(b, value);
	/* No padding at all: the last digits get theirs here. Half a padding is none we know. */
	if (memchr(value.p, '=', value.n) != NULL)
		return FAIL(MALFORMED, "x402.md 1: base64 with half its padding");
	TRY(b64_parse(b, span_cut(value, 0, whole)));
	memcpy(last, value.p + whole, rest);
	if (failed(e = b64_parse(b, span_of(last, sizeof(last)))))
		buf_truncate(b, before);
	return e;
}

/* No node stands in more than X402_MAX_DEPTH arrays and objects, itself included. */
static struct err
check_depth(const struct json *doc)
{
	uint32_t end[X402_MAX_DEPTH]; /* of the containers around the node at hand */
	size_t depth = 0;

	for (uint32_t i = 0; i < doc->n; i++) {
		while (depth > 0 && end[depth - 1] <= i)
			depth--;
		if (json_type(doc, i) != JSON_ARRAY && json_type(doc, i) != JSON_OBJECT)
			continue;
		if (depth == X402_MAX_DEPTH)
			return FAIL(TOO_LARGE, "x402.md 1: JSON nested deeper than 16");
		end[depth++] = doc->node[i].next;
	}
	return OK;
}

struct err
x402_json(struct json *doc, struct span text)
{
	struct err e;

	TRY(json_parse(doc, text, X402_MAX_NODES));
	e = check_depth(doc);
	if (!failed(e))
		e = json_no_duplicates(doc);
	if (failed(e))
		json_fini(doc);
	return e;
}

bool
x402_present(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) != JSON_NULL;
}

bool
x402_plain(const struct json *doc, uint32_t at, struct span *out)
{
	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING || doc->node[at].count != 0)
		return false;
	*out = json_inner(doc, at);
	return true;
}

void
x402_put_compact(struct buf *b, const struct json *doc, uint32_t at)
{
	struct span raw = json_raw(doc, at);
	size_t from = 0;     /* what stands before it is written, or white space */
	bool inside = false; /* a string */

	for (size_t i = 0; i < raw.n; i++) {
		uint8_t c = raw.p[i];

		if (inside && c == '\\')
			i++; /* and what it escapes, a quote perhaps */
		else if (c == '"')
			inside = !inside;
		else if (!inside && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
			buf_put(b, span_cut(raw, from, i));
			from = i + 1;
		}
	}
	buf_put(b, span_cut(raw, from, raw.n));
}
