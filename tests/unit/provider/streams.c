/* Recorded streams under every chunking: the same events, the same hash, the same counts (FLT-21). */
#include "provider/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/sse.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000001";
static const char ask[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";

/* tokens: completion_tokens as they are to be delivered. fails: the recording ends in an error. */
static const struct {
	const char *file;
	enum provider_id provider;
	bool fails;
	uint64_t prompt, completion;
	enum finish finish;
} streams[] = {
	{ "openai/chat-text-stream-usage.sse", PROVIDER_OPENAI, false, 12, 5, FINISH_STOP },
	{ "openai/chat-tools-parallel-stream.sse", PROVIDER_OPENAI, false, 75, 51,
	    FINISH_TOOL_CALLS },
	{ "openai/chat-tool-single-stream.sse", PROVIDER_OPENAI, false, 0, 0, FINISH_TOOL_CALLS },
	{ "xai/chat-text-stream.sse", PROVIDER_XAI, false, 12, 291, FINISH_STOP },
	{ "doc-derived/nous-stream.sse", PROVIDER_OPENAI, false, 9, 12, FINISH_STOP },
	{ "doc-derived/openai-stream-midstream-error.sse", PROVIDER_OPENAI, true, 0, 0,
	    FINISH_NONE },
	{ "openai-compatible/stream-comments.sse", PROVIDER_OPENAI, true, 0, 0, FINISH_LENGTH },
	{ "anthropic/msg-text-stream.sse", PROVIDER_ANTHROPIC, false, 10, 4, FINISH_STOP },
	{ "anthropic/msg-stop-sequence-stream.sse", PROVIDER_ANTHROPIC, false, 16, 28,
	    FINISH_STOP },
	{ "anthropic/msg-json-schema-stream.sse", PROVIDER_ANTHROPIC, false, 231, 118,
	    FINISH_STOP },
	{ "anthropic/msg-thinking-stream.sse", PROVIDER_ANTHROPIC, false, 46, 133, FINISH_STOP },
	{ "anthropic/msg-thinking-redacted-stream.sse", PROVIDER_ANTHROPIC, false, 92, 189,
	    FINISH_STOP },
	{ "anthropic/msg-tool-stream.sse", PROVIDER_ANTHROPIC, false, 543, 40, FINISH_TOOL_CALLS },
	{ "anthropic/msg-tool-no-args-stream.sse", PROVIDER_ANTHROPIC, false, 565, 48,
	    FINISH_TOOL_CALLS },
	{ "anthropic/msg-tools-stream-old.sse", PROVIDER_ANTHROPIC, false, 506, 153,
	    FINISH_TOOL_CALLS },
	{ "anthropic/msg-refusal-stream.sse", PROVIDER_ANTHROPIC, false, 18, 5,
	    FINISH_CONTENT_FILTER },
	{ "doc-derived/anthropic-stream-unknown-event.sse", PROVIDER_ANTHROPIC, false, 25, 4,
	    FINISH_STOP },
	{ "doc-derived/anthropic-stream-overloaded.sse", PROVIDER_ANTHROPIC, true, 25, 0,
	    FINISH_NONE },
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

struct run {
	struct buf out;
	uint8_t hash[KECCAK_LEN];
	uint64_t prompt, completion;
	enum finish finish;
	bool failed;
};

/* Pieces of `step` bytes; 0: of sizes that `seed` draws. */
static void
run(struct run *r, struct span text, enum provider_id id, size_t step, uint32_t seed)
{
	const struct provider *p = provider_of(id);
	const struct model model = { .provider = id };
	enum stream_state state = STREAM_MORE;
	struct refusal no;
	struct answer answer;
	struct request rq;
	struct arena arena;
	struct sse sse;
	struct buf usage;

	*r = (struct run){ 0 };
	arena_init(&arena, 1 << 20);
	buf_init(&r->out, 1 << 22);
	buf_init(&usage, 1 << 14);
	sse_init(&sse, 1 << 20);
	assert_true(request_parse(&rq, ENDPOINT_CHAT, span_str(ask), &arena, &no));
	answer_init(&answer, &rq, uuid, 0);
	p->begin(&answer, &rq, &model);
	while (text.n > 0 && !r->failed && state == STREAM_MORE) {
		size_t n = step > 0 ? step : (seed = seed * 1103515245u + 12345u) >> 16 & 63;
		struct span piece = span_cut(text, 0, n < text.n ? n : text.n), data;

		text = span_cut(text, piece.n, text.n);
		while (!r->failed && state == STREAM_MORE) {
			assert_false(failed(sse_next(&sse, &piece, &data)));
			if (data.p == NULL)
				break;
			r->failed = failed(p->event(&answer, data, &r->out, &state));
		}
	}
	assert_int_equal(r->failed, state == STREAM_FAILED);
	answer_put_usage(&answer, &usage);
	r->prompt = answer.prompt_tokens;
	r->completion = answer.completion_tokens;
	r->finish = answer.finish[0];
	if (!r->failed)
		assert_false(failed(answer_output_hash(&answer, r->hash)));
	assert_false(failed(buf_check(&r->out)));
	buf_fini(&usage);
	sse_fini(&sse);
	answer_fini(&answer);
	request_fini(&rq);
	arena_fini(&arena);
}

static void
chunkings(void **state)
{
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		struct buf text;
		struct run whole, cut;

		load(&text, streams[i].file);
		run(&whole, buf_span(&text), streams[i].provider, SIZE_MAX, 0);
		assert_int_equal(whole.failed, streams[i].fails);
		if (whole.finish != streams[i].finish ||
		    (streams[i].prompt != 0 && whole.prompt != streams[i].prompt) ||
		    (streams[i].completion != 0 && whole.completion != streams[i].completion))
			fail_msg("%s: %s, %u and %u tokens", streams[i].file,
			    finish_name(whole.finish), (unsigned)whole.prompt,
			    (unsigned)whole.completion);
		for (uint32_t seed = 0; seed < 20; seed++) {
			run(&cut, buf_span(&text), streams[i].provider, seed < 4 ? seed + 1 : 0,
			    seed);
			if (!span_eq(buf_span(&cut.out), buf_span(&whole.out)) ||
			    !span_eq(
				span_of(cut.hash, KECCAK_LEN), span_of(whole.hash, KECCAK_LEN)) ||
			    cut.prompt != whole.prompt || cut.completion != whole.completion)
				fail_msg("%s: cut %u differs", streams[i].file, seed);
			buf_fini(&cut.out);
		}
		buf_fini(&whole.out);
		buf_fini(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(chunkings) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
