/* Gemini's answers: recorded ones under every chunking, and what recordings do not show. */
#include "provider/gemini_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/sse.h"
#include "provider/gemini.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000001";
static const struct model model = { .name = SPAN_LIT("m"),
	.provider = PROVIDER_GOOGLE,
	.api_name = SPAN_LIT("m"),
	.thinking = THINKING_LEVEL };

#define ASK "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

struct turn {
	struct arena arena;
	struct request rq;
	struct answer answer;
	struct buf out;
	uint8_t hash[KECCAK_LEN];
	struct err e;
	enum stream_state state;
};

static void
begin(struct turn *t, enum endpoint endpoint, const char *ask)
{
	struct refusal no;

	*t = (struct turn){ 0 };
	arena_init(&t->arena, 1 << 20);
	buf_init(&t->out, 1 << 22);
	assert_true(request_parse(&t->rq, endpoint, span_str(ask), &t->arena, &no));
	answer_init(&t->answer, &t->rq, uuid, 7);
	provider_gemini.begin(&t->answer, &t->rq, &model);
}

static void
end(struct turn *t)
{
	buf_fini(&t->out);
	answer_fini(&t->answer);
	request_fini(&t->rq);
	arena_fini(&t->arena);
}

/* Pieces of `step` bytes; 0: of sizes that `seed` draws. */
static void
stream(struct turn *t, const char *ask, struct span text, size_t step, uint32_t seed)
{
	struct sse sse;
	struct span data;

	begin(t, ENDPOINT_CHAT, ask);
	sse_init(&sse, 1 << 20);
	while (text.n > 0 && !failed(t->e)) {
		size_t n = step > 0 ? step : (seed = seed * 1103515245u + 12345u) >> 16 & 63;
		struct span piece = span_cut(text, 0, n < text.n ? n : text.n);

		text = span_cut(text, piece.n, text.n);
		while (!failed(t->e)) {
			assert_false(failed(sse_next(&sse, &piece, &data)));
			if (data.p == NULL)
				break;
			t->e = provider_gemini.event(&t->answer, data, &t->out, &t->state);
		}
	}
	assert_false(failed(sse_end(&sse, &data)));
	if (data.p != NULL && !failed(t->e))
		t->e = provider_gemini.event(&t->answer, data, &t->out, &t->state);
	sse_fini(&sse);
	assert_false(failed(buf_check(&t->out)));
	if (!failed(t->e))
		assert_false(failed(answer_output_hash(&t->answer, t->hash)));
}

static void
whole(struct turn *t, const char *ask, struct span text)
{
	begin(t, ENDPOINT_CHAT, ask);
	t->e = provider_gemini.body(&t->answer, text, &t->out);
	assert_false(failed(buf_check(&t->out)));
	if (!failed(t->e))
		assert_false(failed(answer_output_hash(&t->answer, t->hash)));
}

static void
load(struct buf *b, const char *name)
{
	char path[512];
	uint8_t chunk[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/../fixtures/%s", TEST_VECTORS, name);
	buf_init(b, 1 << 20);
	if ((f = fopen(path, "rb")) == NULL)
		fail_msg("%s", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(b, span_of(chunk, n));
	fclose(f);
}

/* As recorded; text: how the content begins (JSON string content), calls: how many. */
static const struct {
	const char *file, *text;
	unsigned calls;
	uint64_t prompt, completion, reasoning;
	enum finish finish;
} recorded[] = {
	{ "google/gen-text.body.json", "Hello! How can I help", 0, 9, 43, 34, FINISH_STOP },
	{ "google/gen-text-stream-crlf.sse", "The", 0, 13, 8, 0, FINISH_STOP },
	{ "google/gen-usage-midstream.sse", "1\\n2\\n3", 0, 18, 115, 35, FINISH_STOP },
	{ "google/gen-tool-gemini3-stream.sse", "", 1, 29, 212, 202, FINISH_TOOL_CALLS },
	{ "google/gen-tool-gemini3-stream-followup.sse", "The capital of Mexico", 0, 257, 8, 0,
	    FINISH_STOP },
	{ "google/gen-tool-any.body.json", "", 1, 46, 63, 48, FINISH_TOOL_CALLS },
	{ "google/gen-tools-parallel.body.json", "", 3, 83, 220, 190, FINISH_TOOL_CALLS },
	{ "google/gen-thinking.body.json", "Crossing the street safely", 0, 29, 1737, 1001,
	    FINISH_STOP },
	{ "google/gen-json-schema.body.json", "{\\n  \\\"city\\\"", 0, 8, 20, 0, FINISH_STOP },
	{ "google/gen-max-tokens.body.json", "The capital of France is", 0, 15, 5, 0,
	    FINISH_LENGTH },
	{ "google/gen-max-tokens-empty.body.json", "", 0, 15, 2, 2, FINISH_LENGTH },
	{ "google/gen-safety.body.json", "", 0, 14, 0, 0, FINISH_CONTENT_FILTER },
	{ "google/gen-json-array-stream.body.json", "Scoop", 0, 11, 293, 291, FINISH_STOP },
	{ "google/gen-tool-json-array-stream.body.json", "", 1, 32, 54, 42, FINISH_TOOL_CALLS },
	{ "doc-derived/google-prompt-blocked.body.json", "", 0, 9, 0, 0, FINISH_CONTENT_FILTER },
};

static void
compare(size_t i, struct turn *t)
{
	struct answer *a = &t->answer;
	struct span text;
	struct buf usage;

	buf_init(&usage, 4096);
	answer_put_usage(a, &usage);
	text = SPAN_LIT("\"content\":\"");
	if (failed(t->e))
		fail_msg("%s: %s", recorded[i].file, t->e.what);
	if (a->finish[0] != recorded[i].finish || a->pieces.n_calls != recorded[i].calls ||
	    a->prompt_tokens != recorded[i].prompt ||
	    a->completion_tokens != recorded[i].completion ||
	    a->pieces.counts.reasoning != recorded[i].reasoning || a->usage.n == 0)
		fail_msg("%s: %s, %u calls, %.*s", recorded[i].file, finish_name(a->finish[0]),
		    a->pieces.n_calls, (int)usage.n, (char *)usage.p);
	if (recorded[i].text[0] != '\0') {
		size_t at = span_find(buf_span(&t->out), text, 0);

		assert_true(at != SIZE_MAX &&
		    span_starts(span_cut(buf_span(&t->out), at + text.n, t->out.n),
			span_str(recorded[i].text)));
	}
	buf_fini(&usage);
}

/* FLT-21: however the bytes are cut, the same events, hash and counts. */
static void
recordings(void **state)
{
	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		struct buf text;
		struct turn all, cut;

		load(&text, recorded[i].file);
		if (!span_ends(span_str(recorded[i].file), SPAN_LIT(".sse"))) {
			whole(&all, ASK "}", buf_span(&text));
			compare(i, &all);
			end(&all);
			buf_fini(&text);
			continue;
		}
		stream(&all, ASK ",\"stream\":true}", buf_span(&text), SIZE_MAX, 0);
		compare(i, &all);
		for (uint32_t seed = 0; seed < 20; seed++) {
			stream(&cut, ASK ",\"stream\":true}", buf_span(&text),
			    seed < 4 ? seed + 1 : 0, seed);
			compare(i, &cut);
			if (!span_eq(buf_span(&cut.out), buf_span(&all.out)) ||
			    !span_eq(span_of(cut.hash, KECCAK_LEN), span_of(all.hash, KECCAK_LEN)))
				fail_msg("%s: cut %u differs", recorded[i].file, seed);
			end(&cut);
		}
		end(&all);
		buf_fini(&text);
	}
}

/* A whole body sent as one event says the same: hash, finish, counts (and so do the deltas). */
static void
stream_equals_whole(void **state)
{
	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		struct turn a, b;
		struct buf text;

		load(&text, recorded[i].file);
		if (span_ends(span_str(recorded[i].file), SPAN_LIT(".json"))) {
			whole(&a, ASK "}", buf_span(&text));
			begin(&b, ENDPOINT_CHAT, ASK ",\"stream\":true}");
			b.e = provider_gemini.event(&b.answer, buf_span(&text), &b.out, &b.state);
			compare(i, &b);
			assert_false(failed(answer_output_hash(&b.answer, b.hash)));
			assert_true(
			    span_eq(span_of(a.hash, KECCAK_LEN), span_of(b.hash, KECCAK_LEN)));
			end(&a);
			end(&b);
		}
		buf_fini(&text);
	}
}

#define USED(p, c) "\"usageMetadata\":{\"promptTokenCount\":" p ",\"candidatesTokenCount\":" c "}"
#define SAYS(parts, more) \
	"{\"candidates\":[{\"content\":{\"parts\":[" parts "]}" more "}]," USED("1", "2") "}"
#define STOP ",\"finishReason\":\"STOP\""
#define OPENING                                                                              \
	"{\"id\":\"chatcmpl-00000000-0000-4000-8000-000000000001\",\"object\":\"chat."       \
	"completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{" \
	"\"role\":\"assistant\","
#define CLOSING(f)                                                                                 \
	",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"" f                              \
	"\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\"prompt_" \
	"tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},\"completion_tokens_"     \
	"details\":{\"reasoning_tokens\":0}},"

/* Whole bodies; want NULL: an error. */
static const struct {
	const char *rule, *body, *want;
} bodies[] = {
	{ "text parts are one text, as it was spelt; thoughts are none of it",
	    SAYS("{\"text\":\"t\",\"thought\":true},{\"text\":\"a\\u00e9\"},{\"text\":\"\\n\"},"
		 "{\"executableCode\":{}}",
		STOP),
	    OPENING "\"content\":\"a\\u00e9\\n\",\"reasoning_content\":\"t\"" CLOSING("stop") },
	{ "6.5: the signature of text, which comes beside the last of it",
	    SAYS("{\"text\":\"a\"},{\"text\":\"\",\"thoughtSignature\":\"s+\"}", STOP),
	    OPENING "\"content\":\"a\",\"refusal\":null,\"extra_content\":{\"google\":{"
		    "\"thought_signature\":\"s+\"}}},\"logprobs\":null,\"finish_reason\":\"stop\"}]"
		    ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,"
		    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},"
		    "\"completion_tokens_details\":{\"reasoning_tokens\":0}}," },
	{ "MAX_TOKENS", SAYS("{\"text\":\"a\"}", ",\"finishReason\":\"MAX_TOKENS\""),
	    OPENING "\"content\":\"a\"" CLOSING("length") },
	{ "BLOCKLIST", SAYS("{\"text\":\"a\"}", ",\"finishReason\":\"BLOCKLIST\""),
	    OPENING "\"content\":\"a\"" CLOSING("content_filter") },
	{ "a word we do not know is a stop", SAYS("{\"text\":\"a\"}", ",\"finishReason\":\"NEW\""),
	    OPENING "\"content\":\"a\"" CLOSING("stop") },
	{ "a call that it could not write, after some text",
	    SAYS("{\"text\":\"a\"}", ",\"finishReason\":\"MALFORMED_FUNCTION_CALL\""),
	    OPENING "\"content\":\"a\"" CLOSING("stop") },
	{ "the same without an answer: the provider's failure",
	    SAYS("", ",\"finishReason\":\"MALFORMED_FUNCTION_CALL\""), NULL },
	{ "S6: no finish reason, no answer", SAYS("{\"text\":\"a\"}", ""), NULL },
	{ "a picture is not dropped in silence",
	    SAYS("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"aGk=\"}}", STOP), NULL },
	{ "nor the word for one", SAYS("", ",\"finishReason\":\"NO_IMAGE\""), NULL },
	{ "a second candidate", "{\"candidates\":[{},{}]}", NULL },
	{ "a candidate of another number", "{\"candidates\":[{\"index\":1" STOP "}]}", NULL },
	{ "a call without a name", SAYS("{\"functionCall\":{\"args\":{}}}", STOP), NULL },
	{ "arguments that are no object",
	    SAYS("{\"functionCall\":{\"name\":\"f\",\"args\":[]}}", STOP), NULL },
	{ "an error", "{\"error\":{\"code\":500,\"message\":\"x\"}}", NULL },
	{ "an error in an array", "[{\"error\":{\"code\":500,\"message\":\"x\"}}]", NULL },
	{ "an error further on in an array",
	    "[" SAYS("{\"text\":\"a\"}", STOP) ",{\"error\":{\"code\":500}}]", NULL },
	{ "no JSON", "<html>", NULL },
	{ "no object", "7", NULL },
	{ "nothing", "{}", NULL },
	{ "numbers and order in arguments stay, white space goes, ids of its own stay",
	    SAYS("{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\",\"args\":{ \"b\": 1.0, \"a\": "
		 "[12345678901234567890, \"\\\"q\\\" \"] }},\"thoughtSignature\":\"s/+=\"}",
		STOP),
	    OPENING "\"content\":null,\"refusal\":null,\"tool_calls\":[{\"id\":\"x1\",\"type\":"
		    "\"function\",\"extra_content\":{\"google\":{\"thought_signature\":\"s/+=\"}},"
		    "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"b\\\":1.0,\\\"a\\\":["
		    "12345678901234567890,\\\"\\\\\\\"q\\\\\\\" \\\"]}\"}}]},\"logprobs\":null,"
		    "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1,"
		    "\"completion_tokens\":2,\"total_tokens\":3,\"prompt_tokens_details\":{"
		    "\"cached_tokens\":0,\"cache_write_tokens\":0},\"completion_tokens_details\":{"
		    "\"reasoning_tokens\":0}}," },
};

static void
whole_bodies(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		const char *want = bodies[i].want;
		struct turn t;
		size_t n;

		whole(&t, ASK "}", span_str(bodies[i].body));
		if (failed(t.e) != (want == NULL))
			fail_msg("%s: %s", bodies[i].rule, failed(t.e) ? t.e.what : "taken");
		n = t.out.n;
		if (want != NULL && !span_eq(span_of(t.out.p, n), span_str(want)))
			fail_msg("%s\ngot  %.*s\nwant %s", bodies[i].rule, (int)n, (char *)t.out.p,
			    want);
		end(&t);
	}
}

static void
first_call_only_when_parallel_calls_are_declined(void **state)
{
	struct buf text;
	struct turn t;

	load(&text, "google/gen-tools-parallel.body.json");
	whole(&t, ASK ",\"parallel_tool_calls\":false}", buf_span(&text));
	assert_false(failed(t.e));
	assert_int_equal(t.answer.pieces.n_calls, 1);
	assert_int_equal(t.answer.finish[0], FINISH_TOOL_CALLS);
	end(&t);
	buf_fini(&text);
}

/* Ids that the gateway makes up: one for each call, the same stream or not. */
static void
made_up_ids_differ(void **state)
{
	static const struct span mark = SPAN_LIT("\"id\":\"call_");
	size_t at[3], from = 0;
	struct buf text;
	struct turn t;

	load(&text, "google/gen-tools-parallel.body.json");
	whole(&t, ASK "}", buf_span(&text));
	for (size_t i = 0; i < 3; i++) {
		at[i] = span_find(buf_span(&t.out), mark, from);
		assert_true(at[i] != SIZE_MAX);
		from = at[i] + 1;
		assert_int_equal(t.out.p[at[i] + mark.n + 24], '"');
		for (size_t k = 0; k < i; k++)
			assert_false(span_eq(span_of(t.out.p + at[i], mark.n + 24),
			    span_of(t.out.p + at[k], mark.n + 24)));
	}
	end(&t);
	buf_fini(&text);
}

static void
a_call_after_the_word_stop(void **state)
{
	struct turn t;

	begin(&t, ENDPOINT_CHAT, ASK ",\"stream\":true}");
	assert_false(failed(provider_gemini.event(
	    &t.answer, span_str(SAYS("{\"text\":\"a\"}", STOP)), &t.out, &t.state)));
	assert_int_equal(t.answer.finish[0], FINISH_STOP);
	assert_false(failed(provider_gemini.event(&t.answer,
	    span_str(SAYS("{\"functionCall\":{\"name\":\"f\"}}", "")), &t.out, &t.state)));
	assert_int_equal(t.answer.finish[0], FINISH_TOOL_CALLS);
	end(&t);
}

/* E3, FLT-06: an error of the provider's own in the middle is told apart from a broken stream. */
static void
errors_in_the_stream(void **state)
{
	struct turn t;

	begin(&t, ENDPOINT_CHAT, ASK ",\"stream\":true}");
	assert_true(failed(provider_gemini.event(&t.answer,
	    SPAN_LIT("{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}"), &t.out, &t.state)));
	assert_int_equal(t.state, STREAM_FAILED);
	assert_true(failed(provider_gemini.event(&t.answer, SPAN_LIT("{"), &t.out, &t.state)));
	assert_int_equal(t.state, STREAM_MORE);
	assert_int_equal(t.out.n, 0);
	end(&t);
}

/* M4, S4: what was cut short before a count of output came is estimated, not free. */
static void
counts_of_a_cut_stream(void **state)
{
	struct buf usage;
	struct turn t;

	buf_init(&usage, 4096);
	begin(&t, ENDPOINT_CHAT, ASK ",\"stream\":true}");
	assert_false(failed(provider_gemini.event(&t.answer,
	    SPAN_LIT("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"12345678\"}]}}],"
		     "\"usageMetadata\":{\"promptTokenCount\":15,\"totalTokenCount\":15}}"),
	    &t.out, &t.state)));
	answer_put_usage(&t.answer, &usage);
	assert_true(span_eq(buf_span(&usage),
	    SPAN_LIT("{\"prompt_tokens\":15,\"completion_tokens\":2,\"total_tokens\":17,"
		     "\"estimated\":true}")));
	end(&t);
	buf_fini(&usage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recordings),
		cmocka_unit_test(stream_equals_whole),
		cmocka_unit_test(whole_bodies),
		cmocka_unit_test(first_call_only_when_parallel_calls_are_declined),
		cmocka_unit_test(made_up_ids_differ),
		cmocka_unit_test(a_call_after_the_word_stop),
		cmocka_unit_test(errors_in_the_stream),
		cmocka_unit_test(counts_of_a_cut_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
