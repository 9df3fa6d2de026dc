/*
 * gemini_answer.h - reading Gemini's answers, streamed or whole. Pure.
 * Source: providers.md 6.4 to 6.9, 13; interfaces.md S2, S3, S6. See struct provider for the rules.
 */
#ifndef PROVIDER_GEMINI_ANSWER_H
#define PROVIDER_GEMINI_ANSWER_H

#include "provider/provider.h"

void gemini_begin(struct answer *a, const struct request *rq, const struct model *model);
MUST_USE struct err
gemini_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state);
/* One response object, or an array of them: the stream's form without alt=sse. */
MUST_USE struct err gemini_body(struct answer *a, struct span text, struct buf *b);

#endif
