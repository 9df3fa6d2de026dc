/*
 * openai.c - requests to OpenAI's chat completions as a splice: members that the gateway did not
 * author travel byte for byte. Source: providers.md 3, 4; interfaces.md C1-C7.
 */
#include "provider/provider.h"

#include "core/limits.h"
#include "provider/members.h"
#include "provider/openai_answer.h"

static const uint64_t sampling = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) |
    PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY) | PARAM_BIT(LOGIT_BIAS);

/* Legacy completions travel as one user message (providers.md 4): these have no counterpart. */
static const uint64_t legacy_only = PARAM_BIT(BEST_OF) | PARAM_BIT(ECHO) | PARAM_BIT(SUFFIX);

static bool
is_one(const struct request *rq, enum param p)
{
	double v;

	return rq->at[p] != JSON_NONE && json_double(&rq->doc, rq->at[p], &v) && v == 1;
}

static bool
takes_effort(const struct request *rq, const struct model *model)
{
	for (size_t i = 0; i < model->n_efforts; i++)
		if (span_eq(json_inner(&rq->doc, rq->at[PARAM_REASONING_EFFORT]), model->effort[i]))
			return true;
	return false;
}

static bool
admit(const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no)
{
	uint64_t out = 0;

	for (enum param p = 0; p < PARAM_COUNT; p++) {
		uint64_t bit = UINT64_C(1) << p;
		bool legacy = rq->endpoint == ENDPOINT_COMPLETIONS &&
		    (bit & (legacy_only | PARAM_BIT(LOGPROBS))) != 0;

		if ((rq->present & bit) != 0 && legacy)
			return refuse(no, "unsupported_parameter", param_name(p),
			    "%s is not supported on /v1/completions.", param_name(p));
	}
	if (model->fixed_sampling) {
		out |= rq->present & sampling;
		if (is_one(rq, PARAM_TEMPERATURE))
			out &= ~PARAM_BIT(TEMPERATURE);
		if (is_one(rq, PARAM_TOP_P))
			out &= ~PARAM_BIT(TOP_P);
	}
	if ((rq->present & PARAM_BIT(REASONING_EFFORT)) && !takes_effort(rq, model))
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

static void
encode(struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	struct members m = { .b = b };
	struct buf text;

	buf_put_byte(b, '{');
	for (uint32_t c = json_first(&rq->doc, 0); c != JSON_NONE; c = json_after(&rq->doc, 0, c))
		if (authored(rq, c) == PARAM_COUNT && travels(rq, c, adjusted))
			put_raw(&m, json_raw(&rq->doc, c), json_raw(&rq->doc, c + 1));

	buf_init(&text, BODY_MAX_BYTES + 256);
	json_put_string(&text, model->api_name);
	put_raw(&m, SPAN_LIT("\"model\""), buf_span(&text));
	if (rq->endpoint == ENDPOINT_COMPLETIONS) {
		buf_clear(&text);
		buf_put_str(&text, "[{\"role\":\"user\",\"content\":");
		buf_put(&text, json_raw(&rq->doc, rq->at[PARAM_PROMPT]));
		buf_put_str(&text, "}]");
		put_raw(&m, SPAN_LIT("\"messages\""), buf_span(&text));
	}
	if (rq->output_limit != UINT64_MAX) {
		buf_clear(&text);
		buf_put_u64(&text, rq->output_limit);
		/* The one spelling that every model takes (providers.md 3.6). */
		put_raw(&m, SPAN_LIT("\"max_completion_tokens\""), buf_span(&text));
	}
	if (rq->stream)
		put_raw(&m, SPAN_LIT("\"stream_options\""), SPAN_LIT("{\"include_usage\":true}"));
	if (text.over)
		b->over = true;
	buf_fini(&text);
	buf_put_byte(b, '}');
}

const struct provider provider_openai = {
	.base_url = "https://api.openai.com/v1",
	.path = "/chat/completions",
	.auth_prefix = "Authorization: Bearer ",
	.request_id_field = "x-request-id",
	.account_field = "openai-organization",
	.admit = admit,
	.encode = encode,
	.event = openai_event,
	.body = openai_body,
};
