/*
 * Any bytes as Gemini's answer. What reaches the client is well-formed, and bytes that are a body
 * say the same when they come as one event of a stream: finish reason, counts, output hash.
 */
#include <assert.h>
#include <stdint.h>

#include "codec/sse.h"
#include "core/limits.h"
#include "provider/gemini.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000000";
static const struct model talks = {
	.name = SPAN_LIT("m"), .provider = PROVIDER_GOOGLE, .api_name = SPAN_LIT("m")
};
static const struct model draws = { .name = SPAN_LIT("m"),
	.provider = PROVIDER_GOOGLE,
	.kind = MODEL_IMAGE_INLINE,
	.api_name = SPAN_LIT("m") };
static const struct model *model;

struct turn {
	struct arena arena;
	struct request rq;
	struct answer answer;
	struct buf out;
};

static void
begin(struct turn *t, const char *ask)
{
	bool chat = span_find(span_str(ask), SPAN_LIT("prompt"), 0) == SIZE_MAX;
	struct refusal no;

	arena_init(&t->arena, 1 << 16);
	buf_init(&t->out, 64 << 20);
	assert(request_parse(
	    &t->rq, chat ? ENDPOINT_CHAT : ENDPOINT_COMPLETIONS, span_str(ask), &t->arena, &no));
	answer_init(&t->answer, &t->rq, uuid, 0);
	provider_gemini.begin(&t->answer, &t->rq, model);
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
check_object(struct span text)
{
	struct json doc;

	assert(!failed(json_parse(&doc, text, UINT32_MAX - 1)));
	assert(!failed(json_no_duplicates(&doc)));
	assert(json_get(&doc, 0, "choices") != JSON_NONE);
	json_fini(&doc);
}

static void
check_events(struct span out)
{
	while (out.n > 0) {
		size_t at = span_find(out, SPAN_LIT("\n"), 0);

		assert(at != SIZE_MAX && at > 6 && at + 1 < out.n && out.p[at + 1] == '\n');
		assert(span_starts(out, SPAN_LIT("data: ")));
		check_object(span_cut(out, 6, at));
		out = span_cut(out, at + 2, out.n);
	}
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void
stream(struct span in)
{
	enum stream_state state = STREAM_MORE;
	struct span event;
	struct turn t;
	struct sse sse;

	begin(&t, "{\"model\":\"m\",\"stream\":true,\"parallel_tool_calls\":false," MESSAGES "}");
	sse_init(&sse, SSE_EVENT_MAX_BYTES);
	while (state == STREAM_MORE && !failed(sse_next(&sse, &in, &event)) && event.p != NULL)
		if (failed(provider_gemini.event(&t.answer, event, &t.out, &state)))
			break;
	assert(!failed(buf_check(&t.out)));
	check_events(buf_span(&t.out));
	sse_fini(&sse);
	end(&t);
}

static void
compare(struct answer *a, struct answer *b)
{
	uint8_t hash_a[KECCAK_LEN], hash_b[KECCAK_LEN];

	assert(a->finish[0] == b->finish[0] && a->output_bytes == b->output_bytes);
	assert(a->n_pictures == b->n_pictures);
	assert(span_eq(buf_span(&a->usage), buf_span(&b->usage)));
	assert(!failed(answer_output_hash(a, hash_a)) && !failed(answer_output_hash(b, hash_b)));
	assert(span_eq(span_of(hash_a, KECCAK_LEN), span_of(hash_b, KECCAK_LEN)));
}

static void
whole(struct span in, const char *ask, const char *ask_streamed)
{
	enum stream_state state;
	struct turn a, b;
	struct err e;

	begin(&a, ask);
	begin(&b, ask_streamed);
	e = provider_gemini.event(&b.answer, in, &b.out, &state);
	check_events(buf_span(&b.out));
	if (!failed(provider_gemini.body(&a.answer, in, &a.out))) {
		buf_put_str(&a.out, "\"tee\":0}");
		assert(!failed(buf_check(&a.out)) && !failed(e));
		check_object(buf_span(&a.out));
		compare(&a.answer, &b.answer);
	}
	end(&a);
	end(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;

	if (size == 0)
		return 0;
	in = span_of(data + 1, size - 1);
	model = data[0] == 'P' ? &draws : &talks;
	if (data[0] == 'S')
		stream(in);
	else if (data[0] == 'L')
		whole(in, "{\"model\":\"m\",\"prompt\":\"x\"}",
		    "{\"model\":\"m\",\"prompt\":\"x\",\"stream\":true}");
	else
		whole(in, "{\"model\":\"m\"," MESSAGES "}",
		    "{\"model\":\"m\"," MESSAGES ",\"stream\":true}");
	return 0;
}
