/*
 * clock.h - what time it is. The only place that asks.
 */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>

uint64_t clock_unix_s(void); /* whole seconds of the system's clock */
uint64_t clock_unix_ms(void);
uint64_t clock_monotonic_us(void); /* for durations only */

enum { CLOCK_RFC3339_LEN = 24 };
/* "2026-11-22T20:29:54.123Z", no NUL. */
void clock_rfc3339(uint64_t unix_ms, char out[static CLOCK_RFC3339_LEN]);
/* "2026-11-22T20:29:54+00:00" as Python's isoformat() with an offset, no NUL. */
enum { CLOCK_ISO_LEN = 25 };
void clock_iso(uint64_t unix_s, char out[static CLOCK_ISO_LEN]);
/* "Sun, 22 Nov 2026 20:29:54 GMT" for the Date field (RFC 9110 5.6.7), no NUL. */
enum { CLOCK_HTTP_LEN = 29 };
void clock_http(uint64_t unix_s, char out[static CLOCK_HTTP_LEN]);

#endif
