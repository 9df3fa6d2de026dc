/*
 * openai.c - requests to OpenAI's chat completions as a splice: members that the gateway did not
 * author travel byte for byte. Source: providers.md 3, 4; interfaces.md C1-C7.
 */
#include "provider/openai.h"

#include "core/limits.h"
#include "provider/effort.h"
#include "provider/members.h"

static const uint64_t sampling = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) |
    PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY) | PARAM_BIT(LOGIT_BIAS);

/* Legacy completions travel as one user message (providers.md 4): these have no counterpart. */
/* Words for models that make pictures. */
static const uint64_t pictures = PARAM_BIT(IMAGE_CONFIG) | PARAM_BIT(SIZE) | PARAM_BIT(WATERMARK);

static const uint64_t legacy_only = PARAM_BIT(BEST_OF) | PARAM_BIT(ECHO) | PARAM_BIT(SUFFIX);

void
openai_path(struct buf *b, const struct model *model, bool stream)
{
	buf_put_str(b, "/chat/completions");
}

static bool
is_one(const struct request *rq, enum param p)
{
	double v;

	return rq->at[p] != JSON_NONE && json_double(&rq->doc, rq->at[p], &v) && v == 1;
}

/* Ark refuses an effort for thinking that is switched off (providers.md 8). */
static bool
thinks(const struct request *rq, const struct quirks *q)
{
	uint32_t thinking = json_get(&rq->doc, 0, "thinking");

	return !q->thinking || !json_is(&rq->doc, json_get(&rq->doc, thinking, "type"), "disabled");
}

static bool
refuse_param(struct refusal *no, enum param p, const char *where)
{
	return refuse(no, "unsupported_parameter", param_name(p), "%s is not supported %s.",
	    param_name(p), where);
}

/* What cannot be left out without answering another question (C4). */
static bool
can_honour(
    const struct request *rq, const struct model *model, const struct quirks *q, struct refusal *no)
{
	uint64_t top;

	for (enum param p = 0; p < PARAM_COUNT; p++) {
		uint64_t bit = UINT64_C(1) << p;

		if (rq->endpoint == ENDPOINT_COMPLETIONS &&
		    (rq->present & bit & (legacy_only | PARAM_BIT(LOGPROBS))) != 0)
			return refuse_param(no, p, "on /v1/completions");
		if ((rq->present & bit & pictures) != 0)
			return refuse_param(no, p, "by a model that makes no pictures");
		if ((rq->present & bit & q->refuses) != 0)
			return refuse_param(no, p, "by this model's provider");
	}
	if (rq->n > 1 && !q->many_choices)
		return refuse_param(no, PARAM_N, "above 1 by this model's provider");
	if ((rq->present & PARAM_BIT(STOP)) && model->no_stop)
		return refuse_param(no, PARAM_STOP, "by this model");
	if ((rq->present & PARAM_BIT(TOP_LOGPROBS)) &&
	    json_u64(&rq->doc, rq->at[PARAM_TOP_LOGPROBS], 20, &top) && top > q->top_logprobs)
		return refuse(no, "invalid_value", "top_logprobs",
		    "top_logprobs is at most %u for this model.", q->top_logprobs);
	return true;
}

bool
openai_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no)
{
	const struct quirks *q = &provider_of(model->provider)->quirks;
	uint64_t out = rq->present & q->adjusts;

	if (!can_honour(rq, model, q, no))
		return false;
	if (model->fixed_sampling) {
		out |= rq->present & sampling;
		if (is_one(rq, PARAM_TEMPERATURE))
			out &= ~PARAM_BIT(TEMPERATURE);
		if (is_one(rq, PARAM_TOP_P))
			out &= ~PARAM_BIT(TOP_P);
	}
	if (model->no_penalties)
		out |= rq->present & (PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY));
	if ((rq->present & PARAM_BIT(REASONING_EFFORT)) &&
	    (!thinks(rq, q) ||
		!span_eq(
		    json_inner(&rq->doc, rq->at[PARAM_REASONING_EFFORT]), effort_of(rq, model))))
		out |= PARAM_BIT(REASONING_EFFORT);
	if (!model->verbosity)
		out |= rq->present & PARAM_BIT(VERBOSITY);
	*adjusted = out;
	return true;
}

/* The parameter a name node stands for, among those the gateway writes itself; else PARAM_COUNT. */
static enum param
authored(const struct request *rq, uint32_t name)
{
	static const enum param own[] = { PARAM_MODEL, PARAM_PROMPT, PARAM_STREAM_OPTIONS,
		PARAM_MAX_TOKENS, PARAM_MAX_COMPLETION_TOKENS };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (json_is(&rq->doc, name, param_name(own[i])))
			return own[i];
	return PARAM_COUNT;
}

/* Does the member at this name node travel as it is? */
static bool
travels(const struct request *rq, uint32_t name, uint64_t adjusted)
{
	if (json_type(&rq->doc, name + 1) == JSON_NULL || !request_counts(&rq->doc, 0, name))
		return false;
	if (!request_knows(rq, name))
		return true;
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if (rq->at[p] == name + 1)
			return (adjusted & UINT64_C(1) << p) == 0;
	return false; /* neutral: counts as absent (C2) */
}

/* Messages as they came, but for the role that this provider knows by its older name. */
static void
put_messages(struct buf *b, const struct json *doc, uint32_t messages)
{
	struct span raw = json_raw(doc, messages);
	size_t from = 0, base = doc->node[messages].off;

	for (uint32_t c = json_first(doc, messages); c != JSON_NONE;
	     c = json_after(doc, messages, c)) {
		uint32_t role = json_get(doc, c, "role");
		size_t at;

		if (!json_is(doc, role, "developer"))
			continue;
		at = doc->node[role].off - base;
		buf_put(b, span_cut(raw, from, at));
		buf_put_str(b, "\"system\"");
		from = at + doc->node[role].len;
	}
	buf_put(b, span_cut(raw, from, raw.n));
}

/* The value of one member that travels; messages may have a word of theirs translated. */
static void
put_member(struct members *m, const struct request *rq, const struct quirks *q, uint32_t name)
{
	if (q->no_developer && rq->at[PARAM_MESSAGES] == name + 1) {
		put_raw(m, json_raw(&rq->doc, name), SPAN_NONE);
		put_messages(m->b, &rq->doc, name + 1);
	} else {
		put_raw(m, json_raw(&rq->doc, name), json_raw(&rq->doc, name + 1));
	}
}

static void
put_text(struct members *m, const char *name, struct span value)
{
	struct buf text;

	buf_init(&text, 256);
	json_put_string(&text, span_str(name));
	put_raw(m, buf_span(&text), value);
	buf_fini(&text);
}

void
openai_encode(struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	const struct quirks *q = &provider_of(model->provider)->quirks;
	struct members m = { .b = b };
	struct buf text;

	buf_put_byte(b, '{');
	for (uint32_t c = json_first(&rq->doc, 0); c != JSON_NONE; c = json_after(&rq->doc, 0, c))
		if (authored(rq, c) == PARAM_COUNT && travels(rq, c, adjusted))
			put_member(&m, rq, q, c);

	buf_init(&text, BODY_MAX_BYTES + 256);
	json_put_string(&text, model->api_name);
	put_text(&m, "model", buf_span(&text));
	if (rq->endpoint == ENDPOINT_COMPLETIONS) {
		buf_clear(&text);
		buf_put_str(&text, "[{\"role\":\"user\",\"content\":");
		buf_put(&text, json_raw(&rq->doc, rq->at[PARAM_PROMPT]));
		buf_put_str(&text, "}]");
		put_text(&m, "messages", buf_span(&text));
	}
	if ((adjusted & PARAM_BIT(REASONING_EFFORT)) && thinks(rq, q) && model->n_efforts > 0) {
		buf_clear(&text);
		json_put_string(&text, effort_of(rq, model));
		put_text(&m, "reasoning_effort", buf_span(&text));
	}
	if (rq->output_limit != UINT64_MAX) {
		buf_clear(&text);
		buf_put_u64(&text, rq->output_limit);
		/* The one spelling that every model of the provider takes (providers.md 3.6). */
		put_text(&m, q->limit_name, buf_span(&text));
	}
	if (rq->stream)
		put_text(&m, "stream_options", SPAN_LIT("{\"include_usage\":true}"));
	if (text.over)
		b->over = true;
	buf_fini(&text);
	buf_put_byte(b, '}');
}
