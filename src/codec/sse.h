/*
 * sse.h - server-sent events, read from any chunking. Pure.
 * Source: WHATWG HTML 9.2; providers.md 12. LF, CRLF and CR end lines (a CRLF may be split),
 * several data lines join with LF, comments and other fields are skipped, a BOM is skipped.
 */
#ifndef CODEC_SSE_H
#define CODEC_SSE_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

struct sse {
	struct buf line, data;
	bool has_data, after_cr, begun;
};

/* One event's data at most max_bytes (SSE_EVENT_MAX_BYTES of core/limits.h, or less). */
void sse_init(struct sse *s, size_t max_bytes);
void sse_fini(struct sse *s);

/*
 * Takes bytes from *in up to the end of the next event, and advances *in past them.
 * Sets *event to the event's data when one is complete (borrowed until the next call), else to
 * SPAN_NONE (.p == NULL) with *in empty. An event with empty data has .p != NULL and .n == 0.
 * Errors: TOO_LARGE (an event above the bound).
 */
MUST_USE struct err sse_next(struct sse *s, struct span *in, struct span *event);
/* At the end of input: an event without its blank line counts (providers.md 12, rule 8). */
MUST_USE struct err sse_end(struct sse *s, struct span *event);

#endif
