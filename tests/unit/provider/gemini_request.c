/* Requests in Gemini's words: the whole body, and what is refused or declared. */
#include "provider/gemini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct model flash = { .name = SPAN_LIT("gemini-2.5-flash"),
	.provider = PROVIDER_GOOGLE,
	.api_name = SPAN_LIT("gemini-2.5-flash"),
	.no_penalties = true,
	.thinking = THINKING_BUDGET,
	.effort = { SPAN_LIT("none"), SPAN_LIT("minimal"), SPAN_LIT("low"), SPAN_LIT("medium"),
	    SPAN_LIT("high") },
	.n_efforts = 5 };
static const struct model pro = { .name = SPAN_LIT("gemini-2.5-pro"),
	.provider = PROVIDER_GOOGLE,
	.api_name = SPAN_LIT("gemini-2.5-pro"),
	.thinking = THINKING_BUDGET,
	.effort = { SPAN_LIT("minimal"), SPAN_LIT("low"), SPAN_LIT("medium"), SPAN_LIT("high") },
	.n_efforts = 4 };
static const struct model gemini3 = { .name = SPAN_LIT("gemini-3-pro-preview"),
	.provider = PROVIDER_GOOGLE,
	.api_name = SPAN_LIT("gemini-3-pro-preview"),
	.thinking = THINKING_LEVEL,
	.effort = { SPAN_LIT("low"), SPAN_LIT("high") },
	.n_efforts = 2 };

static const struct model painter = { .name = SPAN_LIT("gemini-2.5-flash-image"),
	.provider = PROVIDER_GOOGLE,
	.kind = MODEL_IMAGE_INLINE,
	.api_name = SPAN_LIT("gemini-2.5-flash-image") };

#define HI   "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define SAID "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]"
#define CFG  "\"generationConfig\":{"

/* A user's word, then calls and their results. */
#define CALL(id, name, args)                                                      \
	"{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name \
	"\",\"arguments\":\"" args "\"}}"
#define CALLS(calls)	 "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" calls "]}"
#define RESULT(id, text) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":" text "}"
#define ASKED		 "{\"role\":\"user\",\"content\":\"q\"}"
#define SAID_Q		 "{\"role\":\"user\",\"parts\":[{\"text\":\"q\"}]}"
#define SENTINEL	 ",\"thoughtSignature\":\"skip_thought_signature_validator\""
#define ADA		 "call_00000000000000000000ada0"
#define BEE		 "call_00000000000000000000bee0"

static const struct {
	const char *rule;
	enum endpoint endpoint;
	const struct model *model;
	const char *body, *want;
	uint64_t adjusted;
} sent[] = {
	{ "6.1: a message is a turn; escapes travel as they came", 1, &flash,
	    "\"messages\":[{\"role\":\"user\",\"content\":\"h\\u0069\\ud83d\\ude00\"}]",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"h\\u0069\\ud83d\\ude00\"}]}],"
	    "\"generationConfig\":{}}",
	    0 },
	{ "11: pictures are implied", 1, &painter, HI,
	    "{" SAID "," CFG "\"responseModalities\":[\"TEXT\",\"IMAGE\"]}}", 0 },
	{ "11: a picture alone, of a shape and a size", 1, &painter,
	    HI ",\"modalities\":[\"image\"],\"image_config\":{\"image_size\":\"2K\","
	       "\"aspect_ratio\":\"16:9\"},\"temperature\":0.0",
	    "{" SAID "," CFG "\"temperature\":0.0,\"responseModalities\":[\"IMAGE\"],"
	    "\"imageConfig\":{\"aspectRatio\":\"16:9\",\"imageSize\":\"2K\"}}}",
	    0 },
	{ "11: what it drew goes back as its own words", 1, &painter,
	    "\"messages\":[" ASKED
	    ",{\"role\":\"assistant\",\"content\":\"a\",\"images\":[{\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"data:image/png;base64,aGk=\"},\"extra_content\":{\"google\":{"
	    "\"thought_signature\":\"c2k=\"}}}]}," ASKED "]",
	    "{\"contents\":[" SAID_Q
	    ",{\"role\":\"model\",\"parts\":[{\"text\":\"a\"},{\"inlineData\":{\"mimeType\":"
	    "\"image/png\",\"data\":\"aGk=\"},\"thoughtSignature\":\"c2k=\"}]}," SAID_Q "]," CFG
	    "\"responseModalities\":[\"TEXT\",\"IMAGE\"]}}",
	    0 },
	{ "6.1: system and developer are instructions, wherever they stand", 1, &flash,
	    "\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"user\",\"content\":"
	    "\"hi\"},{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}]",
	    "{" SAID ",\"systemInstruction\":{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},"
	    "{\"text\":\"b\"}]},\"generationConfig\":{}}",
	    0 },
	{ "6.1: contents are never empty", 1, &flash,
	    "\"messages\":[{\"role\":\"system\",\"content\":\"hi\"}]",
	    "{" SAID ",\"generationConfig\":{}}", 0 },
	{ "6.1: an empty word is one, when it is the only one", 1, &flash,
	    "\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"user\",\"content\":"
	    "\"\"}]",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"\"}]}],\"systemInstruction\":"
	    "{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]},\"generationConfig\":{}}",
	    0 },
	{ "6.1: neighbours of one side are one turn, empty text is none", 1, &flash,
	    "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
	    "\"content\":\"\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"b\"},"
	    "{\"type\":\"text\",\"text\":\"\"}]}]",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]}],"
	    "\"generationConfig\":{}}",
	    0 },
	{ "6.1: the first turn is the user's", 1, &flash,
	    "\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\","
	    "\"content\":\"b\"}]",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"\"}]},{\"role\":\"model\","
	    "\"parts\":[{\"text\":\"a\"}]},{\"role\":\"user\",\"parts\":[{\"text\":\"b\"}]}],"
	    "\"generationConfig\":{}}",
	    0 },
	{ "6.1: settings under their names there, numbers as they were spelt", 1, &pro,
	    HI ",\"temperature\":0.70,\"top_p\":1e-1,\"seed\":-7,\"presence_penalty\":0.5,"
	       "\"frequency_penalty\":-1,\"stop\":\"E\\u004eD\",\"max_tokens\":9,"
	       "\"max_completion_tokens\":5",
	    "{" SAID "," CFG "\"temperature\":0.70,\"topP\":1e-1,\"seed\":-7,"
	    "\"presencePenalty\":0.5,\"frequencyPenalty\":-1,\"maxOutputTokens\":5,"
	    "\"stopSequences\":[\"E\\u004eD\"]}}",
	    0 },
	{ "C3: what has no counterpart is left out and declared", 1, &flash,
	    HI ",\"presence_penalty\":0.5,\"seed\":2147483648,\"logit_bias\":{\"1\":2},\"user\":"
	       "\"u\",\"verbosity\":\"low\",\"stop\":[\"a\",\"b\"]",
	    "{" SAID "," CFG "\"stopSequences\":[\"a\",\"b\"]}}",
	    PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(SEED) | PARAM_BIT(LOGIT_BIAS) |
		PARAM_BIT(USER) | PARAM_BIT(VERBOSITY) },
	{ "6.2: pictures, sound and files by value", 1, &flash,
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
	    "{\"url\":\"data:image\\/png;base64,aGk=\"}},{\"type\":\"input_audio\",\"input_audio\":"
	    "{\"data\":\"aGk=\",\"format\":\"wav\"}},{\"type\":\"file\",\"file\":{\"file_data\":"
	    "\"data:application/pdf;name=a;base64,aGk=\"}}]}]",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inlineData\":{\"mimeType\":"
	    "\"image/png\",\"data\":\"aGk=\"}},{\"inlineData\":{\"mimeType\":\"audio/wav\","
	    "\"data\":\"aGk=\"}},{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":"
	    "\"aGk=\"}}]}],\"generationConfig\":{}}",
	    0 },
	{ "6.2: results in the order of the calls, with the function's name", 1, &flash,
	    "\"messages\":[" ASKED "," CALLS(CALL(ADA, "f", "{\\\"n\\\": 1.0}") "," CALL(
		BEE, "g", "")) "," RESULT(BEE, "\"{\\\"error\\\": \\\"no\\\"}\"") "," RESULT(ADA,
		"[{\"type\":\"text\",\"text\":\"1\"},{\"type\":\"text\",\"text\":\"2\"}]") "]",
	    "{\"contents\":[" SAID_Q ",{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":"
	    "\"f\",\"args\":{\"n\": 1.0}}},{\"functionCall\":{\"name\":\"g\",\"args\":{}}}]},"
	    "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":"
	    "{\"result\":12}}},{\"functionResponse\":{\"name\":\"g\",\"response\":{\"error\": "
	    "\"no\"}}}]}],\"generationConfig\":{}}",
	    0 },
	{ "6.2: text of a result stays text; an id that is not ours goes back", 1, &flash,
	    "\"messages\":[" ASKED
	    "," CALLS(CALL("toolu_1", "f", "{}")) "," RESULT("toolu_1", "\"it is {\\n\"") "]",
	    "{\"contents\":[" SAID_Q
	    ",{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"toolu_1\",\"name\":\"f\","
	    "\"args\":{}}}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":"
	    "\"toolu_1\",\"name\":\"f\",\"response\":{\"result\":\"it is {\\n\"}}}]}],"
	    "\"generationConfig\":{}}",
	    0 },
	{ "6.5: Gemini 3 gets a word for the signature of a step that was lost", 1, &gemini3,
	    "\"messages\":[" ASKED "," CALLS(CALL(ADA, "f", "{}") "," CALL(
		BEE, "g", "{}")) "," RESULT(ADA, "\"a\"") "," RESULT(BEE, "\"b\"") "]",
	    "{\"contents\":[" SAID_Q ",{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":"
	    "\"f\",\"args\":{}}" SENTINEL
	    "},{\"functionCall\":{\"name\":\"g\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":["
	    "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"result\":\"a\"}}},"
	    "{\"functionResponse\":{\"name\":\"g\",\"response\":{\"result\":\"b\"}}}]}],"
	    "\"generationConfig\":{}}",
	    0 },
	{ "6.5: the signature of text goes back to models that look at it", 1, &gemini3,
	    "\"messages\":[" ASKED
	    ",{\"role\":\"assistant\",\"content\":\"a\",\"extra_content\":{\"google\":"
	    "{\"thought_signature\":\"s+\"}}},{\"role\":\"user\",\"content\":\"b\"}]",
	    "{\"contents\":[" SAID_Q
	    ",{\"role\":\"model\",\"parts\":[{\"text\":\"a\",\"thoughtSignature\":\"s+\"}]},"
	    "{\"role\":\"user\",\"parts\":[{\"text\":\"b\"}]}],\"generationConfig\":{}}",
	    0 },
	{ "6.6: an effort as a budget", 1, &flash, HI ",\"reasoning_effort\":\"medium\"",
	    "{" SAID "," CFG "\"thinkingConfig\":{\"thinkingBudget\":8192}}}", 0 },
	{ "6.6: thinking is switched off", 1, &flash, HI ",\"reasoning_effort\":\"none\"",
	    "{" SAID "," CFG "\"thinkingConfig\":{\"thinkingBudget\":0}}}", 0 },
	{ "6.6, C3: where it cannot be, the least there is, declared", 1, &pro,
	    HI ",\"reasoning_effort\":\"none\"",
	    "{" SAID "," CFG "\"thinkingConfig\":{\"thinkingBudget\":128}}}",
	    PARAM_BIT(REASONING_EFFORT) },
	{ "6.6: an effort as a level", 1, &gemini3, HI ",\"reasoning_effort\":\"low\"",
	    "{" SAID "," CFG "\"thinkingConfig\":{\"thinkingLevel\":\"LOW\"}}}", 0 },
	{ "6.6, C3: a level that is missing is the next one, declared", 1, &gemini3,
	    HI ",\"reasoning_effort\":\"medium\"",
	    "{" SAID "," CFG "\"thinkingConfig\":{\"thinkingLevel\":\"HIGH\"}}}",
	    PARAM_BIT(REASONING_EFFORT) },
	{ "6.6, C3: above the highest there is the highest", 1, &gemini3,
	    HI ",\"reasoning_effort\":\"xhigh\"",
	    "{" SAID "," CFG "\"thinkingConfig\":{\"thinkingLevel\":\"HIGH\"}}}",
	    PARAM_BIT(REASONING_EFFORT) },
	{ "6.1: JSON mode", 1, &flash, HI ",\"response_format\":{\"type\":\"json_object\"}",
	    "{" SAID "," CFG "\"responseMimeType\":\"application/json\"}}", 0 },
	{ "6.3: a schema for the answer", 1, &flash,
	    HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
	       "\"schema\":{\"$schema\":\"x\",\"type\":\"object\",\"properties\":{\"$schema\":"
	       "{\"$ref\":\"#/$defs/a\",\"title\":\"t\"}},\"default\":{\"$schema\":1}}}}",
	    "{" SAID "," CFG "\"responseMimeType\":\"application/json\",\"responseJsonSchema\":"
	    "{\"type\":\"object\",\"properties\":{\"$schema\":{\"anyOf\":[{\"$ref\":\"#/$defs/"
	    "a\"}],\"title\":\"t\"}},\"default\":{\"$schema\":1}}}}",
	    0 },
	{ "6.3: functions; none without parameters gets some", 1, &flash,
	    HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"
	       "\"d\\n\",\"parameters\":{\"type\": \"object\"},\"strict\":true}},{\"type\":"
	       "\"function\",\"function\":{\"name\":\"g\",\"parameters\":{}}}],\"tool_choice\":"
	       "\"required\"",
	    "{" SAID ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":"
	    "\"d\\n\",\"parametersJsonSchema\":{\"type\":\"object\"}},{\"name\":\"g\"}]}],"
	    "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\"}},"
	    "\"generationConfig\":{}}",
	    0 },
	{ "legacy completions are one turn", 2, &flash, "\"prompt\":\"a\\n\",\"max_tokens\":3",
	    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\\n\"}]}],"
	    "\"generationConfig\":{\"maxOutputTokens\":3}}",
	    0 },
};

struct asked {
	struct arena arena;
	struct request rq;
	struct refusal no;
	uint64_t adjusted;
	struct buf out;
};

/* body: members of a request, without "model" and braces. False: refused. */
static bool
ask(struct asked *q, enum endpoint endpoint, const struct model *model, const char *members)
{
	struct buf body;
	struct span text;
	bool ok;

	*q = (struct asked){ 0 };
	arena_init(&q->arena, 1 << 20);
	buf_init(&q->out, 1 << 16);
	buf_init(&body, 1 << 16);
	buf_put_str(&body, "{\"model\":\"m\",");
	buf_put_str(&body, members);
	buf_put_byte(&body, '}');
	text = arena_copy(&q->arena, buf_span(&body));
	buf_fini(&body);
	if (!request_parse(&q->rq, endpoint, text, &q->arena, &q->no))
		fail_msg("%s\nis refused at once: %s", members, q->no.message);
	ok = provider_gemini.admit(&q->rq, model, &q->adjusted, &q->no);
	if (ok)
		provider_gemini.encode(&q->out, &q->rq, model, q->adjusted);
	assert_false(failed(buf_check(&q->out)));
	return ok;
}

static void
done(struct asked *q)
{
	buf_fini(&q->out);
	request_fini(&q->rq);
	arena_fini(&q->arena);
}

static void
encodes(void **state)
{
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		struct asked q;
		struct json doc;

		if (!ask(&q, sent[i].endpoint, sent[i].model, sent[i].body))
			fail_msg("%s: %s", sent[i].rule, q.no.message);
		if (!span_eq(buf_span(&q.out), span_str(sent[i].want)))
			fail_msg("%s\ngot  %.*s\nwant %s", sent[i].rule, (int)q.out.n,
			    (char *)q.out.p, sent[i].want);
		if (q.adjusted != sent[i].adjusted)
			fail_msg("%s: adjusted %llx", sent[i].rule, (unsigned long long)q.adjusted);
		assert_false(failed(json_parse(&doc, buf_span(&q.out), JSON_NONE)));
		json_fini(&doc);
		done(&q);
	}
}

/* Where a client may have kept the signature "s1", and where it must go. */
static const struct {
	const char *rule, *message;
} kept[] = {
	{ "6.5: as Google's own OpenAI layer has it",
	    "\"tool_calls\":[{\"id\":\"" ADA
	    "\",\"type\":\"function\",\"extra_content\":{\"google\":"
	    "{\"thought_signature\":\"s1\"}},\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
	    "]" },
	{ "6.5: in the function",
	    "\"tool_calls\":[{\"id\":\"" ADA
	    "\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"{}\",\"thought_signature\":\"s1\"}}]" },
	{ "6.5: in provider_specific_fields",
	    "\"tool_calls\":[{\"id\":\"" ADA
	    "\",\"type\":\"function\",\"provider_specific_fields\":"
	    "{\"thought_signature\":\"s1\"},\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]" },
	{ "6.5: in reasoning_details, by the call's id",
	    "\"reasoning_details\":[{\"type\":\"reasoning.text\"},{\"type\":\"reasoning."
	    "encrypted\","
	    "\"id\":\"" ADA "\",\"data\":\"s1\"}],\"tool_calls\":[" CALL(ADA, "f", "{}") "]" },
};

static void
signatures(void **state)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct buf body;
		struct asked q;

		buf_init(&body, 4096);
		buf_put_str(&body, "\"messages\":[" ASKED ",{\"role\":\"assistant\",");
		buf_put_str(&body, kept[i].message);
		buf_put_str(&body, "}," RESULT(ADA, "\"r\"") "]");
		buf_put_byte(&body, '\0');
		if (!ask(&q, ENDPOINT_CHAT, &gemini3, (const char *)body.p) ||
		    span_find(buf_span(&q.out),
			SPAN_LIT("{\"functionCall\":{\"name\":\"f\",\"args\":{}},"
				 "\"thoughtSignature\":\"s1\"}"),
			0) == SIZE_MAX)
			fail_msg("%s: %.*s", kept[i].rule, (int)q.out.n, (char *)q.out.p);
		done(&q);
		buf_fini(&body);
	}
}

#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"

static const struct {
	const char *rule, *choice, *want;
} choices[] = {
	{ "none keeps the tools", "\"none\"", "{\"mode\":\"NONE\"}" },
	{ "one function", "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
	    "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}" },
	{ "some, if any",
	    "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[{\"type\":"
	    "\"function\",\"function\":{\"name\":\"f\"}}]}}",
	    "{\"mode\":\"VALIDATED\",\"allowedFunctionNames\":[\"f\"]}" },
	{ "one of some",
	    "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":["
	    "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}}",
	    "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}" },
};

static void
tool_choices(void **state)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		struct buf body;
		struct asked q;

		buf_init(&body, 4096);
		buf_put_str(&body, HI "," TOOLS ",\"tool_choice\":");
		buf_put_str(&body, choices[i].choice);
		buf_put_byte(&body, '\0');
		if (!ask(&q, ENDPOINT_CHAT, &flash, (const char *)body.p) ||
		    span_find(buf_span(&q.out), span_str(choices[i].want), 0) == SIZE_MAX)
			fail_msg("%s: %.*s", choices[i].rule, (int)q.out.n, (char *)q.out.p);
		done(&q);
		buf_fini(&body);
	}
}

static const struct {
	const char *rule;
	const struct model *model;
	const char *body, *param;
} refusals[] = {
	{ "C4: n above 1", &flash, HI ",\"n\":2", "n" },
	{ "C4: logprobs", &flash, HI ",\"logprobs\":true", "logprobs" },
	{ "C4: modalities", &flash, HI ",\"modalities\":[\"text\",\"image\"]", "modalities" },
	{ "C4: words for pictures", &flash, HI ",\"image_config\":{\"image_size\":\"1K\"}",
	    "image_config" },
	{ "C4: sound is no picture", &painter, HI ",\"modalities\":[\"audio\"]", "modalities" },
	{ "C4: tools of a model that makes pictures", &painter, HI "," TOOLS, "tools" },
	{ "C4: its JSON", &painter, HI ",\"response_format\":{\"type\":\"json_object\"}",
	    "response_format" },
	{ "C4: size is another provider's word", &painter, HI ",\"size\":\"1x1\"", "size" },
	{ "an earlier picture that is none", &painter,
	    "\"messages\":[" ASKED
	    ",{\"role\":\"assistant\",\"content\":\"\",\"images\":[{\"type\":"
	    "\"image_url\",\"image_url\":{\"url\":\"https://a/b.png\"}}]}]",
	    "messages[1].images[0]" },
	{ "C5: service tiers", &flash, HI ",\"service_tier\":\"flex\"", "service_tier" },
	{ "C5: unknown members have nowhere to go", &flash, HI ",\"top_k\":3", "top_k" },
	{ "C4: JSON beside tools, before Gemini 3", &flash,
	    HI "," TOOLS ",\"response_format\":{\"type\":\"json_object\"}", "response_format" },
	{ "C4: custom tools", &flash, HI ",\"tools\":[{\"type\":\"custom\"}]", "tools[0].type" },
	{ "6.1: names begin with a letter or an underscore", &flash,
	    HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"1f\"}}]",
	    "tools[0].function.name" },
	{ "a choice of what is not there", &flash,
	    HI "," TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}",
	    "tool_choice.function.name" },
	{ "arguments are an object", &flash,
	    "\"messages\":[" ASKED "," CALLS(CALL("a", "f", "[1]")) "]",
	    "messages[1].tool_calls[0].function.arguments" },
	{ "arguments are JSON", &flash, "\"messages\":[" ASKED "," CALLS(CALL("a", "f", "{")) "]",
	    "messages[1].tool_calls[0].function.arguments" },
	{ "a result of no call", &flash,
	    "\"messages\":[" ASKED "," CALLS(CALL("a", "f", "{}")) "," RESULT("b", "\"r\"") "]",
	    "messages[2].tool_call_id" },
	{ "two results of one call", &flash,
	    "\"messages\":[" ASKED
	    "," CALLS(CALL("a", "f", "{}")) "," RESULT("a", "\"r\"") "," RESULT("a", "\"r\"") "]",
	    "messages[3].tool_call_id" },
	{ "the older form of calls", &flash,
	    "\"messages\":[{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]",
	    "messages[0].role" },
};

static void
refuses(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct asked q;

		if (ask(&q, ENDPOINT_CHAT, refusals[i].model, refusals[i].body))
			fail_msg("%s: taken", refusals[i].rule);
		assert_int_equal(q.no.status, 400);
		if (!span_eq(span_str(q.no.param), span_str(refusals[i].param)))
			fail_msg("%s: %s", refusals[i].rule, q.no.param);
		done(&q);
	}
}

static void
json_beside_tools_from_gemini_3_on(void **state)
{
	struct asked q;

	assert_true(ask(&q, ENDPOINT_CHAT, &gemini3,
	    HI "," TOOLS ",\"response_format\":{\"type\":\"json_object\"}"));
	done(&q);
}

static void
paths(void **state)
{
	struct buf b;

	buf_init(&b, 256);
	provider_gemini.path(&b, &flash, false);
	buf_put_byte(&b, ' ');
	provider_gemini.path(&b, &flash, true);
	assert_true(span_eq(buf_span(&b),
	    SPAN_LIT("/v1beta/models/gemini-2.5-flash:generateContent "
		     "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")));
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes),
		cmocka_unit_test(signatures),
		cmocka_unit_test(tool_choices),
		cmocka_unit_test(refuses),
		cmocka_unit_test(json_beside_tools_from_gemini_3_on),
		cmocka_unit_test(paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
