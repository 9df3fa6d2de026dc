#include "receipt/canonical.h"

#include "codec/decimal.h"
#include "receipt/pytext.h"

/* What every part of the canonical text is written with. */
struct canon {
	struct buf *b;
	const struct json *doc;
	struct arena *arena;
};

/* Members are written in their sorted order by hand: lead is "{" for the first, ", " later. */
static void
put_name(const struct canon *c, const char *lead, const char *name)
{
	buf_put_str(c->b, lead);
	buf_put_byte(c->b, '"');
	buf_put_str(c->b, name);
	buf_put_str(c->b, "\": ");
}

/* The value as received; null when it is absent (Python's dict.get). */
static struct err
put_value(const struct canon *c, uint32_t at)
{
	if (at != JSON_NONE)
		return json_put_python(c->b, c->doc, at, c->arena);
	buf_put_str(c->b, "null");
	return OK;
}

static bool
given(const struct canon *c, uint32_t at)
{
	return at != JSON_NONE && json_type(c->doc, at) != JSON_NULL;
}

/* Python's bool(x): zero, "", [], {}, None and False are false; a float by its value. */
static bool
truthy(const struct canon *c, uint32_t at)
{
	double v;

	if (at == JSON_NONE)
		return false;
	switch (json_type(c->doc, at)) {
	case JSON_TRUE:
		return true;
	case JSON_INT:
	case JSON_FLOAT:
		return !json_double(c->doc, at, &v) || v != 0;
	case JSON_STRING:
		return json_inner(c->doc, at).n > 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return json_first(c->doc, at) != JSON_NONE;
	default:
		return false;
	}
}

/* Python's str(x) as a JSON string. */
static struct err
put_textual(const struct canon *c, uint32_t at)
{
	struct buf text, literal;
	struct err e;

	if (at == JSON_NONE) {
		buf_put_str(c->b, "\"None\"");
		return OK;
	}
	if (json_type(c->doc, at) == JSON_STRING)
		return put_value(c, at);
	buf_init(&text, c->b->max);
	buf_init(&literal, c->b->max);
	e = pytext_put(&text, c->doc, at, c->arena);
	if (!failed(e))
		e = buf_check(&text);
	if (!failed(e)) {
		json_put_string(&literal, buf_span(&text));
		e = buf_check(&literal);
	}
	if (!failed(e))
		json_put_ascii(c->b, span_cut(buf_span(&literal), 1, literal.n - 1));
	buf_fini(&literal);
	buf_fini(&text);
	return e;
}

/* One part of a user's list: text stays, the rest is reduced to its type and file name. */
static struct err
put_part(const struct canon *c, uint32_t at)
{
	uint32_t type, name;

	if (json_type(c->doc, at) != JSON_OBJECT) {
		put_name(c, "{", "text");
		TRY(put_textual(c, at));
		buf_put_str(c->b, ", \"type\": \"text\"}");
		return OK;
	}
	type = json_get(c->doc, at, "type");
	if (json_is(c->doc, type, "text")) {
		uint32_t text = json_get(c->doc, at, "text");

		put_name(c, "{", "text");
		if (truthy(c, text))
			TRY(put_value(c, text));
		else
			buf_put_str(c->b, "\"\"");
		buf_put_str(c->b, ", \"type\": \"text\"}");
		return OK;
	}
	name = json_get(c->doc, json_get(c->doc, at, "file"), "filename");
	if (!truthy(c, name))
		name = json_get(c->doc, at, "filename");
	if (truthy(c, name)) {
		put_name(c, "{", "filename");
		TRY(put_value(c, name));
	}
	put_name(c, truthy(c, name) ? ", " : "{", "type");
	TRY(put_value(c, type));
	buf_put_byte(c->b, '}');
	return OK;
}

static struct err
put_user_content(const struct canon *c, uint32_t at)
{
	const char *lead = "";

	if (at == JSON_NONE || json_type(c->doc, at) != JSON_ARRAY)
		return put_textual(c, at);
	buf_put_byte(c->b, '[');
	for (uint32_t i = json_first(c->doc, at); i != JSON_NONE; i = json_after(c->doc, at, i)) {
		buf_put_str(c->b, lead);
		lead = ", ";
		TRY(put_part(c, i));
	}
	buf_put_byte(c->b, ']');
	return OK;
}

static struct err
put_tool_call(const struct canon *c, uint32_t at)
{
	uint32_t function;

	if (json_type(c->doc, at) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.1: a tool call that is no object");
	function = json_get(c->doc, at, "function");
	if (given(c, function) && json_type(c->doc, function) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.1: a tool call's function is no object");
	buf_put_str(c->b, "{\"function\": ");
	put_name(c, "{", "arguments");
	TRY(put_value(c, json_get(c->doc, function, "arguments")));
	put_name(c, ", ", "name");
	TRY(put_value(c, json_get(c->doc, function, "name")));
	put_name(c, "}, ", "id");
	TRY(put_value(c, json_get(c->doc, at, "id")));
	put_name(c, ", ", "type");
	TRY(put_value(c, json_get(c->doc, at, "type")));
	buf_put_byte(c->b, '}');
	return OK;
}

static struct err
put_tool_calls(const struct canon *c, uint32_t at)
{
	const char *lead = "[";

	if (json_type(c->doc, at) != JSON_ARRAY)
		return FAIL(MALFORMED, "opengradient.md 4.1: tool_calls is no array");
	for (uint32_t i = json_first(c->doc, at); i != JSON_NONE; i = json_after(c->doc, at, i)) {
		buf_put_str(c->b, lead);
		lead = ", ";
		TRY(put_tool_call(c, i));
	}
	buf_put_byte(c->b, ']');
	return OK;
}

static struct err
put_message(const struct canon *c, uint32_t at)
{
	uint32_t role, content, calls;

	if (json_type(c->doc, at) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.1: a message that is no object");
	role = json_get(c->doc, at, "role");
	content = json_get(c->doc, at, "content");
	put_name(c, "{", "content");
	if (json_is(c->doc, role, "system") || json_is(c->doc, role, "developer")) {
		TRY(put_value(c, content));
		buf_put_str(c->b, ", \"role\": \"system\"}");
	} else if (json_is(c->doc, role, "user")) {
		TRY(put_user_content(c, content));
		buf_put_str(c->b, ", \"role\": \"user\"}");
	} else if (json_is(c->doc, role, "assistant")) {
		if (truthy(c, content))
			TRY(put_value(c, content));
		else
			buf_put_str(c->b, "\"\"");
		buf_put_str(c->b, ", \"role\": \"assistant\"");
		calls = json_get(c->doc, at, "tool_calls");
		if (truthy(c, calls)) {
			put_name(c, ", ", "tool_calls");
			TRY(put_tool_calls(c, calls));
		}
		buf_put_byte(c->b, '}');
	} else if (json_is(c->doc, role, "tool")) {
		TRY(put_value(c, content));
		buf_put_str(c->b, ", \"role\": \"tool\"");
		put_name(c, ", ", "tool_call_id");
		TRY(put_value(c, json_get(c->doc, at, "tool_call_id")));
		buf_put_byte(c->b, '}');
	} else if (json_is(c->doc, role, "function")) {
		TRY(put_value(c, content));
		put_name(c, ", ", "name");
		TRY(put_value(c, json_get(c->doc, at, "name")));
		buf_put_str(c->b, ", \"role\": \"function\"}");
	} else {
		return FAIL(MALFORMED, "opengradient.md 4.1: a message of no known role");
	}
	return OK;
}

static struct err
put_messages(const struct canon *c, uint32_t at)
{
	const char *lead = "";

	if (at == JSON_NONE || json_type(c->doc, at) != JSON_ARRAY)
		return FAIL(MALFORMED, "opengradient.md 4.1: messages is no array");
	buf_put_byte(c->b, '[');
	for (uint32_t i = json_first(c->doc, at); i != JSON_NONE; i = json_after(c->doc, at, i)) {
		buf_put_str(c->b, lead);
		lead = ", ";
		TRY(put_message(c, i));
	}
	buf_put_byte(c->b, ']');
	return OK;
}

/* Always a float, however it was spelled. */
static struct err
put_temperature(const struct canon *c, uint32_t at, double absent)
{
	double v = at == JSON_NONE ? absent : 0.0;

	if (given(c, at) && !json_double(c->doc, at, &v)) {
		if (json_type(c->doc, at) == JSON_INT || json_type(c->doc, at) == JSON_FLOAT)
			return FAIL(REFUSED, "opengradient.md 4.2: a temperature beyond a double");
		return FAIL(MALFORMED, "opengradient.md 4.1: temperature is no number");
	}
	decimal_put_repr(c->b, v);
	return OK;
}

static struct err
put_model(const struct canon *c, uint32_t at)
{
	if (at == JSON_NONE || json_type(c->doc, at) != JSON_STRING)
		return FAIL(MALFORMED, "opengradient.md 4.1: model is no string");
	return put_value(c, at);
}

/* A member that is left out when Python calls it false. */
static struct err
put_if_truthy(const struct canon *c, const char *name)
{
	uint32_t at = json_get(c->doc, 0, name);

	if (!truthy(c, at))
		return OK;
	put_name(c, ", ", name);
	return put_value(c, at);
}

static struct err
put_chat(const struct canon *c)
{
	uint32_t limit = json_get(c->doc, 0, "max_tokens");

	buf_put_byte(c->b, '{');
	if (given(c, limit)) {
		put_name(c, "", "max_tokens");
		TRY(put_value(c, limit));
		buf_put_str(c->b, ", ");
	}
	put_name(c, "", "messages");
	TRY(put_messages(c, json_get(c->doc, 0, "messages")));
	put_name(c, ", ", "model");
	TRY(put_model(c, json_get(c->doc, 0, "model")));
	TRY(put_if_truthy(c, "response_format"));
	TRY(put_if_truthy(c, "stop"));
	put_name(c, ", ", "temperature");
	TRY(put_temperature(c, json_get(c->doc, 0, "temperature"), 0.0));
	TRY(put_if_truthy(c, "tools"));
	if (truthy(c, json_get(c->doc, 0, "web_search")))
		buf_put_str(c->b, ", \"web_search\": true");
	buf_put_byte(c->b, '}');
	return OK;
}

static struct err
put_completion(const struct canon *c)
{
	uint32_t limit = json_get(c->doc, 0, "max_tokens");
	uint32_t prompt = json_get(c->doc, 0, "prompt");

	buf_put_byte(c->b, '{');
	if (limit == JSON_NONE) {
		buf_put_str(c->b, "\"max_tokens\": 16, ");
	} else if (given(c, limit)) {
		put_name(c, "", "max_tokens");
		TRY(put_value(c, limit));
		buf_put_str(c->b, ", ");
	}
	put_name(c, "", "model");
	TRY(put_model(c, json_get(c->doc, 0, "model")));
	if (!given(c, prompt))
		return FAIL(MALFORMED, "opengradient.md 5: no prompt");
	put_name(c, ", ", "prompt");
	TRY(put_value(c, prompt));
	TRY(put_if_truthy(c, "stop"));
	put_name(c, ", ", "temperature");
	TRY(put_temperature(c, json_get(c->doc, 0, "temperature"), 1.0));
	buf_put_byte(c->b, '}');
	return OK;
}

struct err
canonical_put(struct buf *b, enum canonical_form form, const struct json *doc, struct arena *arena)
{
	const struct canon c = { b, doc, arena };

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.1: the request is no object");
	TRY(form == CANONICAL_CHAT ? put_chat(&c) : put_completion(&c));
	return buf_check(b);
}
