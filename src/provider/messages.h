/*
 * messages.h - the shape of messages and tools of a chat request. Pure.
 * Source: providers.md 3.2, 3.3.
 */
#ifndef PROVIDER_MESSAGES_H
#define PROVIDER_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "provider/parts.h"
#include "provider/refusal.h"

struct messages_facts {
	uint64_t prompt_bytes; /* UTF-8 bytes of all text */
	/*
	 * Of all else in the messages that a model may be shown: names, calls of custom tools, members
	 * that we do not know and pass on. At least.
	 */
	uint64_t other_bytes;
	uint32_t n;		  /* messages */
	struct parts_facts parts; /* that are no text */
};

/* The value of `messages`. On false *no names the place, as "messages[2].content[0].type". */
bool messages_check(
    const struct json *doc, uint32_t at, struct messages_facts *facts, struct refusal *no);
/* The value of `tools`. */
bool tools_check(const struct json *doc, uint32_t at, struct refusal *no);

/* 1 to 64 letters, digits, underscores or hyphens. */
bool tool_name_fits(struct span name);

/* UTF-8 bytes of a string once decoded. */
uint64_t messages_text_bytes(const struct json *doc, uint32_t at);

#endif
