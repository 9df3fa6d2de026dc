/*
 * Any bytes as a provider's answer, streamed (first byte even) or whole. What reaches the client is
 * well-formed: events are single lines of JSON, and names that are ours are never the provider's.
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
	static const char *const ours[] = { "tee_signature", "tee_receipt", "opengradient" };
	struct json doc;

	assert(!failed(json_parse(&doc, text, JSON_MAX_NODES)));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert(json_get(&doc, 0, ours[i]) == JSON_NONE);
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
stream(struct answer *a, struct span in)
{
	enum stream_state state = STREAM_MORE;
	struct span event;
	struct buf out;
	struct sse sse;

	sse_init(&sse, SSE_EVENT_MAX_BYTES);
	buf_init(&out, 64 << 20);
	while (state == STREAM_MORE && !failed(sse_next(&sse, &in, &event)) && event.p != NULL)
		if (failed(provider_openai.event(a, event, &out, &state)))
			break;
	assert(!failed(buf_check(&out)));
	check_events(buf_span(&out));
	buf_fini(&out);
	sse_fini(&sse);
}

static void
whole(struct answer *a, struct span in)
{
	struct buf out;

	buf_init(&out, 64 << 20);
	if (!failed(provider_openai.body(a, in, &out))) {
		buf_put_str(&out, "\"tee\":0}");
		assert(!failed(buf_check(&out)));
		check_object(buf_span(&out));
	}
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char ask[] = "{\"model\":\"m\",\"n\":2,"
				  "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
	static const char legacy[] = "{\"model\":\"m\",\"prompt\":\"x\"}";
	struct refusal no;
	struct request rq;
	struct arena arena;
	struct answer answer;
	bool chat;

	if (size == 0)
		return 0;
	chat = (data[0] & 2) == 0;
	arena_init(&arena, 1 << 16);
	if (!request_parse(&rq, chat ? ENDPOINT_CHAT : ENDPOINT_COMPLETIONS,
		span_str(chat ? ask : legacy), &arena, &no))
		return 0;
	answer_init(&answer, &rq, uuid, 0);
	if ((data[0] & 1) == 0)
		stream(&answer, span_of(data + 1, size - 1));
	else
		whole(&answer, span_of(data + 1, size - 1));
	answer_fini(&answer);
	request_fini(&rq);
	arena_fini(&arena);
	return 0;
}
