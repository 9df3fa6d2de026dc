#include "cmd/verify_time.h"

#include <time.h>

enum { SECONDS_FROM = 17, ZONE_FROM = 19, OFFSET_LEN = 6, MINUTE_S = 60, HOUR_S = 3600 };

static const uint64_t last_s = 253402300799; /* 9999-12-31T23:59:59Z */

/* n decimal digits at `from`, up to max; -1 when they are not. */
static int
digits(struct span s, size_t from, size_t n, int max)
{
	int v = 0;

	if (from + n > s.n)
		return -1;
	for (size_t i = from; i < from + n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		v = 10 * v + (s.p[i] - '0');
	}
	return v <= max ? v : -1;
}

/* Z, or +hh:mm, or -hh:mm; seconds to subtract. */
static bool
read_zone(struct span zone, int *offset_s)
{
	int h, m;

	*offset_s = 0;
	if (span_eq_nocase(zone, SPAN_LIT("Z")))
		return true;
	if (zone.n != OFFSET_LEN || (zone.p[0] != '+' && zone.p[0] != '-') || zone.p[3] != ':' ||
	    (h = digits(zone, 1, 2, 23)) == -1 || (m = digits(zone, 4, 2, 59)) == -1)
		return false;
	*offset_s = (h * HOUR_S + m * MINUTE_S) * (zone.p[0] == '-' ? -1 : 1);
	return true;
}

static bool
read_clock(struct span t, struct tm *tm)
{
	struct tm same;
	time_t s;

	tm->tm_year = digits(t, 0, 4, 9999) - 1900;
	tm->tm_mon = digits(t, 5, 2, 12) - 1;
	tm->tm_mday = digits(t, 8, 2, 31);
	tm->tm_hour = digits(t, 11, 2, 23);
	tm->tm_min = digits(t, 14, 2, 59);
	tm->tm_sec = digits(t, SECONDS_FROM, 2, 59);
	if (tm->tm_year < 70 || tm->tm_mon < 0 || tm->tm_mday < 1 || tm->tm_hour < 0 ||
	    tm->tm_min < 0 || tm->tm_sec < 0)
		return false;
	same = *tm;
	s = timegm(&same); /* moves February 30th on, which shows */
	return s >= 0 && same.tm_mday == tm->tm_mday;
}

static bool
read_rfc3339(struct span t, int64_t *unix_s)
{
	size_t zone = ZONE_FROM;
	struct tm tm = { 0 };
	int offset_s;

	if (t.n <= ZONE_FROM || t.p[4] != '-' || t.p[7] != '-' || (t.p[10] | 0x20) != 't' ||
	    t.p[13] != ':' || t.p[16] != ':' || !read_clock(t, &tm))
		return false;
	if (t.p[zone] == '.') {
		for (zone++; zone < t.n && t.p[zone] >= '0' && t.p[zone] <= '9'; zone++)
			;
		if (zone == ZONE_FROM + 1)
			return false;
	}
	if (!read_zone(span_cut(t, zone, t.n), &offset_s))
		return false;
	*unix_s = (int64_t)timegm(&tm) - offset_s;
	return true;
}

bool
time_parse(struct span text, uint64_t *unix_s)
{
	int64_t s;

	if (span_starts(text, SPAN_LIT("@")))
		return span_u64(span_cut(text, 1, text.n), last_s, unix_s);
	if (!read_rfc3339(text, &s) || s < 0 || (uint64_t)s > last_s)
		return false;
	*unix_s = (uint64_t)s;
	return true;
}

void
time_print(uint64_t unix_s, char out[static TIME_TEXT_LEN + 1])
{
	time_t s = (time_t)(unix_s > last_s ? last_s : unix_s);
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL ||
	    strftime(out, TIME_TEXT_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
}
