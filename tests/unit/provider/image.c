/* Models that make pictures by an API of their own: what they are asked, and what comes of it. */
#include "provider/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/limits.h"

static const struct model grok = { .name = SPAN_LIT("grok-2-image"),
	.provider = PROVIDER_XAI,
	.kind = MODEL_IMAGE_ENDPOINT,
	.api_name = SPAN_LIT("grok-2-image") };
static const struct model seedream = { .name = SPAN_LIT("seedream-4.0"),
	.provider = PROVIDER_BYTEDANCE,
	.kind = MODEL_IMAGE_ENDPOINT,
	.api_name = SPAN_LIT("seedream-4-0-250828"),
	.part = { [PART_IMAGE] = { true, 0 } } };

#define DRAW	     "\"messages\":[{\"role\":\"user\",\"content\":\"a cat\"}]"
#define SHOW(url)    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define GROK(prompt) "{\"model\":\"grok-2-image\",\"prompt\":\"" prompt "\",\"n\":"
#define SEED(prompt) "{\"model\":\"seedream-4-0-250828\",\"prompt\":\"" prompt "\""
#define B64	     ",\"response_format\":\"b64_json\""
#define PLAIN	     ",\"watermark\":false,\"sequential_image_generation\":\"disabled\"}"

static const struct {
	const char *rule;
	const struct model *model;
	const char *body, *want, *refused;
	uint64_t adjusted;
} asked[] = {
	{ "7: xAI", &grok, DRAW, GROK("a cat") "1" B64 "}", NULL, 0 },
	{ "7: several", &grok, DRAW ",\"n\":3,\"modalities\":[\"image\"]",
	    GROK("a cat") "3" B64 "}", NULL, 0 },
	{ "7: more than ten", &grok, DRAW ",\"n\":11", NULL, "n", 0 },
	{ "7: no size", &grok, DRAW ",\"size\":\"1x1\"", NULL, "size", 0 },
	{ "11: instructions in front, the last user's words, escapes as they came", &grok,
	    "\"messages\":[{\"role\":\"system\",\"content\":\"in \\\"oil\\\"\"},{\"role\":\"user\","
	    "\"content\":\"a dog\"},{\"role\":\"assistant\",\"content\":\"no\"},{\"role\":\"user\","
	    "\"content\":[{\"type\":\"text\",\"text\":\"a c\\u0061t\"},{\"type\":\"text\",\"text\":"
	    "\" in a tree\"}]}]",
	    GROK("in \\\"oil\\\"\\n\\na c\\u0061t in a tree") "1" B64 "}", NULL, 0 },
	{ "11: no words", &grok, "\"messages\":[{\"role\":\"user\",\"content\":\"\"}]", NULL,
	    "messages", 0 },
	{ "11: nobody asks", &grok, "\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]", NULL,
	    "messages", 0 },
	{ "C3: what means nothing for a picture", &grok,
	    DRAW ",\"temperature\":0.0,\"max_tokens\":9", GROK("a cat") "1" B64 "}", NULL,
	    PARAM_BIT(TEMPERATURE) | PARAM_BIT(MAX_TOKENS) },
	{ "C4: tools", &grok, DRAW ",\"tools\":[{\"type\":\"custom\"}]", NULL, "tools", 0 },
	{ "C4: sound", &grok, DRAW ",\"modalities\":[\"image\",\"audio\"]", NULL, "modalities", 0 },
	{ "C5: unknown members", &grok, DRAW ",\"style\":\"x\"", NULL, "style", 0 },
	{ "8: ModelArk", &seedream, DRAW, SEED("a cat") B64 PLAIN, NULL, 0 },
	{ "8: a size", &seedream, DRAW ",\"size\":\"2K\"",
	    SEED("a cat") ",\"size\":\"2K\"" B64 PLAIN, NULL, 0 },
	{ "8: a size in other words", &seedream, DRAW ",\"image_config\":{\"image_size\":\"4K\"}",
	    SEED("a cat") ",\"size\":\"4K\"" B64 PLAIN, NULL, 0 },
	{ "8: twice", &seedream, DRAW ",\"size\":\"2K\",\"image_config\":{\"image_size\":\"4K\"}",
	    NULL, "image_config.image_size", 0 },
	{ "8: a shape", &seedream, DRAW ",\"image_config\":{\"aspect_ratio\":\"1:1\"}", NULL,
	    "image_config.aspect_ratio", 0 },
	{ "8: one at a time", &seedream, DRAW ",\"n\":2", NULL, "n", 0 },
	{ "8: a watermark when asked", &seedream, DRAW ",\"watermark\":true",
	    SEED("a cat") B64 ",\"watermark\":true,\"sequential_image_generation\":\"disabled\"}",
	    NULL, 0 },
	{ "8: a picture to work on", &seedream,
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"redder\"}"
	    "," SHOW("data:image/png;base64,aGk=") "]}]",
	    SEED("redder") ",\"image\":\"data:image/png;base64,aGk=\"" B64 PLAIN, NULL, 0 },
	{ "8: two, the earlier turn's is not shown again", &seedream,
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}"
	    "," SHOW("https://a/0") "]},{\"role\":\"user\",\"content\":[" SHOW(
		"https://a/1") "," SHOW("https://a/2") ",{\"type\":\"text\",\"text\":\"both\"}]}]",
	    SEED("both") ",\"image\":[\"https://a/1\",\"https://a/2\"]" B64 PLAIN, NULL, 0 },
};

struct turn {
	struct request rq;
	struct arena arena;
	struct answer answer;
	struct buf out;
	struct err e;
};

static bool
parse(struct turn *t, const char *members)
{
	struct refusal no;
	struct buf body;
	struct span text;

	*t = (struct turn){ .e = OK };
	arena_init(&t->arena, 1 << 20);
	buf_init(&t->out, 1 << 16);
	buf_init(&body, 1 << 16);
	buf_put_str(&body, "{\"model\":\"m\",");
	buf_put_str(&body, members);
	buf_put_byte(&body, '}');
	text = arena_copy(&t->arena, buf_span(&body));
	buf_fini(&body);
	if (!request_parse(&t->rq, ENDPOINT_CHAT, text, &t->arena, &no))
		fail_msg("%s: %s", members, no.message);
	return true;
}

static void
done(struct turn *t)
{
	answer_fini(&t->answer);
	buf_fini(&t->out);
	request_fini(&t->rq);
	arena_fini(&t->arena);
}

static void
asks(void **state)
{
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		const struct provider *p = provider_for(asked[i].model);
		struct refusal no = { 0 };
		uint64_t adjusted = 0;
		struct json doc;
		struct turn t;
		bool ok;

		parse(&t, asked[i].body);
		ok = p->admit(&t.rq, asked[i].model, &adjusted, &no);
		if (ok != (asked[i].refused == NULL) ||
		    (!ok && strcmp(no.param, asked[i].refused) != 0))
			fail_msg("%s: %s %s", asked[i].rule, no.param, no.message);
		if (ok) {
			p->encode(&t.out, &t.rq, asked[i].model, adjusted);
			if (!span_eq(buf_span(&t.out), span_str(asked[i].want)))
				fail_msg("%s: %.*s", asked[i].rule, (int)t.out.n, (char *)t.out.p);
			assert_int_equal(adjusted, asked[i].adjusted);
			assert_false(failed(json_parse(&doc, buf_span(&t.out), JSON_MAX_NODES)));
			json_fini(&doc);
		}
		done(&t);
	}
}

#define JPEG "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="
#define PNG                                                             \
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+" \
	"M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
#define GIF	   "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
#define WEBP	   "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"
#define DATA(list) "{\"data\":[" list "]}"
#define B(data)	   "{\"b64_json\":\"" data "\"}"
#define URL(mime, data) \
	"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/" mime ";base64," data "\"}}"
#define HEAD                                                                                \
	"{\"id\":\"chatcmpl-00000000-0000-4000-8000-000000000001\",\"object\":\"chat."      \
	"completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":" \
	"{\"role\":\"assistant\",\"content\":\""
#define TAIL(completion)                                                                    \
	"]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":0," \
	"\"completion_tokens\":" completion ",\"total_tokens\":" completion                 \
	",\"prompt_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},"        \
	"\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
#define IMAGES(list) "\",\"refusal\":null,\"images\":[" list

/* want NULL: an error. */
static const struct {
	const char *rule, *body, *want;
	unsigned n;
	bool blocked;
} answers[] = {
	{ "7: xAI's, with its own words for the prompt",
	    "{\"data\":[{\"b64_json\":\"" JPEG "\",\"revised_prompt\":\"A grey cat\"}],\"usage\":{"
	    "\"cost_in_usd_ticks\":700000000}}",
	    HEAD "A grey cat" IMAGES(URL("jpeg", JPEG)) TAIL("0"), 1, false },
	{ "8: ModelArk's, with its count",
	    "{\"model\":\"seedream-4-0-250828\",\"data\":[{\"b64_json\":\"" PNG
	    "\"}],\"usage\":{\"generated_images\":1,\"output_tokens\":16384,\"total_tokens\":16384}"
	    "}",
	    HEAD IMAGES(URL("png", PNG)) TAIL("16384"), 1, false },
	{ "the type is what the bytes are", DATA(B(GIF) "," B(WEBP)),
	    HEAD IMAGES(URL("gif", GIF) "," URL("webp", WEBP)) TAIL("0"), 2, false },
	{ "7: a prefix that some documents show", DATA(B("data:image/png;base64," JPEG)),
	    HEAD IMAGES(URL("jpeg", JPEG)) TAIL("0"), 1, false },
	{ "escaped slashes", DATA(B("\\/9j\\/4AAQSkZJRgABAQAAAQABAAD\\/2Q==")),
	    HEAD IMAGES(URL("jpeg", "\\/9j\\/4AAQSkZJRgABAQAAAQABAAD\\/2Q==")) TAIL("0"), 1,
	    false },
	{ "one of two was blocked",
	    DATA("{\"error\":{\"code\":\"OutputImageSensitiveContentDetected\"}}," B(JPEG)),
	    HEAD IMAGES(URL("jpeg", JPEG)) TAIL("0"), 1, false },
	{ "all were blocked: ModelArk",
	    DATA("{\"error\":{\"code\":\"OutputImageSensitiveContentDetected\"}}"), NULL, 0, true },
	{ "all were blocked: xAI", DATA("{\"b64_json\":\"" JPEG "\",\"respect_moderation\":false}"),
	    NULL, 0, true },
	{ "none, for another reason", DATA("{\"error\":{\"code\":\"InternalServiceError\"}}"), NULL,
	    0, false },
	{ "an address", DATA("{\"url\":\"https://example.invalid/1.jpeg\"}"), NULL, 0, false },
	{ "nothing", DATA(""), NULL, 0, false },
	{ "no list", "{\"data\":1}", NULL, 0, false },
	{ "an error", "{\"error\":{\"message\":\"x\"}}", NULL, 0, false },
	{ "no picture by its bytes", DATA(B("aGVsbG8gd29ybGQhIQ==")), NULL, 0, false },
	{ "too short for one", DATA(B("/9j/")), NULL, 0, false },
	{ "no base64", DATA(B("/9j/4AAQSkZJRgABAQAAAQABAAD/2Q")), NULL, 0, false },
	{ "no JSON", "<html>", NULL, 0, false },
};

static void
answered(struct turn *t, const char *members, const char *body)
{
	const struct provider *p = provider_for(&grok);

	parse(t, members);
	answer_init(&t->answer, &t->rq, "00000000-0000-4000-8000-000000000001", 7);
	p->begin(&t->answer, &t->rq, &grok);
	t->e = p->body(&t->answer, span_str(body), &t->out);
}

static void
reads_answers(void **state)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct turn t;

		answered(&t, DRAW ",\"n\":2", answers[i].body);
		if (failed(t.e) != (answers[i].want == NULL))
			fail_msg("%s: %s", answers[i].rule, t.e.what);
		assert_int_equal(t.answer.blocked, answers[i].blocked);
		if (answers[i].want != NULL) {
			assert_int_equal(t.answer.n_pictures, answers[i].n);
			if (!span_eq(buf_span(&t.out), span_str(answers[i].want)))
				fail_msg(
				    "%s: %.*s", answers[i].rule, (int)t.out.n, (char *)t.out.p);
		}
		done(&t);
	}
}

static void
a_stream_has_them_in_its_last_event(void **state)
{
	struct tee_fields tee = {
		.tee_id = "0x0000000000000000000000000000000000000000000000000000000000000000"
	};
	struct buf final;
	struct turn t;

	answered(&t, DRAW ",\"stream\":true",
	    DATA("{\"b64_json\":\"" JPEG "\",\"revised_prompt\":\"A cat\"}," B(PNG)));
	assert_false(failed(t.e));
	assert_int_equal(span_find(buf_span(&t.out), SPAN_LIT("images"), 0), SIZE_MAX);
	assert_int_not_equal(
	    span_find(buf_span(&t.out), SPAN_LIT("\"content\":\"A cat\""), 0), SIZE_MAX);
	buf_init(&final, 1 << 16);
	answer_put_final(&t.answer, &final, &tee);
	assert_int_not_equal(span_find(buf_span(&final),
				 SPAN_LIT("\"delta\":{\"images\":[" URL("jpeg", JPEG) "," URL(
				     "png", PNG) "]},\"finish_reason\":\"stop\""),
				 0),
	    SIZE_MAX);
	buf_fini(&final);
	done(&t);
}

static void
more_than_anyone_asks_for(void **state)
{
	struct buf body;
	struct turn t;

	buf_init(&body, 1 << 16);
	buf_put_str(&body, "{\"data\":[");
	for (unsigned i = 0; i <= PICTURES_MAX; i++)
		buf_put_str(&body, i == 0 ? B(JPEG) : "," B(JPEG));
	buf_put_str(&body, "]}");
	buf_put_byte(&body, '\0');
	answered(&t, DRAW, (const char *)body.p);
	assert_int_equal(t.e.code, ERR_UPSTREAM);
	done(&t);
	buf_fini(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks),
		cmocka_unit_test(reads_answers),
		cmocka_unit_test(a_stream_has_them_in_its_last_event),
		cmocka_unit_test(more_than_anyone_asks_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
