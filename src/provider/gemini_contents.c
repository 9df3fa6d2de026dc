#include "provider/gemini_contents.h"

#include <stdio.h>

#include "core/limits.h"
#include "provider/gemini_calls.h"
#include "provider/gemini_parts.h"

/* --- may it be said? --- */

struct place {
	const struct json *doc;
	struct refusal *no;
	struct buf scratch;
	unsigned message;
};

static bool
cannot(struct place *at, const char *code, const char *member, unsigned index, const char *tail,
    const char *why)
{
	char param[96];

	if (member == NULL)
		snprintf(param, sizeof(param), "messages[%u]%s", at->message, tail);
	else
		snprintf(param, sizeof(param), "messages[%u].%s[%u]%s", at->message, member, index,
		    tail);
	return refuse(at->no, code, param, "%s: %s.", param, why);
}

static bool
calls_check(struct place *at, const struct gemini_calls *calls)
{
	struct span args;

	for (unsigned i = 0; i < calls->n; i++) {
		if (json_is(at->doc, json_get(at->doc, calls->call[i], "type"), "custom"))
			return cannot(at, "unsupported_parameter", "tool_calls", i, ".type",
			    "custom tools are not supported by this model's provider");
		if (!gemini_args_of(at->doc, calls->call[i], &at->scratch, &args))
			return cannot(at, "invalid_value", "tool_calls", i, ".function.arguments",
			    "the text must be the JSON of an object");
	}
	return true;
}

/* Pictures that the model made in an earlier turn. */
static bool
made_check(struct place *at, uint32_t images)
{
	const char *where, *want;
	struct part found;
	unsigned index = 0;

	if (images == JSON_NONE || json_type(at->doc, images) == JSON_NULL)
		return true;
	if (json_type(at->doc, images) != JSON_ARRAY)
		return cannot(at, "invalid_value", NULL, 0, ".images", "it must be an array");
	for (uint32_t c = json_first(at->doc, images); c != JSON_NONE;
	     c = json_after(at->doc, images, c), index++)
		if (index == PARTS_MAX || !part_read(at->doc, c, &found, &where, &want) ||
		    found.kind != PART_IMAGE || found.url.p != NULL)
			return cannot(at, "invalid_value", "images", index, "",
			    "it must be a picture as it was answered: a data: URL of base64");
	return true;
}

static bool
message_check(struct place *at, uint32_t message, struct gemini_calls *calls)
{
	uint32_t role = json_get(at->doc, message, "role"), legacy;
	unsigned index;

	if (json_is(at->doc, role, "function"))
		return cannot(at, "unsupported_parameter", NULL, 0, ".role",
		    "messages of the role function are not supported; use tool");
	if (json_is(at->doc, role, "tool")) {
		switch (gemini_calls_match(calls, at->doc, message, &index)) {
		case MATCH_NONE:
			return cannot(at, "invalid_value", NULL, 0, ".tool_call_id",
			    "the last message with tool_calls has no such call");
		case MATCH_AGAIN:
			return cannot(at, "invalid_value", NULL, 0, ".tool_call_id",
			    "the call has its result already");
		case MATCH_FIRST:
			calls->result[index] = message;
		}
		return true;
	}
	if (!json_is(at->doc, role, "assistant"))
		return true;
	if (!made_check(at, json_get(at->doc, message, "images")))
		return false;
	legacy = json_get(at->doc, message, "function_call");
	if (legacy != JSON_NONE && json_type(at->doc, legacy) != JSON_NULL)
		return cannot(at, "unsupported_parameter", NULL, 0, ".function_call",
		    "it is not supported; use tool_calls");
	return !gemini_calls_begin(calls, at->doc, message) || calls_check(at, calls);
}

bool
gemini_contents_check(const struct request *rq, struct refusal *no)
{
	struct place at = { .doc = &rq->doc, .no = no };
	uint32_t messages = rq->at[PARAM_MESSAGES];
	struct gemini_calls calls = { .n = 0 };
	bool ok = true;

	if (rq->endpoint == ENDPOINT_COMPLETIONS)
		return true;
	buf_init(&at.scratch, BODY_MAX_BYTES);
	for (uint32_t c = json_first(at.doc, messages); ok && c != JSON_NONE;
	     c = json_after(at.doc, messages, c), at.message++)
		ok = message_check(&at, c, &calls);
	buf_fini(&at.scratch);
	return ok;
}

/* --- saying it --- */

enum turn { TURN_NONE, TURN_USER, TURN_MODEL };

struct writer {
	struct buf *b;
	const struct json *doc;
	const struct model *model;
	struct buf scratch;
	enum turn turn; /* the one that is open */
	bool any_turn;
	struct gemini_calls calls;
};

static void
turn_end(struct writer *w)
{
	if (w->turn != TURN_NONE)
		buf_put_str(w->b, "]}");
	w->turn = TURN_NONE;
}

/* A part follows, of this side's turn: neighbours of one side are one turn (providers.md 6.1). */
static void
part_begin(struct writer *w, enum turn turn)
{
	if (w->turn == turn) {
		buf_put_byte(w->b, ',');
		return;
	}
	turn_end(w);
	if (w->any_turn)
		buf_put_byte(w->b, ',');
	else if (turn == TURN_MODEL) /* the first turn is the user's */
		buf_put_str(w->b, "{\"role\":\"user\",\"parts\":[{\"text\":\"\"}]},");
	buf_put_str(w->b,
	    turn == TURN_USER ? "{\"role\":\"user\",\"parts\":["
			      : "{\"role\":\"model\",\"parts\":[");
	w->turn = turn;
	w->any_turn = true;
}

/* `signature`: of the text, or JSON_NONE. Empty text says nothing, and is not sent. */
static void
put_text(struct writer *w, enum turn turn, uint32_t text, uint32_t signature)
{
	if (text == JSON_NONE || json_type(w->doc, text) != JSON_STRING ||
	    (json_inner(w->doc, text).n == 0 && signature == JSON_NONE))
		return;
	part_begin(w, turn);
	buf_put_str(w->b, "{\"text\":");
	buf_put(w->b, json_raw(w->doc, text));
	if (signature != JSON_NONE) {
		buf_put_str(w->b, ",\"thoughtSignature\":");
		buf_put(w->b, json_raw(w->doc, signature));
	}
	buf_put_byte(w->b, '}');
}

static void
put_inline(struct writer *w, enum turn turn, struct span mime, struct span data, uint32_t signature)
{
	part_begin(w, turn);
	buf_put_str(w->b, "{\"inlineData\":{\"mimeType\":\"");
	buf_put(w->b, mime);
	buf_put_str(w->b, "\",\"data\":\"");
	buf_put(w->b, data);
	buf_put_str(w->b, "\"}");
	if (signature != JSON_NONE) {
		buf_put_str(w->b, ",\"thoughtSignature\":");
		buf_put(w->b, json_raw(w->doc, signature));
	}
	buf_put_byte(w->b, '}');
}

/* A part that messages_check() found to be one; parts_fit() let no address through. */
static void
put_media(struct writer *w, enum turn turn, uint32_t part)
{
	const char *where, *want;
	struct part found;

	if (part_read(w->doc, part, &found, &where, &want))
		put_inline(w, turn, found.mime, found.data, gemini_signature_of_text(w->doc, part));
}

static void
put_content(struct writer *w, enum turn turn, uint32_t content, uint32_t signature)
{
	if (content == JSON_NONE || json_type(w->doc, content) != JSON_ARRAY) {
		put_text(w, turn, content, signature);
		return;
	}
	for (uint32_t c = json_first(w->doc, content); c != JSON_NONE;) {
		uint32_t type = json_get(w->doc, c, "type");
		uint32_t after = json_after(w->doc, content, c);

		if (json_is(w->doc, type, "text"))
			put_text(w, turn, json_get(w->doc, c, "text"),
			    after == JSON_NONE ? signature : JSON_NONE);
		else if (json_is(w->doc, type, "refusal"))
			put_text(w, turn, json_get(w->doc, c, "refusal"), JSON_NONE);
		else
			put_media(w, turn, c);
		c = after;
	}
}

/* An id of the provider's own goes back to it; one that the gateway made up does not. */
static void
put_id(struct writer *w, uint32_t call)
{
	uint32_t id = json_get(w->doc, call, "id");
	struct span inner = json_inner(w->doc, id);
	bool ours = inner.n == GEMINI_CALL_ID_LEN && span_starts(inner, SPAN_LIT("call_"));

	for (size_t i = 5; ours && i < inner.n; i++)
		ours = (inner.p[i] >= '0' && inner.p[i] <= '9') ||
		    (inner.p[i] >= 'a' && inner.p[i] <= 'f');
	if (ours || inner.n == 0)
		return;
	buf_put_str(w->b, "\"id\":");
	buf_put(w->b, json_raw(w->doc, id));
	buf_put_byte(w->b, ',');
}

/*
 * The first call of a step must carry the signature it came with; models of the third generation
 * refuse it otherwise, and take a word of Google's for one that was lost (providers.md 6.5).
 */
static void
put_signature(struct writer *w, uint32_t message, unsigned index)
{
	uint32_t at = gemini_signature_of_call(w->doc, message, w->calls.call[index]);

	if (at != JSON_NONE) {
		buf_put_str(w->b, ",\"thoughtSignature\":");
		buf_put(w->b, json_raw(w->doc, at));
	} else if (index == 0 && w->model->thinking == THINKING_LEVEL) {
		buf_put_str(w->b, ",\"thoughtSignature\":\"skip_thought_signature_validator\"");
	}
}

static void
put_call(struct writer *w, uint32_t message, unsigned index)
{
	uint32_t call = w->calls.call[index];
	struct span args;

	if (!gemini_args_of(w->doc, call, &w->scratch, &args)) {
		w->b->over = true; /* memory, as above */
		return;
	}
	part_begin(w, TURN_MODEL);
	buf_put_str(w->b, "{\"functionCall\":{");
	put_id(w, call);
	buf_put_str(w->b, "\"name\":");
	buf_put(
	    w->b, json_raw(w->doc, json_get(w->doc, json_get(w->doc, call, "function"), "name")));
	buf_put_str(w->b, ",\"args\":");
	buf_put(w->b, args);
	buf_put_byte(w->b, '}');
	put_signature(w, message, index);
	buf_put_byte(w->b, '}');
}

static void
put_result(struct writer *w, unsigned index)
{
	uint32_t call = w->calls.call[index];

	part_begin(w, TURN_USER);
	buf_put_str(w->b, "{\"functionResponse\":{");
	put_id(w, call);
	buf_put_str(w->b, "\"name\":");
	buf_put(
	    w->b, json_raw(w->doc, json_get(w->doc, json_get(w->doc, call, "function"), "name")));
	buf_put_str(w->b, ",\"response\":");
	gemini_put_response(w->b, w->doc, json_get(w->doc, w->calls.result[index], "content"));
	buf_put_str(w->b, "}}");
}

/* Pictures that it made before: clients give them back as they got them (C9). */
static void
put_made(struct writer *w, uint32_t message)
{
	uint32_t images = json_get(w->doc, message, "images");

	if (images == JSON_NONE || json_type(w->doc, images) != JSON_ARRAY)
		return;
	for (uint32_t c = json_first(w->doc, images); c != JSON_NONE;
	     c = json_after(w->doc, images, c))
		put_media(w, TURN_MODEL, c);
}

static void
put_assistant(struct writer *w, uint32_t message)
{
	uint32_t content = json_get(w->doc, message, "content"), signature = JSON_NONE;

	/* Optional, and of use only to the models that check them. */
	if (w->model->thinking == THINKING_LEVEL)
		signature = gemini_signature_of_text(w->doc, message);
	if (content == JSON_NONE || json_type(w->doc, content) == JSON_NULL)
		put_text(w, TURN_MODEL, json_get(w->doc, message, "refusal"), JSON_NONE);
	else
		put_content(w, TURN_MODEL, content, signature);
	put_made(w, message);
	if (!gemini_calls_begin(&w->calls, w->doc, message))
		return;
	for (unsigned i = 0; i < w->calls.n; i++)
		put_call(w, message, i);
}

static bool
is_role(const struct json *doc, uint32_t message, const char *name)
{
	return json_is(doc, json_get(doc, message, "role"), name);
}

static bool
is_system(const struct json *doc, uint32_t message)
{
	return is_role(doc, message, "system") || is_role(doc, message, "developer");
}

/*
 * A run of tool messages: its results in the order of the calls. Instructions between them stand
 * elsewhere. Returns what follows.
 */
static uint32_t
put_results(struct writer *w, uint32_t messages, uint32_t first)
{
	bool fresh[GEMINI_CALLS_MAX] = { false };
	unsigned index;
	uint32_t c;

	for (c = first; c != JSON_NONE && (is_role(w->doc, c, "tool") || is_system(w->doc, c));
	     c = json_after(w->doc, messages, c)) {
		if (is_system(w->doc, c) ||
		    gemini_calls_match(&w->calls, w->doc, c, &index) != MATCH_FIRST)
			continue;
		w->calls.result[index] = c;
		fresh[index] = true;
	}
	for (unsigned i = 0; i < w->calls.n; i++)
		if (fresh[i])
			put_result(w, i);
	return c;
}

/* All that is no instruction. */
static void
put_turns(struct writer *w, uint32_t messages)
{
	uint32_t c = json_first(w->doc, messages);

	while (c != JSON_NONE) {
		if (is_role(w->doc, c, "tool")) {
			c = put_results(w, messages, c);
			continue;
		}
		if (is_role(w->doc, c, "assistant"))
			put_assistant(w, c);
		else if (is_role(w->doc, c, "user"))
			put_content(w, TURN_USER, json_get(w->doc, c, "content"), JSON_NONE);
		c = json_after(w->doc, messages, c);
	}
}

/* The text of all instructions, as parts of what is open. */
static void
put_instructions(struct writer *w, uint32_t messages)
{
	for (uint32_t c = json_first(w->doc, messages); c != JSON_NONE;
	     c = json_after(w->doc, messages, c))
		if (is_system(w->doc, c))
			put_content(w, TURN_USER, json_get(w->doc, c, "content"), JSON_NONE);
}

/* Does anybody but the system speak, and does the system say anything? */
static void
speakers(const struct json *doc, uint32_t messages, bool *others, bool *system)
{
	*others = *system = false;
	for (uint32_t c = json_first(doc, messages); c != JSON_NONE;
	     c = json_after(doc, messages, c)) {
		uint32_t content = json_get(doc, c, "content");

		if (!is_system(doc, c)) {
			*others = true;
		} else if (json_type(doc, content) == JSON_STRING) {
			*system = *system || json_inner(doc, content).n > 0;
		} else {
			for (uint32_t k = json_first(doc, content); k != JSON_NONE;
			     k = json_after(doc, content, k))
				*system = *system ||
				    json_inner(doc, json_get(doc, k, "text")).n > 0;
		}
	}
}

static void
put_conversation(struct writer *w, uint32_t messages)
{
	bool others, system;

	speakers(w->doc, messages, &others, &system);
	buf_put_str(w->b, "\"contents\":[");
	if (others)
		put_turns(w, messages);
	else /* contents must not be empty */
		put_instructions(w, messages);
	turn_end(w);
	if (!w->any_turn)
		buf_put_str(w->b, "{\"role\":\"user\",\"parts\":[{\"text\":\"\"}]}");
	buf_put_byte(w->b, ']');
	if (!others || !system)
		return;
	buf_put_str(w->b, ",\"systemInstruction\":");
	w->any_turn = false;
	put_instructions(w, messages);
	turn_end(w);
}

void
gemini_contents_put(struct buf *b, const struct request *rq, const struct model *model)
{
	struct writer w = { .b = b, .doc = &rq->doc, .model = model };

	buf_init(&w.scratch, BODY_MAX_BYTES);
	if (rq->endpoint == ENDPOINT_CHAT) {
		put_conversation(&w, rq->at[PARAM_MESSAGES]);
	} else {
		buf_put_str(b, "\"contents\":[");
		put_text(&w, TURN_USER, rq->at[PARAM_PROMPT], JSON_NONE);
		turn_end(&w);
		if (!w.any_turn)
			buf_put_str(b, "{\"role\":\"user\",\"parts\":[{\"text\":\"\"}]}");
		buf_put_byte(b, ']');
	}
	if (w.scratch.over)
		b->over = true;
	buf_fini(&w.scratch);
}
