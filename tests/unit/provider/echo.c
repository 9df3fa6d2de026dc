#include "provider/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char uuid[] = "00000000-0000-4000-8000-000000000001";

struct turn {
	struct arena arena;
	struct request rq;
	struct answer answer;
	struct echo echo;
	struct buf out;
};

static void
begin(struct turn *t, enum endpoint endpoint, const char *body)
{
	struct refusal no;
	uint64_t adjusted;

	arena_init(&t->arena, 1 << 20);
	buf_init(&t->out, 1 << 20);
	assert_true(request_parse(&t->rq, endpoint, span_str(body), &t->arena, &no));
	assert_true(echo_admit(&t->rq, &adjusted, &no));
	answer_init(&t->answer, &t->rq, uuid, 1790000000);
	assert_false(failed(echo_begin(&t->echo, &t->rq, &t->arena)));
}

static void
end(struct turn *t)
{
	buf_fini(&t->out);
	answer_fini(&t->answer);
	request_fini(&t->rq);
	arena_fini(&t->arena);
}

static void
expect(struct turn *t, const char *want)
{
	assert_false(failed(buf_check(&t->out)));
	if (!span_eq(buf_span(&t->out), span_str(want)))
		fail_msg("got  %.*s\nwant %s", (int)t->out.n, (const char *)t->out.p, want);
}

#define CHAT(text, more)                                                               \
	"{\"model\":\"echo\",\"messages\":[{\"role\":\"system\",\"content\":\"s s\"}," \
	"{\"role\":\"user\",\"content\":\"" text "\"}]" more "}"
#define BODY(text, reason, p, c, t)                                                            \
	"{\"id\":\"chatcmpl-00000000-0000-4000-8000-000000000001\",\"object\":\"chat."         \
	"completion\","                                                                        \
	"\"created\":1790000000,\"model\":\"echo\",\"choices\":[{\"index\":0,\"message\":{"    \
	"\"role\":\"assistant\",\"content\":\"" text "\"},\"finish_reason\":\"" reason "\"}]," \
	"\"usage\":{\"prompt_tokens\":" p ",\"completion_tokens\":" c ",\"total_tokens\":" t "},"

static const struct {
	const char *rule, *body, *want;
} rows[] = {
	{ "A7: the text of the last user message", CHAT("one two", ""),
	    BODY("one two", "stop", "4", "2", "6") },
	{ "white space stays", CHAT(" one\\n two ", ""),
	    BODY(" one\\n two ", "stop", "4", "2", "6") },
	{ "no words", CHAT("", ""), BODY("", "stop", "2", "0", "2") },
	{ "max_tokens counts words", CHAT("a b c", ",\"max_tokens\":2"),
	    BODY("a b", "length", "5", "2", "7") },
	{ "max_tokens that suffices", CHAT("a b", ",\"max_tokens\":2"),
	    BODY("a b", "stop", "4", "2", "6") },
	{ "max_tokens 0", CHAT("a b", ",\"max_tokens\":0"), BODY("", "length", "4", "0", "4") },
	{ "stop cuts before itself", CHAT("a END b", ",\"stop\":\"END\""),
	    BODY("a ", "stop", "5", "1", "6") },
	{ "stop: the first of several", CHAT("a b c", ",\"stop\":[\"c\",\"b\"]"),
	    BODY("a ", "stop", "5", "1", "6") },
};

static void
answers(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct turn t;

		begin(&t, ENDPOINT_CHAT, rows[i].body);
		echo_body(&t.echo, &t.answer, &t.out);
		expect(&t, rows[i].want);
		end(&t);
	}
}

static void
text_parts_are_joined(void **state)
{
	struct turn t;

	begin(&t, ENDPOINT_CHAT,
	    "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":["
	    "{\"type\":\"text\",\"text\":\"a \"},{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]}");
	echo_body(&t.echo, &t.answer, &t.out);
	expect(&t, BODY("a \xc3\xa9", "stop", "2", "2", "4"));
	end(&t);
}

/* The same bytes as vectors/receipt/stream.response.sse, event by event. */
static void
streams_word_by_word(void **state)
{
#define EVENT(delta)                                                                      \
	"data: {\"id\":\"chatcmpl-00000000-0000-4000-8000-000000000001\","                \
	"\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"echo\"," \
	"\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":null}]}\n\n"
	struct turn t;

	begin(&t, ENDPOINT_CHAT,
	    "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\","
	    "\"content\":\"one two thr\xc3\xa9"
	    "e\"}],\"stream\":true}");
	while (echo_next(&t.echo, &t.answer, &t.out))
		;
	expect(&t,
	    EVENT("\"role\":\"assistant\",\"content\":\"one\"") EVENT("\"content\":\" two\"")
		EVENT("\"content\":\" thr\xc3\xa9"
		      "e\""));
	assert_int_equal(t.answer.finish[0], FINISH_STOP);
	assert_true(span_eq(buf_span(&t.answer.usage),
	    SPAN_LIT("{\"prompt_tokens\":3,\"completion_tokens\":3,\"total_tokens\":6}")));
	end(&t);
}

static const struct {
	const char *rule, *more, *param;
	uint64_t adjusted;
} admissions[] = {
	{ "A7: without effect, declared", ",\"temperature\":0.0,\"seed\":7", NULL,
	    PARAM_BIT(TEMPERATURE) | PARAM_BIT(SEED) },
	{ "nothing to declare", ",\"max_tokens\":9", NULL, 0 },
	{ "tools: a model may answer in words",
	    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", NULL,
	    PARAM_BIT(TOOLS) },
	{ "C4: a forced tool is not dropped",
	    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":"
	    "\"required\"",
	    "tool_choice", 0 },
	{ "C4: n", ",\"n\":2", "n", 0 },
	{ "C4: response_format", ",\"response_format\":{\"type\":\"json_object\"}",
	    "response_format", 0 },
	{ "C4: logprobs", ",\"logprobs\":true", "logprobs", 0 },
	{ "C5: unknown members", ",\"top_k\":2", "top_k", 0 },
};

static void
admits(void **state)
{
	for (size_t i = 0; i < sizeof(admissions) / sizeof(admissions[0]); i++) {
		struct refusal no = { 0 };
		uint64_t adjusted = 0;
		struct request rq;
		struct arena a;
		char body[512];
		bool ok;

		snprintf(body, sizeof(body), CHAT("x", "%s"), admissions[i].more);
		arena_init(&a, 1 << 20);
		assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(body), &a, &no));
		ok = echo_admit(&rq, &adjusted, &no);
		if (ok != (admissions[i].param == NULL))
			fail_msg("%s", admissions[i].rule);
		if (ok)
			assert_int_equal(adjusted, admissions[i].adjusted);
		else
			assert_string_equal(no.param, admissions[i].param);
		request_fini(&rq);
		arena_fini(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(text_parts_are_joined),
		cmocka_unit_test(streams_word_by_word),
		cmocka_unit_test(admits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
