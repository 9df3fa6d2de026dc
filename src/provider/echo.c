#include "provider/echo.h"

#include "core/limits.h"

/* Honoured. */
static const uint64_t takes = PARAM_BIT(MODEL) | PARAM_BIT(MESSAGES) | PARAM_BIT(PROMPT) |
    PARAM_BIT(STREAM) | PARAM_BIT(MAX_TOKENS) | PARAM_BIT(MAX_COMPLETION_TOKENS) | PARAM_BIT(STOP);

/* Without effect (A7). Tools are among them: a model that may call tools may also just answer. */
static const uint64_t ignores = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) |
    PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY) | PARAM_BIT(SEED) |
    PARAM_BIT(LOGIT_BIAS) | PARAM_BIT(REASONING_EFFORT) | PARAM_BIT(VERBOSITY) | PARAM_BIT(USER) |
    PARAM_BIT(METADATA) | PARAM_BIT(SAFETY_IDENTIFIER) | PARAM_BIT(PROMPT_CACHE_KEY) |
    PARAM_BIT(PROMPT_CACHE_RETENTION) | PARAM_BIT(TOOLS) | PARAM_BIT(PARALLEL_TOOL_CALLS);

bool
echo_admit(const struct request *rq, uint64_t *adjusted, struct refusal *no)
{
	uint64_t left = rq->present & ~(takes | ignores);

	/* "none" is what echo does anyway. */
	if ((left & PARAM_BIT(TOOL_CHOICE)) && json_is(&rq->doc, rq->at[PARAM_TOOL_CHOICE], "none"))
		left &= ~PARAM_BIT(TOOL_CHOICE);
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if (left & UINT64_C(1) << p)
			return refuse(no, "unsupported_parameter", param_name(p),
			    "%s is not supported by the model echo.", param_name(p));
	if (rq->unknown != JSON_NONE) {
		char name[65];

		refusal_name(name, json_inner(&rq->doc, rq->unknown));
		return refuse(no, "unsupported_parameter", name, "Unknown parameter: %s.", name);
	}
	*adjusted = rq->present & ignores;
	return true;
}

static bool
is_white(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The first word of `s` with the white space before it; the last word takes what follows too. */
static struct span
word_of(struct span s)
{
	size_t end = 0, rest;

	while (end < s.n && is_white(s.p[end]))
		end++;
	while (end < s.n && !is_white(s.p[end]))
		end++;
	for (rest = end; rest < s.n && is_white(s.p[rest]); rest++)
		;
	return span_cut(s, 0, rest == s.n ? s.n : end);
}

static uint64_t
count_words(struct span s)
{
	uint64_t words = 0;

	for (size_t i = 0; i < s.n; i++)
		words += !is_white(s.p[i]) && (i == 0 || is_white(s.p[i - 1]));
	return words;
}

/* The text of one content (a string, or text parts one after the other). */
static struct err
content_text(const struct json *doc, uint32_t content, struct arena *arena, struct span *out)
{
	size_t n = 0, at = 0;
	uint8_t *joined;

	*out = SPAN_LIT("");
	if (content == JSON_NONE || json_type(doc, content) == JSON_NULL)
		return OK;
	if (json_type(doc, content) == JSON_STRING)
		return json_string(doc, content, arena, out);
	for (uint32_t c = json_first(doc, content); c != JSON_NONE; c = json_after(doc, content, c))
		n += json_raw(doc, c).n; /* decoding never makes text longer */
	if ((joined = arena_alloc(arena, n)) == NULL)
		return FAIL(NOMEM, "echo: text");
	for (uint32_t c = json_first(doc, content); c != JSON_NONE;
	     c = json_after(doc, content, c)) {
		uint32_t text = json_get(doc, c, "text");
		struct span part;

		if (text == JSON_NONE)
			continue;
		TRY(json_string(doc, text, arena, &part));
		if (part.n > 0)
			memcpy(joined + at, part.p, part.n);
		at += part.n;
	}
	*out = span_of(joined, at);
	return OK;
}

/* Cuts at the first place where any of the stop strings begins. */
static struct err
apply_stop(struct echo *e, const struct request *rq, struct arena *arena)
{
	uint32_t at = rq->at[PARAM_STOP];
	uint32_t one = at == JSON_NONE || json_type(&rq->doc, at) == JSON_STRING
	    ? at
	    : json_first(&rq->doc, at);

	while (one != JSON_NONE) {
		struct span stop;
		size_t hit;

		TRY(json_string(&rq->doc, one, arena, &stop));
		if ((hit = span_find(e->text, stop, 0)) != SIZE_MAX)
			e->text.n = hit;
		one = one == at ? JSON_NONE : json_after(&rq->doc, at, one);
	}
	return OK;
}

static void
apply_limit(struct echo *e, uint64_t limit)
{
	struct span left = e->text;
	size_t said = 0;

	if (count_words(e->text) <= limit)
		return;
	for (; limit > 0; limit--) {
		struct span word = word_of(left);

		said += word.n;
		left = span_cut(left, word.n, left.n);
	}
	e->text.n = said;
	e->finish = FINISH_LENGTH;
}

struct err
echo_begin(struct echo *e, const struct request *rq, struct arena *arena)
{
	const struct json *doc = &rq->doc;
	uint32_t list = rq->at[PARAM_MESSAGES];

	*e = (struct echo){ .text = SPAN_LIT(""), .finish = FINISH_STOP };
	if (rq->endpoint == ENDPOINT_COMPLETIONS) {
		TRY(json_string(doc, rq->at[PARAM_PROMPT], arena, &e->text));
		e->prompt_words = count_words(e->text);
	} else {
		for (uint32_t c = json_first(doc, list); c != JSON_NONE;
		     c = json_after(doc, list, c)) {
			struct span text;

			TRY(content_text(doc, json_get(doc, c, "content"), arena, &text));
			e->prompt_words += count_words(text);
			if (json_is(doc, json_get(doc, c, "role"), "user"))
				e->text = text;
		}
	}
	TRY(apply_stop(e, rq, arena));
	apply_limit(e, rq->output_limit);
	return OK;
}

static void
finish(struct echo *e, struct answer *a)
{
	a->finish[0] = e->finish;
	a->prompt_tokens = e->prompt_words;
	a->completion_tokens = e->words;
	buf_put_str(&a->usage, "{\"prompt_tokens\":");
	buf_put_u64(&a->usage, e->prompt_words);
	buf_put_str(&a->usage, ",\"completion_tokens\":");
	buf_put_u64(&a->usage, e->words);
	buf_put_str(&a->usage, ",\"total_tokens\":");
	buf_put_u64(&a->usage, e->prompt_words + e->words);
	buf_put_byte(&a->usage, '}');
}

/* `text` as the inside of a JSON string, in a buffer of its own. */
static void
put_inner(struct buf *inner, struct span text)
{
	struct buf quoted;

	buf_init(&quoted, inner->max);
	json_put_string(&quoted, text);
	if (!quoted.over)
		buf_put(inner, span_cut(buf_span(&quoted), 1, quoted.n - 1));
	else
		inner->over = true;
	buf_fini(&quoted);
}

bool
echo_next(struct echo *e, struct answer *a, struct buf *b)
{
	struct span word = word_of(e->text);
	struct buf inner;

	if (word.n == 0 && a->begun[0]) {
		finish(e, a);
		return false;
	}
	buf_init(&inner, BODY_MAX_BYTES * 6);
	put_inner(&inner, word);
	answer_put_delta(a, b, 0, buf_span(&inner));
	if (inner.over)
		b->over = true;
	buf_fini(&inner);
	a->begun[0] = true;
	e->words += count_words(word);
	e->text = span_cut(e->text, word.n, e->text.n);
	return true;
}

void
echo_body(struct echo *e, struct answer *a, struct buf *b)
{
	struct buf inner;
	struct span said;

	buf_init(&inner, BODY_MAX_BYTES * 6);
	put_inner(&inner, e->text);
	if (inner.over)
		b->over = true;
	e->words = count_words(e->text);
	output_text(&a->output, buf_span(&inner));
	finish(e, a);
	said = buf_span(&inner);
	answer_put_text_body(a, b, &said);
	buf_fini(&inner);
}
