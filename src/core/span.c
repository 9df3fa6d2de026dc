#include "core/span.h"

bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && span_cmp(a, b) == 0;
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool
span_eq_nocase(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool
span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && span_eq(span_cut(s, 0, prefix.n), prefix);
}

bool
span_ends(struct span s, struct span suffix)
{
	return s.n >= suffix.n && span_eq(span_cut(s, s.n - suffix.n, s.n), suffix);
}

int
span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	int order = n == 0 ? 0 : __builtin_memcmp(a.p, b.p, n);

	if (order != 0)
		return order;
	return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

size_t
span_find(struct span hay, struct span needle, size_t from)
{
	const uint8_t *hit;

	if (needle.n == 0 || from > hay.n || hay.n - from < needle.n)
		return SIZE_MAX;
	hit = memmem(hay.p + from, hay.n - from, needle.p, needle.n);
	return hit == NULL ? SIZE_MAX : (size_t)(hit - hay.p);
}

size_t
span_rfind(struct span hay, struct span needle)
{
	if (needle.n == 0 || hay.n < needle.n)
		return SIZE_MAX;
	for (size_t i = hay.n - needle.n + 1; i-- > 0;)
		if (span_eq(span_cut(hay, i, i + needle.n), needle))
			return i;
	return SIZE_MAX;
}

struct span
span_trim(struct span s)
{
	static const struct span white = SPAN_LIT(" \t\r\n");

	while (s.n > 0 && memchr(white.p, s.p[0], white.n) != NULL)
		s = span_cut(s, 1, s.n);
	while (s.n > 0 && memchr(white.p, s.p[s.n - 1], white.n) != NULL)
		s.n--;
	return s;
}

bool
span_u64(struct span s, uint64_t max, uint64_t *v)
{
	uint64_t sum = 0;

	if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t digit = (uint64_t)(s.p[i] - '0');

		if (s.p[i] < '0' || s.p[i] > '9' || digit > max || sum > (max - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*v = sum;
	return true;
}
