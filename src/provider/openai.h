/*
 * openai.h - writing requests of the OpenAI-compatible family; what sets its members apart is data
 * (struct quirks). Pure. Source: providers.md 3, 4, 7 to 9; interfaces.md C1-C7.
 */
#ifndef PROVIDER_OPENAI_H
#define PROVIDER_OPENAI_H

#include "provider/provider.h"

void openai_path(struct buf *b, const struct model *model, bool stream);
bool openai_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no);
void openai_encode(
    struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted);

#endif
