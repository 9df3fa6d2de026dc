/*
 * family.c - the table of providers; those that speak OpenAI's wire format, and what sets each apart.
 * Source: providers.md 1, 7, 8, 9.
 */
#include "provider/gemini.h"
#include "provider/image.h"
#include "provider/openai.h"
#include "provider/openai_answer.h"

/* OpenAI's own: no other member of the family has a counterpart. */
#define HINTS (PARAM_BIT(METADATA) | PARAM_BIT(SAFETY_IDENTIFIER) | PARAM_BIT(PROMPT_CACHE_KEY))
#define EXTRAS                                                              \
	(PARAM_BIT(MODALITIES) | PARAM_BIT(AUDIO) | PARAM_BIT(PREDICTION) | \
	    PARAM_BIT(WEB_SEARCH_OPTIONS) | PARAM_BIT(PROMPT_CACHE_RETENTION))

#define FAMILY                                                                      \
	.fetches = true, .auth_prefix = "Authorization: Bearer ",                   \
	.request_id_field = "x-request-id", .account_field = "openai-organization", \
	.path = openai_path, .admit = openai_admit, .begin = openai_begin,          \
	.encode = openai_encode, .event = openai_event, .body = openai_body

const struct provider provider_openai = {
	FAMILY,
	.base_url = "https://api.openai.com/v1",
	.quirks = { .limit_name = "max_completion_tokens",
	    .many_choices = true,
	    .top_logprobs = 20 },
};

static const struct provider xai = {
	FAMILY,
	.base_url = "https://api.x.ai/v1",
	.quirks = { .limit_name = "max_completion_tokens",
	    .many_choices = true,
	    .top_logprobs = 8,
	    .adjusts = HINTS | PARAM_BIT(LOGIT_BIAS),
	    .refuses = EXTRAS | PARAM_BIT(SERVICE_TIER),
	    .reasoning_apart = true },
};

static const struct provider bytedance = {
	FAMILY,
	.base_url = "https://ark.ap-southeast.bytepluses.com/api/v3",
	.quirks = { .limit_name = "max_completion_tokens",
	    .top_logprobs = 20,
	    .adjusts = HINTS | PARAM_BIT(SEED) | PARAM_BIT(USER),
	    .refuses = EXTRAS,
	    .no_developer = true,
	    .thinking = true },
};

static const struct provider nous = {
	FAMILY,
	.base_url = "https://inference-api.nousresearch.com/v1",
	.quirks = { .limit_name = "max_tokens",
	    .top_logprobs = 20,
	    .adjusts = HINTS,
	    .refuses = EXTRAS | PARAM_BIT(SERVICE_TIER),
	    .no_developer = true },
};

const struct provider *
provider_of(enum provider_id id)
{
	static const struct provider *const table[PROVIDER_COUNT] = {
		[PROVIDER_OPENAI] = &provider_openai,
		[PROVIDER_ANTHROPIC] = &provider_anthropic,
		[PROVIDER_XAI] = &xai,
		[PROVIDER_BYTEDANCE] = &bytedance,
		[PROVIDER_NOUS] = &nous,
		[PROVIDER_GOOGLE] = &provider_gemini,
	};

	return table[id];
}

const struct provider *
provider_for(const struct model *model)
{
	if (model->kind != MODEL_IMAGE_ENDPOINT)
		return provider_of(model->provider);
	return model->provider == PROVIDER_XAI ? &provider_xai_images : &provider_ark_images;
}
