#include "net/upstream_head.h"

#include "core/limits.h"

void
upstream_head_init(struct upstream_head *h)
{
	buf_init(&h->lines, HEAD_MAX_BYTES);
	h->open = false;
}

void
upstream_head_fini(struct upstream_head *h)
{
	buf_fini(&h->lines);
}

enum upstream_head_next
upstream_head_line(struct upstream_head *h, struct span line)
{
	line = span_trim(line);
	if (!h->open) {
		h->open = true;
		buf_clear(&h->lines);
		return HEAD_MORE;
	}
	if (line.n == 0) {
		h->open = false;
		return HEAD_WHOLE;
	}
	buf_put(&h->lines, line);
	buf_put_byte(&h->lines, '\n');
	return failed(buf_check(&h->lines)) ? HEAD_TOO_LARGE : HEAD_MORE;
}

struct span
upstream_head_field(const struct upstream_head *h, const char *name)
{
	struct span rest = buf_span(&h->lines), want = span_str(name), found = SPAN_NONE;
	size_t count = 0;

	while (rest.n > 0) {
		size_t end = span_find(rest, SPAN_LIT("\n"), 0);
		struct span line = span_cut(rest, 0, end == SIZE_MAX ? rest.n : end);

		rest = end == SIZE_MAX ? SPAN_NONE : span_cut(rest, end + 1, rest.n);
		if (line.n <= want.n || line.p[want.n] != ':' ||
		    !span_eq_nocase(span_cut(line, 0, want.n), want))
			continue;
		found = span_trim(span_cut(line, want.n + 1, line.n));
		count++;
	}
	return count == 1 ? found : SPAN_NONE;
}
