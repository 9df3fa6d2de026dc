#include "codec/sse.h"

enum {
	LINE_EXTRA_BYTES = 64, /* "data: ", a byte order mark and room for a field nobody reads */
	KEEP_BYTES = 64 << 10, /* of memory that one long event needed, for the next one */
};

static void
forget(struct buf *b)
{
	if (b->cap > KEEP_BYTES)
		buf_fini(b);
	else
		buf_clear(b);
}

void
sse_init(struct sse *s, size_t max_bytes)
{
	*s = (struct sse){ 0 };
	buf_init(&s->line, max_bytes + LINE_EXTRA_BYTES);
	buf_init(&s->data, max_bytes);
}

void
sse_fini(struct sse *s)
{
	buf_fini(&s->line);
	buf_fini(&s->data);
}

/* One whole line without its end. *dispatch: it was the blank line after an event with data. */
static struct err
take_line(struct sse *s, struct span line, bool *dispatch)
{
	static const struct span bom = SPAN_LIT("\xef\xbb\xbf"), data = SPAN_LIT("data");
	size_t colon;

	*dispatch = false;
	if (!s->begun && span_starts(line, bom))
		line = span_cut(line, bom.n, line.n);
	s->begun = true;
	if (line.n == 0) {
		*dispatch = s->has_data;
		s->has_data = false;
		return OK;
	}
	colon = span_find(line, SPAN_LIT(":"), 0);
	if (!span_eq(colon == SIZE_MAX ? line : span_cut(line, 0, colon), data))
		return OK; /* a comment, or a field that says nothing to us */
	line = colon == SIZE_MAX ? SPAN_NONE : span_cut(line, colon + 1, line.n);
	if (line.n > 0 && line.p[0] == ' ')
		line = span_cut(line, 1, line.n);
	if (s->has_data)
		buf_put_byte(&s->data, '\n');
	s->has_data = true;
	buf_put(&s->data, line);
	return failed(buf_check(&s->data)) ? FAIL(TOO_LARGE, "sse: event past its bound") : OK;
}

/* The dispatched data stays in the buffer, for the caller to read, until the next call. */
static void
drop_dispatched(struct sse *s)
{
	if (!s->has_data)
		forget(&s->data);
}

static struct span
dispatched(const struct sse *s)
{
	return s->data.n > 0 ? buf_span(&s->data) : SPAN_LIT("");
}

struct err
sse_next(struct sse *s, struct span *in, struct span *event)
{
	bool dispatch = false;

	*event = SPAN_NONE;
	drop_dispatched(s);
	while (in->n > 0 && !dispatch) {
		size_t end = 0;
		struct err e;

		/* The LF of a CRLF, perhaps of a chunk before this one: no line of its own. */
		if (s->after_cr && in->p[0] == '\n') {
			s->after_cr = false;
			*in = span_cut(*in, 1, in->n);
			continue;
		}
		s->after_cr = false;
		while (end < in->n && in->p[end] != '\n' && in->p[end] != '\r')
			end++;
		buf_put(&s->line, span_cut(*in, 0, end));
		if (failed(buf_check(&s->line)))
			return FAIL(TOO_LARGE, "sse: line past its bound");
		if (end == in->n) {
			*in = span_cut(*in, end, end);
			break;
		}
		s->after_cr = in->p[end] == '\r';
		*in = span_cut(*in, end + 1, in->n);
		e = take_line(s, buf_span(&s->line), &dispatch);
		if (failed(e))
			return e;
		forget(&s->line);
	}
	if (dispatch)
		*event = dispatched(s);
	return OK;
}

struct err
sse_end(struct sse *s, struct span *event)
{
	bool dispatch = false;

	*event = SPAN_NONE;
	drop_dispatched(s);
	if (s->line.n > 0) {
		TRY(take_line(s, buf_span(&s->line), &dispatch));
		forget(&s->line);
	}
	TRY(take_line(s, SPAN_NONE, &dispatch));
	if (dispatch)
		*event = dispatched(s);
	return OK;
}
