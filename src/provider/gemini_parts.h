/*
 * gemini_parts.h - what is inside messages, as parts of Gemini's turns. Pure.
 * Source: providers.md 6.2, 6.5.
 */
#ifndef PROVIDER_GEMINI_PARTS_H
#define PROVIDER_GEMINI_PARTS_H

#include <stdbool.h>

#include "codec/json.h"
#include "core/buf.h"

/*
 * A JSON string's text: borrowed from the document where it has no escapes, else decoded into
 * `scratch` (cleared first). A lone surrogate becomes U+FFFD.
 */
struct span gemini_decoded(const struct json *doc, uint32_t at, struct buf *scratch);

/*
 * The text of a call's arguments: an object's JSON; {} for no text at all. False when it is no
 * object. Borrows as gemini_decoded().
 */
bool gemini_args_of(const struct json *doc, uint32_t call, struct buf *scratch, struct span *args);

/*
 * The content of a tool message as the object that Gemini wants: itself when its text is the JSON
 * of one, else {"result":...} around the value that it is the JSON of, or around the string.
 */
void gemini_put_response(struct buf *b, const struct json *doc, uint32_t content);

/*
 * The thought signature that came with a call of this message, from any of the members in which
 * clients keep it; JSON_NONE when it was lost.
 */
uint32_t gemini_signature_of_call(const struct json *doc, uint32_t message, uint32_t call);
/* The one that came with the message's text. */
uint32_t gemini_signature_of_text(const struct json *doc, uint32_t message);

#endif
