#include "cmd/answer.h"

#include <stdbool.h>

enum { CHUNK_DIGITS_MAX = 8 };

struct framing {
	bool has_length, chunked;
	uint64_t length;
};

/* The line up to the next CRLF, which is passed; no bare CR or LF within. */
static bool
next_line(struct span *at, struct span *line)
{
	size_t end = span_find(*at, SPAN_LIT("\r\n"), 0);

	if (end == SIZE_MAX)
		return false;
	*line = span_cut(*at, 0, end);
	*at = span_cut(*at, end + 2, at->n);
	return span_find(*line, SPAN_LIT("\r"), 0) == SIZE_MAX &&
	    span_find(*line, SPAN_LIT("\n"), 0) == SIZE_MAX;
}

static bool
read_status(struct span line, unsigned *status)
{
	static const struct span version = SPAN_LIT("HTTP/1.1 ");
	uint64_t v;

	if (!span_starts(line, version) || line.n < version.n + 3 ||
	    (line.n > version.n + 3 && line.p[version.n + 3] != ' ') ||
	    !span_u64(span_cut(line, version.n, version.n + 3), 599, &v) || v < 100)
		return false;
	*status = (unsigned)v;
	return true;
}

static bool
read_field(struct span line, struct framing *f)
{
	size_t colon = span_find(line, SPAN_LIT(":"), 0);
	struct span name, value;

	/* No white space before the colon, none at the beginning: an old line that goes on. */
	if (colon == SIZE_MAX || colon == 0)
		return false;
	name = span_cut(line, 0, colon);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
			return false;
	value = span_trim(span_cut(line, colon + 1, line.n));
	if (span_eq_nocase(name, SPAN_LIT("content-length"))) {
		if (f->has_length || !span_u64(value, UINT32_MAX, &f->length))
			return false;
		f->has_length = true;
	} else if (span_eq_nocase(name, SPAN_LIT("transfer-encoding"))) {
		if (f->chunked || !span_eq_nocase(value, SPAN_LIT("chunked")))
			return false;
		f->chunked = true;
	}
	return true;
}

/* Hexadecimal digits and nothing else: we ask for no extensions. */
static bool
read_chunk_size(struct span line, size_t *n)
{
	*n = 0;
	if (line.n == 0 || line.n > CHUNK_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < line.n; i++) {
		uint8_t c = line.p[i], folded = (uint8_t)(c | 0x20);

		if (c >= '0' && c <= '9')
			*n = *n << 4 | (size_t)(c - '0');
		else if (folded >= 'a' && folded <= 'f')
			*n = *n << 4 | (size_t)(folded - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool
read_chunks(struct span at, struct buf *body)
{
	struct span line;
	size_t n;

	while (next_line(&at, &line) && read_chunk_size(line, &n)) {
		if (n == 0)
			return span_eq(at, SPAN_LIT("\r\n"));
		if (n > at.n)
			return false;
		buf_put(body, span_cut(at, 0, n));
		at = span_cut(at, n, at.n);
		if (!next_line(&at, &line) || line.n != 0)
			return false;
	}
	return false;
}

struct err
answer_parse(struct span whole, unsigned *status, struct buf *body)
{
	struct framing f = { 0 };
	struct span line;

	if (!next_line(&whole, &line) || !read_status(line, status))
		return FAIL(MALFORMED, "RFC 9112 4: the answer has no status line");
	for (;;) {
		if (!next_line(&whole, &line))
			return FAIL(MALFORMED, "RFC 9112 2.1: the answer's head is cut");
		if (line.n == 0)
			break;
		if (!read_field(line, &f))
			return FAIL(MALFORMED, "RFC 9112 5, 6: a field of the answer");
	}
	if (f.has_length == f.chunked)
		return FAIL(MALFORMED, "RFC 9112 6: the answer's body has no end, or two");
	if (f.has_length) {
		if (whole.n != f.length)
			return FAIL(MALFORMED, "RFC 9112 6.3: the answer is cut, or goes on");
		buf_put(body, whole);
	} else if (!read_chunks(whole, body)) {
		return FAIL(MALFORMED, "RFC 9112 7.1: the answer's chunks");
	}
	return buf_check(body);
}
