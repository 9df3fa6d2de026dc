/*
 * gemini_answer.c - what Gemini answers, as pieces. Every event of a stream is a whole response
 * object whose text is a delta, so that one reader serves both forms.
 */
#include "provider/gemini_answer.h"

#include "codec/hex.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "provider/gemini_contents.h"
#include "provider/pieces.h"
#include "provider/upstream_error.h"

void
gemini_begin(struct answer *a, const struct request *rq, const struct model *model)
{
	pieces_begin(a, !rq->stream);
	a->wants_picture = model->kind == MODEL_IMAGE_INLINE;
	a->gemini.one_call = (rq->present & PARAM_BIT(PARALLEL_TOOL_CALLS)) != 0;
}

static bool
is_text(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING;
}

static bool
is_true(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_TRUE;
}

/* --- parts --- */

/* Unique among all answers, as the answer's own id is; and no secret. */
static void
put_call_id(const struct answer *a, struct buf *b)
{
	uint8_t digest[SHA256_LEN];
	struct buf seed;

	buf_init(&seed, ANSWER_ID_MAX + 32);
	buf_put_str(&seed, a->id);
	buf_put_byte(&seed, ' ');
	buf_put_u64(&seed, a->pieces.n_calls);
	sha256_of(buf_span(&seed), digest);
	buf_put_str(b, "call_");
	hex_put(b, span_of(digest, (GEMINI_CALL_ID_LEN - 5) / 2));
	buf_fini(&seed);
}

/* The signature goes where Google's own OpenAI-compatible layer has it (providers.md 6.5). */
static void
put_signature(struct buf *b, struct span inner)
{
	buf_put_str(b, "\"extra_content\":{\"google\":{\"thought_signature\":\"");
	buf_put(b, inner);
	buf_put_str(b, "\"}}");
}

static struct err
read_call(struct answer *a, const struct json *doc, uint32_t part, uint32_t call, struct buf *b)
{
	uint32_t name = json_get(doc, call, "name"), args = json_get(doc, call, "args");
	uint32_t id = json_get(doc, call, "id"), sign = json_get(doc, part, "thoughtSignature");
	struct buf its_id, extra;
	struct err e;

	if (!is_text(doc, name) || json_inner(doc, name).n == 0)
		return FAIL(UPSTREAM, "upstream: a function call without a name");
	if (args != JSON_NONE && json_type(doc, args) != JSON_NULL &&
	    json_type(doc, args) != JSON_OBJECT)
		return FAIL(UPSTREAM, "upstream: arguments of a call are no object");
	if (a->gemini.one_call && a->pieces.n_calls > 0)
		return OK;
	buf_init(&its_id, SSE_EVENT_MAX_BYTES);
	buf_init(&extra, SSE_EVENT_MAX_BYTES);
	if (is_text(doc, id) && json_inner(doc, id).n > 0)
		buf_put(&its_id, json_inner(doc, id));
	else
		put_call_id(a, &its_id);
	if (is_text(doc, sign) && json_inner(doc, sign).n > 0) {
		buf_put_byte(&extra, ',');
		put_signature(&extra, json_inner(doc, sign));
	}
	e = its_id.over || extra.over
	    ? FAIL(UPSTREAM, "upstream: a call that is too large")
	    : pieces_call(a, b, buf_span(&its_id), json_inner(doc, name), buf_span(&extra));
	buf_fini(&its_id);
	buf_fini(&extra);
	if (failed(e))
		return e;
	if (args == JSON_NONE || json_type(doc, args) == JSON_NULL)
		return pieces_arguments(a, b, SPAN_LIT("{}"));
	return pieces_arguments_json(a, b, doc, args);
}

/* Text of the answer; its signature, which later models like to see again, goes with it. */
static struct err
read_text(struct answer *a, const struct json *doc, uint32_t part, uint32_t text, struct buf *b)
{
	uint32_t sign = json_get(doc, part, "thoughtSignature");
	struct buf extra;
	struct err e = OK;

	pieces_text(a, b, json_inner(doc, text));
	if (!is_text(doc, sign) || json_inner(doc, sign).n == 0)
		return OK;
	buf_init(&extra, SSE_EVENT_MAX_BYTES);
	put_signature(&extra, json_inner(doc, sign));
	if (extra.over)
		e = FAIL(UPSTREAM, "upstream: a signature that is too large");
	else
		pieces_extra(a, b, buf_span(&extra));
	buf_fini(&extra);
	return e;
}

static struct err
read_picture(struct answer *a, const struct json *doc, uint32_t part, uint32_t at)
{
	uint32_t mime = json_get(doc, at, "mimeType"), data = json_get(doc, at, "data");
	uint32_t sign = json_get(doc, part, "thoughtSignature");
	struct picture picture;

	if (!a->wants_picture)
		return FAIL(UPSTREAM, "upstream: a picture from a model that was asked for text");
	if (!is_text(doc, mime) || !is_text(doc, data))
		return FAIL(UPSTREAM, "upstream: a picture that is none");
	picture = (struct picture){ .data = json_inner(doc, data),
		.mime = inner_picture_type(json_inner(doc, mime)) };
	if (picture.mime.p == NULL || !inner_is_base64(picture.data))
		return FAIL(UPSTREAM, "upstream: a picture that is none");
	if (is_text(doc, sign))
		picture.signature = json_inner(doc, sign);
	return pieces_picture(a, &picture);
}

static struct err
read_part(struct answer *a, const struct json *doc, uint32_t part, struct buf *b)
{
	uint32_t inside = json_get(doc, part, "inlineData");
	uint32_t text = json_get(doc, part, "text"), call = json_get(doc, part, "functionCall");

	/* Sketches on the way to the picture are thoughts. */
	if (inside != JSON_NONE && is_true(doc, json_get(doc, part, "thought")))
		return OK;
	if (inside != JSON_NONE)
		return read_picture(a, doc, part, inside);
	if (call != JSON_NONE && json_type(doc, call) == JSON_OBJECT)
		return read_call(a, doc, part, call, b);
	if (!is_text(doc, text))
		return OK; /* code that ran upstream, and what else nobody asked for */
	if (is_true(doc, json_get(doc, part, "thought")))
		pieces_reasoning(a, b, json_inner(doc, text));
	else
		return read_text(a, doc, part, text, b);
	return OK;
}

/* --- how it ended (providers.md 6.7) --- */

enum ending { END_NONE, END_STOP, END_LENGTH, END_FILTER, END_BROKEN, END_PICTURE };

static enum ending
ending_of(const struct json *doc, uint32_t at)
{
	static const struct {
		const char *word;
		enum ending ending;
	} words[] = {
		{ "STOP", END_STOP },
		{ "MAX_TOKENS", END_LENGTH },
		{ "SAFETY", END_FILTER },
		{ "RECITATION", END_FILTER },
		{ "LANGUAGE", END_FILTER },
		{ "BLOCKLIST", END_FILTER },
		{ "PROHIBITED_CONTENT", END_FILTER },
		{ "SPII", END_FILTER },
		{ "IMAGE_SAFETY", END_FILTER },
		{ "IMAGE_PROHIBITED_CONTENT", END_FILTER },
		{ "IMAGE_RECITATION", END_FILTER },
		{ "MALFORMED_FUNCTION_CALL", END_BROKEN },
		{ "UNEXPECTED_TOOL_CALL", END_BROKEN },
		{ "TOO_MANY_TOOL_CALLS", END_BROKEN },
		{ "NO_IMAGE", END_PICTURE },
		{ "IMAGE_OTHER", END_PICTURE },
	};

	if (!is_text(doc, at))
		return END_NONE;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (json_is(doc, at, words[i].word))
			return words[i].ending;
	return END_STOP;
}

static struct err
finish(struct answer *a, struct buf *b, enum ending ending)
{
	switch (ending) {
	case END_NONE:
		/* A call may come after the word STOP: it is what the answer is about. */
		if (a->finish[0] == FINISH_STOP && a->pieces.n_calls > 0)
			pieces_finish(a, b, FINISH_TOOL_CALLS);
		return OK;
	case END_BROKEN:
		if (a->output_bytes == 0 && a->pieces.n_calls == 0)
			return FAIL(
			    UPSTREAM, "upstream: a call that it could not write, and no answer");
		/* fall through */
	case END_STOP:
		pieces_finish(a, b, a->pieces.n_calls > 0 ? FINISH_TOOL_CALLS : FINISH_STOP);
		return OK;
	case END_LENGTH:
		pieces_finish(a, b, FINISH_LENGTH);
		return OK;
	case END_FILTER:
		/* E2: a policy that lets no picture through is an error, and costs nothing. */
		if (a->wants_picture && a->n_pictures == 0 && a->output_bytes == 0) {
			a->blocked = true;
			return FAIL(UPSTREAM, "upstream: a policy let no picture through");
		}
		pieces_finish(a, b, FINISH_CONTENT_FILTER);
		return OK;
	case END_PICTURE:
		break;
	}
	return FAIL(UPSTREAM, "upstream: it made no picture");
}

/* --- counts (providers.md 6.9, 13) --- */

static bool
note_count(const struct json *doc, uint32_t usage, const char *name, uint64_t *count)
{
	return json_u64(doc, json_get(doc, usage, name), UINT32_MAX, count);
}

static void
note_usage(struct answer *a, const struct json *doc, uint32_t response)
{
	uint32_t usage = json_get(doc, response, "usageMetadata");
	struct gemini_answer *g = &a->gemini;

	if (usage == JSON_NONE || json_type(doc, usage) != JSON_OBJECT)
		return;
	if (note_count(doc, usage, "promptTokenCount", &g->prompt))
		g->has_prompt = true;
	note_count(doc, usage, "toolUsePromptTokenCount", &g->tool_prompt);
	note_count(doc, usage, "cachedContentTokenCount", &g->cached);
	if (note_count(doc, usage, "candidatesTokenCount", &g->candidates))
		g->has_output = true;
	if (note_count(doc, usage, "thoughtsTokenCount", &g->thoughts))
		g->has_output = true;
	/* Zero is not spelt out: at the end, what was not counted is nothing. */
	if (g->has_prompt && a->finish[0] != FINISH_NONE)
		g->has_output = true;
	pieces_usage(a,
	    &(struct counts){ .prompt = g->prompt + g->tool_prompt,
		.completion = g->candidates + g->thoughts,
		.cached = g->cached,
		.reasoning = g->thoughts,
		.has_prompt = g->has_prompt,
		.has_completion = g->has_output });
}

/* --- responses --- */

static struct err
read_candidate(struct answer *a, const struct json *doc, uint32_t candidate, struct buf *b)
{
	uint32_t index = json_get(doc, candidate, "index");
	uint32_t parts = json_get(doc, json_get(doc, candidate, "content"), "parts");
	uint64_t v;

	if (json_type(doc, candidate) != JSON_OBJECT ||
	    (index != JSON_NONE && !json_u64(doc, index, 0, &v)))
		return FAIL(UPSTREAM, "upstream: a choice nobody asked for");
	if (parts != JSON_NONE && json_type(doc, parts) == JSON_ARRAY)
		for (uint32_t c = json_first(doc, parts); c != JSON_NONE;
		     c = json_after(doc, parts, c))
			TRY(read_part(a, doc, c, b));
	return finish(a, b, ending_of(doc, json_get(doc, candidate, "finishReason")));
}

static struct err
read_response(struct answer *a, const struct json *doc, uint32_t response, struct buf *b)
{
	uint32_t candidates = json_get(doc, response, "candidates");
	uint32_t blocked = json_get(doc, json_get(doc, response, "promptFeedback"), "blockReason");
	unsigned n = 0;

	if (json_type(doc, response) != JSON_OBJECT)
		return FAIL(UPSTREAM, "upstream: a response is no object");
	answer_note_model(a, doc, json_get(doc, response, "modelVersion"));
	if (candidates != JSON_NONE && json_type(doc, candidates) == JSON_ARRAY)
		for (uint32_t c = json_first(doc, candidates); c != JSON_NONE;
		     c = json_after(doc, candidates, c)) {
			if (++n > 1)
				return FAIL(UPSTREAM, "upstream: a choice nobody asked for");
			TRY(read_candidate(a, doc, c, b));
		}
	/* The prompt itself was blocked: that is an answer, and there is nothing else in it. */
	if (n == 0 && is_text(doc, blocked))
		TRY(finish(a, b, END_FILTER));
	note_usage(a, doc, response);
	return OK;
}

static struct err
read_responses(struct answer *a, struct span text, struct buf *b, bool *told)
{
	struct json doc;
	struct err e = OK;

	if (failed(json_parse(&doc, text, JSON_MAX_NODES)))
		return FAIL(UPSTREAM, "upstream: a response is no JSON");
	if (upstream_error_is(&doc)) {
		*told = true;
		e = FAIL(UPSTREAM, "upstream: an error in place of an answer");
	} else if (json_type(&doc, 0) == JSON_ARRAY) {
		for (uint32_t c = json_first(&doc, 0); !failed(e) && c != JSON_NONE;
		     c = json_after(&doc, 0, c))
			e = json_get(&doc, c, "error") != JSON_NONE
			    ? FAIL(UPSTREAM, "upstream: an error in place of an answer")
			    : read_response(a, &doc, c, b);
	} else {
		e = read_response(a, &doc, 0, b);
	}
	json_fini(&doc);
	return e;
}

struct err
gemini_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state)
{
	bool told = false;
	struct err e;

	*state = STREAM_MORE;
	if (span_trim(data).n == 0)
		return OK;
	e = read_responses(a, data, b, &told);
	if (told)
		*state = STREAM_FAILED;
	return e;
}

struct err
gemini_body(struct answer *a, struct span text, struct buf *b)
{
	bool told = false;

	TRY(read_responses(a, text, b, &told));
	return pieces_body(a, b);
}
