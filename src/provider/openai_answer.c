/*
 * openai_answer.c - answers of the OpenAI-compatible family as a splice: what the provider wrote
 * travels byte for byte, but for the members that the gateway authors.
 */
#include "provider/openai_answer.h"

#include "core/limits.h"
#include "provider/members.h"
#include "provider/messages.h"
#include "provider/upstream_error.h"

static bool
name_starts(const struct json *doc, uint32_t name, const char *prefix)
{
	struct json_points it = { .s = json_inner(doc, name) };
	uint32_t cp;

	for (; *prefix != '\0'; prefix++)
		if (!json_point(&it, &cp) || cp != (uint32_t)(uint8_t)*prefix)
			return false;
	return true;
}

/* Members that only the gateway may write (S2). */
static bool
is_ours(const struct json *doc, uint32_t name)
{
	return name_starts(doc, name, "tee_") || json_is(doc, name, "opengradient") ||
	    json_is(doc, name, "estimated");
}

/* The reasoning that a total has and a sum lacks (providers.md 7). */
static uint64_t
reasoning_apart(const struct json *doc, uint32_t usage, uint64_t sum)
{
	uint32_t details = json_get(doc, usage, "completion_tokens_details");
	uint64_t total, reasoning;

	if (!json_u64(doc, json_get(doc, usage, "total_tokens"), UINT32_MAX, &total) ||
	    total <= sum)
		return 0;
	return json_u64(doc, json_get(doc, details, "reasoning_tokens"), UINT32_MAX, &reasoning) &&
		reasoning <= total - sum
	    ? reasoning
	    : total - sum;
}

/*
 * The last report that makes sense counts; it replaces the ones before and is never added to them.
 * Counts that are no counts are as good as missing (S4).
 */
static void
note_usage(struct answer *a, const struct json *doc)
{
	uint32_t usage = json_get(doc, 0, "usage");
	struct members m = { .b = &a->usage };
	uint64_t prompt, completion;
	bool has_prompt, has_completion;

	if (usage == JSON_NONE || json_type(doc, usage) != JSON_OBJECT)
		return;
	has_prompt = json_u64(doc, json_get(doc, usage, "prompt_tokens"), UINT32_MAX, &prompt);
	has_completion = json_u64(
	    doc, json_get(doc, usage, "completion_tokens"), UINT32_MAX, &completion);
	/* Half a report does not replace a whole one. */
	if (a->usage.n > 0 && !(has_prompt && has_completion))
		return;
	if (has_prompt && has_completion && a->reasoning_apart)
		completion += reasoning_apart(doc, usage, prompt + completion);
	if (has_prompt)
		a->prompt_tokens = prompt;
	if (has_completion)
		a->completion_tokens = completion;
	a->has_prompt_tokens = a->has_prompt_tokens || has_prompt;
	a->has_completion_tokens = a->has_completion_tokens || has_completion;
	if (!has_prompt || !has_completion)
		return;
	buf_clear(&a->usage);
	buf_put_byte(&a->usage, '{');
	for (uint32_t c = json_first(doc, usage); c != JSON_NONE; c = json_after(doc, usage, c)) {
		if (is_ours(doc, c) || !request_counts(doc, usage, c))
			continue;
		if (a->reasoning_apart && json_is(doc, c, "completion_tokens")) {
			put_raw(&m, json_raw(doc, c), SPAN_NONE);
			buf_put_u64(&a->usage, completion);
		} else {
			put_raw(&m, json_raw(doc, c), json_raw(doc, c + 1));
		}
	}
	buf_put_byte(&a->usage, '}');
	if (a->usage.over) /* too long to be usage: as if none had come (S4) */
		buf_clear(&a->usage);
}

/* Index of a choice: its member, or its place where it has none. */
static bool
choice_index(const struct answer *a, const struct json *doc, uint32_t choice, unsigned place,
    unsigned *index)
{
	uint32_t at = json_get(doc, choice, "index");
	uint64_t v = place;

	if (json_type(doc, choice) != JSON_OBJECT)
		return false;
	if (at != JSON_NONE && !json_u64(doc, at, ANSWER_CHOICES_MAX, &v))
		return false;
	*index = (unsigned)v;
	return v < a->n;
}

static uint64_t
string_bytes(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING ? messages_text_bytes(doc, at)
								    : 0;
}

/* Takes in what a message or a delta delivers. */
static struct err
absorb(struct answer *a, const struct json *doc, uint32_t message, unsigned index)
{
	uint32_t content = json_get(doc, message, "content");
	uint32_t calls = json_get(doc, message, "tool_calls");

	a->output_bytes += string_bytes(doc, content) +
	    string_bytes(doc, json_get(doc, message, "reasoning_content")) +
	    string_bytes(doc, json_get(doc, message, "reasoning")) +
	    string_bytes(doc, json_get(doc, message, "refusal"));
	if (index == 0 && content != JSON_NONE && json_type(doc, content) == JSON_STRING)
		output_text(&a->output, json_inner(doc, content));
	if (calls == JSON_NONE || json_type(doc, calls) != JSON_ARRAY)
		return OK;
	for (uint32_t c = json_first(doc, calls); c != JSON_NONE; c = json_after(doc, calls, c))
		a->output_bytes += string_bytes(
		    doc, json_get(doc, json_get(doc, c, "function"), "arguments"));
	/* Whatever is wrong with them, it is the provider's fault. */
	if (index == 0 && failed(output_tool_calls(&a->output, doc, calls)))
		return FAIL(UPSTREAM, "upstream: tool calls that are none, or too many");
	return OK;
}

/* A choice that says nothing but how it ended: it waits for the final chunk. */
static bool
says_nothing(const struct json *doc, uint32_t choice)
{
	uint32_t delta = json_get(doc, choice, "delta");

	for (uint32_t c = json_first(doc, choice); c != JSON_NONE; c = json_after(doc, choice, c)) {
		bool known = json_is(doc, c, "index") || json_is(doc, c, "finish_reason") ||
		    json_is(doc, c, "delta");

		if (!known && json_type(doc, c + 1) != JSON_NULL)
			return false;
	}
	return delta == JSON_NONE || json_type(doc, delta) != JSON_OBJECT ||
	    json_first(doc, delta) == JSON_NONE;
}

/* What stands where a choice has its finish reason: held back in streams, mapped in bodies (S3). */
static struct span
finish_text(const struct json *doc, uint32_t at, bool hold)
{
	enum finish f = finish_of(doc, at);

	if (hold)
		return SPAN_LIT("null");
	if (f == FINISH_STOP && !json_is(doc, at, "stop"))
		return SPAN_LIT("\"stop\"");
	return json_raw(doc, at);
}

/* The choices array, in place but for the finish reasons. */
static void
put_choices(struct buf *b, const struct json *doc, uint32_t choices, bool hold)
{
	bool any = false;

	buf_put_byte(b, '[');
	for (uint32_t c = json_first(doc, choices); c != JSON_NONE;
	     c = json_after(doc, choices, c)) {
		struct members m = { .b = b };

		if (any)
			buf_put_byte(b, ',');
		any = true;
		buf_put_byte(b, '{');
		for (uint32_t k = json_first(doc, c); k != JSON_NONE; k = json_after(doc, c, k))
			put_raw(&m, json_raw(doc, k),
			    json_is(doc, k, "finish_reason") ? finish_text(doc, k + 1, hold)
							     : json_raw(doc, k + 1));
		buf_put_byte(b, '}');
	}
	buf_put_byte(b, ']');
}

static void
put_id(struct members *m, const struct json *doc, uint32_t name, const struct answer *a)
{
	char id[ANSWER_ID_MAX + 2];
	size_t n = strlen(a->id);

	id[0] = '"';
	memcpy(id + 1, a->id, n);
	id[n + 1] = '"';
	put_raw(m, json_raw(doc, name), span_of(id, n + 2));
}

/* One chunk, in place: id, model and choices are ours to touch, the rest is not. */
static void
put_chunk(struct answer *a, struct buf *b, const struct json *doc, uint32_t choices)
{
	struct members m = { .b = b };

	buf_put_str(b, "data: {");
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c)) {
		if (!request_counts(doc, 0, c) || is_ours(doc, c) || json_is(doc, c, "usage") ||
		    json_is(doc, c, "obfuscation"))
			continue;
		if (json_is(doc, c, "id")) {
			put_id(&m, doc, c, a);
		} else if (json_is(doc, c, "model")) {
			put_raw(&m, json_raw(doc, c), a->model);
		} else if (c + 1 == choices) {
			put_raw(&m, json_raw(doc, c), SPAN_NONE);
			put_choices(b, doc, choices, true);
		} else {
			put_raw(&m, json_raw(doc, c), json_raw(doc, c + 1));
		}
	}
	buf_put_str(b, "}\n\n");
}

/* Members of a finishing chunk that the final chunk repeats (system_fingerprint, service_tier). */
static void
note_extra(struct answer *a, const struct json *doc)
{
	static const char *const authored_here[] = { "id", "object", "created", "model", "choices",
		"usage", "obfuscation" };

	buf_clear(&a->extra);
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c)) {
		bool skip = is_ours(doc, c) || !request_counts(doc, 0, c);

		for (size_t i = 0; i < sizeof(authored_here) / sizeof(authored_here[0]); i++)
			skip = skip || json_is(doc, c, authored_here[i]);
		if (skip)
			continue;
		buf_put(&a->extra, json_raw(doc, c));
		buf_put_byte(&a->extra, ':');
		buf_put(&a->extra, json_raw(doc, c + 1));
		buf_put_byte(&a->extra, ',');
	}
	if (a->extra.over)
		buf_clear(&a->extra);
}

/* Aggregators end a choice that failed with this word (providers.md 9). */
static bool
failed_choice(const struct json *doc, uint32_t choices)
{
	if (choices == JSON_NONE || json_type(doc, choices) != JSON_ARRAY)
		return false;
	for (uint32_t c = json_first(doc, choices); c != JSON_NONE; c = json_after(doc, choices, c))
		if (json_is(doc, json_get(doc, c, "finish_reason"), "error"))
			return true;
	return false;
}

static bool
says_failed(const struct json *doc)
{
	return upstream_error_is(doc) || failed_choice(doc, json_get(doc, 0, "choices"));
}

static struct err
read_chunk(struct answer *a, const struct json *doc, struct buf *b)
{
	uint32_t choices = json_get(doc, 0, "choices"), created = json_get(doc, 0, "created");
	uint64_t created_unix_s;
	bool quiet = true, finishing = false;
	unsigned place = 0;

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(UPSTREAM, "upstream: an event is no object");
	answer_note_model(a, doc, json_get(doc, 0, "model"));
	note_usage(a, doc);
	if (created != JSON_NONE && json_u64(doc, created, UINT32_MAX, &created_unix_s))
		a->created_unix_s = created_unix_s;
	if (choices == JSON_NONE || json_type(doc, choices) != JSON_ARRAY)
		return OK;
	for (uint32_t c = json_first(doc, choices); c != JSON_NONE;
	     c = json_after(doc, choices, c), place++) {
		uint32_t delta = json_get(doc, c, "delta");
		enum finish f = finish_of(doc, json_get(doc, c, "finish_reason"));
		unsigned index;

		if (!choice_index(a, doc, c, place, &index))
			return FAIL(UPSTREAM, "upstream: a choice nobody asked for");
		TRY(absorb(a, doc, delta, index));
		if (f != FINISH_NONE) {
			a->finish[index] = f;
			finishing = true;
		}
		quiet = quiet && says_nothing(doc, c);
		if (a->endpoint == ENDPOINT_COMPLETIONS) {
			uint32_t content = json_get(doc, delta, "content");

			/* absorb() has counted it; the event is ours to write. */
			if (content != JSON_NONE && json_type(doc, content) == JSON_STRING &&
			    json_inner(doc, content).n > 0)
				answer_put_text_event(a, b, index, json_inner(doc, content));
		}
	}
	if (finishing)
		note_extra(a, doc);
	if (a->endpoint == ENDPOINT_CHAT && place > 0 && !quiet)
		put_chunk(a, b, doc, choices);
	return OK;
}

/*
 * Data lines that were joined with LF (providers.md 12, rule 3) become one line again: what we
 * splice must not break our own framing. In valid JSON a bare LF is white space.
 */
static void
put_one_line(struct buf *b, struct span data)
{
	uint8_t *line = buf_grow(b, data.n);

	for (size_t i = 0; line != NULL && i < data.n; i++)
		line[i] = data.p[i] == '\n' || data.p[i] == '\r' ? ' ' : data.p[i];
}

static struct err
read_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state)
{
	struct buf numbered;
	struct json doc;
	struct err e = OK;

	if (failed(json_parse(&doc, data, JSON_MAX_NODES)))
		return FAIL(UPSTREAM, "upstream: an event is no JSON");
	if (says_failed(&doc)) {
		*state = STREAM_FAILED;
		json_fini(&doc);
		return FAIL(UPSTREAM, "upstream: an error event in the stream");
	}
	buf_init(&numbered, 2 * SSE_EVENT_MAX_BYTES);
	if (tool_index_put(a->tools, &doc, &numbered)) {
		json_fini(&doc);
		if (failed(buf_check(&numbered)) ||
		    failed(json_parse(&doc, buf_span(&numbered), JSON_MAX_NODES)))
			e = FAIL(UPSTREAM, "upstream: tool calls that cannot be numbered");
	}
	if (!failed(e))
		e = read_chunk(a, &doc, b);
	json_fini(&doc);
	buf_fini(&numbered);
	return e;
}

void
openai_begin(struct answer *a, const struct request *rq, const struct model *model)
{
	a->reasoning_apart = provider_of(model->provider)->quirks.reasoning_apart;
}

struct err
openai_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state)
{
	struct buf line;
	struct err e;

	*state = STREAM_MORE;
	if (span_eq(span_trim(data), SPAN_LIT("[DONE]"))) {
		*state = STREAM_DONE;
		return OK;
	}
	if (span_trim(data).n == 0)
		return OK;
	buf_init(&line, SSE_EVENT_MAX_BYTES);
	if (memchr(data.p, '\n', data.n) != NULL || memchr(data.p, '\r', data.n) != NULL) {
		put_one_line(&line, data);
		data = buf_span(&line);
	}
	e = failed(buf_check(&line)) ? FAIL(UPSTREAM, "upstream: an event is too large")
				     : read_event(a, data, b, state);
	buf_fini(&line);
	return e;
}

/* Choices of a whole body: taken in, and each with its finish reason. */
static struct err
read_choices(struct answer *a, const struct json *doc, uint32_t choices)
{
	unsigned place = 0;

	if (choices == JSON_NONE || json_type(doc, choices) != JSON_ARRAY)
		return FAIL(UPSTREAM, "upstream: a body without choices");
	for (uint32_t c = json_first(doc, choices); c != JSON_NONE;
	     c = json_after(doc, choices, c), place++) {
		unsigned index;

		if (!choice_index(a, doc, c, place, &index))
			return FAIL(UPSTREAM, "upstream: a choice nobody asked for");
		TRY(absorb(a, doc, json_get(doc, c, "message"), index));
		a->finish[index] = finish_of(doc, json_get(doc, c, "finish_reason"));
	}
	return answer_finished(a) ? OK : FAIL(UPSTREAM, "upstream: a choice without finish_reason");
}

static void
put_chat_body(struct answer *a, struct buf *b, const struct json *doc)
{
	struct members m = { .b = b };
	struct buf usage;

	buf_put_byte(b, '{');
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c)) {
		if (!request_counts(doc, 0, c) || is_ours(doc, c) || json_is(doc, c, "usage"))
			continue;
		if (json_is(doc, c, "id")) {
			put_id(&m, doc, c, a);
		} else if (json_is(doc, c, "model")) {
			put_raw(&m, json_raw(doc, c), a->model);
		} else if (json_is(doc, c, "created")) {
			put_raw(&m, json_raw(doc, c), SPAN_NONE);
			buf_put_u64(b, a->created_unix_s);
		} else if (json_is(doc, c, "choices")) {
			put_raw(&m, json_raw(doc, c), SPAN_NONE);
			put_choices(b, doc, c + 1, false);
		} else {
			put_raw(&m, json_raw(doc, c), json_raw(doc, c + 1));
		}
	}
	buf_init(&usage, a->usage.max + 256);
	answer_put_usage(a, &usage);
	put_raw(&m, SPAN_LIT("\"usage\""), buf_span(&usage));
	buf_fini(&usage);
	buf_put_byte(b, ',');
}

/* A chat body as a legacy completion: the message's content is the text. */
static void
put_text_body(struct answer *a, struct buf *b, const struct json *doc)
{
	uint32_t choices = json_get(doc, 0, "choices");
	struct span inner[ANSWER_CHOICES_MAX] = { 0 };
	unsigned place = 0, index;

	for (uint32_t c = json_first(doc, choices); c != JSON_NONE;
	     c = json_after(doc, choices, c), place++) {
		uint32_t content = json_get(doc, json_get(doc, c, "message"), "content");

		if (choice_index(a, doc, c, place, &index) && content != JSON_NONE &&
		    json_type(doc, content) == JSON_STRING)
			inner[index] = json_inner(doc, content);
	}
	answer_put_text_body(a, b, inner);
}

struct err
openai_body(struct answer *a, struct span text, struct buf *b)
{
	struct json doc;
	struct err e;

	if (failed(json_parse(&doc, text, JSON_MAX_NODES)))
		return FAIL(UPSTREAM, "upstream: the body is no JSON");
	answer_note_model(a, &doc, json_get(&doc, 0, "model"));
	note_usage(a, &doc);
	if (says_failed(&doc))
		e = FAIL(UPSTREAM, "upstream: an error in place of an answer");
	else
		e = read_choices(a, &doc, json_get(&doc, 0, "choices"));
	if (!failed(e) && a->endpoint == ENDPOINT_CHAT)
		put_chat_body(a, b, &doc);
	else if (!failed(e))
		put_text_body(a, b, &doc);
	json_fini(&doc);
	return e;
}
