/* Answers of Anthropic's: what each event becomes, and what whole messages become. providers.md 5.3-5.8 */
#include "provider/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char uuid[] = "00000000-0000-4000-8000-000000000001";
#define OPENING \
	"{\"id\":\"chatcmpl-00000000-0000-4000-8000-000000000001\",\"object\":\"chat.completion"
#define REST ",\"created\":0,\"model\":\"m\",\"choices\":[{\"index\":0,"
#define D(delta) \
	"data: " OPENING ".chunk\"" REST "\"delta\":{" delta "},\"finish_reason\":null}]}\n\n"
#define ROLE "\"role\":\"assistant\","

#define START                                                                                     \
	"{\"type\":\"message_start\",\"message\":{\"model\":\"c-1\",\"usage\":{\"input_tokens\":" \
	"3,"                                                                                      \
	"\"cache_read_input_tokens\":4,\"output_tokens\":1}}}"
#define TEXT_DELTA(text)                                                                    \
	"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\"," \
	"\"text\":\"" text "\"}}"
#define JSON_DELTA(i, text)                              \
	"{\"type\":\"content_block_delta\",\"index\":" i \
	",\"delta\":{\"type\":\"input_json_delta\","     \
	"\"partial_json\":\"" text "\"}}"
#define TOOL(i, id, input)                               \
	"{\"type\":\"content_block_start\",\"index\":" i \
	",\"content_block\":{\"type\":\"tool_use\","     \
	"\"id\":\"" id "\",\"name\":\"f\",\"input\":" input "}}"
#define STOP(i) "{\"type\":\"content_block_stop\",\"index\":" i "}"
#define DELTA(reason, more)                                                   \
	"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" reason more \
	"},\"usage\":{\"output_tokens\":9}}"
#define END "{\"type\":\"message_stop\"}"
#define CALL(n, id)                                                                               \
	"\"tool_calls\":[{\"index\":" n ",\"id\":\"" id "\",\"type\":\"function\",\"function\":{" \
	"\"name\":\"f\",\"arguments\":\"\"}}]"
#define ARGS(n, text) "\"tool_calls\":[{\"index\":" n ",\"function\":{\"arguments\":\"" text "\"}}]"

static const struct {
	const char *rule;
	const char *events[10];
	const char *want; /* what is sent */
	bool fails;
	enum stream_state state;
	enum finish finish;
	uint64_t prompt, completion; /* reported; 0: not */
} streams[] = {
	{ "text is spliced, the first delta has the role",
	    { START, TEXT_DELTA("a\\u0062"), TEXT_DELTA(""), TEXT_DELTA("\\\""),
		DELTA("\"end_turn\"", ""), END },
	    D(ROLE "\"content\":\"a\\u0062\"") D("\"content\":\"\\\"\""), false, STREAM_DONE,
	    FINISH_STOP, 7, 9 },
	{ "text that a block begins with",
	    { START,
		"{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
		"\"text\",\"text\":\"a\"}}" },
	    D(ROLE "\"content\":\"a\""), false, STREAM_MORE, FINISH_NONE, 7, 0 },
	{ "a second beginning says nothing",
	    { START, TEXT_DELTA("a"),
		"{\"type\":\"message_start\",\"message\":{\"model\":\"x\",\"usage\":{\"input_"
		"tokens\":900}}}",
		TEXT_DELTA("b"), DELTA("\"max_tokens\"", "") },
	    D(ROLE "\"content\":\"a\"") D("\"content\":\"b\""), false, STREAM_MORE, FINISH_LENGTH,
	    7, 9 },
	{ "calls are counted, not blocks",
	    { START, TEXT_DELTA("a"), TOOL("1", "x", "{}"), JSON_DELTA("1", ""),
		JSON_DELTA("1", "{\\\"a"), JSON_DELTA("1", "\\\":1}"), STOP("1"),
		TOOL("4", "y", "{}"), STOP("4"), DELTA("\"tool_use\"", "") },
	    D(ROLE "\"content\":\"a\"") D(CALL("0", "x")) D(ARGS("0", "{\\\"a"))
		D(ARGS("0", "\\\":1}")) D(CALL("1", "y")) D(ARGS("1", "{}")),
	    false, STREAM_MORE, FINISH_TOOL_CALLS, 7, 9 },
	{ "empty fragments are an empty object",
	    { TOOL("0", "x", "{}"), JSON_DELTA("0", ""), STOP("0") },
	    D(ROLE CALL("0", "x")) D(ARGS("0", "{}")), false, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "what a block began with counts if nothing follows",
	    { TOOL("0", "x", "{ \"a\" : [1.0, \" \\\"\"] }"), DELTA("\"tool_use\"", "") },
	    D(ROLE CALL("0", "x")) D(ARGS("0", "{\\\"a\\\":[1.0,\\\" \\\\\\\"\\\"]}")), false,
	    STREAM_MORE, FINISH_TOOL_CALLS, 0, 0 },
	{ "a fragment of another block", { TOOL("0", "x", "{}"), JSON_DELTA("1", "{}") },
	    D(ROLE CALL("0", "x")), true, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "a tool that the provider runs itself",
	    { "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"server_"
	      "tool_use\"}}",
		JSON_DELTA("0", "{}"), STOP("0") },
	    "", false, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "a call without a name",
	    { "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_"
	      "use\",\"id\":\"a\"}}" },
	    "", true, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "thinking is no content",
	    { "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_"
	      "delta\",\"thinking\":\"h\\n\"}}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_"
		"delta\",\"signature\":\"s\"}}" },
	    D(ROLE "\"reasoning_content\":\"h\\n\""), false, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "a refusal without a block has its role and its reason",
	    { START, DELTA("\"refusal\"", ",\"stop_details\":{\"explanation\":\"no\"}"), END },
	    D(ROLE "\"refusal\":\"no\""), false, STREAM_DONE, FINISH_CONTENT_FILTER, 7, 9 },
	{ "an answer of nothing has its role", { START, DELTA("\"end_turn\"", ""), END },
	    D(ROLE "\"content\":\"\""), false, STREAM_DONE, FINISH_STOP, 7, 9 },
	{ "counts replace each other, what is null stays",
	    { START,
		"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":{\"output_"
		"tokens\":5,\"input_tokens\":null}}",
		"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop_sequence\"},"
		"\"usage\":{\"input_tokens\":30,"
		"\"cache_creation_input_tokens\":200,\"cache_read_input_tokens\":1000,\"output_"
		"tokens\":6}}" },
	    D(ROLE "\"content\":\"\""), false, STREAM_MORE, FINISH_STOP, 1230, 6 },
	{ "no reason, but an end", { START, TEXT_DELTA("a"), END }, D(ROLE "\"content\":\"a\""),
	    false, STREAM_DONE, FINISH_STOP, 7, 0 },
	{ "a reason we do not know", { TOOL("0", "x", "{}"), STOP("0"), DELTA("\"later\"", "") },
	    D(ROLE CALL("0", "x")) D(ARGS("0", "{}")), false, STREAM_MORE, FINISH_TOOL_CALLS, 0,
	    0 },
	{ "events and deltas we do not know",
	    { "{\"type\":\"ping\"}", "{\"type\":\"later\",\"error\":null}", "{\"x\":1}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"later\","
		"\"text\":\"a\"}}" },
	    "", false, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "an error in the middle",
	    { TEXT_DELTA("a"),
		"{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}" },
	    D(ROLE "\"content\":\"a\""), true, STREAM_FAILED, FINISH_NONE, 0, 0 },
	{ "an error of nobody's", { "{\"error\":{\"message\":\"x\"}}" }, "", true, STREAM_FAILED,
	    FINISH_NONE, 0, 0 },
	{ "no JSON", { "{" }, "", true, STREAM_MORE, FINISH_NONE, 0, 0 },
	{ "no object", { "[]" }, "", true, STREAM_MORE, FINISH_NONE, 0, 0 },
};

static const struct model model = { .provider = PROVIDER_ANTHROPIC, .structured_output = true };

struct fixture {
	struct arena arena;
	struct request rq;
	struct answer answer;
	struct buf out;
};

static void
begin(struct fixture *f, enum endpoint endpoint, const char *body)
{
	struct refusal no;

	arena_init(&f->arena, 1 << 16);
	buf_init(&f->out, 1 << 20);
	assert_true(request_parse(&f->rq, endpoint, span_str(body), &f->arena, &no));
	answer_init(&f->answer, &f->rq, uuid, 0);
	provider_anthropic.begin(&f->answer, &f->rq, &model);
}

static void
end(struct fixture *f)
{
	answer_fini(&f->answer);
	request_fini(&f->rq);
	buf_fini(&f->out);
	arena_fini(&f->arena);
}

#define ASK(more) "{\"model\":\"m\"," more "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"

static void
events(void **state)
{
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		enum stream_state s = STREAM_MORE;
		struct err e = OK;
		struct fixture f;

		begin(&f, ENDPOINT_CHAT, ASK("\"stream\":true,"));
		for (size_t k = 0; k < 10 && streams[i].events[k] != NULL && !failed(e); k++)
			e = provider_anthropic.event(
			    &f.answer, span_str(streams[i].events[k]), &f.out, &s);
		if (failed(e) != streams[i].fails || s != streams[i].state ||
		    f.answer.finish[0] != streams[i].finish ||
		    !span_eq(buf_span(&f.out), span_str(streams[i].want)))
			fail_msg(
			    "%s: %s: %.*s", streams[i].rule, e.what, (int)f.out.n, (char *)f.out.p);
		if (f.answer.has_prompt_tokens != (streams[i].prompt > 0) ||
		    f.answer.prompt_tokens != streams[i].prompt ||
		    (streams[i].prompt > 0 &&
			f.answer.has_completion_tokens != (streams[i].completion > 0)) ||
		    (streams[i].prompt > 0 && f.answer.completion_tokens != streams[i].completion))
			fail_msg("%s: %u and %u tokens", streams[i].rule,
			    (unsigned)f.answer.prompt_tokens, (unsigned)f.answer.completion_tokens);
		end(&f);
	}
}

#define BODY(content, reason)                                                               \
	"{\"type\":\"message\",\"model\":\"c-1\",\"content\":[" content                     \
	"],\"stop_reason\":" reason                                                         \
	",\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4,\"output_tokens\":9," \
	"\"output_tokens_details\":{\"thinking_tokens\":2}}}"
#define TEXT_BLOCK(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define TOOL_BLOCK(id, input) \
	"{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":" input "}"
#define MESSAGE(members, finish)                                                                   \
	OPENING "\"" REST "\"message\":{" ROLE members                                             \
		"},\"logprobs\":null,\"finish_reason\":\"" finish                                  \
		"\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\"total_tokens\":16," \
		"\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":0},"        \
		"\"completion_tokens_details\":{\"reasoning_tokens\":2}},"

static const struct {
	const char *rule, *body, *want; /* NULL: it is no answer */
} bodies[] = {
	{ "text blocks are one text",
	    BODY(TEXT_BLOCK("a\\u0062") "," TEXT_BLOCK("c"), "\"end_turn\""),
	    MESSAGE("\"content\":\"a\\u0062c\",\"refusal\":null", "stop") },
	{ "calls beside text, inputs compact and as spelt",
	    BODY(TEXT_BLOCK("a") "," TOOL_BLOCK(
		     "x", "{ \"b\" : 1.0, \"a\":\"\\u00e9 \" }") "," TOOL_BLOCK("y", "{}"),
		"\"tool_use\""),
	    MESSAGE(
		"\"content\":\"a\",\"refusal\":null,\"tool_calls\":["
		"{\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
		"\"{\\\"b\\\":1.0,\\\"a\\\":\\\"\\\\u00e9 \\\"}\"}},"
		"{\"id\":\"y\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
		"}\"}}]",
		"tool_calls") },
	{ "calls alone have no content", BODY(TOOL_BLOCK("x", "{}"), "\"tool_use\""),
	    MESSAGE("\"content\":null,\"refusal\":null,\"tool_calls\":[{\"id\":\"x\",\"type\":"
		    "\"function\","
		    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
		"tool_calls") },
	{ "thinking is no content",
	    BODY("{\"type\":\"thinking\",\"thinking\":\"h\"},{\"type\":\"redacted_thinking\","
		 "\"data\":\"d\"}," TEXT_BLOCK("a"),
		"\"max_tokens\""),
	    MESSAGE("\"content\":\"a\",\"reasoning_content\":\"h\",\"refusal\":null", "length") },
	{ "blocks we do not know",
	    BODY("{\"type\":\"later\",\"text\":\"b\"}," TEXT_BLOCK("a"), "\"pause_turn\""),
	    MESSAGE("\"content\":\"a\",\"refusal\":null", "stop") },
	{ "no content at all", BODY("", "\"end_turn\""),
	    MESSAGE("\"content\":\"\",\"refusal\":null", "stop") },
	{ "no reason", BODY(TEXT_BLOCK("a"), "null"),
	    MESSAGE("\"content\":\"a\",\"refusal\":null", "stop") },
	{ "an error", "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}",
	    NULL },
	{ "no content", "{\"type\":\"message\"}", NULL },
	{ "no JSON", "", NULL },
};

static void
whole(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct fixture f;
		struct err e;

		begin(&f, ENDPOINT_CHAT, ASK(""));
		e = provider_anthropic.body(&f.answer, span_str(bodies[i].body), &f.out);
		if (failed(e) != (bodies[i].want == NULL) ||
		    (bodies[i].want != NULL &&
			!span_eq(buf_span(&f.out), span_str(bodies[i].want))))
			fail_msg(
			    "%s: %s: %.*s", bodies[i].rule, e.what, (int)f.out.n, (char *)f.out.p);
		if (bodies[i].want != NULL)
			assert_string_equal(f.answer.served_model, "c-1");
		end(&f);
	}
}

/* The same calls have the same legacy hash, however they came. */
static void
one_hash(void **state)
{
	static const char *const parts[] = { TOOL("0", "x", "{}"), JSON_DELTA("0", "{\\\"a\\\":"),
		JSON_DELTA("0", "1}"), STOP("0"), DELTA("\"tool_use\"", ""), END };
	uint8_t streamed[KECCAK_LEN], at_once[KECCAK_LEN];
	enum stream_state s;
	struct fixture f;

	begin(&f, ENDPOINT_CHAT, ASK("\"stream\":true,"));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_false(
		    failed(provider_anthropic.event(&f.answer, span_str(parts[i]), &f.out, &s)));
	assert_false(failed(answer_output_hash(&f.answer, streamed)));
	end(&f);
	begin(&f, ENDPOINT_CHAT, ASK(""));
	assert_false(failed(provider_anthropic.body(
	    &f.answer, span_str(BODY(TOOL_BLOCK("x", "{\"a\":1}"), "\"tool_use\"")), &f.out)));
	assert_false(failed(answer_output_hash(&f.answer, at_once)));
	end(&f);
	assert_memory_equal(streamed, at_once, KECCAK_LEN);
}

static void
completions(void **state)
{
	static const char ask[] = "{\"model\":\"m\",\"stream\":true,\"prompt\":\"x\"}";
	enum stream_state s;
	struct fixture f;

	begin(&f, ENDPOINT_COMPLETIONS, ask);
	assert_false(
	    failed(provider_anthropic.event(&f.answer, span_str(TEXT_DELTA("a")), &f.out, &s)));
	assert_true(
	    span_find(buf_span(&f.out), SPAN_LIT("{\"text\":\"a\",\"index\":0"), 0) != SIZE_MAX);
	assert_true(failed(
	    provider_anthropic.event(&f.answer, span_str(TOOL("0", "x", "{}")), &f.out, &s)));
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(events), cmocka_unit_test(whole),
		cmocka_unit_test(one_hash), cmocka_unit_test(completions) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
