/*
 * header.h - the two payment headers as text: base64 of JSON. Pure. Source: x402.md 1.
 */
#ifndef X402_HEADER_H
#define X402_HEADER_H

#include "codec/json.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

/*
 * Decodes base64 of the standard alphabet, with its padding or with none, into b (appended).
 * Everything else is refused: white space, commas, `-` and `_`, half a padding, spare bits.
 * Errors: MALFORMED, TOO_LARGE.
 */
MUST_USE struct err x402_header_decode(struct buf *b, struct span value);

/*
 * Indexes JSON of a stranger in payments: one value, no name twice in any object, nothing deeper
 * than X402_MAX_DEPTH, no more than X402_MAX_NODES nodes. json_fini() when OK.
 * Errors: MALFORMED, TOO_LARGE, NOMEM.
 */
MUST_USE struct err x402_json(struct json *doc, struct span text);

/* There, and not null: optional members may be either. `at` may be JSON_NONE. */
bool x402_present(const struct json *doc, uint32_t at);
/*
 * A string without escapes, as amounts, addresses and identifiers are written; borrowed from the
 * document's text. FALSE for anything else, and for JSON_NONE.
 */
bool x402_plain(const struct json *doc, uint32_t at, struct span *out);

/* The value at `at` without white space; strings and numbers as they were spelled. */
void x402_put_compact(struct buf *b, const struct json *doc, uint32_t at);

#endif
