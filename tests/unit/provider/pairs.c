/* Recorded bodies given as streams too: both forms say the same, under every chunking. */
#include "provider/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/sse.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000001";

static const struct {
	const char *file;
	unsigned n;
	bool apart; /* completion_tokens lack the reasoning (providers.md 7) */
	uint64_t prompt, completion;
} bodies[] = {
	{ "doc-derived/ark-chat-reasoning.body.json", 1, false, 20, 31 },
	{ "openai-compatible/chat-reasoning.body.json", 1, false, 24, 2801 },
	{ "openai/chat-extra-params.body.json", 1, false, 12, 12 },
	{ "openai/chat-json-schema.body.json", 1, false, 92, 15 },
	{ "openai/chat-n2.body.json", 2, false, 12, 24 },
	{ "openai/chat-reasoning-gpt5.body.json", 1, false, 13, 11 },
	{ "openai/chat-reasoning-temperature.body.json", 1, false, 13, 238 },
	{ "openai/chat-reasoning-tokens.body.json", 1, false, 7, 87 },
	{ "openai/chat-text.body.json", 1, false, 12, 5 },
	{ "openai/chat-tool-required.body.json", 1, false, 130, 87 },
	{ "openai/chat-tools-parallel-followup.body.json", 1, false, 99, 25 },
	{ "openai/chat-tools-parallel.body.json", 1, false, 75, 51 },
	{ "xai/chat-text.body.json", 1, true, 12, 229 },
	{ "xai/chat-tool.body.json", 1, true, 291, 215 },
};

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

/* -- a body as a stream -- */

/* One event of choice `index`: its delta is `{name:value}`, or empty. The end is JSON as well. */
static void
put_event(struct buf *b, uint64_t index, const char *name, struct span value, struct span finish)
{
	buf_put_str(b, "data: {\"id\":\"u\",\"model\":\"served\",\"choices\":[{\"index\":");
	buf_put_u64(b, index);
	buf_put_str(b, ",\"delta\":{");
	if (name != NULL) {
		buf_put_byte(b, '"');
		buf_put_str(b, name);
		buf_put_str(b, "\":");
		buf_put(b, value);
	}
	buf_put_str(b, "},\"finish_reason\":");
	buf_put(b, finish);
	buf_put_str(b, "}]}\r\n\r\n");
}

/* Where a JSON string's content may be cut in two: between characters, and not in an escape. */
static size_t
cut_at(struct span inner)
{
	size_t at = 0;

	while (at < inner.n / 2 && inner.p[at] != '\\')
		at++;
	while (at > 0 && (inner.p[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* A string member, in two deltas. */
static void
put_text(struct buf *b, uint64_t index, const char *name, const struct json *doc, uint32_t at)
{
	struct span inner = json_inner(doc, at);
	size_t cut = cut_at(inner);

	for (unsigned half = 0; half < 2; half++) {
		struct buf text;

		buf_init(&text, inner.n + 2);
		buf_put_byte(&text, '"');
		buf_put(&text, half == 0 ? span_cut(inner, 0, cut) : span_cut(inner, cut, inner.n));
		buf_put_byte(&text, '"');
		put_event(b, index, name, buf_span(&text), SPAN_LIT("null"));
		buf_fini(&text);
	}
}

/* A tool call: its head with no arguments, then those in two pieces. */
static void
put_call(struct buf *b, uint64_t index, const struct json *doc, uint32_t call, uint64_t place)
{
	uint32_t function = json_get(doc, call, "function");
	struct span inner = json_inner(doc, json_get(doc, function, "arguments"));
	size_t cut = cut_at(inner);
	struct buf text;

	for (unsigned piece = 0; piece < 3; piece++) {
		buf_init(&text, inner.n + 1024);
		buf_put_str(&text, "[{\"index\":");
		buf_put_u64(&text, place);
		if (piece == 0) {
			buf_put_str(&text, ",\"type\":\"function\",\"id\":");
			buf_put(&text, json_raw(doc, json_get(doc, call, "id")));
		}
		buf_put_str(&text, ",\"function\":{");
		if (piece == 0) {
			buf_put_str(&text, "\"name\":");
			buf_put(&text, json_raw(doc, json_get(doc, function, "name")));
			buf_put_byte(&text, ',');
		}
		buf_put_str(&text, "\"arguments\":\"");
		if (piece > 0)
			buf_put(&text,
			    piece == 1 ? span_cut(inner, 0, cut) : span_cut(inner, cut, inner.n));
		buf_put_str(&text, "\"}}]");
		put_event(b, index, "tool_calls", buf_span(&text), SPAN_LIT("null"));
		buf_fini(&text);
	}
}

static void
put_choice(struct buf *b, const struct json *doc, uint32_t choice)
{
	static const char *const texts[] = { "content", "reasoning_content", "reasoning",
		"refusal" };
	uint32_t message = json_get(doc, choice, "message");
	uint32_t calls = json_get(doc, message, "tool_calls");
	uint64_t index, place = 0;

	assert_true(json_u64(doc, json_get(doc, choice, "index"), 128, &index));
	put_event(b, index, "role", SPAN_LIT("\"assistant\""), SPAN_LIT("null"));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint32_t at = json_get(doc, message, texts[i]);

		if (at != JSON_NONE && json_type(doc, at) == JSON_STRING)
			put_text(b, index, texts[i], doc, at);
	}
	if (calls != JSON_NONE && json_type(doc, calls) == JSON_ARRAY)
		for (uint32_t c = json_first(doc, calls); c != JSON_NONE;
		     c = json_after(doc, calls, c))
			put_call(b, index, doc, c, place++);
	put_event(b, index, NULL, SPAN_NONE, json_raw(doc, json_get(doc, choice, "finish_reason")));
}

static void
put_stream(struct buf *b, struct span body)
{
	struct json doc;
	uint32_t choices;

	assert_false(failed(json_parse(&doc, body, 1 << 16)));
	choices = json_get(&doc, 0, "choices");
	for (uint32_t c = json_first(&doc, choices); c != JSON_NONE;
	     c = json_after(&doc, choices, c))
		put_choice(b, &doc, c);
	buf_put_str(b, ": a comment\n\ndata: {\"choices\":[],\"usage\":");
	/* Of several lines, each of which begins anew. */
	for (struct span usage = json_raw(&doc, json_get(&doc, 0, "usage")); usage.n > 0;) {
		size_t end = span_find(usage, SPAN_LIT("\n"), 0);

		buf_put(b, span_cut(usage, 0, end == SIZE_MAX ? usage.n : end));
		if (end != SIZE_MAX)
			buf_put_str(b, "\ndata: ");
		usage = end == SIZE_MAX ? SPAN_NONE : span_cut(usage, end + 1, usage.n);
	}
	buf_put_str(b, "}\n\ndata: [DONE]\n\n");
	json_fini(&doc);
}

/* -- what both forms say -- */

struct said {
	struct request rq;
	struct arena arena;
	struct answer answer;
	struct buf out, finish;
	uint8_t hash[KECCAK_LEN];
};

static void
said_init(struct said *s, unsigned n, bool apart)
{
	struct refusal no;
	struct buf ask;

	buf_init(&ask, 256);
	buf_put_str(
	    &ask, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":");
	buf_put_u64(&ask, n);
	buf_put_byte(&ask, '}');
	arena_init(&s->arena, 1 << 20);
	assert_true(request_parse(&s->rq, ENDPOINT_CHAT, buf_span(&ask), &s->arena, &no));
	answer_init(&s->answer, &s->rq, uuid, 0);
	s->answer.reasoning_apart = apart;
	buf_init(&s->out, 1 << 22);
	buf_init(&s->finish, 4096);
	/* Of the request only the numbers are needed from here on. */
	s->answer.model = SPAN_LIT("\"m\"");
	buf_fini(&ask);
}

static void
said_whole(struct said *s)
{
	struct buf usage;

	assert_true(answer_finished(&s->answer));
	assert_false(failed(answer_output_hash(&s->answer, s->hash)));
	answer_put_finish(&s->answer, &s->finish);
	buf_init(&usage, 1 << 14);
	answer_put_usage(&s->answer, &usage);
	assert_false(failed(buf_check(&s->out)) || failed(buf_check(&usage)));
	buf_fini(&usage);
}

static void
said_fini(struct said *s)
{
	answer_fini(&s->answer);
	request_fini(&s->rq);
	arena_fini(&s->arena);
	buf_fini(&s->out);
	buf_fini(&s->finish);
}

/* Pieces of `step` bytes; 0: of sizes that `seed` draws. */
static void
play(struct said *s, struct span text, size_t step, uint32_t seed)
{
	enum stream_state state = STREAM_MORE;
	struct sse sse;

	sse_init(&sse, 1 << 20);
	while (text.n > 0) {
		size_t n = step > 0 ? step : (seed = seed * 1103515245u + 12345u) >> 16 & 127;
		struct span piece = span_cut(text, 0, n < text.n ? n : text.n), data;

		text = span_cut(text, piece.n, text.n);
		for (;;) {
			assert_false(failed(sse_next(&sse, &piece, &data)));
			if (data.p == NULL)
				break;
			assert_false(
			    failed(provider_openai.event(&s->answer, data, &s->out, &state)));
		}
	}
	assert_int_equal(state, STREAM_DONE);
	sse_fini(&sse);
}

static bool
same(const struct said *a, const struct said *b)
{
	return span_eq(span_of(a->hash, KECCAK_LEN), span_of(b->hash, KECCAK_LEN)) &&
	    span_eq(buf_span(&a->finish), buf_span(&b->finish)) &&
	    a->answer.output_bytes == b->answer.output_bytes &&
	    a->answer.prompt_tokens == b->answer.prompt_tokens &&
	    a->answer.completion_tokens == b->answer.completion_tokens;
}

static void
both_forms(void **state)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct buf body, stream;
		struct said whole, streamed;

		load(&body, bodies[i].file);
		buf_init(&stream, 1 << 20);
		put_stream(&stream, buf_span(&body));
		assert_false(failed(buf_check(&stream)));
		said_init(&whole, bodies[i].n, bodies[i].apart);
		if (failed(provider_openai.body(&whole.answer, buf_span(&body), &whole.out)))
			fail_msg("%s: the body", bodies[i].file);
		said_whole(&whole);
		assert_int_equal(whole.answer.prompt_tokens, bodies[i].prompt);
		assert_int_equal(whole.answer.completion_tokens, bodies[i].completion);
		assert_true(whole.answer.output_bytes > 0);
		for (uint32_t seed = 0; seed < 24; seed++) {
			size_t step = seed == 0 ? SIZE_MAX : seed < 4 ? seed : 0;

			said_init(&streamed, bodies[i].n, bodies[i].apart);
			play(&streamed, buf_span(&stream), step, seed);
			said_whole(&streamed);
			if (!same(&whole, &streamed))
				fail_msg("%s: the stream, cut %u", bodies[i].file, seed);
			said_fini(&streamed);
		}
		said_fini(&whole);
		buf_fini(&stream);
		buf_fini(&body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both_forms) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
