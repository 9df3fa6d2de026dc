/*
 * anthropic_messages.c - a conversation as Messages has it: system apart, turns that alternate,
 * every tool call answered in the very next turn. Source: providers.md 5.2.
 */
#include <stdio.h>

#include "core/limits.h"
#include "provider/anthropic.h"
#include "provider/messages.h"

enum { CALLS_MAX = 128 }; /* messages_check() allows no more in one turn */

enum speaker { NOBODY, USER, ASSISTANT };

struct turns {
	struct translation *t;
	enum speaker open; /* whose message is being written */
	bool any;	   /* a message has been */
	bool any_block;	   /* in the open one */
	unsigned index;	   /* of the message that is read */
	uint32_t last;	   /* the last message, where it is the assistant's; else JSON_NONE */

	/* The latest turn with tool calls, while results may come. */
	uint32_t calls;	      /* the array; JSON_NONE: none */
	unsigned calls_index; /* of its message */
	unsigned n_calls, open_calls;
	bool answered[CALLS_MAX], keeps[CALLS_MAX]; /* its own id */

	uint8_t ids[4096]; /* a bit for each hash of an id so far */
};

static bool
refuse_at(struct turns *s, unsigned index, const char *member, const char *why)
{
	char param[96];

	snprintf(param, sizeof(param), "messages[%u]%s", index, member);
	return refuse(s->t->no, "invalid_value", param, "%s %s.", param, why);
}

static bool
not_supported(struct turns *s, const char *member)
{
	char param[96];

	snprintf(param, sizeof(param), "messages[%u]%s", s->index, member);
	return refuse(s->t->no, "unsupported_parameter", param,
	    "%s is not supported by this model's provider.", param);
}

static bool
is_white(uint32_t cp)
{
	return cp == ' ' || (cp >= '\t' && cp <= '\r');
}

/* Bytes of string content up to the last character that is no white space; 0: there is none. */
static size_t
said_bytes(struct span inner)
{
	struct json_points it = { .s = inner };
	size_t end = 0;
	uint32_t cp;

	while (json_point(&it, &cp))
		if (!is_white(cp))
			end = it.at;
	return end;
}

static bool
text_equal(const struct json *doc, uint32_t a, uint32_t b)
{
	struct json_points ia = { .s = json_inner(doc, a) }, ib = { .s = json_inner(doc, b) };
	bool more_a, more_b;
	uint32_t ca, cb;

	do {
		more_a = json_point(&ia, &ca);
		more_b = json_point(&ib, &cb);
	} while (more_a && more_b && ca == cb);
	return !more_a && !more_b;
}

/* The next block belongs to this speaker: turns of the same one are one message. */
static void
open_block(struct turns *s, enum speaker who)
{
	struct buf *b = s->t->b;

	if (s->open != who) {
		if (s->open != NOBODY)
			buf_put_str(b, "]}");
		/* The first word must be the user's. */
		if (!s->any && who == ASSISTANT)
			buf_put_str(b,
			    "{\"role\":\"user\",\"content\":[{\"type\":\"text\","
			    "\"text\":\".\"}]}");
		if (s->any || who == ASSISTANT)
			buf_put_byte(b, ',');
		buf_put_str(b,
		    who == USER ? "{\"role\":\"user\",\"content\":["
				: "{\"role\":\"assistant\",\"content\":[");
		s->open = who;
		s->any_block = false;
		s->any = true;
	}
	if (s->any_block)
		buf_put_byte(b, ',');
	s->any_block = true;
}

/* {"type":"text",...: the client's string as it came, and what it wants cached. */
static void
put_text(struct translation *t, struct span inner, uint32_t part)
{
	uint32_t cache = json_get(t->doc, part, "cache_control");

	buf_put_str(t->b, "{\"type\":\"text\",\"text\":\"");
	buf_put(t->b, inner);
	buf_put_byte(t->b, '"');
	if (cache != JSON_NONE && json_type(t->doc, cache) == JSON_OBJECT) {
		buf_put_str(t->b, ",\"cache_control\":");
		buf_put(t->b, json_raw(t->doc, cache));
	}
	buf_put_byte(t->b, '}');
}

/* Text of white space alone is refused there; it says nothing. `final`: nothing comes after it. */
static void
put_text_block(struct turns *s, enum speaker who, uint32_t text, uint32_t part, bool final)
{
	struct span inner = json_inner(s->t->doc, text);
	size_t said = said_bytes(inner);

	if (said == 0)
		return;
	open_block(s, who);
	put_text(s->t, final ? span_cut(inner, 0, said) : inner, part);
}

static void
put_source(struct buf *b, const char *type, struct span mime, struct span data)
{
	buf_put_str(b, "{\"type\":\"");
	buf_put_str(b, type);
	buf_put_str(b, "\",\"source\":{\"type\":\"base64\",\"media_type\":\"");
	buf_put(b, mime);
	buf_put_str(b, "\",\"data\":\"");
	buf_put(b, data);
	buf_put_str(b, "\"}");
}

/* A picture or a file that messages_check() found to be one. */
static bool
put_media(struct turns *s, uint32_t part, unsigned index)
{
	const struct json *doc = s->t->doc;
	uint32_t name = json_get(doc, json_get(doc, part, "file"), "filename");
	struct buf *b = s->t->b;
	const char *where, *want;
	struct part found;
	char member[48];

	if (!part_read(doc, part, &found, &where, &want))
		return false;
	if (found.kind == PART_FILE && !inner_is(found.mime, "application/pdf")) {
		snprintf(member, sizeof(member), ".content[%u].file.file_data", index);
		return refuse_at(
		    s, s->index, member, "must be an application/pdf for this model's provider");
	}
	open_block(s, USER);
	if (found.url.p != NULL) {
		buf_put_str(b, "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"");
		buf_put(b, found.url);
		buf_put_str(b, "\"}");
	} else if (found.kind == PART_IMAGE) {
		put_source(b, "image", found.mime, found.data);
	} else {
		put_source(b, "document", SPAN_LIT("application/pdf"), found.data);
		if (name != JSON_NONE && json_type(doc, name) == JSON_STRING) {
			buf_put_str(b, ",\"title\":");
			buf_put(b, json_raw(doc, name));
		}
	}
	buf_put_byte(b, '}');
	return true;
}

static bool
put_content(struct turns *s, enum speaker who, uint32_t content, bool final)
{
	const struct json *doc = s->t->doc;
	unsigned index = 0;

	if (content == JSON_NONE || json_type(doc, content) == JSON_NULL)
		return true;
	if (json_type(doc, content) == JSON_STRING) {
		put_text_block(s, who, content, JSON_NONE, final);
		return true;
	}
	for (uint32_t c = json_first(doc, content); c != JSON_NONE;
	     c = json_after(doc, content, c), index++) {
		uint32_t type = json_get(doc, c, "type"), text = json_get(doc, c, "text");
		bool last = final && json_after(doc, content, c) == JSON_NONE;

		if (json_is(doc, type, "refusal"))
			text = json_get(doc, c, "refusal");
		if (text != JSON_NONE && json_type(doc, text) == JSON_STRING &&
		    (json_is(doc, type, "text") || json_is(doc, type, "refusal"))) {
			put_text_block(s, who, text, c, last);
		} else if (!put_media(s, c, index)) {
			return false;
		}
	}
	return true;
}

/*
 * Ids must be of these letters there, and no two calls may share one: providers that count from
 * zero in each turn are common. Ids seen are remembered by a hash; one that only looks like
 * another is replaced, too, which does no harm.
 */
static bool
keeps_id(struct turns *s, struct span inner)
{
	uint32_t h = 2166136261u;
	bool fits = inner.n > 0;

	for (size_t i = 0; i < inner.n; i++) {
		uint8_t c = inner.p[i];

		fits = fits &&
		    ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '_' || c == '-');
		h = (h ^ c) * 16777619u;
	}
	h = (h ^ h >> 16) % (8 * sizeof(s->ids));
	fits = fits && (s->ids[h / 8] >> h % 8 & 1) == 0;
	s->ids[h / 8] |= (uint8_t)(1u << h % 8);
	return fits;
}

/* The id of call `place` of the turn: its own, else one of ours. */
static void
put_id(struct turns *s, uint32_t call, unsigned place)
{
	if (s->keeps[place]) {
		buf_put(s->t->b, json_inner(s->t->doc, json_get(s->t->doc, call, "id")));
		return;
	}
	buf_put_str(s->t->b, "call_");
	buf_put_u64(s->t->b, s->calls_index);
	buf_put_byte(s->t->b, '_');
	buf_put_u64(s->t->b, place);
}

/* A string that holds JSON, as that JSON: an object, for it to be a tool's input. */
static bool
put_input(struct translation *t, uint32_t arguments)
{
	struct json_points it = { .s = json_inner(t->doc, arguments) };
	uint8_t utf8[4];
	struct json doc;
	struct buf text;
	uint32_t cp;
	bool good;

	buf_init(&text, BODY_MAX_BYTES);
	while (json_point(&it, &cp))
		buf_put(&text,
		    span_of(utf8, json_utf8(cp >= 0xd800 && cp <= 0xdfff ? 0xfffd : cp, utf8)));
	if (span_trim(buf_span(&text)).n == 0) {
		buf_clear(&text);
		buf_put_str(&text, "{}");
	}
	good = !failed(buf_check(&text)) &&
	    !failed(json_parse(&doc, buf_span(&text), JSON_MAX_NODES));
	if (good) {
		good = json_type(&doc, 0) == JSON_OBJECT;
		buf_put(t->b, span_trim(buf_span(&text)));
		json_fini(&doc);
	}
	buf_fini(&text);
	return good;
}

static bool
put_calls(struct turns *s, uint32_t calls)
{
	const struct json *doc = s->t->doc;
	unsigned place = 0;

	if (calls == JSON_NONE || json_type(doc, calls) == JSON_NULL ||
	    json_first(doc, calls) == JSON_NONE)
		return true;
	s->calls = calls;
	s->calls_index = s->index;
	for (uint32_t c = json_first(doc, calls); c != JSON_NONE;
	     c = json_after(doc, calls, c), place++) {
		uint32_t function = json_get(doc, c, "function");
		uint32_t arguments = json_get(doc, function, "arguments");
		char member[48];

		snprintf(member, sizeof(member), ".tool_calls[%u]", place);
		if (json_is(doc, json_get(doc, c, "type"), "custom"))
			return not_supported(s, member);
		s->keeps[place] = keeps_id(s, json_inner(doc, json_get(doc, c, "id")));
		open_block(s, ASSISTANT);
		buf_put_str(s->t->b, "{\"type\":\"tool_use\",\"id\":\"");
		put_id(s, c, place);
		buf_put_str(s->t->b, "\",\"name\":");
		buf_put(s->t->b, json_raw(doc, json_get(doc, function, "name")));
		buf_put_str(s->t->b, ",\"input\":");
		if (!put_input(s->t, arguments)) {
			snprintf(
			    member, sizeof(member), ".tool_calls[%u].function.arguments", place);
			return refuse_at(s, s->index, member, "must be a JSON object as text");
		}
		buf_put_byte(s->t->b, '}');
		s->answered[place] = false;
	}
	s->n_calls = s->open_calls = place;
	return true;
}

/* Nothing but results may come while a call waits for one. */
static bool
all_answered(struct turns *s)
{
	char member[48];

	for (unsigned i = 0; s->open_calls > 0 && i < s->n_calls; i++)
		if (!s->answered[i]) {
			snprintf(member, sizeof(member), ".tool_calls[%u]", i);
			return refuse_at(s, s->calls_index, member,
			    "has no tool message right behind it that answers it");
		}
	s->calls = JSON_NONE;
	s->n_calls = 0;
	return true;
}

/* The first open call of this id; or, for messages of the older kind, the last of this name. */
static bool
find_call(struct turns *s, uint32_t id, uint32_t name, uint32_t *call, unsigned *place)
{
	const struct json *doc = s->t->doc;
	unsigned i = 0;
	bool found = false;

	if (s->calls == JSON_NONE)
		return false;
	for (uint32_t c = json_first(doc, s->calls); c != JSON_NONE;
	     c = json_after(doc, s->calls, c), i++) {
		uint32_t own = id != JSON_NONE
		    ? json_get(doc, c, "id")
		    : json_get(doc, json_get(doc, c, "function"), "name");

		if (s->answered[i] || !text_equal(doc, own, id != JSON_NONE ? id : name))
			continue;
		*call = c;
		*place = i;
		found = true;
		if (id != JSON_NONE)
			break;
	}
	return found;
}

static void
put_result_content(struct translation *t, uint32_t content)
{
	bool any = false;

	if (content == JSON_NONE || json_type(t->doc, content) == JSON_NULL)
		return;
	if (json_type(t->doc, content) == JSON_STRING) {
		if (json_inner(t->doc, content).n == 0)
			return;
		buf_put_str(t->b, ",\"content\":");
		buf_put(t->b, json_raw(t->doc, content));
		return;
	}
	buf_put_str(t->b, ",\"content\":[");
	for (uint32_t c = json_first(t->doc, content); c != JSON_NONE;
	     c = json_after(t->doc, content, c)) {
		struct span inner = json_inner(t->doc, json_get(t->doc, c, "text"));

		if (said_bytes(inner) == 0)
			continue;
		if (any)
			buf_put_byte(t->b, ',');
		any = true;
		put_text(t, inner, c);
	}
	buf_put_byte(t->b, ']');
}

static bool
put_result(struct turns *s, uint32_t message)
{
	const struct json *doc = s->t->doc;
	uint32_t id = json_get(doc, message, "tool_call_id"), call = 0;
	bool older = json_is(doc, json_get(doc, message, "role"), "function");
	unsigned place = 0;

	if (!find_call(s, older ? JSON_NONE : id, json_get(doc, message, "name"), &call, &place))
		return refuse_at(s, s->index, older ? ".name" : ".tool_call_id",
		    "answers no tool call of the message before");
	s->answered[place] = true;
	s->open_calls--;
	open_block(s, USER);
	buf_put_str(s->t->b, "{\"type\":\"tool_result\",\"tool_use_id\":\"");
	put_id(s, call, place);
	buf_put_byte(s->t->b, '"');
	put_result_content(s->t, json_get(doc, message, "content"));
	buf_put_byte(s->t->b, '}');
	return true;
}

static bool
put_assistant(struct turns *s, uint32_t message)
{
	const struct json *doc = s->t->doc;
	uint32_t refusal = json_get(doc, message, "refusal");
	uint32_t older = json_get(doc, message, "function_call");
	uint32_t calls = json_get(doc, message, "tool_calls");

	if (older != JSON_NONE && json_type(doc, older) != JSON_NULL)
		return not_supported(s, ".function_call");
	if (message == s->last && s->t->model->no_prefill)
		return refuse(s->t->no, "unsupported_parameter", "messages",
		    "messages: this model does not go on with a message of the assistant; the last "
		    "one must be the user's or a tool's.");
	if (!put_content(s, ASSISTANT, json_get(doc, message, "content"), message == s->last))
		return false;
	if (refusal != JSON_NONE && json_type(doc, refusal) == JSON_STRING)
		put_text_block(s, ASSISTANT, refusal, JSON_NONE, message == s->last);
	return put_calls(s, calls);
}

static bool
put_message(struct turns *s, uint32_t message)
{
	uint32_t role = json_get(s->t->doc, message, "role");

	if (json_is(s->t->doc, role, "system") || json_is(s->t->doc, role, "developer"))
		return true; /* put_system() */
	if (json_is(s->t->doc, role, "tool") || json_is(s->t->doc, role, "function"))
		return put_result(s, message);
	if (!all_answered(s))
		return false;
	if (json_is(s->t->doc, role, "assistant"))
		return put_assistant(s, message);
	return put_content(s, USER, json_get(s->t->doc, message, "content"), false);
}

/* --- system --- */

/* Text, one piece after the other, of all system and developer messages. */
struct system {
	struct translation *t;
	bool blocks; /* some part is to be cached: they go as blocks */
	bool any;
};

static void
put_system_text(struct system *s, uint32_t text, uint32_t part, bool first_of_message)
{
	struct span inner = json_inner(s->t->doc, text);

	if (said_bytes(inner) == 0)
		return;
	if (s->blocks) {
		buf_put_str(s->t->b, s->any ? "," : ",\"system\":[");
		put_text(s->t, inner, part);
	} else {
		if (!s->any)
			buf_put_str(s->t->b, ",\"system\":\"");
		else
			buf_put_str(s->t->b, first_of_message ? "\\n\\n" : "\\n");
		buf_put(s->t->b, inner);
	}
	s->any = true;
}

static bool
is_system(const struct json *doc, uint32_t message)
{
	uint32_t role = json_get(doc, message, "role");

	return json_is(doc, role, "system") || json_is(doc, role, "developer");
}

static bool
wants_cache(const struct json *doc, uint32_t content)
{
	if (content == JSON_NONE || json_type(doc, content) != JSON_ARRAY)
		return false;
	for (uint32_t c = json_first(doc, content); c != JSON_NONE; c = json_after(doc, content, c))
		if (json_get(doc, c, "cache_control") != JSON_NONE)
			return true;
	return false;
}

static void
put_system(struct translation *t, uint32_t messages)
{
	struct system s = { .t = t };

	for (uint32_t m = json_first(t->doc, messages); m != JSON_NONE;
	     m = json_after(t->doc, messages, m))
		s.blocks = s.blocks ||
		    (is_system(t->doc, m) && wants_cache(t->doc, json_get(t->doc, m, "content")));
	for (uint32_t m = json_first(t->doc, messages); m != JSON_NONE;
	     m = json_after(t->doc, messages, m)) {
		uint32_t content = json_get(t->doc, m, "content");

		if (!is_system(t->doc, m))
			continue;
		if (json_type(t->doc, content) == JSON_STRING) {
			put_system_text(&s, content, JSON_NONE, true);
			continue;
		}
		for (uint32_t c = json_first(t->doc, content); c != JSON_NONE;
		     c = json_after(t->doc, content, c))
			put_system_text(
			    &s, json_get(t->doc, c, "text"), c, c == json_first(t->doc, content));
	}
	if (s.any)
		buf_put_str(t->b, s.blocks ? "]" : "\"");
}

/* The last message that is no system's, where it is the assistant's and says something. */
static uint32_t
find_prefill(const struct json *doc, uint32_t messages)
{
	uint32_t last = JSON_NONE, calls;

	for (uint32_t m = json_first(doc, messages); m != JSON_NONE;
	     m = json_after(doc, messages, m))
		if (!is_system(doc, m))
			last = m;
	if (last == JSON_NONE || !json_is(doc, json_get(doc, last, "role"), "assistant"))
		return JSON_NONE;
	calls = json_get(doc, last, "tool_calls");
	return calls == JSON_NONE || json_type(doc, calls) != JSON_ARRAY ||
		json_first(doc, calls) == JSON_NONE
	    ? last
	    : JSON_NONE;
}

bool
anthropic_has_prefill(const struct request *rq)
{
	return rq->endpoint == ENDPOINT_CHAT &&
	    find_prefill(&rq->doc, rq->at[PARAM_MESSAGES]) != JSON_NONE;
}

bool
anthropic_has_calls(const struct request *rq)
{
	uint32_t messages = rq->at[PARAM_MESSAGES];

	if (rq->endpoint != ENDPOINT_CHAT)
		return false;
	for (uint32_t m = json_first(&rq->doc, messages); m != JSON_NONE;
	     m = json_after(&rq->doc, messages, m)) {
		uint32_t calls = json_get(&rq->doc, m, "tool_calls");

		if (calls != JSON_NONE && json_type(&rq->doc, calls) == JSON_ARRAY &&
		    json_first(&rq->doc, calls) != JSON_NONE)
			return true;
	}
	return false;
}

static bool
put_prompt(struct translation *t)
{
	uint32_t prompt = t->rq->at[PARAM_PROMPT];

	if (said_bytes(json_inner(t->doc, prompt)) == 0)
		return refuse(t->no, "invalid_value", "prompt", "prompt must not be empty.");
	buf_put_str(t->b, ",\"messages\":[{\"role\":\"user\",\"content\":[");
	put_text(t, json_inner(t->doc, prompt), JSON_NONE);
	buf_put_str(t->b, "]}]");
	return true;
}

bool
anthropic_put_messages(struct translation *t)
{
	uint32_t messages = t->rq->at[PARAM_MESSAGES];
	struct turns s = { .t = t, .calls = JSON_NONE };

	if (t->rq->endpoint == ENDPOINT_COMPLETIONS)
		return put_prompt(t);
	put_system(t, messages);
	s.last = find_prefill(t->doc, messages);
	buf_put_str(t->b, ",\"messages\":[");
	for (uint32_t m = json_first(t->doc, messages); m != JSON_NONE;
	     m = json_after(t->doc, messages, m), s.index++)
		if (!put_message(&s, m))
			return false;
	if (!all_answered(&s))
		return false;
	if (!s.any)
		return refuse(t->no, "invalid_value", "messages",
		    "messages must hold something that the user says.");
	buf_put_str(t->b, "]}]");
	return true;
}
