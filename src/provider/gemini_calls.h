/*
 * gemini_calls.h - an assistant's tool calls and the results that follow them: Gemini wants the
 * function's name with each result, and the results in the order of the calls. Pure.
 * Source: providers.md 6.2.
 */
#ifndef PROVIDER_GEMINI_CALLS_H
#define PROVIDER_GEMINI_CALLS_H

#include "codec/json.h"

enum { GEMINI_CALLS_MAX = 128 };

/* The calls of the last message that made any. */
struct gemini_calls {
	uint32_t call[GEMINI_CALLS_MAX];
	uint32_t id[GEMINI_CALLS_MAX];
	uint32_t result[GEMINI_CALLS_MAX]; /* the tool message that answers it, or JSON_NONE */
	unsigned n;
};

/* Forgets what was; takes in the calls of this message. False when it has none. */
bool gemini_calls_begin(struct gemini_calls *c, const struct json *doc, uint32_t message);

enum gemini_match { MATCH_NONE, MATCH_FIRST, MATCH_AGAIN };

/* Which call a tool message answers. *index is set unless there is none. */
enum gemini_match gemini_calls_match(
    const struct gemini_calls *c, const struct json *doc, uint32_t message, unsigned *index);

#endif
