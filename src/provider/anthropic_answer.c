/*
 * anthropic_answer.c - Messages answers, whole or streamed, into pieces.
 * Source: providers.md 5.3, 5.4, 5.7, 5.8.
 */
#include "core/limits.h"
#include "provider/anthropic.h"
#include "provider/pieces.h"
#include "provider/upstream_error.h"

void
anthropic_begin(struct answer *a, const struct request *rq, const struct model *model)
{
	a->anthropic = (struct anthropic_answer){ .tool_is_text = anthropic_tool_is_text(
						      rq, model) };
	buf_init(&a->anthropic.input, ANSWER_MAX_BYTES);
	pieces_begin(a, !rq->stream);
}

static struct span
inner_of(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING ? json_inner(doc, at)
								    : SPAN_NONE;
}

/* Counts are cumulative: each replaces the one before; what is not said stays (providers.md 5.7). */
static void
note_usage(struct answer *a, const struct json *doc, uint32_t usage, bool final)
{
	struct anthropic_answer *s = &a->anthropic;
	struct counts c = a->pieces.counts;
	uint32_t details = json_get(doc, usage, "output_tokens_details");
	uint64_t output;

	if (usage == JSON_NONE || json_type(doc, usage) != JSON_OBJECT)
		return;
	if (json_u64(doc, json_get(doc, usage, "input_tokens"), UINT32_MAX, &s->input_tokens))
		c.has_prompt = true;
	json_u64(doc, json_get(doc, usage, "cache_read_input_tokens"), UINT32_MAX, &s->cache_read);
	json_u64(
	    doc, json_get(doc, usage, "cache_creation_input_tokens"), UINT32_MAX, &s->cache_write);
	c.prompt = s->input_tokens + s->cache_read + s->cache_write;
	c.cached = s->cache_read;
	c.cache_write = s->cache_write;
	/* What message_start says of the output is where it began, not what it came to. */
	if (final && json_u64(doc, json_get(doc, usage, "output_tokens"), UINT32_MAX, &output)) {
		c.completion = output;
		c.has_completion = true;
	}
	json_u64(doc, json_get(doc, details, "thinking_tokens"), UINT32_MAX, &c.reasoning);
	pieces_usage(a, &c);
}

static enum finish
finish_of_reason(const struct answer *a, const struct json *doc, uint32_t at)
{
	static const struct {
		const char *reason;
		enum finish finish;
	} rows[] = {
		{ "end_turn", FINISH_STOP },
		{ "stop_sequence", FINISH_STOP },
		{ "pause_turn", FINISH_STOP },
		{ "max_tokens", FINISH_LENGTH },
		{ "model_context_window_exceeded", FINISH_LENGTH },
		{ "refusal", FINISH_CONTENT_FILTER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (json_is(doc, at, rows[i].reason))
			return rows[i].finish;
	/* "tool_use", and words we do not know. */
	return a->pieces.n_calls > 0 ? FINISH_TOOL_CALLS : FINISH_STOP;
}

static void
note_end(struct answer *a, const struct json *doc, uint32_t holder, struct buf *b)
{
	uint32_t reason = json_get(doc, holder, "stop_reason");
	uint32_t details = json_get(doc, holder, "stop_details");

	if (reason == JSON_NONE || json_type(doc, reason) != JSON_STRING)
		return;
	if (json_is(doc, reason, "refusal") && a->finish[0] == FINISH_NONE)
		pieces_refusal(a, b, inner_of(doc, json_get(doc, details, "explanation")));
	pieces_finish(a, b, finish_of_reason(a, doc, reason));
}

/* The input of a tool that stands for a response_format is the text of the answer. */
static struct err
put_input(struct answer *a, const struct json *doc, uint32_t input, struct buf *b)
{
	struct buf text, inner;
	struct err e = OK;

	if (!a->anthropic.tool_is_text)
		return pieces_arguments_json(a, b, doc, input);
	buf_init(&text, ANSWER_MAX_BYTES);
	buf_init(&inner, 2 * (size_t)ANSWER_MAX_BYTES);
	pieces_put_compact(&text, doc, input);
	pieces_put_escaped(&inner, buf_span(&text));
	if (text.over || inner.over)
		e = FAIL(UPSTREAM, "upstream: a tool's input is too large");
	else
		pieces_text(a, b, buf_span(&inner));
	buf_fini(&text);
	buf_fini(&inner);
	return e;
}

/* Fragments of an input, as JSON string content. */
static struct err
put_fragment(struct answer *a, struct span inner, struct buf *b)
{
	if (inner.n == 0)
		return OK;
	a->pieces.arguments = true;
	if (!a->anthropic.tool_is_text)
		return pieces_arguments(a, b, inner);
	pieces_text(a, b, inner);
	return OK;
}

static struct err
begin_tool(struct answer *a, const struct json *doc, uint32_t block, struct buf *b)
{
	uint32_t id = json_get(doc, block, "id"), name = json_get(doc, block, "name");

	if (inner_of(doc, id).n == 0 || inner_of(doc, name).n == 0)
		return FAIL(UPSTREAM, "upstream: a tool call without id or name");
	a->pieces.arguments = false;
	return a->anthropic.tool_is_text
	    ? OK
	    : pieces_call(a, b, json_inner(doc, id), json_inner(doc, name), SPAN_NONE);
}

/* A tool whose fragments were all empty has what its block began with: mostly nothing at all. */
static struct err
end_tool(struct answer *a, struct buf *b)
{
	struct anthropic_answer *s = &a->anthropic;
	struct err e = OK;
	struct buf inner;

	if (!s->in_tool)
		return OK;
	s->in_tool = false;
	if (!a->pieces.arguments) {
		buf_init(&inner, 2 * (size_t)ANSWER_MAX_BYTES);
		pieces_put_escaped(&inner, s->input.n > 0 ? buf_span(&s->input) : SPAN_LIT("{}"));
		e = s->input.over || inner.over
		    ? FAIL(UPSTREAM, "upstream: a tool's input is too large")
		    : put_fragment(a, buf_span(&inner), b);
		buf_fini(&inner);
	}
	buf_clear(&s->input);
	return e;
}

static struct err
on_block_start(struct answer *a, const struct json *doc, struct buf *b)
{
	struct anthropic_answer *s = &a->anthropic;
	uint32_t block = json_get(doc, 0, "content_block"), type = json_get(doc, block, "type");
	uint32_t input = json_get(doc, block, "input");

	TRY(end_tool(a, b));
	if (json_is(doc, type, "text"))
		pieces_text(a, b, inner_of(doc, json_get(doc, block, "text")));
	if (json_is(doc, type, "thinking"))
		pieces_reasoning(a, b, inner_of(doc, json_get(doc, block, "thinking")));
	if (!json_is(doc, type, "tool_use"))
		return OK;
	if (!json_u64(doc, json_get(doc, 0, "index"), UINT32_MAX, &s->block))
		return FAIL(UPSTREAM, "upstream: a block without an index");
	TRY(begin_tool(a, doc, block, b));
	s->in_tool = true;
	buf_clear(&s->input);
	if (input != JSON_NONE && json_type(doc, input) == JSON_OBJECT &&
	    json_first(doc, input) != JSON_NONE)
		pieces_put_compact(&s->input, doc, input);
	return OK;
}

static struct err
on_delta(struct answer *a, const struct json *doc, struct buf *b)
{
	uint32_t delta = json_get(doc, 0, "delta"), type = json_get(doc, delta, "type");
	uint64_t block;

	if (json_is(doc, type, "text_delta")) {
		pieces_text(a, b, inner_of(doc, json_get(doc, delta, "text")));
	} else if (json_is(doc, type, "input_json_delta")) {
		if (!a->anthropic.in_tool) /* of a tool that the provider runs itself */
			return OK;
		if (!json_u64(doc, json_get(doc, 0, "index"), UINT32_MAX, &block) ||
		    block != a->anthropic.block)
			return FAIL(UPSTREAM, "upstream: a fragment of a block that is not open");
		return put_fragment(a, inner_of(doc, json_get(doc, delta, "partial_json")), b);
	} else if (json_is(doc, type, "thinking_delta")) {
		pieces_reasoning(a, b, inner_of(doc, json_get(doc, delta, "thinking")));
	}
	return OK;
}

/* Streams that were spliced on the way begin twice: the first beginning counts. */
static void
on_start(struct answer *a, const struct json *doc)
{
	uint32_t message = json_get(doc, 0, "message");

	if (a->anthropic.started)
		return;
	a->anthropic.started = true;
	answer_note_model(a, doc, json_get(doc, message, "model"));
	note_usage(a, doc, json_get(doc, message, "usage"), false);
}

static struct err
read_event(struct answer *a, const struct json *doc, struct buf *b, enum stream_state *state)
{
	uint32_t type = json_get(doc, 0, "type");
	uint64_t block;

	if (json_is(doc, type, "content_block_delta"))
		return on_delta(a, doc, b);
	if (json_is(doc, type, "content_block_start"))
		return on_block_start(a, doc, b);
	if (json_is(doc, type, "content_block_stop"))
		return json_u64(doc, json_get(doc, 0, "index"), UINT32_MAX, &block) &&
			block == a->anthropic.block
		    ? end_tool(a, b)
		    : OK;
	if (json_is(doc, type, "message_start")) {
		on_start(a, doc);
	} else if (json_is(doc, type, "message_delta")) {
		TRY(end_tool(a, b));
		note_usage(a, doc, json_get(doc, 0, "usage"), true);
		note_end(a, doc, json_get(doc, 0, "delta"), b);
	} else if (json_is(doc, type, "message_stop")) {
		TRY(end_tool(a, b));
		if (a->finish[0] == FINISH_NONE)
			pieces_finish(a, b, finish_of_reason(a, doc, JSON_NONE));
		*state = STREAM_DONE;
	} else if (json_is(doc, type, "error") || (type == JSON_NONE && upstream_error_is(doc))) {
		*state = STREAM_FAILED;
		return FAIL(UPSTREAM, "upstream: an error event in the stream");
	}
	return OK;
}

struct err
anthropic_event(struct answer *a, struct span data, struct buf *b, enum stream_state *state)
{
	struct json doc;
	struct err e;

	*state = STREAM_MORE;
	if (span_trim(data).n == 0)
		return OK;
	if (failed(json_parse(&doc, data, JSON_MAX_NODES)))
		return FAIL(UPSTREAM, "upstream: an event is no JSON");
	e = json_type(&doc, 0) == JSON_OBJECT ? read_event(a, &doc, b, state)
					      : FAIL(UPSTREAM, "upstream: an event is no object");
	json_fini(&doc);
	return e;
}

static struct err
read_block(struct answer *a, const struct json *doc, uint32_t block, struct buf *b)
{
	uint32_t type = json_get(doc, block, "type"), input = json_get(doc, block, "input");

	if (json_is(doc, type, "text"))
		pieces_text(a, b, inner_of(doc, json_get(doc, block, "text")));
	if (json_is(doc, type, "thinking"))
		pieces_reasoning(a, b, inner_of(doc, json_get(doc, block, "thinking")));
	if (!json_is(doc, type, "tool_use"))
		return OK;
	TRY(begin_tool(a, doc, block, b));
	return input != JSON_NONE && json_type(doc, input) == JSON_OBJECT
	    ? put_input(a, doc, input, b)
	    : put_fragment(a, SPAN_LIT("{}"), b);
}

static struct err
read_body(struct answer *a, const struct json *doc, struct buf *b)
{
	uint32_t content = json_get(doc, 0, "content");

	answer_note_model(a, doc, json_get(doc, 0, "model"));
	note_usage(a, doc, json_get(doc, 0, "usage"), true);
	if (json_is(doc, json_get(doc, 0, "type"), "error") || upstream_error_is(doc))
		return FAIL(UPSTREAM, "upstream: an error in place of an answer");
	if (content == JSON_NONE || json_type(doc, content) != JSON_ARRAY)
		return FAIL(UPSTREAM, "upstream: a body without content");
	for (uint32_t c = json_first(doc, content); c != JSON_NONE; c = json_after(doc, content, c))
		TRY(read_block(a, doc, c, b));
	note_end(a, doc, 0, b);
	if (a->finish[0] == FINISH_NONE)
		pieces_finish(a, b, finish_of_reason(a, doc, JSON_NONE));
	return pieces_body(a, b);
}

struct err
anthropic_body(struct answer *a, struct span text, struct buf *b)
{
	struct json doc;
	struct err e;

	if (failed(json_parse(&doc, text, JSON_MAX_NODES)))
		return FAIL(UPSTREAM, "upstream: the body is no JSON");
	e = read_body(a, &doc, b);
	json_fini(&doc);
	return e;
}
