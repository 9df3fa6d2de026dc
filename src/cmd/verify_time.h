/*
 * verify_time.h - a moment as people write it, in Unix seconds. Pure. Source: RFC 3339 5.6.
 */
#ifndef CMD_VERIFY_TIME_H
#define CMD_VERIFY_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "core/span.h"

enum { TIME_TEXT_LEN = 20 };

/*
 * 2026-01-31T12:00:00Z, with a fraction (which is cut off) or an offset, or @1769860800. Years 1970
 * to 9999; no leap seconds.
 */
bool time_parse(struct span text, uint64_t *unix_s);
/* The first of these forms, with NUL; seconds beyond the year 9999 print as that year's end. */
void time_print(uint64_t unix_s, char out[static TIME_TEXT_LEN + 1]);

#endif
