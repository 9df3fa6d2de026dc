/*
 * Any valid request, translated for Anthropic: what is admitted is sent, and is well-formed. The
 * first byte says what kind of model it is.
 */
#include <assert.h>
#include <stdint.h>

#include "core/limits.h"
#include "provider/provider.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model model = { .api_name = SPAN_LIT("c"),
		.provider = PROVIDER_ANTHROPIC,
		.effort = { SPAN_LIT("low"), SPAN_LIT("high") },
		.n_efforts = 2 };
	struct refusal no = { 0 };
	uint64_t adjusted = 0;
	struct request rq;
	struct arena arena;
	struct json doc;
	struct buf b;

	if (size == 0)
		return 0;
	model.structured_output = data[0] & 1;
	model.fixed_sampling = data[0] & 2;
	model.no_prefill = data[0] & 4;
	model.no_forced_tools = data[0] & 8;
	model.one_sampling = data[0] & 16;
	model.thinking = data[0] & 32 ? THINKING_ADAPTIVE : THINKING_BUDGET;
	arena_init(&arena, 16 << 20);
	if (!request_parse(&rq, data[0] & 64 ? ENDPOINT_COMPLETIONS : ENDPOINT_CHAT,
		span_of(data + 1, size - 1), &arena, &no)) {
		arena_fini(&arena);
		return 0;
	}
	buf_init(&b, 64 << 20);
	if (provider_anthropic.admit(&rq, &model, &adjusted, &no)) {
		assert((adjusted & ~rq.present) == 0);
		provider_anthropic.encode(&b, &rq, &model, adjusted);
		assert(!failed(buf_check(&b)));
		assert(!failed(json_parse(&doc, buf_span(&b), JSON_MAX_NODES)));
		assert(json_get(&doc, json_get(&doc, 0, "messages"), "x") == JSON_NONE);
		assert(json_type(&doc, json_get(&doc, 0, "messages")) == JSON_ARRAY);
		assert(json_first(&doc, json_get(&doc, 0, "messages")) != JSON_NONE);
		json_fini(&doc);
	} else {
		assert(no.status == 400 && no.message[0] != '\0' && no.code != NULL);
	}
	buf_fini(&b);
	request_fini(&rq);
	arena_fini(&arena);
	return 0;
}
