#include "provider/image.h"

#include "codec/b64.h"
#include "core/limits.h"
#include "provider/members.h"
#include "provider/pieces.h"
#include "provider/upstream_error.h"

enum { XAI_PICTURES_MAX = 10, ARK_SOURCES_MAX = 14, PROMPT_MAX_BYTES = BODY_MAX_BYTES };

/* Of no meaning for a picture: left out and declared. */
static const uint64_t hints = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) |
    PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY) | PARAM_BIT(SEED) |
    PARAM_BIT(LOGIT_BIAS) | PARAM_BIT(MAX_TOKENS) | PARAM_BIT(MAX_COMPLETION_TOKENS) |
    PARAM_BIT(REASONING_EFFORT) | PARAM_BIT(VERBOSITY) | PARAM_BIT(USER) | PARAM_BIT(METADATA) |
    PARAM_BIT(SAFETY_IDENTIFIER) | PARAM_BIT(PROMPT_CACHE_KEY);

static const uint64_t common = PARAM_BIT(MODEL) | PARAM_BIT(MESSAGES) | PARAM_BIT(STREAM) |
    PARAM_BIT(MODALITIES);

/* --- what is asked --- */

static uint32_t
last_user(const struct request *rq)
{
	uint32_t messages = rq->at[PARAM_MESSAGES], last = JSON_NONE;

	for (uint32_t m = json_first(&rq->doc, messages); m != JSON_NONE;
	     m = json_after(&rq->doc, messages, m))
		if (json_is(&rq->doc, json_get(&rq->doc, m, "role"), "user"))
			last = m;
	return last;
}

/* The text of one message's content, as JSON string content. */
static void
put_inner(struct buf *b, const struct json *doc, uint32_t message)
{
	uint32_t content = json_get(doc, message, "content");

	if (json_type(doc, content) == JSON_STRING) {
		buf_put(b, json_inner(doc, content));
		return;
	}
	for (uint32_t c = json_first(doc, content); c != JSON_NONE; c = json_after(doc, content, c))
		if (json_is(doc, json_get(doc, c, "type"), "text"))
			buf_put(b, json_inner(doc, json_get(doc, c, "text")));
}

/* FALSE: there is no word in it. */
static bool
put_prompt(struct buf *b, const struct request *rq)
{
	const struct json *doc = &rq->doc;
	uint32_t messages = rq->at[PARAM_MESSAGES], last = last_user(rq);
	size_t before;

	for (uint32_t m = json_first(doc, messages); m != JSON_NONE;
	     m = json_after(doc, messages, m)) {
		uint32_t role = json_get(doc, m, "role");

		if (!json_is(doc, role, "system") && !json_is(doc, role, "developer"))
			continue;
		before = b->n;
		put_inner(b, doc, m);
		if (b->n > before)
			buf_put_str(b, "\\n\\n");
	}
	before = b->n;
	if (last != JSON_NONE)
		put_inner(b, doc, last);
	return b->n > before || b->over;
}

/* Pictures of the last user message, as JSON strings; their number. b NULL: counts them. */
static unsigned
put_sources(struct buf *b, const struct request *rq)
{
	const struct json *doc = &rq->doc;
	uint32_t content = json_get(doc, last_user(rq), "content");
	unsigned n = 0;

	if (content == JSON_NONE || json_type(doc, content) != JSON_ARRAY)
		return 0;
	for (uint32_t c = json_first(doc, content); c != JSON_NONE;
	     c = json_after(doc, content, c)) {
		if (!json_is(doc, json_get(doc, c, "type"), "image_url"))
			continue;
		if (b != NULL) {
			buf_put_str(b, n > 0 ? "," : "");
			buf_put(
			    b, json_raw(doc, json_get(doc, json_get(doc, c, "image_url"), "url")));
		}
		n++;
	}
	return n;
}

bool
image_modalities_fit(const struct request *rq, struct refusal *no)
{
	const struct json *doc = &rq->doc;
	uint32_t at = rq->at[PARAM_MODALITIES];

	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		if (!json_is(doc, c, "image") && !json_is(doc, c, "text"))
			return refuse(no, "unsupported_parameter", "modalities",
			    "modalities must be image, text or both for this model.");
	return true;
}

static bool
admit(const struct request *rq, uint64_t takes, uint64_t *adjusted, struct refusal *no)
{
	struct buf prompt;
	bool said;

	if (rq->endpoint != ENDPOINT_CHAT)
		return refuse(no, "invalid_value", "model",
		    "model: this one makes pictures; ask it on /v1/chat/completions.");
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if (rq->present & ~(common | hints | takes) & UINT64_C(1) << p)
			return refuse(no, "unsupported_parameter", param_name(p),
			    "%s is not supported by this model.", param_name(p));
	if (rq->unknown != JSON_NONE) {
		char name[65];

		refusal_name(name, json_inner(&rq->doc, rq->unknown));
		return refuse(no, "unsupported_parameter", name,
		    "%s is not known, and cannot be passed on to a model that makes pictures.",
		    name);
	}
	if (!image_modalities_fit(rq, no))
		return false;
	buf_init(&prompt, PROMPT_MAX_BYTES);
	said = put_prompt(&prompt, rq);
	buf_fini(&prompt);
	if (!said)
		return refuse(no, "invalid_value", "messages",
		    "messages must end with a user message whose text says what to draw.");
	*adjusted = rq->present & hints;
	return true;
}

static bool
xai_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no)
{
	if (rq->n > XAI_PICTURES_MAX)
		return refuse(no, "invalid_value", "n", "n is at most %u for this model.",
		    (unsigned)XAI_PICTURES_MAX);
	return admit(rq, PARAM_BIT(N), adjusted, no);
}

static bool
ark_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no)
{
	uint32_t config = rq->at[PARAM_IMAGE_CONFIG];

	if (json_get(&rq->doc, config, "aspect_ratio") != JSON_NONE)
		return refuse(no, "unsupported_parameter", "image_config.aspect_ratio",
		    "image_config.aspect_ratio is not supported by this model; send size as "
		    "WIDTHxHEIGHT.");
	if (config != JSON_NONE && rq->at[PARAM_SIZE] != JSON_NONE)
		return refuse(no, "invalid_value", "image_config.image_size",
		    "image_config.image_size and size say the same; send one of them.");
	if (put_sources(NULL, rq) > ARK_SOURCES_MAX)
		return refuse(no, "invalid_value", "messages",
		    "messages: the last one may show at most %u pictures.",
		    (unsigned)ARK_SOURCES_MAX);
	return admit(
	    rq, PARAM_BIT(SIZE) | PARAM_BIT(IMAGE_CONFIG) | PARAM_BIT(WATERMARK), adjusted, no);
}

static void
images_path(struct buf *b, const struct model *model, bool stream)
{
	buf_put_str(b, "/images/generations");
}

/* {"model":...,"prompt":... : open, for what each has of its own. */
static void
put_opening(struct members *m, const struct request *rq, const struct model *model)
{
	buf_put_byte(m->b, '{');
	put_raw(m, SPAN_LIT("\"model\""), SPAN_NONE);
	json_put_string(m->b, model->api_name);
	put_raw(m, SPAN_LIT("\"prompt\""), SPAN_LIT("\""));
	put_prompt(m->b, rq);
	buf_put_byte(m->b, '"');
}

static void
xai_encode(struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	struct members m = { .b = b };

	put_opening(&m, rq, model);
	put_raw(&m, SPAN_LIT("\"n\""), SPAN_NONE);
	buf_put_u64(b, rq->n);
	put_raw(&m, SPAN_LIT("\"response_format\""), SPAN_LIT("\"b64_json\""));
	buf_put_byte(b, '}');
}

static void
ark_encode(struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	uint32_t size = rq->at[PARAM_SIZE];
	unsigned sources = put_sources(NULL, rq);
	struct members m = { .b = b };

	if (size == JSON_NONE)
		size = json_get(&rq->doc, rq->at[PARAM_IMAGE_CONFIG], "image_size");
	put_opening(&m, rq, model);
	if (sources > 0) {
		put_raw(&m, SPAN_LIT("\"image\""), sources == 1 ? SPAN_NONE : SPAN_LIT("["));
		put_sources(b, rq);
		buf_put_str(b, sources == 1 ? "" : "]");
	}
	if (size != JSON_NONE)
		put_raw(&m, SPAN_LIT("\"size\""), json_raw(&rq->doc, size));
	put_raw(&m, SPAN_LIT("\"response_format\""), SPAN_LIT("\"b64_json\""));
	/* Theirs is on unless one says so. */
	put_raw(&m, SPAN_LIT("\"watermark\""),
	    rq->at[PARAM_WATERMARK] != JSON_NONE ? SPAN_LIT("true") : SPAN_LIT("false"));
	put_raw(&m, SPAN_LIT("\"sequential_image_generation\""), SPAN_LIT("\"disabled\""));
	buf_put_byte(b, '}');
}

/* --- what comes --- */

static void
images_begin(struct answer *a, const struct request *rq, const struct model *model)
{
	pieces_begin(a, !rq->stream);
	a->n = 1; /* one message, however many pictures */
	a->wants_picture = true;
}

/* By its first bytes: what a provider says of the type is not always so. */
static struct span
sniff(struct span data)
{
	enum { FIRST = 16 };
	struct json_points it = { .s = data };
	uint8_t text[FIRST];
	struct span type = SPAN_NONE, bytes;
	struct buf b;
	uint32_t cp;

	for (size_t i = 0; i < FIRST; i++) {
		if (!json_point(&it, &cp) || cp > 0x7f)
			return SPAN_NONE;
		text[i] = (uint8_t)cp;
	}
	buf_init(&b, FIRST);
	if (failed(b64_parse(&b, span_of(text, FIRST)))) {
		buf_fini(&b);
		return SPAN_NONE;
	}
	bytes = buf_span(&b);
	if (span_starts(bytes, SPAN_LIT("\xff\xd8\xff")))
		type = SPAN_LIT("image/jpeg");
	else if (span_starts(bytes, SPAN_LIT("\x89PNG\r\n\x1a\n")))
		type = SPAN_LIT("image/png");
	else if (span_starts(bytes, SPAN_LIT("GIF8")))
		type = SPAN_LIT("image/gif");
	else if (span_starts(bytes, SPAN_LIT("RIFF")) &&
	    span_eq(span_cut(bytes, 8, 12), SPAN_LIT("WEBP")))
		type = SPAN_LIT("image/webp");
	buf_fini(&b);
	return type;
}

/* Some documents show it as a data: URL (providers.md 7). */
static struct span
without_prefix(struct span inner)
{
	size_t comma = span_find(span_cut(inner, 0, inner.n < 64 ? inner.n : 64), SPAN_LIT(","), 0);

	return span_starts(inner, SPAN_LIT("data:")) && comma != SIZE_MAX
	    ? span_cut(inner, comma + 1, inner.n)
	    : inner;
}

static bool
is_blocked(const struct json *doc, uint32_t entry)
{
	uint32_t respects = json_get(doc, entry, "respect_moderation");
	uint32_t code = json_get(doc, json_get(doc, entry, "error"), "code");

	if (respects != JSON_NONE && json_type(doc, respects) == JSON_FALSE)
		return true;
	return code != JSON_NONE && json_type(doc, code) == JSON_STRING &&
	    span_find(json_inner(doc, code), SPAN_LIT("SensitiveContent"), 0) != SIZE_MAX;
}

/* One of the pictures, or why there is none. */
static struct err
read_entry(struct answer *a, const struct json *doc, uint32_t entry, struct buf *b)
{
	uint32_t data = json_get(doc, entry, "b64_json");
	uint32_t prompt = json_get(doc, entry, "revised_prompt");
	struct picture picture = { 0 };

	if (is_blocked(doc, entry)) {
		a->blocked = true;
		return OK;
	}
	if (json_get(doc, entry, "error") != JSON_NONE)
		return OK;
	if (data == JSON_NONE || json_type(doc, data) != JSON_STRING)
		return FAIL(UPSTREAM, "upstream: an address in place of the picture");
	picture.data = without_prefix(json_inner(doc, data));
	picture.mime = sniff(picture.data);
	if (picture.mime.p == NULL || !inner_is_base64(picture.data))
		return FAIL(UPSTREAM, "upstream: a picture that is none");
	if (prompt != JSON_NONE && json_type(doc, prompt) == JSON_STRING) {
		if (a->output_bytes > 0)
			pieces_text(a, b, SPAN_LIT("\\n\\n"));
		pieces_text(a, b, json_inner(doc, prompt));
	}
	return pieces_picture(a, &picture);
}

/* Tokens are not what is paid for; where the provider counts any, they are told. */
static void
note_usage(struct answer *a, const struct json *doc)
{
	uint32_t usage = json_get(doc, 0, "usage");
	struct counts counts = { .has_prompt = true, .has_completion = true };

	if (!json_u64(doc, json_get(doc, usage, "output_tokens"), UINT32_MAX, &counts.completion))
		counts.completion = 0;
	pieces_usage(a, &counts);
}

static struct err
read_answer(struct answer *a, const struct json *doc, struct buf *b)
{
	uint32_t data = json_get(doc, 0, "data");

	if (upstream_error_is(doc))
		return FAIL(UPSTREAM, "upstream: an error in place of an answer");
	if (data == JSON_NONE || json_type(doc, data) != JSON_ARRAY)
		return FAIL(UPSTREAM, "upstream: an answer without pictures");
	answer_note_model(a, doc, json_get(doc, 0, "model"));
	for (uint32_t c = json_first(doc, data); c != JSON_NONE; c = json_after(doc, data, c))
		TRY(read_entry(a, doc, c, b));
	if (a->n_pictures == 0)
		return FAIL(UPSTREAM, "upstream: an answer without a picture");
	a->blocked = false;
	note_usage(a, doc);
	pieces_finish(a, b, FINISH_STOP);
	return a->pieces.whole ? pieces_body(a, b) : OK;
}

static struct err
images_body(struct answer *a, struct span text, struct buf *b)
{
	struct json doc;
	struct err e;

	if (failed(json_parse(&doc, text, JSON_MAX_NODES)))
		return FAIL(UPSTREAM, "upstream: the body is no JSON");
	e = read_answer(a, &doc, b);
	json_fini(&doc);
	return e;
}

#define IMAGES                                                                          \
	.auth_prefix = "Authorization: Bearer ", .request_id_field = "x-request-id",    \
	.account_field = "openai-organization", .fetches = true, .never_streams = true, \
	.path = images_path, .begin = images_begin, .body = images_body

const struct provider provider_xai_images = {
	IMAGES,
	.base_url = "https://api.x.ai/v1",
	.admit = xai_admit,
	.encode = xai_encode,
};

const struct provider provider_ark_images = {
	IMAGES,
	.base_url = "https://ark.ap-southeast.bytepluses.com/api/v3",
	.admit = ark_admit,
	.encode = ark_encode,
};
