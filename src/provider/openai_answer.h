/*
 * openai_answer.h - reading answers of the OpenAI-compatible family. Pure.
 * Source: providers.md 3.4, 3.5, 12; interfaces.md S2, S3, S6. See struct provider for the rules.
 */
#ifndef PROVIDER_OPENAI_ANSWER_H
#define PROVIDER_OPENAI_ANSWER_H

#include "provider/provider.h"

void openai_begin(struct answer *a, const struct request *rq, const struct model *model);
MUST_USE struct err
openai_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state);
MUST_USE struct err openai_body(struct answer *a, struct span text, struct buf *b);

#endif
