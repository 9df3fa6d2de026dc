/*
 * echo.h - the built-in model of local mode: it answers with the text of the last user message,
 * word by word, and counts words as tokens. Pure. Source: interfaces.md A7.
 */
#ifndef PROVIDER_ECHO_H
#define PROVIDER_ECHO_H

#include "provider/answer.h"
#include "provider/request.h"

struct echo {
	struct span text; /* what is left to say, cut at stop and limit; UTF-8 */
	enum finish finish;
	uint64_t prompt_words, words;
};

/* What echo cannot do is refused; the parameters without effect on it come back as PARAM_BITs. */
bool echo_admit(const struct request *rq, uint64_t *adjusted, struct refusal *no);
/* Errors: NOMEM (arena). */
MUST_USE struct err echo_begin(struct echo *e, const struct request *rq, struct arena *arena);
/* The next word as a delta event; false, with the finish reason and usage set, after the last. */
bool echo_next(struct echo *e, struct answer *a, struct buf *b);
/* The whole answer as an open body (answer_put_text_body). */
void echo_body(struct echo *e, struct answer *a, struct buf *b);

#endif
