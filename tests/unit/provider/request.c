#include "provider/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/limits.h"

#define MSG	      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define CHAT(more)    "{\"model\":\"m\"," MSG more "}"
#define USER(content) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":" content "}]}"
#define MESSAGE(m)    "{\"model\":\"m\",\"messages\":[" m "]}"

static const struct {
	const char *rule, *body;
	enum endpoint endpoint;
	const char *code, *param; /* NULL: accepted */
} rows[] = {
	{ "the smallest chat request", CHAT(""), ENDPOINT_CHAT, NULL, NULL },
	{ "C2: null members count as absent", CHAT(",\"n\":null,\"stop\":null,\"tools\":null"), 1,
	    NULL, NULL },
	{ "not JSON", "{\"model\":", 1, "invalid_json", "" },
	{ "not an object", "[]", 1, "invalid_json", "" },
	{ "nothing may follow the body", CHAT("") "x", 1, "invalid_json", "" },
	{ "NaN is not JSON", CHAT(",\"temperature\":NaN"), 1, "invalid_json", "" },
	{ "model is required", "{" MSG "}", 1, "missing_required_parameter", "model" },
	{ "model null is absent", "{\"model\":null," MSG "}", 1, "missing_required_parameter",
	    "model" },
	{ "model is text", "{\"model\":7," MSG "}", 1, "invalid_value", "model" },
	{ "messages are required", "{\"model\":\"m\"}", 1, "missing_required_parameter",
	    "messages" },
	{ "messages are not empty", MESSAGE(""), 1, "invalid_value", "messages" },
	{ "prompt is required", "{\"model\":\"m\"}", 2, "missing_required_parameter", "prompt" },
	{ "prompt is one string", "{\"model\":\"m\",\"prompt\":[\"a\"]}", 2, "invalid_value",
	    "prompt" },
	{ "legacy completions", "{\"model\":\"m\",\"prompt\":\"a\",\"echo\":false,\"best_of\":1}",
	    2, NULL, NULL },
	{ "the other endpoint's parameters are not passed on unseen",
	    "{\"model\":\"m\",\"prompt\":\"a\",\"mess\\u0061ges\":[]}", 2, "unsupported_parameter",
	    "mess?u0061ges" },
	{ "a chat has no prompt", CHAT(",\"prompt\":\"a\""), 1, "unsupported_parameter", "prompt" },
	{ "temperature from 0", CHAT(",\"temperature\":-0.1"), 1, "invalid_value", "temperature" },
	{ "temperature to 2", CHAT(",\"temperature\":2.0001"), 1, "invalid_value", "temperature" },
	{ "temperature is a number", CHAT(",\"temperature\":\"0\""), 1, "invalid_value",
	    "temperature" },
	{ "temperature beyond a double", CHAT(",\"temperature\":1e999"), 1, "invalid_value",
	    "temperature" },
	{ "top_p to 1", CHAT(",\"top_p\":1.5"), 1, "invalid_value", "top_p" },
	{ "n from 1", CHAT(",\"n\":0"), 1, "invalid_value", "n" },
	{ "n to 128", CHAT(",\"n\":129"), 1, "invalid_value", "n" },
	{ "n is an integer", CHAT(",\"n\":1.0"), 1, "invalid_value", "n" },
	{ "max_tokens 0 is a limit", CHAT(",\"max_tokens\":0"), 1, NULL, NULL },
	{ "max_tokens is not negative", CHAT(",\"max_tokens\":-1"), 1, "invalid_value",
	    "max_tokens" },
	{ "stream is a boolean", CHAT(",\"stream\":1"), 1, "invalid_value", "stream" },
	{ "stop: at most four", CHAT(",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]"), 1,
	    "invalid_value", "stop" },
	{ "stop: strings", CHAT(",\"stop\":[1]"), 1, "invalid_value", "stop" },
	{ "logit_bias: numbers within 100", CHAT(",\"logit_bias\":{\"5\":101}"), 1, "invalid_value",
	    "logit_bias" },
	{ "top_logprobs needs logprobs", CHAT(",\"top_logprobs\":2"), 1, "invalid_value",
	    "top_logprobs" },
	{ "top_logprobs with logprobs", CHAT(",\"top_logprobs\":2,\"logprobs\":true"), 1, NULL,
	    NULL },
	{ "C4: store true is refused", CHAT(",\"store\":true"), 1, "unsupported_parameter",
	    "store" },
	{ "store false is neutral", CHAT(",\"store\":false"), 1, NULL, NULL },
	{ "H7: web_search true", CHAT(",\"web_search\":true"), 1, "unsupported_parameter",
	    "web_search" },
	{ "web_search false is neutral", CHAT(",\"web_search\":false"), 1, NULL, NULL },
	{ "functions: use tools", CHAT(",\"functions\":[]"), 1, "unsupported_parameter",
	    "functions" },
	{ "tool_choice needs tools", CHAT(",\"tool_choice\":\"required\""), 1, "invalid_value",
	    "tool_choice" },
	{ "tool_choice none without tools is neutral", CHAT(",\"tool_choice\":\"none\""), 1, NULL,
	    NULL },
	{ "tools: an array", CHAT(",\"tools\":{}"), 1, "invalid_value", "tools" },
	{ "tools: a name", CHAT(",\"tools\":[{\"type\":\"function\",\"function\":{}}]"), 1,
	    "invalid_value", "tools[0].function.name" },
	{ "tools: a name without spaces",
	    CHAT(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]"), 1,
	    "invalid_value", "tools[0].function.name" },
	{ "tools without parameters",
	    CHAT(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]"), 1, NULL,
	    NULL },
	{ "response_format: a known type", CHAT(",\"response_format\":{\"type\":\"xml\"}"), 1,
	    "invalid_value", "response_format" },
	{ "json_schema: a name",
	    CHAT(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}"), 1,
	    "invalid_value", "response_format.json_schema" },
	{ "reasoning_effort: a known word", CHAT(",\"reasoning_effort\":\"huge\""), 1,
	    "invalid_value", "reasoning_effort" },
	{ "metadata: strings", CHAT(",\"metadata\":{\"a\":1}"), 1, "invalid_value", "metadata" },
	{ "stream_options: known members", CHAT(",\"stream_options\":{\"x\":1}"), 1,
	    "invalid_value", "stream_options" },
	{ "a message is an object", MESSAGE("1"), 1, "invalid_value", "messages[0]" },
	{ "a message has a role", MESSAGE("{\"content\":\"x\"}"), 1, "invalid_value",
	    "messages[0].role" },
	{ "a known role", MESSAGE("{\"role\":\"boss\",\"content\":\"x\"}"), 1, "invalid_value",
	    "messages[0].role" },
	{ "content is required", MESSAGE("{\"role\":\"user\"}"), 1, "invalid_value",
	    "messages[0].content" },
	{ "assistant content may be null", MESSAGE("{\"role\":\"assistant\",\"content\":null}"), 1,
	    NULL, NULL },
	{ "a tool answer names its call", MESSAGE("{\"role\":\"tool\",\"content\":\"x\"}"), 1,
	    "invalid_value", "messages[0].tool_call_id" },
	{ "parts: text is text", USER("[{\"type\":\"text\"}]"), 1, "invalid_value",
	    "messages[0].content[0].text" },
	{ "parts: a known kind", USER("[{\"type\":\"video\"}]"), 1, "invalid_value",
	    "messages[0].content[0].type" },
	{ "parts: system takes text only",
	    MESSAGE(
		"{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}"),
	    1, "invalid_value", "messages[0].content[0].type" },
	{ "parts: images are known",
	    USER("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a\"}}]"), 1, NULL,
	    NULL },
	{ "parts: and looked at",
	    USER("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}]"), 1,
	    "invalid_value", "messages[0].content[0].image_url.url" },
	{ "parts: assistants show nothing",
	    MESSAGE("{\"role\":\"assistant\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
		    "{\"url\":\"https://a\"}}]}"),
	    1, "invalid_value", "messages[0].content[0].type" },
	{ "parts: but refuse",
	    MESSAGE("{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":"
		    "\"no\"}]}"),
	    1, NULL, NULL },
	{ "image_config is strings", CHAT(",\"image_config\":{\"image_size\":1}"), 1,
	    "invalid_value", "image_config" },
	{ "tool calls have ids", MESSAGE("{\"role\":\"assistant\",\"tool_calls\":[{}]}"), 1,
	    "invalid_value", "messages[0].tool_calls[0]" },
};

static void
accepts_and_refuses(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refusal no = { 0 };
		struct request rq;
		struct arena a;
		bool taken;

		arena_init(&a, 1 << 20);
		taken = request_parse(&rq, rows[i].endpoint, span_str(rows[i].body), &a, &no);
		if (taken != (rows[i].code == NULL))
			fail_msg("%s: %s (%s)", rows[i].rule, taken ? "accepted" : "refused",
			    no.message);
		if (!taken) {
			assert_string_equal(no.code, rows[i].code);
			assert_string_equal(no.param, rows[i].param);
			assert_true(no.message[0] != '\0' && no.status == 400);
		}
		request_fini(&rq);
		arena_fini(&a);
	}
}

/* C2: every neutral value leaves no trace. */
static void
neutral_values_count_as_absent(void **state)
{
	static const char body[] = CHAT(
	    ",\"n\":1,\"stream\":false,\"store\":false,"
	    "\"parallel_tool_calls\":true,\"logprobs\":false,\"top_logprobs\":0,"
	    "\"presence_penalty\":0,\"frequency_penalty\":0.0,\"logit_bias\":{},\"tools\":[],"
	    "\"tool_choice\":\"auto\",\"stop\":[],\"response_format\":{\"type\":\"text\"},"
	    "\"modalities\":[\"text\"],\"service_tier\":\"auto\",\"web_search\":false,"
	    "\"stream_options\":{\"include_usage\":true},\"seed\":null");
	struct refusal no;
	struct request rq;
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(body), &a, &no));
	assert_int_equal(rq.present, PARAM_BIT(MODEL) | PARAM_BIT(MESSAGES));
	assert_false(rq.stream);
	assert_int_equal(rq.n, 1);
	assert_int_equal(rq.unknown, JSON_NONE);
	request_fini(&rq);
	arena_fini(&a);
}

static void
reads_what_the_gateway_needs(void **state)
{
	static const char body[] =
	    "{\"model\":\" GPT-4.1 \",\"messages\":[{\"role\":\"user\",\"content\":\"ab\\u00e9\"}],"
	    "\"max_tokens\":5,\"max_completion_tokens\":7,\"n\":3,\"stream\":true,\"top_k\":1}";
	struct refusal no;
	struct request rq;
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(body), &a, &no));
	assert_true(span_eq(rq.model, SPAN_LIT(" GPT-4.1 ")));
	assert_true(rq.stream);
	assert_int_equal(rq.n, 3);
	assert_int_equal(rq.output_limit, 7); /* max_completion_tokens wins */
	assert_int_equal(rq.prompt_bytes, 4); /* UTF-8 bytes: S4 */
	assert_true(json_is(&rq.doc, rq.unknown, "top_k"));
	request_fini(&rq);
	arena_fini(&a);
}

/* M2: what a provider may show its model is paid for, wherever in a message it stands. */
static const struct {
	const char *messages;
	uint64_t prompt, other;
} bytes[] = {
	{ "{\"role\":\"user\",\"content\":\"ab\"}", 2, 0 },
	{ "{\"role\":\"user\",\"name\":\"abc\",\"content\":\"ab\"}", 2, 3 },
	{ "{\"role\":\"user\",\"content\":\"abcde\",\"content\":\"ab\"}", 2, 5 },
	{ "{\"role\":\"assistant\",\"refusal\":\"abcd\"}", 0, 4 },
	{ "{\"role\":\"assistant\",\"function_call\":{\"arguments\":\"abcd\"}}", 0, 9 + 4 },
	/* The arguments count once. */
	{ "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\","
	  "\"arguments\":\"{\\\"x\\\":1}\"}}]}",
	    7, 2 + 1 + 8 + 4 + 1 + 9 },
	{ "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"custom\",\"custom\":"
	  "{\"name\":\"f\",\"input\":\"abcdef\"}}]}",
	    0, 2 + 1 + 4 + 6 + 6 + 4 + 1 + 5 + 6 },
};

static void
counts_all_that_a_model_may_read(void **state)
{
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct refusal no;
		struct request rq;
		struct arena a;
		char body[512];

		(void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"messages\":[%s,%s]}",
		    bytes[i].messages, "{\"role\":\"user\",\"content\":\"\"}");
		arena_init(&a, 1 << 20);
		assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(body), &a, &no));
		assert_int_equal(rq.prompt_bytes, bytes[i].prompt);
		assert_int_equal(rq.other_bytes, bytes[i].other);
		assert_int_equal(rq.n_messages, 2);
		request_fini(&rq);
		arena_fini(&a);
	}
}

/* The model table and the request hash see the last of equal names, as Python does. */
static void
last_of_equal_names_counts(void **state)
{
	static const char body[] = "{\"model\":\"a\",\"mod\\u0065l\":\"b\"," MSG "}";
	struct refusal no;
	struct request rq;
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(body), &a, &no));
	assert_true(span_eq(rq.model, SPAN_LIT("b")));
	assert_false(request_counts(&rq.doc, 0, 1));
	request_fini(&rq);
	arena_fini(&a);
}

/* Shortest digits are dear; nobody's chat has this many fractions. */
static void
bounds_fractional_numbers(void **state)
{
	static char body[4 * (JSON_MAX_FLOATS + 64)];

	for (unsigned extra = 0; extra < 2; extra++) {
		struct refusal no = { 0 };
		struct request rq;
		struct arena a;
		size_t n = (size_t)snprintf(
		    body, sizeof(body), "{\"model\":\"m\"," MSG ",\"x\":[0.5");

		for (unsigned i = 1; i < JSON_MAX_FLOATS + extra; i++)
			n += (size_t)snprintf(body + n, sizeof(body) - n, ",1e5");
		n += (size_t)snprintf(body + n, sizeof(body) - n, "]}");
		arena_init(&a, 1 << 20);
		assert_int_equal(
		    request_parse(&rq, ENDPOINT_CHAT, span_of(body, n), &a, &no), extra == 0);
		request_fini(&rq);
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_and_refuses),
		cmocka_unit_test(neutral_values_count_as_absent),
		cmocka_unit_test(reads_what_the_gateway_needs),
		cmocka_unit_test(counts_all_that_a_model_may_read),
		cmocka_unit_test(last_of_equal_names_counts),
		cmocka_unit_test(bounds_fractional_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
