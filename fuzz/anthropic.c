/*
 * Any bytes as Anthropic's answer, streamed (first byte even) or whole. What reaches the client is
 * well-formed: events are single lines of JSON, and the members of each are OpenAI's.
 */
#include <assert.h>
#include <stdint.h>

#include "codec/sse.h"
#include "core/limits.h"
#include "provider/provider.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000000";

static void
check_object(struct span text)
{
	struct json doc;

	assert(!failed(json_parse(&doc, text, JSON_MAX_NODES)));
	assert(json_get(&doc, 0, "choices") != JSON_NONE && json_get(&doc, 0, "id") != JSON_NONE);
	json_fini(&doc);
}

static void
check_events(struct span out)
{
	while (out.n > 0) {
		size_t end = span_find(out, SPAN_LIT("\n"), 0);

		assert(end != SIZE_MAX && end > 6 && end + 1 < out.n && out.p[end + 1] == '\n');
		assert(span_starts(out, SPAN_LIT("data: ")));
		check_object(span_cut(out, 6, end));
		out = span_cut(out, end + 2, out.n);
	}
}

static void
check_end(struct answer *a)
{
	uint8_t hash[KECCAK_LEN];
	struct json doc;
	struct buf b;

	buf_init(&b, 1 << 16);
	answer_put_usage(a, &b);
	assert(!failed(json_parse(&doc, buf_span(&b), JSON_MAX_NODES)));
	json_fini(&doc);
	buf_fini(&b);
	assert(!failed(answer_output_hash(a, hash)));
}

static void
stream(struct answer *a, struct span in)
{
	enum stream_state state = STREAM_MORE;
	struct err e = OK;
	struct span event;
	struct buf out;
	struct sse sse;

	sse_init(&sse, SSE_EVENT_MAX_BYTES);
	buf_init(&out, 64 << 20);
	while (!failed(e) && state == STREAM_MORE && !failed(sse_next(&sse, &in, &event)) &&
	    event.p != NULL)
		e = provider_anthropic.event(a, event, &out, &state);
	assert(!failed(buf_check(&out)));
	assert(state != STREAM_DONE || answer_finished(a));
	check_events(buf_span(&out));
	if (!failed(e))
		check_end(a);
	buf_fini(&out);
	sse_fini(&sse);
}

static void
whole(struct answer *a, struct span in)
{
	struct buf out;

	buf_init(&out, 64 << 20);
	if (!failed(provider_anthropic.body(a, in, &out))) {
		buf_put_str(&out, "\"tee\":0}");
		assert(!failed(buf_check(&out)));
		check_object(buf_span(&out));
		check_end(a);
	}
	buf_fini(&out);
}

/* Bits of the first byte: whole, legacy completions, a tool that stands for the answer's schema. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const ask[2][2] = {
		{ "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
		  "\"x\"}],"
		  "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\"}}"
		  "}",
		    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\"}"
		    "}}" },
		{ "{\"model\":\"m\",\"stream\":true,\"prompt\":\"x\"}",
		    "{\"model\":\"m\",\"prompt\":\"x\"}" },
	};
	struct model model = { .provider = PROVIDER_ANTHROPIC };
	unsigned form, legacy;
	struct refusal no;
	struct request rq;
	struct arena arena;
	struct answer answer;

	if (size == 0)
		return 0;
	form = data[0] & 1;
	legacy = data[0] >> 1 & 1;
	model.structured_output = (data[0] & 4) == 0;
	arena_init(&arena, 1 << 16);
	if (!request_parse(&rq, legacy ? ENDPOINT_COMPLETIONS : ENDPOINT_CHAT,
		span_str(ask[legacy][form]), &arena, &no))
		return 0;
	answer_init(&answer, &rq, uuid, 0);
	provider_anthropic.begin(&answer, &rq, &model);
	if (form == 0)
		stream(&answer, span_of(data + 1, size - 1));
	else
		whole(&answer, span_of(data + 1, size - 1));
	answer_fini(&answer);
	request_fini(&rq);
	arena_fini(&arena);
	return 0;
}
