#include "provider/pieces.h"

#include "core/limits.h"

/* Escaping JSON text as the content of a string doubles it at most: quotes and backslashes. */
enum { PIECES_MAX_BYTES = 3 * ANSWER_MAX_BYTES };

void
pieces_begin(struct answer *a, bool whole)
{
	a->pieces.whole = whole;
	buf_init(&a->pieces.text, PIECES_MAX_BYTES);
	buf_init(&a->pieces.reasoning, PIECES_MAX_BYTES);
	buf_init(&a->pieces.refusal, PIECES_MAX_BYTES);
	buf_init(&a->pieces.calls, PIECES_MAX_BYTES);
	buf_init(&a->pieces.extra, PIECES_MAX_BYTES);
}

static void
put_delta(struct answer *a, struct buf *b, const char *name, struct span inner)
{
	answer_open_delta(a, b, 0);
	buf_put_byte(b, '"');
	buf_put_str(b, name);
	buf_put_str(b, "\":\"");
	buf_put(b, inner);
	buf_put_byte(b, '"');
	answer_close_delta(b);
}

void
pieces_text(struct answer *a, struct buf *b, struct span inner)
{
	if (inner.n == 0)
		return;
	if (!a->pieces.whole) {
		answer_put_delta(a, b, 0, inner);
		return;
	}
	output_text(&a->output, inner);
	a->output_bytes += answer_text_bytes(inner);
	buf_put(&a->pieces.text, inner);
}

/* What is told beside the content: legacy completions have no place for it. */
static void
aside(struct answer *a, struct buf *b, struct buf *kept, const char *name, struct span inner)
{
	if (inner.n == 0)
		return;
	a->output_bytes += answer_text_bytes(inner);
	if (a->pieces.whole)
		buf_put(kept, inner);
	else if (a->endpoint == ENDPOINT_CHAT)
		put_delta(a, b, name, inner);
}

void
pieces_reasoning(struct answer *a, struct buf *b, struct span inner)
{
	aside(a, b, &a->pieces.reasoning, "reasoning_content", inner);
}

void
pieces_refusal(struct answer *a, struct buf *b, struct span inner)
{
	aside(a, b, &a->pieces.refusal, "refusal", inner);
}

void
pieces_extra(struct answer *a, struct buf *b, struct span member)
{
	if (a->endpoint != ENDPOINT_CHAT)
		return;
	if (a->pieces.whole) {
		buf_clear(&a->pieces.extra);
		buf_put(&a->pieces.extra, member);
		return;
	}
	answer_open_delta(a, b, 0);
	buf_put(b, member);
	answer_close_delta(b);
}

struct err
pieces_picture(struct answer *a, const struct picture *picture)
{
	if (a->endpoint != ENDPOINT_CHAT || a->n_pictures == PICTURES_MAX)
		return FAIL(UPSTREAM, "upstream: more pictures than anyone asked for");
	if (a->pieces.whole) {
		a->pieces.picture[a->n_pictures++] = *picture;
		return OK;
	}
	/* It is told in the final chunk, and not split: then this is all there ever is of it. */
	buf_reserve(&a->pictures, picture->data.n + picture->signature.n + 256);
	if (a->n_pictures++ > 0)
		buf_put_byte(&a->pictures, ',');
	answer_put_picture(&a->pictures, picture);
	return a->pictures.over ? FAIL(UPSTREAM, "upstream: pictures that are too large") : OK;
}

/* Whatever is wrong with a call, it is the provider's fault. */
static struct err
absorb_call(struct answer *a, struct span id, struct span name, struct span arguments)
{
	a->output_bytes += answer_text_bytes(arguments);
	return failed(output_call_part(&a->output, a->pieces.n_calls - 1, id, name, arguments))
	    ? FAIL(UPSTREAM, "upstream: tool calls that are too many, or too long")
	    : OK;
}

/* {"id":...,"type":"function","function":{"name":...,"arguments":" : open, for what follows. */
static void
put_call(struct buf *b, struct span id, struct span name, struct span extra)
{
	buf_put_str(b, "\"id\":\"");
	buf_put(b, id);
	buf_put_str(b, "\",\"type\":\"function\"");
	buf_put(b, extra);
	buf_put_str(b, ",\"function\":{\"name\":\"");
	buf_put(b, name);
	buf_put_str(b, "\",\"arguments\":\"");
}

static void
open_call_delta(struct answer *a, struct buf *b)
{
	answer_open_delta(a, b, 0);
	buf_put_str(b, "\"tool_calls\":[{\"index\":");
	buf_put_u64(b, a->pieces.n_calls - 1);
	buf_put_byte(b, ',');
}

static void
close_call_delta(struct buf *b)
{
	buf_put_str(b, "\"}}]");
	answer_close_delta(b);
}

struct err
pieces_call(struct answer *a, struct buf *b, struct span id, struct span name, struct span extra)
{
	struct pieces *p = &a->pieces;

	if (a->endpoint != ENDPOINT_CHAT)
		return FAIL(UPSTREAM, "upstream: a tool call that nobody could ask for");
	p->n_calls++;
	p->arguments = false;
	TRY(absorb_call(a, id, name, SPAN_NONE));
	if (p->whole) {
		buf_put_str(&p->calls, p->n_calls > 1 ? "\"}},{" : "{");
		put_call(&p->calls, id, name, extra);
		return OK;
	}
	open_call_delta(a, b);
	put_call(b, id, name, extra);
	close_call_delta(b);
	return OK;
}

struct err
pieces_arguments(struct answer *a, struct buf *b, struct span inner)
{
	struct pieces *p = &a->pieces;

	if (p->n_calls == 0)
		return FAIL(UPSTREAM, "upstream: arguments of no tool call");
	if (inner.n == 0)
		return OK;
	p->arguments = true;
	TRY(absorb_call(a, SPAN_NONE, SPAN_NONE, inner));
	if (p->whole) {
		buf_put(&p->calls, inner);
		return OK;
	}
	open_call_delta(a, b);
	buf_put_str(b, "\"function\":{\"arguments\":\"");
	buf_put(b, inner);
	close_call_delta(b);
	return OK;
}

struct err
pieces_arguments_json(struct answer *a, struct buf *b, const struct json *doc, uint32_t at)
{
	struct buf text, inner;
	struct err e;

	buf_init(&text, PIECES_MAX_BYTES);
	buf_init(&inner, PIECES_MAX_BYTES);
	pieces_put_compact(&text, doc, at);
	pieces_put_escaped(&inner, buf_span(&text));
	e = text.over || inner.over ? FAIL(UPSTREAM, "upstream: arguments are too large")
				    : pieces_arguments(a, b, buf_span(&inner));
	buf_fini(&text);
	buf_fini(&inner);
	return e;
}

void
pieces_usage(struct answer *a, const struct counts *counts)
{
	a->pieces.counts = *counts;
	a->has_prompt_tokens = counts->has_prompt;
	a->has_completion_tokens = counts->has_completion;
	if (counts->has_prompt)
		a->prompt_tokens = counts->prompt;
	if (counts->has_completion)
		a->completion_tokens = counts->completion;
	if (!counts->has_prompt || !counts->has_completion)
		return;
	buf_clear(&a->usage);
	buf_put_str(&a->usage, "{\"prompt_tokens\":");
	buf_put_u64(&a->usage, counts->prompt);
	buf_put_str(&a->usage, ",\"completion_tokens\":");
	buf_put_u64(&a->usage, counts->completion);
	buf_put_str(&a->usage, ",\"total_tokens\":");
	buf_put_u64(&a->usage, counts->prompt + counts->completion);
	buf_put_str(&a->usage, ",\"prompt_tokens_details\":{\"cached_tokens\":");
	buf_put_u64(&a->usage, counts->cached);
	buf_put_str(&a->usage, ",\"cache_write_tokens\":");
	buf_put_u64(&a->usage, counts->cache_write);
	buf_put_str(&a->usage, "},\"completion_tokens_details\":{\"reasoning_tokens\":");
	buf_put_u64(&a->usage, counts->reasoning);
	buf_put_str(&a->usage, "}}");
}

void
pieces_finish(struct answer *a, struct buf *b, enum finish f)
{
	a->finish[0] = f;
	if (!a->pieces.whole && !a->begun[0] && a->endpoint == ENDPOINT_CHAT)
		put_delta(a, b, "content", SPAN_LIT(""));
}

static void
put_text_member(struct buf *b, const char *name, const struct buf *inner)
{
	buf_put_byte(b, '"');
	buf_put_str(b, name);
	buf_put_str(b, "\":\"");
	buf_put(b, buf_span(inner));
	buf_put_byte(b, '"');
}

static void
put_pictures(const struct answer *a, struct buf *b)
{
	size_t bytes = 8192;

	if (a->n_pictures == 0)
		return;
	for (unsigned i = 0; i < a->n_pictures; i++)
		bytes += a->pieces.picture[i].data.n + 128;
	buf_reserve(b, bytes);
	for (unsigned i = 0; i < a->n_pictures; i++) {
		buf_put_str(b, i == 0 ? ",\"images\":[" : ",");
		answer_put_picture(b, &a->pieces.picture[i]);
	}
	buf_put_byte(b, ']');
}

struct err
pieces_body(struct answer *a, struct buf *b)
{
	struct pieces *p = &a->pieces;
	struct span text = buf_span(&p->text);

	if (a->finish[0] == FINISH_NONE)
		return FAIL(UPSTREAM, "upstream: a body that does not say how it ended");
	if (p->text.over || p->reasoning.over || p->refusal.over || p->calls.over || p->extra.over)
		return FAIL(TOO_LARGE, "answer: too large");
	if (a->endpoint == ENDPOINT_COMPLETIONS) {
		answer_put_text_body(a, b, &text);
		return OK;
	}
	answer_open_message(a, b);
	/* As OpenAI has it: no content at all beside nothing but calls, or a refusal. */
	if (p->text.n == 0 && (p->n_calls > 0 || p->refusal.n > 0))
		buf_put_str(b, "\"content\":null");
	else
		put_text_member(b, "content", &p->text);
	if (p->reasoning.n > 0) {
		buf_put_byte(b, ',');
		put_text_member(b, "reasoning_content", &p->reasoning);
	}
	buf_put_byte(b, ',');
	if (p->refusal.n > 0)
		put_text_member(b, "refusal", &p->refusal);
	else
		buf_put_str(b, "\"refusal\":null");
	if (p->extra.n > 0) {
		buf_put_byte(b, ',');
		buf_put(b, buf_span(&p->extra));
	}
	if (p->n_calls > 0) {
		buf_put_str(b, ",\"tool_calls\":[");
		buf_put(b, buf_span(&p->calls));
		buf_put_str(b, "\"}}]");
	}
	put_pictures(a, b);
	answer_close_message(a, b);
	return OK;
}

void
pieces_put_compact(struct buf *b, const struct json *doc, uint32_t at)
{
	struct span raw = json_raw(doc, at);
	bool in_string = false;
	size_t from = 0;

	for (size_t i = 0; i < raw.n; i++) {
		uint8_t c = raw.p[i];

		if (in_string && c == '\\') {
			i++;
		} else if (c == '"') {
			in_string = !in_string;
		} else if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
			buf_put(b, span_cut(raw, from, i));
			from = i + 1;
		}
	}
	buf_put(b, span_cut(raw, from, raw.n));
}

void
pieces_put_escaped(struct buf *b, struct span text)
{
	size_t from = 0;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '"' || text.p[i] == '\\') {
			buf_put(b, span_cut(text, from, i));
			buf_put_byte(b, '\\');
			from = i;
		}
	buf_put(b, span_cut(text, from, text.n));
}
