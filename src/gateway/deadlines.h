/*
 * deadlines.h - how long a provider may take. Pure.
 * Source: interfaces.md E4; providers.md 2.5. A policy may shorten or lengthen them.
 */
#ifndef GATEWAY_DEADLINES_H
#define GATEWAY_DEADLINES_H

#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

/* DEADLINE(member, default in milliseconds): policy.json has limits.upstream_<member> */
#define DEADLINES(DEADLINE)                             \
	DEADLINE(connect_ms, UPSTREAM_CONNECT_MS)       \
	DEADLINE(first_byte_ms, UPSTREAM_FIRST_BYTE_MS) \
	DEADLINE(gap_ms, UPSTREAM_GAP_MS)               \
	DEADLINE(reasoning_first_byte_ms, 300000)       \
	DEADLINE(reasoning_gap_ms, 120000)              \
	DEADLINE(image_first_byte_ms, 180000)           \
	DEADLINE(total_ms, UPSTREAM_TOTAL_MS)           \
	DEADLINE(keep_alive_ms, 15000)

struct deadlines {
#define DEADLINE_MEMBER(name, ms) uint32_t name;
	DEADLINES(DEADLINE_MEMBER)
#undef DEADLINE_MEMBER
};

/*
 * The policy's deadlines, defaults where it names none.
 * Errors: MALFORMED (no JSON), REFUSED (a deadline that is not 1 to 3600000), NOMEM
 */
MUST_USE struct err deadlines_read(struct deadlines *d, struct span policy);

#endif
