/*
 * anthropic.h - OpenAI's chat completions as Anthropic's Messages, both ways. Pure.
 * Source: providers.md 5; interfaces.md C1-C7. See struct provider for the rules.
 */
#ifndef PROVIDER_ANTHROPIC_H
#define PROVIDER_ANTHROPIC_H

#include "provider/provider.h"

/* Where a request is read and a body written. One code does both: admission writes into nothing. */
struct translation {
	const struct request *rq;
	const struct json *doc;
	const struct model *model;
	struct buf *b;
	struct refusal *no;
};

/*
 * Each puts members with a comma in front, or none. False with *t->no when something cannot be
 * honoured (C4).
 */
bool anthropic_put_messages(struct translation *t);
bool anthropic_put_tools(struct translation *t);
/* Members of output_config for response_format; none where a tool stands for it. */
bool anthropic_put_format(struct translation *t, bool *any);

/*
 * The schema at `at` within what structured outputs take (providers.md 5.5): what they do not know
 * goes into descriptions. `param` names it in a refusal.
 */
bool anthropic_put_schema(struct translation *t, uint32_t at, const char *param);

/* The model takes no schema for its answer: a tool stands for it, whose input is the answer. */
bool anthropic_tool_is_text(const struct request *rq, const struct model *model);
/* tool_choice makes the model call a tool. */
bool anthropic_forces_tool(const struct request *rq, const struct model *model);
/* Does the history hold tool calls? Their thinking is lost (providers.md 5.6). */
bool anthropic_has_calls(const struct request *rq);
/* Does the conversation end with the assistant's words, to be gone on with? */
bool anthropic_has_prefill(const struct request *rq);

void anthropic_begin(struct answer *a, const struct request *rq, const struct model *model);
MUST_USE struct err
anthropic_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state);
MUST_USE struct err anthropic_body(struct answer *a, struct span text, struct buf *b);

#endif
