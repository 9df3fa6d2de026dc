#include "gateway/query.h"

#include "codec/hex.h"
#include "core/limits.h"

/* What stands before the byte c, which is dropped too; *rest is what follows. */
static struct span
cut_at(struct span s, const char *c, struct span *rest)
{
	size_t at = s.n == 0 ? SIZE_MAX : span_find(s, span_str(c), 0);

	if (at == SIZE_MAX) {
		*rest = SPAN_NONE;
		return s;
	}
	*rest = span_cut(s, at + 1, s.n);
	return span_cut(s, 0, at);
}

static struct err
decode(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '%') {
			if (s.n - i < 3 || failed(hex_parse(&c, 1, span_cut(s, i + 1, i + 3))))
				return FAIL(MALFORMED, "RFC 3986 2.1: an escape that is none");
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		buf_put_byte(out, c);
	}
	return buf_check(out);
}

/* One "name=value"; the value goes to *value when the name fits and it is the first. */
static struct err
take(struct span pair, const char *name, struct buf *value, bool *found)
{
	struct span raw_value, raw_name = cut_at(pair, "=", &raw_value);
	struct buf text;
	struct err e;
	bool fits;

	if (pair.n > 0 && span_find(pair, SPAN_LIT(";"), 0) != SIZE_MAX)
		return FAIL(MALFORMED, "a ';' in a query");
	buf_init(&text, TARGET_MAX_BYTES);
	e = decode(raw_name, &text);
	fits = !failed(e) && !*found && span_eq(buf_span(&text), span_str(name));
	buf_clear(&text);
	if (!failed(e))
		e = decode(raw_value, fits ? value : &text);
	*found |= fits;
	buf_fini(&text);
	return e;
}

struct err
query_first(struct span query, const char *name, struct buf *value, bool *found)
{
	struct span rest = query;

	*found = false;
	while (rest.n > 0) {
		struct span pair = cut_at(rest, "&", &rest);

		if (pair.n > 0)
			TRY(take(pair, name, value, found));
	}
	return OK;
}
