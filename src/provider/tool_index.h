/*
 * tool_index.h - numbers for streamed tool calls whose provider gives them none. Pure.
 * Source: providers.md 15. Clients merge fragments by index: without one, two calls would be one.
 */
#ifndef PROVIDER_TOOL_INDEX_H
#define PROVIDER_TOOL_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/buf.h"

enum { TOOL_INDEX_CHOICES = 128 };

/* What was seen of one choice. */
struct tool_index {
	uint32_t calls; /* begun so far: the next one's number */
	uint32_t id;	/* hash of the latest one's id */
};

/*
 * Puts the event into b with an index for each fragment that has none (absent or null), and
 * returns true; false, with b untouched, when every fragment has one. A fragment with an id that
 * differs from the one before begins a call; others belong to the latest.
 */
bool tool_index_put(
    struct tool_index choice[static TOOL_INDEX_CHOICES], const struct json *doc, struct buf *b);

#endif
