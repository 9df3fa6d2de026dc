#include "attest/der.h"

enum { TAG_MASK = 0x1f, TAG_LONG = 0x1f, CONSTRUCTED = 0x20, BOOLEAN = 0x01, INTEGER = 0x02 };
enum { LENGTH_LONG = 0x80, LENGTH_TWO = 0x82 };

/* Reads tag and length; *value is the content, *at what follows it. */
static bool
read_head(struct span *at, uint8_t *tag, struct span *value)
{
	size_t n, head = 2;

	if (at->n < head || (at->p[0] & TAG_MASK) == TAG_LONG)
		return false;
	*tag = at->p[0];
	n = at->p[1];
	if (n >= LENGTH_LONG) {
		/* A certificate has at most 1024 bytes: two bytes of length do. */
		size_t width = n - LENGTH_LONG;

		if (n == LENGTH_LONG || n > LENGTH_TWO || width > at->n - head)
			return false;
		n = width == 1 ? at->p[2] : (size_t)at->p[2] << 8 | at->p[3];
		head += width;
		if (n < (width == 1 ? 0x80u : 0x100u))
			return false;
	}
	if (n > at->n - head)
		return false;
	*value = span_cut(*at, head, head + n);
	*at = span_cut(*at, head + n, at->n);
	return true;
}

static bool
is_strict_value(uint8_t tag, struct span v)
{
	if (tag == BOOLEAN)
		return v.n == 1 && (v.p[0] == 0x00 || v.p[0] == 0xff);
	if (tag == INTEGER)
		return v.n == 1 ||
		    (v.n > 1 && !(v.p[0] == 0x00 && v.p[1] < 0x80) &&
			!(v.p[0] == 0xff && v.p[1] >= 0x80));
	return true;
}

/* All values that fill `s`. Recursion stops at DER_MAX_DEPTH. */
static bool
walk(struct span s, unsigned depth)
{
	struct span value;
	uint8_t tag;

	if (depth > DER_MAX_DEPTH)
		return false;
	while (s.n > 0) {
		if (!read_head(&s, &tag, &value) || !is_strict_value(tag, value))
			return false;
		if ((tag & CONSTRUCTED) != 0 && !walk(value, depth + 1))
			return false;
	}
	return true;
}

bool
der_is_strict(struct span s)
{
	struct span whole = s, value;
	uint8_t tag;

	return read_head(&s, &tag, &value) && s.n == 0 && walk(whole, 0);
}
