#include "sys/clock.h"

#include <string.h>
#include <time.h>

uint64_t
clock_unix_s(void)
{
	return clock_unix_ms() / 1000;
}

uint64_t
clock_unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t
clock_monotonic_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Writes the last `width` digits of v: no printf, whose results depend on width and locale. */
static void
digits(char *to, size_t width, uint64_t v)
{
	while (width-- > 0) {
		to[width] = (char)('0' + v % 10);
		v /= 10;
	}
}

static struct tm
broken_down(uint64_t unix_s)
{
	const uint64_t last = 253402300799; /* 9999-12-31T23:59:59: four digits of year */
	time_t t = (time_t)(unix_s < last ? unix_s : last);
	struct tm tm = { 0 };

	gmtime_r(&t, &tm);
	return tm;
}

/* "2026-11-22T20:29:54", 19 bytes. */
static void
date_time(uint64_t unix_s, char *to)
{
	struct tm tm = broken_down(unix_s);

	memcpy(to, "0000-00-00T00:00:00", 19);
	digits(to, 4, (uint64_t)tm.tm_year + 1900);
	digits(to + 5, 2, (uint64_t)tm.tm_mon + 1);
	digits(to + 8, 2, (uint64_t)tm.tm_mday);
	digits(to + 11, 2, (uint64_t)tm.tm_hour);
	digits(to + 14, 2, (uint64_t)tm.tm_min);
	digits(to + 17, 2, (uint64_t)tm.tm_sec);
}

void
clock_rfc3339(uint64_t unix_ms, char out[static CLOCK_RFC3339_LEN])
{
	date_time(unix_ms / 1000, out);
	memcpy(out + 19, ".000Z", 5);
	digits(out + 20, 3, unix_ms % 1000);
}

void
clock_iso(uint64_t unix_s, char out[static CLOCK_ISO_LEN])
{
	date_time(unix_s, out);
	memcpy(out + 19, "+00:00", 6);
}

void
clock_http(uint64_t unix_s, char out[static CLOCK_HTTP_LEN])
{
	static const char day[] = "SunMonTueWedThuFriSat";
	static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = broken_down(unix_s);

	memcpy(out, "Sun, 00 Jan 0000 00:00:00 GMT", CLOCK_HTTP_LEN);
	memcpy(out, day + (size_t)tm.tm_wday * 3, 3);
	digits(out + 5, 2, (uint64_t)tm.tm_mday);
	memcpy(out + 8, month + (size_t)tm.tm_mon * 3, 3);
	digits(out + 12, 4, (uint64_t)tm.tm_year + 1900);
	digits(out + 17, 2, (uint64_t)tm.tm_hour);
	digits(out + 20, 2, (uint64_t)tm.tm_min);
	digits(out + 23, 2, (uint64_t)tm.tm_sec);
}
