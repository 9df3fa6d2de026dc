/*
 * Any bytes as an answer of, or a request to, models that make pictures by an API of their own. What
 * leaves is well-formed JSON, whole bodies and streams hold the same pictures.
 */
#include <assert.h>
#include <stdint.h>

#include "core/limits.h"
#include "provider/image.h"

static const char uuid[] = "00000000-0000-4000-8000-000000000000";
static const struct model models[] = {
	{ .name = SPAN_LIT("g"),
	    .provider = PROVIDER_XAI,
	    .kind = MODEL_IMAGE_ENDPOINT,
	    .api_name = SPAN_LIT("g") },
	{ .name = SPAN_LIT("s"),
	    .provider = PROVIDER_BYTEDANCE,
	    .kind = MODEL_IMAGE_ENDPOINT,
	    .api_name = SPAN_LIT("s"),
	    .part = { [PART_IMAGE] = { true, 0 } } },
};

struct turn {
	struct arena arena;
	struct request rq;
	struct answer answer;
	struct buf out;
	struct err e;
};

static void
check(struct span text)
{
	struct json doc;

	assert(!failed(json_parse(&doc, text, UINT32_MAX - 1)));
	json_fini(&doc);
}

static void
answer(struct turn *t, const char *ask, struct span said)
{
	const struct provider *p = provider_for(&models[0]);
	struct refusal no;

	arena_init(&t->arena, 1 << 16);
	buf_init(&t->out, 64 << 20);
	assert(request_parse(&t->rq, ENDPOINT_CHAT, span_str(ask), &t->arena, &no));
	answer_init(&t->answer, &t->rq, uuid, 0);
	p->begin(&t->answer, &t->rq, &models[0]);
	t->e = p->body(&t->answer, said, &t->out);
}

static void
done(struct turn *t)
{
	answer_fini(&t->answer);
	request_fini(&t->rq);
	buf_fini(&t->out);
	arena_fini(&t->arena);
}

#define ASK "{\"model\":\"g\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void
answers(struct span said)
{
	struct tee_fields tee = {
		.tee_id = "0x0000000000000000000000000000000000000000000000000000000000000000"
	};
	struct turn whole, streamed;

	answer(&whole, ASK "}", said);
	answer(&streamed, ASK ",\"stream\":true}", said);
	assert(failed(whole.e) == failed(streamed.e));
	if (!failed(whole.e)) {
		assert(whole.answer.n_pictures > 0);
		assert(whole.answer.n_pictures == streamed.answer.n_pictures);
		assert(whole.answer.output_bytes == streamed.answer.output_bytes);
		buf_put_str(&whole.out, "\"tee\":0}");
		check(buf_span(&whole.out));
		buf_clear(&streamed.out);
		answer_put_final(&streamed.answer, &streamed.out, &tee);
		buf_put_byte(&streamed.out, '}');
		check(span_cut(buf_span(&streamed.out), 6, streamed.out.n));
	}
	done(&whole);
	done(&streamed);
}

static void
asks(struct span body, const struct model *model)
{
	const struct provider *p = provider_for(model);
	struct turn t = { .e = OK };
	struct refusal no;
	uint64_t adjusted;

	arena_init(&t.arena, 1 << 20);
	buf_init(&t.out, 64 << 20);
	if (request_parse(&t.rq, ENDPOINT_CHAT, body, &t.arena, &no)) {
		if (parts_fit(&t.rq.parts, model, true, &no) &&
		    p->admit(&t.rq, model, &adjusted, &no)) {
			p->encode(&t.out, &t.rq, model, adjusted);
			assert(!failed(buf_check(&t.out)));
			check(buf_span(&t.out));
		}
		request_fini(&t.rq);
	}
	buf_fini(&t.out);
	arena_fini(&t.arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;

	if (size == 0)
		return 0;
	in = span_of(data + 1, size - 1);
	if (data[0] == 'A')
		answers(in);
	else
		asks(in, &models[data[0] & 1]);
	return 0;
}
