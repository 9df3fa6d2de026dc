/*
 * Any bytes as a request body. What is accepted can be sent on: the provider's body is JSON, names
 * no member twice at the top, and asks for the model of the table.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/limits.h"
#include "provider/echo.h"
#include "provider/provider.h"

static const struct model model = { .name = SPAN_LIT("m"),
	.provider = PROVIDER_OPENAI,
	.api_name = SPAN_LIT("api-name"),
	.fixed_sampling = true };

static void
send_on(const struct request *rq)
{
	uint64_t adjusted = 0;
	struct refusal no;
	struct json doc;
	struct buf b;

	if (!provider_openai.admit(rq, &model, &adjusted, &no))
		return;
	buf_init(&b, 1 << 20);
	provider_openai.encode(&b, rq, &model, adjusted);
	assert(!failed(buf_check(&b)));
	assert(!failed(json_parse(&doc, buf_span(&b), JSON_MAX_NODES)));
	assert(json_is(&doc, json_get(&doc, 0, "model"), "api-name"));
	for (uint32_t c = json_first(&doc, 0); c != JSON_NONE; c = json_after(&doc, 0, c))
		assert(request_counts(&doc, 0, c));
	json_fini(&doc);
	buf_fini(&b);
}

static void
echo_back(const struct request *rq, struct arena *arena)
{
	static const char uuid[] = "00000000-0000-4000-8000-000000000000";
	uint64_t adjusted = 0;
	struct answer answer;
	struct refusal no;
	struct echo echo;
	struct buf b;

	if (!echo_admit(rq, &adjusted, &no))
		return;
	answer_init(&answer, rq, uuid, 0);
	buf_init(&b, 64 << 20);
	if (!failed(echo_begin(&echo, rq, arena)))
		while (echo_next(&echo, &answer, &b))
			;
	assert(!failed(buf_check(&b)));
	buf_fini(&b);
	answer_fini(&answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum endpoint endpoint = size > 0 && data[0] == 'L' ? ENDPOINT_COMPLETIONS : ENDPOINT_CHAT;
	struct refusal no = { 0 };
	struct request rq;
	struct arena arena;

	arena_init(&arena, 1 << 24);
	if (size > 0 && request_parse(&rq, endpoint, span_of(data + 1, size - 1), &arena, &no)) {
		send_on(&rq);
		echo_back(&rq, &arena);
		request_fini(&rq);
	} else {
		assert(size == 0 || no.message[0] != '\0');
	}
	arena_fini(&arena);
	return 0;
}
