/* What sets the members of the OpenAI-compatible family apart. Source: providers.md 7 to 9. */
#include "provider/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char uuid[] = "00000000-0000-4000-8000-000000000001";

static const struct model gpt = { .api_name = SPAN_LIT("g"), .provider = PROVIDER_OPENAI };
static const struct model grok = { .api_name = SPAN_LIT("g"),
	.provider = PROVIDER_XAI,
	.no_stop = true,
	.no_penalties = true,
	.effort = { SPAN_LIT("low"), SPAN_LIT("high") },
	.n_efforts = 2 };
static const struct model grok3 = { .api_name = SPAN_LIT("g"), .provider = PROVIDER_XAI };
static const struct model seed = { .api_name = SPAN_LIT("s"),
	.provider = PROVIDER_BYTEDANCE,
	.effort = { SPAN_LIT("minimal"), SPAN_LIT("low") },
	.n_efforts = 2 };
static const struct model hermes = { .api_name = SPAN_LIT("n/h"), .provider = PROVIDER_NOUS };

#define MSG "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define ASK "{\"model\":\"m\"," MSG ","

static const struct {
	const char *rule;
	const struct model *model;
	const char *body;
	const char *refused; /* parameter that is named in a 400; NULL: it is taken */
	const char *want;    /* what is sent after the messages; NULL: not looked at */
	uint64_t adjusted;
} rows[] = {
	{ "C5: unknown members are passed", &grok, ASK "\"search\":{\"a\":1.0}}", NULL,
	    ",\"search\":{\"a\":1.0},\"model\":\"g\"}", 0 },
	{ "xAI: stop cannot be left out (C4)", &grok, ASK "\"stop\":\"a\"}", "stop", NULL, 0 },
	{ "xAI: other models take stop", &grok3, ASK "\"stop\":\"a\"}", NULL,
	    ",\"stop\":\"a\",\"model\":\"g\"}", 0 },
	{ "xAI: penalties are left out of reasoning models", &grok,
	    ASK "\"presence_penalty\":1,\"frequency_penalty\":0.5,\"top_p\":0.5}", NULL,
	    ",\"top_p\":0.5,\"model\":\"g\"}",
	    PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY) },
	{ "xAI: medium is nearest to low", &grok, ASK "\"reasoning_effort\":\"medium\"}", NULL,
	    ",\"model\":\"g\",\"reasoning_effort\":\"low\"}", PARAM_BIT(REASONING_EFFORT) },
	{ "xAI: below the lowest is the lowest", &grok, ASK "\"reasoning_effort\":\"none\"}", NULL,
	    ",\"model\":\"g\",\"reasoning_effort\":\"low\"}", PARAM_BIT(REASONING_EFFORT) },
	{ "xAI: above the highest is the highest", &grok, ASK "\"reasoning_effort\":\"max\"}", NULL,
	    ",\"model\":\"g\",\"reasoning_effort\":\"high\"}", PARAM_BIT(REASONING_EFFORT) },
	{ "an effort that is taken travels as it is", &grok, ASK "\"reasoning_effort\":\"high\"}",
	    NULL, ",\"reasoning_effort\":\"high\",\"model\":\"g\"}", 0 },
	{ "xAI: no effort where there is none", &grok3, ASK "\"reasoning_effort\":\"high\"}", NULL,
	    ",\"model\":\"g\"}", PARAM_BIT(REASONING_EFFORT) },
	{ "xAI: n", &grok, ASK "\"n\":2}", NULL, ",\"n\":2,\"model\":\"g\"}", 0 },
	{ "xAI: top_logprobs up to 8", &grok, ASK "\"logprobs\":true,\"top_logprobs\":9}",
	    "top_logprobs", NULL, 0 },
	{ "xAI: top_logprobs up to 8", &grok, ASK "\"logprobs\":true,\"top_logprobs\":8}", NULL,
	    NULL, 0 },
	{ "OpenAI's hints have no counterpart", &grok,
	    ASK
	    "\"metadata\":{\"a\":\"b\"},\"prompt_cache_key\":\"k\",\"safety_identifier\":\"s\"}",
	    NULL, ",\"model\":\"g\"}",
	    PARAM_BIT(METADATA) | PARAM_BIT(PROMPT_CACHE_KEY) | PARAM_BIT(SAFETY_IDENTIFIER) },
	{ "C4: modalities", &grok, ASK "\"modalities\":[\"text\",\"audio\"]}", "modalities", NULL,
	    0 },
	{ "C1: a tier of OpenAI's", &grok, ASK "\"service_tier\":\"flex\"}", "service_tier", NULL,
	    0 },
	{ "Ark has a flex tier", &seed, ASK "\"service_tier\":\"flex\"}", NULL,
	    ",\"service_tier\":\"flex\",\"model\":\"s\"}", 0 },
	{ "Ark: one choice", &seed, ASK "\"n\":2}", "n", NULL, 0 },
	{ "Ark: thinking is passed", &seed, ASK "\"thinking\":{\"type\":\"disabled\"}}", NULL,
	    ",\"thinking\":{\"type\":\"disabled\"},\"model\":\"s\"}", 0 },
	{ "Ark: no effort beside thinking that is off", &seed,
	    ASK "\"thinking\":{\"type\":\"disabled\"},\"reasoning_effort\":\"low\"}", NULL,
	    ",\"thinking\":{\"type\":\"disabled\"},\"model\":\"s\"}", PARAM_BIT(REASONING_EFFORT) },
	{ "Ark: one spelling of the limit", &seed, ASK "\"max_tokens\":5}", NULL,
	    ",\"model\":\"s\",\"max_completion_tokens\":5}", 0 },
	{ "Nous: the older spelling", &hermes, ASK "\"max_completion_tokens\":5}", NULL,
	    ",\"model\":\"n/h\",\"max_tokens\":5}", 0 },
	{ "Nous: one choice", &hermes, ASK "\"n\":2}", "n", NULL, 0 },
	{ "OpenAI: n", &gpt, ASK "\"n\":2}", NULL, ",\"n\":2,\"model\":\"g\"}", 0 },
	{ "usage is asked for of everybody", &hermes, ASK "\"stream\":true}", NULL,
	    ",\"stream\":true,\"model\":\"n/h\",\"stream_options\":{\"include_usage\":true}}", 0 },
};

static void
requests(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct provider *p = provider_of(rows[i].model->provider);
		struct refusal no = { 0 };
		uint64_t adjusted = 0;
		struct request rq;
		struct arena a;
		struct buf b, want;

		arena_init(&a, 1 << 20);
		buf_init(&b, 1 << 16);
		buf_init(&want, 1 << 16);
		assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(rows[i].body), &a, &no));
		if (p->admit(&rq, rows[i].model, &adjusted, &no) != (rows[i].refused == NULL) ||
		    (rows[i].refused != NULL && strcmp(no.param, rows[i].refused) != 0))
			fail_msg("%s: %s", rows[i].rule, no.message);
		if (rows[i].refused == NULL) {
			p->encode(&b, &rq, rows[i].model, adjusted);
			buf_put_str(&want, "{" MSG);
			buf_put_str(&want, rows[i].want == NULL ? "" : rows[i].want);
			assert_false(failed(buf_check(&b)));
			if (adjusted != rows[i].adjusted ||
			    (rows[i].want != NULL && !span_eq(buf_span(&b), buf_span(&want))))
				fail_msg("%s: %.*s", rows[i].rule, (int)b.n, (char *)b.p);
		}
		buf_fini(&want);
		buf_fini(&b);
		request_fini(&rq);
		arena_fini(&a);
	}
}

static void
roles(void **state)
{
	static const char body[] =
	    "{\"model\":\"m\",\"messages\":[ {\"role\":\"developer\",\"content\":\"developer\"} ,"
	    "{\"content\":1.0,\"role\" : \"d\\u0065veloper\",\"content\":\"a\"},"
	    "{\"role\":\"user\",\"content\":\"b\"} ]}";
	static const char want[] =
	    "{\"messages\":[ {\"role\":\"system\",\"content\":\"developer\"} ,"
	    "{\"content\":1.0,\"role\" : \"system\",\"content\":\"a\"},"
	    "{\"role\":\"user\",\"content\":\"b\"} ],\"model\":\"s\"}";
	struct refusal no = { 0 };
	struct request rq;
	struct arena a;
	struct buf b;

	arena_init(&a, 1 << 20);
	buf_init(&b, 1 << 16);
	assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(body), &a, &no));
	provider_of(PROVIDER_BYTEDANCE)->encode(&b, &rq, &seed, 0);
	if (!span_eq(buf_span(&b), span_str(want)))
		fail_msg("%.*s", (int)b.n, (char *)b.p);
	buf_fini(&b);
	request_fini(&rq);
	arena_fini(&a);
}

static const struct {
	const char *rule;
	bool apart;
	const char *reports[3]; /* values of "usage", one an event; none after a NULL */
	const char *want;
} usages[] = {
	{ "xAI: reasoning is added where the total has it", true,
	    { "{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":241,"
	      "\"completion_tokens_details\":{\"reasoning_tokens\":228}}" },
	    "{\"prompt_tokens\":12,\"completion_tokens\":229,\"total_tokens\":241,"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":228}}" },
	{ "xAI: not twice", true,
	    { "{\"prompt_tokens\":12,\"completion_tokens\":229,\"total_tokens\":241,"
	      "\"completion_tokens_details\":{\"reasoning_tokens\":228}}" },
	    "{\"prompt_tokens\":12,\"completion_tokens\":229,\"total_tokens\":241,"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":228}}" },
	{ "others: the total is not ours to explain", false,
	    { "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":9}" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":9}" },
	{ "FLT-19: explicit zeros are believed", false,
	    { "{\"prompt_tokens\":0,\"completion_tokens\":0}" },
	    "{\"prompt_tokens\":0,\"completion_tokens\":0}" },
	{ "FLT-19: one direction is estimated", false, { "{\"prompt_tokens\":7}" },
	    "{\"prompt_tokens\":7,\"completion_tokens\":1,\"total_tokens\":8,\"estimated\":true}" },
	{ "FLT-19: halves in two events", false,
	    { "{\"prompt_tokens\":7}", "{\"completion_tokens\":9}" },
	    "{\"prompt_tokens\":7,\"completion_tokens\":9,\"total_tokens\":16,\"estimated\":"
	    "true}" },
	{ "FLT-20: the last report wins, never a sum", false,
	    { "{\"prompt_tokens\":1,\"completion_tokens\":1}",
		"{\"prompt_tokens\":1,\"completion_tokens\":2}" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":2}" },
	{ "FLT-20: the last valid one", false,
	    { "{\"prompt_tokens\":1,\"completion_tokens\":2}",
		"{\"prompt_tokens\":1,\"completion_tokens\":-3}", "null" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":2}" },
	{ "FLT-20: negative", false, { "{\"prompt_tokens\":-1,\"completion_tokens\":-1}" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"estimated\":true}" },
	{ "FLT-20: fractional", false, { "{\"prompt_tokens\":1.5,\"completion_tokens\":2e0}" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"estimated\":true}" },
	{ "FLT-20: 2^63", false,
	    { "{\"prompt_tokens\":9223372036854775808,\"completion_tokens\":9223372036854775808}" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"estimated\":true}" },
	{ "FLT-20: text", false, { "{\"prompt_tokens\":\"5\",\"completion_tokens\":\"5\"}", "[]" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"estimated\":true}" },
	{ "S2: ours is not theirs", false,
	    { "{\"prompt_tokens\":1,\"completion_tokens\":2,\"estimated\":true,\"cached\":{}}" },
	    "{\"prompt_tokens\":1,\"completion_tokens\":2,\"cached\":{}}" },
};

static void
usage(void **state)
{
	for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
		struct refusal no = { 0 };
		struct answer answer;
		struct request rq;
		struct arena a;
		struct buf event, b;

		arena_init(&a, 1 << 20);
		buf_init(&event, 1 << 16);
		buf_init(&b, 1 << 16);
		assert_true(request_parse(
		    &rq, ENDPOINT_CHAT, SPAN_LIT("{\"model\":\"m\"," MSG "}"), &a, &no));
		answer_init(&answer, &rq, uuid, 0);
		answer.reasoning_apart = usages[i].apart;
		answer.output_bytes = 4;
		for (size_t k = 0; k < 3 && usages[i].reports[k] != NULL; k++) {
			enum stream_state more;

			buf_clear(&b);
			buf_put_str(&b, "{\"choices\":[],\"usage\":");
			buf_put_str(&b, usages[i].reports[k]);
			buf_put_byte(&b, '}');
			assert_false(
			    failed(provider_openai.event(&answer, buf_span(&b), &event, &more)));
		}
		buf_clear(&b);
		answer_put_usage(&answer, &b);
		if (!span_eq(buf_span(&b), span_str(usages[i].want)))
			fail_msg("%s: %.*s", usages[i].rule, (int)b.n, (char *)b.p);
		buf_fini(&b);
		buf_fini(&event);
		answer_fini(&answer);
		request_fini(&rq);
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(roles),
		cmocka_unit_test(usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
