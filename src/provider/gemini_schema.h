/*
 * gemini_schema.h - a client's JSON schema as Gemini's *JsonSchema members take it. Pure.
 * Source: providers.md 6.3.
 */
#ifndef PROVIDER_GEMINI_SCHEMA_H
#define PROVIDER_GEMINI_SCHEMA_H

#include "codec/json.h"
#include "core/buf.h"

/*
 * Puts the schema at `at`, byte for byte but for two things that Gemini refuses: "$schema" goes,
 * and a "$ref" that has neighbours becomes the one choice of an "anyOf", which says the same.
 */
void gemini_schema_put(struct buf *b, const struct json *doc, uint32_t at);

/* Nothing is said: no such node, null, or {} without a member that is sent. */
bool gemini_schema_is_empty(const struct json *doc, uint32_t at);

#endif
