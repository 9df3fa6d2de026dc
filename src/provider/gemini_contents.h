/*
 * gemini_contents.h - a conversation as Gemini's turns. Pure. Source: providers.md 6.1, 6.2, 6.5.
 */
#ifndef PROVIDER_GEMINI_CONTENTS_H
#define PROVIDER_GEMINI_CONTENTS_H

#include "core/buf.h"
#include "pricing/models.h"
#include "provider/refusal.h"
#include "provider/request.h"

/* A tool call id of ours, for providers that give none: "call_" and 24 lower-case hex digits. */
enum { GEMINI_CALL_ID_LEN = 29 };

/*
 * Can all of it be said? False with *no, which names the place: parts that are no bytes, calls and
 * results that do not belong together, what has no counterpart (C4).
 */
bool gemini_contents_check(const struct request *rq, struct refusal *no);

/*
 * The members "contents" and, when somebody speaks besides the system, "systemInstruction", with
 * a comma between them. The request has passed the check.
 */
void gemini_contents_put(struct buf *b, const struct request *rq, const struct model *model);

#endif
