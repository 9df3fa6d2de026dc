#include "provider/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "codec/hex.h"
#include "codec/sse.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000001";
#define ID "chatcmpl-00000000-0000-4000-8000-000000000001"

static const struct model gpt41 = { .name = SPAN_LIT("gpt-4.1"),
	.provider = PROVIDER_OPENAI,
	.api_name = SPAN_LIT("gpt-4.1-2025-04-14") };
static const struct model gpt5 = { .name = SPAN_LIT("gpt-5"),
	.provider = PROVIDER_OPENAI,
	.api_name = SPAN_LIT("gpt-5"),
	.fixed_sampling = true,
	.verbosity = true,
	.effort = { SPAN_LIT("low") },
	.n_efforts = 1 };

#define MSG "\"messages\":[ {\"role\":\"user\", \"content\":\"h\\u0069\",\"x\":1.0} ]"

static const struct {
	const char *rule;
	enum endpoint endpoint;
	const struct model *model;
	const char *body, *want;
	uint64_t adjusted;
} sent[] = {
	{ "members we did not author travel byte for byte", 1, &gpt41,
	    "{ \"model\" : \"GPT-4.1\", " MSG
	    ", \"top_p\":0.90, \"top_k\" : [1e5, 12345678901234567890] }",
	    "{\"messages\":[ {\"role\":\"user\", \"content\":\"h\\u0069\",\"x\":1.0} "
	    "],\"top_p\":0.90,"
	    "\"top_k\":[1e5, 12345678901234567890],\"model\":\"gpt-4.1-2025-04-14\"}",
	    0 },
	{ "one spelling of the output limit", 1, &gpt41,
	    "{\"model\":\"m\"," MSG ",\"max_tokens\":5}",
	    "{" MSG ",\"model\":\"gpt-4.1-2025-04-14\",\"max_completion_tokens\":5}", 0 },
	{ "C2: neutral values are not sent", 1, &gpt41,
	    "{\"model\":\"m\"," MSG ",\"n\":1,\"stop\":[],\"seed\":null,\"store\":false}",
	    "{" MSG ",\"model\":\"gpt-4.1-2025-04-14\"}", 0 },
	{ "usage is always asked for on streams", 1, &gpt41,
	    "{\"stream\":true,\"model\":\"m\"," MSG
	    ",\"stream_options\":{\"include_usage\":false}}",
	    "{\"stream\":true," MSG
	    ",\"model\":\"gpt-4.1-2025-04-14\",\"stream_options\":{\"include_usage\":true}}",
	    0 },
	{ "C3: sampling left out and declared", 1, &gpt5,
	    "{\"model\":\"m\"," MSG ",\"temperature\":0.0,\"top_p\":0.5,\"seed\":1}",
	    "{" MSG ",\"seed\":1,\"model\":\"gpt-5\"}", PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) },
	{ "temperature 1 is every model's default", 1, &gpt5,
	    "{\"model\":\"m\"," MSG ",\"temperature\":1}",
	    "{" MSG ",\"temperature\":1,\"model\":\"gpt-5\"}", 0 },
	{ "C3: an effort the model does not take becomes the nearest below", 1, &gpt5,
	    "{\"model\":\"m\"," MSG ",\"reasoning_effort\":\"high\",\"verbosity\":\"low\"}",
	    "{" MSG ",\"verbosity\":\"low\",\"model\":\"gpt-5\",\"reasoning_effort\":\"low\"}",
	    PARAM_BIT(REASONING_EFFORT) },
	{ "the last of equal names is sent, once", 1, &gpt41,
	    "{\"model\":\"m\"," MSG ",\"seed\":1,\"s\\u0065ed\":2}",
	    "{" MSG ",\"s\\u0065ed\":2,\"model\":\"gpt-4.1-2025-04-14\"}", 0 },
	{ "legacy completions travel as one user message", 2, &gpt41,
	    "{\"model\":\"m\",\"prompt\":\"a\\n\",\"max_tokens\":3}",
	    "{\"model\":\"gpt-4.1-2025-04-14\",\"messages\":[{\"role\":\"user\",\"content\":"
	    "\"a\\n\"}],"
	    "\"max_completion_tokens\":3}",
	    0 },
};

static void
encodes(void **state)
{
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		struct refusal no = { 0 };
		uint64_t adjusted = 0;
		struct request rq;
		struct arena a;
		struct buf b;

		arena_init(&a, 1 << 20);
		buf_init(&b, 1 << 16);
		assert_true(request_parse(&rq, sent[i].endpoint, span_str(sent[i].body), &a, &no));
		assert_true(provider_openai.admit(&rq, sent[i].model, &adjusted, &no));
		assert_int_equal(adjusted, sent[i].adjusted);
		provider_openai.encode(&b, &rq, sent[i].model, adjusted);
		assert_false(failed(buf_check(&b)));
		if (!span_eq(buf_span(&b), span_str(sent[i].want)))
			fail_msg("%s\ngot  %.*s\nwant %s", sent[i].rule, (int)b.n, (char *)b.p,
			    sent[i].want);
		buf_fini(&b);
		request_fini(&rq);
		arena_fini(&a);
	}
}

struct turn {
	struct arena arena;
	struct request rq;
	struct answer answer;
	struct buf out;
};

static void
begin(struct turn *t, enum endpoint endpoint, const char *body)
{
	struct refusal no;

	arena_init(&t->arena, 1 << 20);
	buf_init(&t->out, 1 << 20);
	assert_true(request_parse(&t->rq, endpoint, span_str(body), &t->arena, &no));
	answer_init(&t->answer, &t->rq, uuid, 1790000000);
}

static void
end(struct turn *t)
{
	buf_fini(&t->out);
	answer_fini(&t->answer);
	request_fini(&t->rq);
	arena_fini(&t->arena);
}

#define ASK "{\"model\":\"GPT-4.1\"," MSG "}"

static const struct {
	const char *rule, *event, *want; /* want NULL: an error */
} events[] = {
	{ "S2: id and model in place, usage null and padding gone",
	    "{\"id\":\"u\", \"created\": 7,\"model\":\"g\",\"usage\":null,\"obfuscation\":\"zz\","
	    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\u00e9\"},\"finish_reason\":null}"
	    "]}",
	    "data: {\"id\":\"" ID "\",\"created\":7,\"model\":\"GPT-4.1\","
	    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\u00e9\"},\"finish_reason\":null}"
	    "]}\n\n" },
	{ "S2: names that are ours are removed, however they are spelled",
	    "{\"t\\u0065e_signature\":\"x\",\"tee_x\":1,\"opengradient\":{},\"estimated\":true,"
	    "\"choices\":[{\"delta\":{\"content\":\"b\"}}]}",
	    "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n" },
	{ "a finish reason waits for the final chunk",
	    "{\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]"
	    "}",
	    "" },
	{ "text beside a finish reason is not lost",
	    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"},\"finish_reason\":\"stop\"}]"
	    "}",
	    "data: "
	    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"},\"finish_reason\":null}]}"
	    "\n\n" },
	{ "a usage chunk is swallowed",
	    "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}", "" },
	{ "an event of several lines stays one line",
	    "{\"choices\":[{\"delta\":{\"content\":\n\"b\"}}]}",
	    "data: {\"choices\":[{\"delta\":{\"content\": \"b\"}}]}\n\n" },
	{ "not JSON", "{", NULL },
	{ "an error event", "{\"error\":{\"message\":\"x\"}}", NULL },
	{ "a choice nobody asked for", "{\"choices\":[{\"index\":1,\"delta\":{}}]}", NULL },
};

static void
splices_events(void **state)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		enum stream_state more;
		struct turn t;
		struct err e;

		begin(&t, ENDPOINT_CHAT, ASK);
		e = provider_openai.event(&t.answer, span_str(events[i].event), &t.out, &more);
		if (failed(e) != (events[i].want == NULL))
			fail_msg("%s: %s", events[i].rule, e.what);
		if (events[i].want != NULL && !span_eq(buf_span(&t.out), span_str(events[i].want)))
			fail_msg("%s\ngot  %.*s", events[i].rule, (int)t.out.n, (char *)t.out.p);
		end(&t);
	}
}

/* A whole stream of two parallel tool calls: what is hashed is what a client puts together. */
static void
hashes_streamed_tool_calls(void **state)
{
	static const char *const stream[] = {
		"{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}]}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_"
		"1\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":"
		"\"\"}}]}}]}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
		"\"arguments\":\"{\\\"city\\\":\\\"K\\u00f6ln\\\",\"}}]}}]}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
		"\"arguments\":\"\\\"days\\\":3}\"}}]}}]}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_"
		"2\",\"type\":\"function\",\"function\":{\"name\":\"now\",\"arguments\":\"\"}}]}}]"
		"}",
		"{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],"
		"\"system_fingerprint\":\"fp\"}",
		"{\"choices\":[],\"usage\":{\"prompt_tokens\":75,\"completion_tokens\":51,\"total_"
		"tokens\":126,\"x\":1.0}}",
		"[DONE]",
	};
	uint8_t hash[KECCAK_LEN];
	enum stream_state more;
	struct tee_fields tee = { .tee_id = "0x"
					    "00000000000000000000000000000000"
					    "00000000000000000000000000000000" };
	struct turn t;
	struct buf hex;

	begin(&t, ENDPOINT_CHAT, ASK);
	for (size_t i = 0; i < sizeof(stream) / sizeof(stream[0]); i++)
		assert_false(
		    failed(provider_openai.event(&t.answer, span_str(stream[i]), &t.out, &more)));
	assert_int_equal(more, STREAM_DONE);
	assert_true(answer_finished(&t.answer));
	assert_false(failed(answer_output_hash(&t.answer, hash)));
	buf_init(&hex, 64);
	hex_put(&hex, span_of(hash, KECCAK_LEN));
	/* vectors/signing/responses.json: tool_calls_streaming_two_calls */
	assert_true(span_eq(buf_span(&hex),
	    SPAN_LIT("b835b80e4701daee0b7661e766749ebd67cda8e3917e862f64095cd9dcc91abc")));
	buf_fini(&hex);

	buf_clear(&t.out);
	answer_put_final(&t.answer, &t.out, &tee);
	assert_true(span_starts(buf_span(&t.out),
	    SPAN_LIT(
		"data: {\"id\":\"" ID "\","
		"\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"GPT-4.1\","
		"\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":0,\"delta\":{},"
		"\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":75,"
		"\"completion_tokens\":51,\"total_tokens\":126,\"x\":1.0},\"tee_request_hash\":"
		"\"")));
	end(&t);
}

static const struct {
	const char *rule, *body, *want; /* want NULL: an error */
	enum endpoint endpoint;
} bodies[] = {
	{ "in place: id, model, created; the rest byte for byte",
	    "{\n \"id\": \"u\", \"object\": \"chat.completion\",\n \"created\": 7, \"model\": "
	    "\"g\","
	    " \"choices\": [{\"index\": 0, \"message\": {\"role\": \"assistant\", \"content\": "
	    "\"\\u0041\"},"
	    " \"logprobs\": null, \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": 1,"
	    "\"completion_tokens\": 2, \"estimated\": 1, \"d\": {\"x\": 1e5}}, \"tee_id\": 1 }",
	    "{\"id\":\"" ID
	    "\",\"object\":\"chat.completion\",\"created\":1790000000,\"model\":\"GPT-4.1\","
	    "\"choices\":[{\"index\":0,\"message\":{\"role\": \"assistant\", \"content\": "
	    "\"\\u0041\"},"
	    "\"logprobs\":null,\"finish_reason\":\"stop\"}],"
	    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"d\":{\"x\": 1e5}},",
	    1 },
	{ "S3: an unknown reason is stop",
	    "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"eos\"}],\"usage\":"
	    "{\"prompt_tokens\":0,\"completion_tokens\":3}}",
	    "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":"
	    "{\"prompt_tokens\":0,\"completion_tokens\":3},",
	    1 },
	{ "S4: no usage is estimated, and says so",
	    "{\"choices\":[{\"message\":{\"content\":\"abcde\"},\"finish_reason\":\"stop\"}]}",
	    "{\"choices\":[{\"message\":{\"content\":\"abcde\"},\"finish_reason\":\"stop\"}],"
	    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,"
	    "\"estimated\":true},",
	    1 },
	{ "S3: legacy completions carry completion",
	    "{\"choices\":[{\"message\":{\"content\":\"a\\u00e9\"},\"finish_reason\":\"length\"}],"
	    "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":3}}",
	    "{\"id\":\"cmpl-00000000-0000-4000-8000-000000000001\",\"object\":\"text_completion\","
	    "\"created\":1790000000,\"model\":\"m\",\"choices\":[{\"text\":\"a\\u00e9\",\"index\":"
	    "0,"
	    "\"logprobs\":null,\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":0,"
	    "\"completion_tokens\":3},\"completion\":"
	    "\"a\\u00e9\",",
	    2 },
	{ "providers 7: more cached than asked, as it came",
	    "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":"
	    "{\"prompt_tokens\":5,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_"
	    "tokens\":9}}}",
	    "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":"
	    "{\"prompt_tokens\":5,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_"
	    "tokens\":9}},",
	    1 },
	{ "choices that count from 1",
	    "{\"choices\":[{\"index\":1,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}"
	    "]}",
	    NULL, 1 },
	{ "no choices", "{\"usage\":{}}", NULL, 1 },
	{ "S6: a choice without its reason",
	    "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":null}]}", NULL, 1 },
	{ "not JSON", "<html>", NULL, 1 },
};

static void
splices_bodies(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct turn t;
		struct err e;

		begin(&t, bodies[i].endpoint,
		    bodies[i].endpoint == 1 ? ASK : "{\"model\":\"m\",\"prompt\":\"hi\"}");
		e = provider_openai.body(&t.answer, span_str(bodies[i].body), &t.out);
		if (failed(e) != (bodies[i].want == NULL))
			fail_msg("%s: %s", bodies[i].rule, e.what);
		if (bodies[i].want != NULL && !span_eq(buf_span(&t.out), span_str(bodies[i].want)))
			fail_msg("%s\ngot  %.*s", bodies[i].rule, (int)t.out.n, (char *)t.out.p);
		end(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes),
		cmocka_unit_test(splices_events),
		cmocka_unit_test(hashes_streamed_tool_calls),
		cmocka_unit_test(splices_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
