#include "provider/retry_after.h"

enum { SECONDS_MAX = 100000000 };

/* Digits, and perhaps a fraction that counts as one more. */
static bool
seconds(struct span v, unsigned *s)
{
	size_t dot = span_find(v, SPAN_LIT("."), 0), whole = dot == SIZE_MAX ? v.n : dot;
	bool more = false;
	uint64_t n;

	if (!span_u64(span_cut(v, 0, whole), SECONDS_MAX, &n))
		return false;
	for (size_t i = whole + 1; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
		more = more || v.p[i] != '0';
	}
	*s = (unsigned)n + more;
	return true;
}

static bool
two(const uint8_t *p, unsigned max, unsigned *v)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*v = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
	return *v <= max;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar; years are counted from March. */
static uint64_t
days(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;

	return (uint64_t)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
date(struct span v, uint64_t *unix_s)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned day, century, year, hour, minute, second, month = 0;

	if (v.n != 29 || !span_ends(v, SPAN_LIT(" GMT")) || v.p[3] != ',' || v.p[4] != ' ' ||
	    v.p[7] != ' ' || v.p[11] != ' ' || v.p[16] != ' ' || v.p[19] != ':' || v.p[22] != ':')
		return false;
	while (month < 12 && !span_eq(span_cut(v, 8, 11), span_of(names + 3 * (size_t)month, 3)))
		month++;
	if (month == 12 || !two(v.p + 5, 31, &day) || !two(v.p + 12, 99, &century) ||
	    !two(v.p + 14, 99, &year) || !two(v.p + 17, 23, &hour) || !two(v.p + 20, 59, &minute) ||
	    !two(v.p + 23, 60, &second) || day == 0 || century < 19 || century * 100 + year < 1970)
		return false;
	*unix_s = days(century * 100 + year, month + 1, day) * 86400 + hour * 3600 + minute * 60 +
	    second;
	return true;
}

bool
retry_after(struct span value, uint64_t now_unix_s, unsigned *s)
{
	struct span v = span_trim(value);
	uint64_t at;

	if (seconds(v, s))
		return true;
	if (!date(v, &at))
		return false;
	at = at > now_unix_s ? at - now_unix_s : 0;
	*s = at < SECONDS_MAX ? (unsigned)at : SECONDS_MAX;
	return true;
}

bool
retry_after_ms(struct span value, unsigned *s)
{
	unsigned ms;

	if (!seconds(span_trim(value), &ms))
		return false;
	*s = (ms + 999) / 1000;
	return true;
}

bool
retry_delay(struct span value, unsigned *s)
{
	return value.n > 1 && value.p[value.n - 1] == 's' &&
	    seconds(span_cut(value, 0, value.n - 1), s);
}
