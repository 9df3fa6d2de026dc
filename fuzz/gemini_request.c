/*
 * Any bytes as a request to a Gemini model. What is admitted is sent as JSON that keeps Gemini's
 * rules about turns: the user begins, they alternate, none is empty.
 */
#include <assert.h>
#include <stdint.h>

#include "core/limits.h"
#include "provider/gemini.h"

static const struct model models[] = {
	{ .name = SPAN_LIT("m"),
	    .provider = PROVIDER_GOOGLE,
	    .api_name = SPAN_LIT("gemini-2"),
	    .thinking = THINKING_BUDGET,
	    .effort = { SPAN_LIT("low") },
	    .n_efforts = 1 },
	{ .name = SPAN_LIT("m"),
	    .provider = PROVIDER_GOOGLE,
	    .api_name = SPAN_LIT("gemini-3"),
	    .no_penalties = true,
	    .thinking = THINKING_LEVEL,
	    .effort = { SPAN_LIT("minimal"), SPAN_LIT("high") },
	    .n_efforts = 2 },
};

static void
check_turns(const struct json *doc)
{
	uint32_t contents = json_get(doc, 0, "contents");
	unsigned n = 0;

	assert(contents != JSON_NONE && json_type(doc, contents) == JSON_ARRAY);
	for (uint32_t c = json_first(doc, contents); c != JSON_NONE;
	     c = json_after(doc, contents, c)) {
		uint32_t parts = json_get(doc, c, "parts");

		assert(json_is(doc, json_get(doc, c, "role"), n++ % 2 == 0 ? "user" : "model"));
		assert(parts != JSON_NONE && json_first(doc, parts) != JSON_NONE);
		for (uint32_t k = json_first(doc, parts); k != JSON_NONE;
		     k = json_after(doc, parts, k))
			assert(json_type(doc, k) == JSON_OBJECT && doc->node[k].count > 0);
	}
	assert(n > 0);
}

static void
send_on(const struct request *rq, const struct model *model)
{
	uint64_t adjusted = 0;
	struct refusal no = { 0 };
	struct json doc;
	struct buf b;
	struct err e;

	if (!provider_gemini.admit(rq, model, &adjusted, &no)) {
		assert(no.status == 400 && no.message[0] != '\0');
		return;
	}
	assert((adjusted & ~rq->present) == 0);
	buf_init(&b, 64 << 20);
	provider_gemini.encode(&b, rq, model, adjusted);
	assert(!failed(buf_check(&b)));
	/* What the client nested as deep as we read may be deeper by a few levels there. */
	e = json_parse(&doc, buf_span(&b), UINT32_MAX - 1);
	assert(!failed(e) || e.code == ERR_TOO_LARGE);
	if (!failed(e)) {
		check_turns(&doc);
		json_fini(&doc);
	}
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct refusal no = { 0 };
	struct request rq;
	struct arena arena;

	if (size == 0)
		return 0;
	arena_init(&arena, 1 << 24);
	if (request_parse(&rq, data[0] & 1 ? ENDPOINT_COMPLETIONS : ENDPOINT_CHAT,
		span_of(data + 1, size - 1), &arena, &no)) {
		send_on(&rq, &models[data[0] >> 1 & 1]);
		request_fini(&rq);
	}
	arena_fini(&arena);
	return 0;
}
