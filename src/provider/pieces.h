/*
 * pieces.h - one choice of an answer whose provider speaks another wire format, told in pieces
 * that are the same everywhere. The one place where they become OpenAI's chunks or message, and
 * where they are absorbed into the output. Pure.
 * Source: providers.md 3.4, 3.5, 13; interfaces.md S2-S4.
 *
 * A stream puts an event into b with each piece; a whole body is kept until pieces_body(), so that
 * a family has one reader for both and they cannot differ. `inner` is always the content of a JSON
 * string as received, without its quotes: it is spliced, not decoded.
 */
#ifndef PROVIDER_PIECES_H
#define PROVIDER_PIECES_H

#include "provider/answer.h"

/* Once, before the first piece. whole: see struct pieces. */
void pieces_begin(struct answer *a, bool whole);

/* Empty ones say nothing. Of legacy completions the text is all there is. */
void pieces_text(struct answer *a, struct buf *b, struct span inner);
void pieces_reasoning(struct answer *a, struct buf *b, struct span inner);
void pieces_refusal(struct answer *a, struct buf *b, struct span inner);

/*
 * A further member of the message, as JSON on one line: `"name":value`. There is one; the latest
 * counts. Nothing of it is hashed or counted.
 */
void pieces_extra(struct answer *a, struct buf *b, struct span member);

/*
 * A tool call begins; its number is the next one. `extra` (may be empty) holds further members of
 * the call as JSON on one line, with a comma in front.
 * Errors: UPSTREAM (more or larger calls than anyone asks for)
 */
MUST_USE struct err
pieces_call(struct answer *a, struct buf *b, struct span id, struct span name, struct span extra);
/* The next fragment of the latest call's arguments. Errors: as above, or no call has begun */
MUST_USE struct err pieces_arguments(struct answer *a, struct buf *b, struct span inner);
/* All of them: the object at `at`, compact, every scalar as it was spelt. Errors: as above */
MUST_USE struct err
pieces_arguments_json(struct answer *a, struct buf *b, const struct json *doc, uint32_t at);

/*
 * A picture. A whole body must outlive pieces_body(), which splices it from there.
 * Errors: UPSTREAM (more pictures, or larger ones, than anyone asks for)
 */
MUST_USE struct err pieces_picture(struct answer *a, const struct picture *picture);

/* Counts so far, as they are to be reported; the latest count. */
void pieces_usage(struct answer *a, const struct counts *counts);

/*
 * How it ended; the latest word counts. A stream that said nothing gets its role now; the reason
 * itself waits for the final chunk.
 */
void pieces_finish(struct answer *a, struct buf *b, enum finish f);

/*
 * The client's body, open at its end for tee fields (a comma has been put).
 * Errors: UPSTREAM (no finish reason), TOO_LARGE
 */
MUST_USE struct err pieces_body(struct answer *a, struct buf *b);

/* The value at `at` without the white space between its parts. */
void pieces_put_compact(struct buf *b, const struct json *doc, uint32_t at);
/* Text as the content of a JSON string: for JSON inside of a string. */
void pieces_put_escaped(struct buf *b, struct span text);

#endif
