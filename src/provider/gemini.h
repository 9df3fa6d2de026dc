/*
 * gemini.h - requests to Gemini's generateContent. Pure.
 * Source: providers.md 6.1 to 6.6; interfaces.md C1-C7. See struct provider for the rules.
 */
#ifndef PROVIDER_GEMINI_H
#define PROVIDER_GEMINI_H

#include "provider/provider.h"

extern const struct provider provider_gemini;

bool gemini_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no);
void gemini_encode(
    struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted);

#endif
