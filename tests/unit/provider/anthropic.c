/* Requests as Anthropic's Messages take them. Source: providers.md 5.1, 5.2, 5.5, 5.6; C1-C7. */
#include "provider/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/limits.h"

#define EFFORTS .effort = { SPAN_LIT("low"), SPAN_LIT("medium"), SPAN_LIT("high") }, .n_efforts = 3

static const struct model old = { .api_name = SPAN_LIT("c"),
	.provider = PROVIDER_ANTHROPIC,
	.thinking = THINKING_BUDGET,
	EFFORTS };
static const struct model mid = { .api_name = SPAN_LIT("c"),
	.provider = PROVIDER_ANTHROPIC,
	.one_sampling = true,
	.structured_output = true,
	.thinking = THINKING_BUDGET,
	EFFORTS };
static const struct model now = { .api_name = SPAN_LIT("c"),
	.provider = PROVIDER_ANTHROPIC,
	.fixed_sampling = true,
	.structured_output = true,
	.no_forced_tools = true,
	.no_prefill = true,
	.thinking = THINKING_ADAPTIVE,
	.effort = { SPAN_LIT("low"), SPAN_LIT("medium"), SPAN_LIT("high"), SPAN_LIT("max") },
	.n_efforts = 4 };

/* Parts of bodies, as they come and as they go. */
#define ASK(messages, more) "{\"model\":\"m\",\"messages\":[" messages "]" more "}"
#define U(text)		    "{\"role\":\"user\",\"content\":\"" text "\"}"
#define HI		    U("x")
#define A(text)		    "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define S(text)		    "{\"role\":\"system\",\"content\":\"" text "\"}"
#define CALL(id, args)                              \
	"{\"id\":\"" id "\",\"type\":\"function\"," \
	"\"function\":{\"name\":\"f\",\"arguments\":\"" args "\"}}"
#define CALLS(calls) "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" calls "]}"
#define R(id, text)  "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"
#define T(text)	     "{\"type\":\"text\",\"text\":\"" text "\"}"
#define UT(blocks)   "{\"role\":\"user\",\"content\":[" blocks "]}"
#define AT(blocks)   "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define USE(id, in)  "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":" in "}"
#define RES(id, text) \
	"{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":\"" text "\"}"
#define FN(more) "{\"type\":\"function\",\"function\":{\"name\":\"f\"" more "}}"
#define TOOLS	 ",\"tools\":[" FN("") "]"
#define GO(system, messages, more) \
	"{\"model\":\"c\",\"max_tokens\":4096" system ",\"messages\":[" messages "]" more "}"
#define GOX(more) GO("", UT(T("x")), more)
#define NOTHING	  "{\"type\":\"object\",\"properties\":{}}"
#define GOTOOLS	  ",\"tools\":[{\"name\":\"f\",\"input_schema\":" NOTHING "}]"
#define SCHEMA(schema)                                                                    \
	",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\"," \
	"\"schema\":" schema "}}"
#define FORMAT(schema) \
	",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" schema "}}"

static const struct {
	const char *rule;
	const struct model *model;
	const char *body;
	const char *refused; /* parameter that a 400 names; NULL: it is taken */
	const char *want;
	uint64_t adjusted;
} rows[] = {
	/* Turns. */
	{ "C7: a limit is required", &mid, ASK(HI, ""), NULL, GOX(""), 0 },
	{ "text travels byte for byte", &mid, ASK(U("h\\u0069 \\ud83d\\ude00 \\/ \xc3\xa9"), ""),
	    NULL, GO("", UT(T("h\\u0069 \\ud83d\\ude00 \\/ \xc3\xa9")), ""), 0 },
	{ "the newer limit wins", &mid, ASK(HI, ",\"max_tokens\":5,\"max_completion_tokens\":7"),
	    NULL, "{\"model\":\"c\",\"max_tokens\":7,\"messages\":[" UT(T("x")) "]}", 0 },
	{ "system turns are joined, wherever they stand", &mid,
	    ASK(S("a") "," HI
		       ",{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"b\"},"
		       "{\"type\":\"text\",\"text\":\"c\"}]}," S(" "),
		""),
	    NULL, GO(",\"system\":\"a\\n\\nb\\nc\"", UT(T("x")), ""), 0 },
	{ "what is to be cached stays a block", &mid,
	    ASK("{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
		"\"cache_control\":{\"type\":\"ephemeral\"}}]}," S("b") "," HI,
		""),
	    NULL,
	    GO(",\"system\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":"
	       "\"ephemeral\"}}," T("b") "]",
		UT(T("x")), ""),
	    0 },
	{ "turns of one role are one message", &mid,
	    ASK(HI "," U("y") "," A("a") "," A("b") "," HI, ""), NULL,
	    GO("", UT(T("x") "," T("y")) "," AT(T("a") "," T("b")) "," UT(T("x")), ""), 0 },
	{ "white space alone says nothing", &mid,
	    ASK(HI "," A(" \\n") "," U("y") "," U("\\u0020"), ""), NULL,
	    GO("", UT(T("x") "," T("y")), ""), 0 },
	{ "the first word is the user's", &mid, ASK(A("a") "," HI, ""), NULL,
	    GO("", UT(T(".")) "," AT(T("a")) "," UT(T("x")), ""), 0 },
	{ "nobody says anything", &mid, ASK(S("a") "," U(" "), ""), "messages", NULL, 0 },
	{ "words to go on with end in no white space", &mid, ASK(HI "," A("a b\\n\\u0020 "), ""),
	    NULL, GO("", UT(T("x")) "," AT(T("a b")), ""), 0 },
	{ "newer models do not go on", &now, ASK(HI "," A("a"), ""), "messages", NULL, 0 },
	{ "a refusal of before is what was said", &mid,
	    ASK(HI ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," U("y"), ""),
	    NULL, GO("", UT(T("x")) "," AT(T("no")) "," UT(T("y")), ""), 0 },
	/* Parts. */
	{ "an image by URL", &mid,
	    ASK("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
		"\"https://a\"}}]}",
		""),
	    NULL,
	    GO("", UT("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://a\"}}"),
		""),
	    0 },
	{ "an image in the body", &mid,
	    ASK("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
		"\"data:image/png;base64,AAA=\"}}]}",
		""),
	    NULL,
	    GO("",
		UT("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
		   "png\","
		   "\"data\":\"AAA=\"}}"),
		""),
	    0 },
	{ "a file in the body", &mid,
	    ASK("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":"
		"\"a.pdf\",\"file_data\":\"data:application\\/pdf;base64,AAA=\"}}]}",
		""),
	    NULL,
	    GO("",
		UT("{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
		   "\"application/pdf\",\"data\":\"AAA=\"},\"title\":\"a.pdf\"}"),
		""),
	    0 },
	{ "C4: a file of another kind", &mid,
	    ASK("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_data\":"
		"\"data:text/csv;base64,AAA=\"}}]}",
		""),
	    "messages[0].content[0].file.file_data", NULL, 0 },
	/* Tools. */
	{ "a tool without parameters", &mid, ASK(HI, TOOLS), NULL, GOX(GOTOOLS), 0 },
	{ "parameters that are empty", &mid, ASK(HI, ",\"tools\":[" FN(",\"parameters\":{}") "]"),
	    NULL, GOX(GOTOOLS), 0 },
	{ "parameters travel byte for byte, and are an object's", &mid,
	    ASK(HI, ",\"tools\":[" FN(",\"description\":\"d\",\"parameters\":{\"x\" : 1.0}") "]"),
	    NULL,
	    GOX(",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":"
		"\"object\",\"x\" : 1.0}}]"),
	    0 },
	{ "parameters of another type", &mid,
	    ASK(HI, ",\"tools\":[" FN(",\"parameters\":{\"type\":\"string\"}") "]"),
	    "tools[0].function.parameters", NULL, 0 },
	{ "strict tools, closed and told", &mid,
	    ASK(HI,
		",\"tools\":[" FN(
		    ",\"strict\":true,\"parameters\":{\"type\":\"object\","
		    "\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^\\\"a\"}}}") "]"),
	    NULL,
	    GOX(",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{"
		"\"a\":{\"type\":\"string\",\"description\":\"(pattern: \\\"^\\\\\\\"a\\\")\"}},"
		"\"additionalProperties\":false},\"strict\":true}]"),
	    0 },
	{ "C4: strict tools of older models", &old,
	    ASK(HI, ",\"tools\":[" FN(",\"strict\":true") "]"), "tools[0].function.strict", NULL,
	    0 },
	{ "C4: custom tools", &mid, ASK(HI, ",\"tools\":[{\"type\":\"custom\",\"custom\":{}}]"),
	    "tools[0].type", NULL, 0 },
	{ "none keeps the tools", &mid, ASK(HI, TOOLS ",\"tool_choice\":\"none\""), NULL,
	    GOX(GOTOOLS ",\"tool_choice\":{\"type\":\"none\"}"), 0 },
	{ "required is any", &mid, ASK(HI, TOOLS ",\"tool_choice\":\"required\""), NULL,
	    GOX(GOTOOLS ",\"tool_choice\":{\"type\":\"any\"}"), 0 },
	{ "one by name, and no other beside it", &mid,
	    ASK(HI,
		TOOLS ",\"parallel_tool_calls\":false,\"tool_choice\":{\"type\":\"function\","
		      "\"function\":{\"name\":\"f\"}}"),
	    NULL,
	    GOX(GOTOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
			"\"disable_parallel_tool_use\":true}"),
	    0 },
	{ "one at a time", &mid, ASK(HI, TOOLS ",\"parallel_tool_calls\":false"), NULL,
	    GOX(GOTOOLS ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"),
	    0 },
	{ "C4: a model that refuses to be forced", &now,
	    ASK(HI, TOOLS ",\"tool_choice\":\"required\""), "tool_choice", NULL, 0 },
	{ "C4: some of the tools", &mid,
	    ASK(HI, TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{}}"),
	    "tool_choice", NULL, 0 },
	/* Calls and results. */
	{ "results come in one turn, what the user says behind them", &mid,
	    ASK(HI "," CALLS(CALL("a", "{\\\"x\\\": 1.0}") "," CALL("b", "")) "," R("b", "2") "," R(
		    "a", "1") "," U("y"),
		TOOLS),
	    NULL,
	    GO("",
		UT(T("x")) "," AT(USE("a", "{\"x\": 1.0}") "," USE("b", "{}")) "," UT(
		    RES("b", "2") "," RES("a", "1") "," T("y")),
		GOTOOLS),
	    0 },
	{ "ids of others are made to fit, in both places", &mid,
	    ASK(HI "," CALLS(CALL("a.b", "{}") "," CALL("a.b", "{}")) "," R("a\\u002eb", "1") "," R(
		    "a.b", "2"),
		TOOLS),
	    NULL,
	    GO("",
		UT(T("x")) "," AT(USE("call_1_0", "{}") "," USE("call_1_1", "{}")) "," UT(
		    RES("call_1_0", "1") "," RES("call_1_1", "2")),
		GOTOOLS),
	    0 },
	{ "no two calls share an id, within a turn or beyond it", &mid,
	    ASK(HI "," CALLS(CALL("a", "{}") "," CALL("a", "{}")) "," R("a", "1") "," R(
		    "a", "2") "," CALLS(CALL("a", "{}")) "," R("a", "3"),
		TOOLS),
	    NULL,
	    GO("",
		UT(T("x")) "," AT(USE("a", "{}") "," USE("call_1_1", "{}")) "," UT(
		    RES("a", "1") "," RES("call_1_1", "2")) "," AT(USE("call_4_0",
		    "{}")) "," UT(RES("call_4_0", "3")),
		GOTOOLS),
	    0 },
	{ "a result may be empty, or parts", &mid,
	    ASK(HI "," CALLS(CALL("a", "{}") "," CALL("b", "{}")) "," R(
		    "a", "") ",{\"role\":\"tool\",\"tool_call_id\":\"b\","
			     "\"content\":[" T("1") "," T("") "]}",
		TOOLS),
	    NULL,
	    GO("",
		UT(T("x")) "," AT(USE("a", "{}") "," USE("b", "{}")) "," UT(
		    "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"},{\"type\":\"tool_result\","
		    "\"tool_use_id\":\"b\",\"content\":[" T("1") "]}"),
		GOTOOLS),
	    0 },
	{ "the older kind of result names its function", &mid,
	    ASK(HI "," CALLS(
		    CALL("a", "{}")) ",{\"role\":\"function\",\"name\":\"f\",\"content\":\"1\"}",
		TOOLS),
	    NULL, GO("", UT(T("x")) "," AT(USE("a", "{}")) "," UT(RES("a", "1")), GOTOOLS), 0 },
	{ "a call without a result", &mid,
	    ASK(HI "," CALLS(CALL("a", "{}") "," CALL("b", "{}")) "," R("a", "1") "," U("y"),
		TOOLS),
	    "messages[1].tool_calls[1]", NULL, 0 },
	{ "a call at the end", &mid, ASK(HI "," CALLS(CALL("a", "{}")), TOOLS),
	    "messages[1].tool_calls[0]", NULL, 0 },
	{ "a result of nothing", &mid, ASK(HI "," R("a", "1"), TOOLS), "messages[1].tool_call_id",
	    NULL, 0 },
	{ "a result twice", &mid,
	    ASK(HI "," CALLS(CALL("a", "{}")) "," R("a", "1") "," R("a", "1"), TOOLS),
	    "messages[3].tool_call_id", NULL, 0 },
	{ "arguments that are no JSON", &mid,
	    ASK(HI "," CALLS(CALL("a", "{")) "," R("a", "1"), TOOLS),
	    "messages[1].tool_calls[0].function.arguments", NULL, 0 },
	{ "arguments that are no object", &mid,
	    ASK(HI "," CALLS(CALL("a", "1")) "," R("a", "1"), TOOLS),
	    "messages[1].tool_calls[0].function.arguments", NULL, 0 },
	{ "calls of the oldest kind", &mid,
	    ASK(HI ",{\"role\":\"assistant\",\"content\":null,\"function_call\":{}}", ""),
	    "messages[1].function_call", NULL, 0 },
	/* Stop, sampling. */
	{ "one string is a list", &mid, ASK(HI, ",\"stop\":\"a\\u000a\""), NULL,
	    GOX(",\"stop_sequences\":[\"a\\u000a\"]"), 0 },
	{ "C4: stops of white space", &mid, ASK(HI, ",\"stop\":[\"a\",\"\\n\"]"), "stop", NULL, 0 },
	{ "a temperature above theirs is theirs", &mid, ASK(HI, ",\"temperature\":1.5"), NULL,
	    GOX(",\"temperature\":1"), PARAM_BIT(TEMPERATURE) },
	{ "a temperature in its spelling", &mid, ASK(HI, ",\"temperature\":0.0"), NULL,
	    GOX(",\"temperature\":0.0"), 0 },
	{ "not both", &mid, ASK(HI, ",\"temperature\":0.50,\"top_p\":0.5"), NULL,
	    GOX(",\"temperature\":0.50"), PARAM_BIT(TOP_P) },
	{ "both where both are taken", &old, ASK(HI, ",\"temperature\":0.50,\"top_p\":0.5"), NULL,
	    GOX(",\"temperature\":0.50,\"top_p\":0.5"), 0 },
	{ "a top_p of 1 is what comes unasked", &mid, ASK(HI, ",\"temperature\":0,\"top_p\":1.0"),
	    NULL, GOX(",\"temperature\":0"), 0 },
	{ "C3: newer models take neither", &now, ASK(HI, ",\"temperature\":0.0,\"top_p\":0.5"),
	    NULL, GOX(""), PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) },
	{ "1 is what they do", &now, ASK(HI, ",\"temperature\":1,\"top_p\":1"), NULL, GOX(""), 0 },
	{ "C3: no counterpart", &mid,
	    ASK(HI,
		",\"seed\":1,\"presence_penalty\":1,\"frequency_penalty\":1,\"logit_bias\":{\"1\":"
		"1},"
		"\"verbosity\":\"low\",\"metadata\":{\"a\":\"b\"},\"prompt_cache_key\":\"k\""),
	    NULL, GOX(""),
	    PARAM_BIT(SEED) | PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY) |
		PARAM_BIT(LOGIT_BIAS) | PARAM_BIT(VERBOSITY) | PARAM_BIT(METADATA) |
		PARAM_BIT(PROMPT_CACHE_KEY) },
	{ "who asks", &mid, ASK(HI, ",\"user\":\"u\\u0031\""), NULL,
	    GOX(",\"metadata\":{\"user_id\":\"u\\u0031\"}"), 0 },
	{ "one id is sent", &mid, ASK(HI, ",\"user\":\"u\",\"safety_identifier\":\"s\""), NULL,
	    GOX(",\"metadata\":{\"user_id\":\"s\"}"), PARAM_BIT(USER) },
	{ "C4: several choices", &mid, ASK(HI, ",\"n\":2"), "n", NULL, 0 },
	{ "C5: unknown members", &mid, ASK(HI, ",\"top_k\":2"), "top_k", NULL, 0 },
	{ "a stream", &mid, ASK(HI, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
	    NULL, GOX(",\"stream\":true"), 0 },
	/* Thinking. */
	{ "an effort is a budget, half of the limit at most", &mid,
	    ASK(HI, ",\"reasoning_effort\":\"low\",\"temperature\":0.5,\"top_p\":0.96"), NULL,
	    GOX(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048},\"top_p\":0.96"),
	    PARAM_BIT(TEMPERATURE) },
	{ "C3: a budget that the limit cuts", &mid, ASK(HI, ",\"reasoning_effort\":\"medium\""),
	    NULL, GOX(",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}"),
	    PARAM_BIT(REASONING_EFFORT) },
	{ "a limit with room", &mid, ASK(HI, ",\"reasoning_effort\":\"high\",\"max_tokens\":40000"),
	    NULL,
	    "{\"model\":\"c\",\"max_tokens\":40000,\"messages\":[" UT(
		T("x")) "],\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":16384}}",
	    0 },
	{ "C3: a limit without", &mid, ASK(HI, ",\"reasoning_effort\":\"low\",\"max_tokens\":2000"),
	    NULL, "{\"model\":\"c\",\"max_tokens\":2000,\"messages\":[" UT(T("x")) "]}",
	    PARAM_BIT(REASONING_EFFORT) },
	{ "none is what comes unasked", &mid, ASK(HI, ",\"reasoning_effort\":\"none\""), NULL,
	    GOX(""), 0 },
	{ "it thinks as it likes, an effort guides it", &now,
	    ASK(HI, ",\"reasoning_effort\":\"low\""), NULL,
	    GOX(",\"output_config\":{\"effort\":\"low\"},\"thinking\":{\"type\":\"adaptive\"}"),
	    0 },
	{ "above high there is one step", &now, ASK(HI, ",\"reasoning_effort\":\"xhigh\""), NULL,
	    GOX(",\"output_config\":{\"effort\":\"max\"},\"thinking\":{\"type\":\"adaptive\"}"),
	    PARAM_BIT(REASONING_EFFORT) },
	{ "minimal is low", &now, ASK(HI, ",\"reasoning_effort\":\"minimal\""), NULL,
	    GOX(",\"output_config\":{\"effort\":\"low\"},\"thinking\":{\"type\":\"adaptive\"}"),
	    PARAM_BIT(REASONING_EFFORT) },
	{ "C3: who must call a tool does not think", &mid,
	    ASK(HI, TOOLS ",\"tool_choice\":\"required\",\"reasoning_effort\":\"low\""), NULL,
	    GOX(GOTOOLS ",\"tool_choice\":{\"type\":\"any\"}"), PARAM_BIT(REASONING_EFFORT) },
	{ "C3: calls of before have lost their thoughts", &now,
	    ASK(HI "," CALLS(CALL("a", "{}")) "," R("a", "1"),
		TOOLS ",\"reasoning_effort\":\"low\""),
	    NULL,
	    GO("", UT(T("x")) "," AT(USE("a", "{}")) "," UT(RES("a", "1")),
		GOTOOLS ",\"output_config\":{\"effort\":\"low\"}"),
	    PARAM_BIT(REASONING_EFFORT) },
	/* Structured output. */
	{ "C4: JSON without a schema", &mid,
	    ASK(HI, ",\"response_format\":{\"type\":\"json_object\"}"), "response_format", NULL,
	    0 },
	{ "every object is closed, oneOf is anyOf, the rest is told", &mid,
	    ASK(HI,
		SCHEMA(
		    "{\"$schema\":\"s\",\"oneOf\":[{\"properties\":{\"a\":{\"type\":\"integer\","
		    "\"description\":\"d\",\"minimum\": 1.0,\"maximum\":[ 2 ]}}},true],\"$defs\":{"
		    "\"x\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"date\"},"
		    "\"minItems\":1,\"maxItems\":2}}}")),
	    NULL,
	    GOX(FORMAT(
		"{\"anyOf\":[{\"properties\":{\"a\":{\"type\":\"integer\",\"description\":\"d "
		"(minimum: 1.0; maximum: [2])\"}},\"additionalProperties\":false},true],"
		"\"$defs\":{\"x\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":"
		"\"date\"},\"minItems\":1,\"description\":\"(maxItems: 2)\"}}}")),
	    0 },
	{ "C4: an object that is open", &mid,
	    ASK(HI, SCHEMA("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}")),
	    "response_format.json_schema.schema", NULL, 0 },
	{ "an effort beside a schema", &now,
	    ASK(HI, ",\"reasoning_effort\":\"low\"" SCHEMA("{\"type\":\"string\"}")), NULL,
	    GOX(",\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":\"json_schema\","
		"\"schema\":{\"type\":\"string\"}}},\"thinking\":{\"type\":\"adaptive\"}"),
	    0 },
	{ "older models have a tool for it", &old, ASK(HI, SCHEMA("{\"x\":1}")), NULL,
	    GOX(",\"tools\":[{\"name\":\"s\",\"input_schema\":{\"type\":\"object\",\"x\":1}}],"
		"\"tool_choice\":{\"type\":\"tool\",\"name\":\"s\"}"),
	    0 },
	{ "C4: not beside others", &old, ASK(HI, TOOLS SCHEMA("{\"x\":1}")), "response_format",
	    NULL, 0 },
};

static void
check_json(const char *rule, const struct buf *b)
{
	struct json doc;

	if (failed(json_parse(&doc, buf_span(b), JSON_MAX_NODES)))
		fail_msg("%s: no JSON: %.*s", rule, (int)b->n, (char *)b->p);
	json_fini(&doc);
}

static void
requests(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refusal no = { 0 };
		uint64_t adjusted = 0;
		struct request rq;
		struct arena a;
		struct buf b;

		arena_init(&a, 1 << 20);
		buf_init(&b, 1 << 16);
		if (!request_parse(&rq, ENDPOINT_CHAT, span_str(rows[i].body), &a, &no))
			fail_msg("%s: %s", rows[i].rule, no.message);
		if (provider_anthropic.admit(&rq, rows[i].model, &adjusted, &no) !=
			(rows[i].refused == NULL) ||
		    (rows[i].refused != NULL && strcmp(no.param, rows[i].refused) != 0))
			fail_msg("%s: %s: %s", rows[i].rule, no.param, no.message);
		if (rows[i].refused == NULL) {
			provider_anthropic.encode(&b, &rq, rows[i].model, adjusted);
			assert_false(failed(buf_check(&b)));
			check_json(rows[i].rule, &b);
			if (adjusted != rows[i].adjusted ||
			    !span_eq(buf_span(&b), span_str(rows[i].want)))
				fail_msg("%s: %.*s", rows[i].rule, (int)b.n, (char *)b.p);
		}
		buf_fini(&b);
		request_fini(&rq);
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(requests) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
