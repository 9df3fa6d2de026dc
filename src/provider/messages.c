#include "provider/messages.h"

#include <stdio.h>

enum { TOOLS_MAX = 128, TOOL_NAME_MAX = 64 };

struct place {
	const struct json *doc;
	struct messages_facts *facts;
	struct refusal *no;
	char path[24]; /* of the message that is being read */
};

static bool
wrong(struct place *at, const char *member, const char *want)
{
	char param[96];

	snprintf(param, sizeof(param), "%s%s", at->path, member);
	return refuse(at->no, "invalid_value", param, "%s must be %s.", param, want);
}

uint64_t
messages_text_bytes(const struct json *doc, uint32_t at)
{
	struct json_points it = { .s = json_inner(doc, at) };
	uint64_t bytes = 0;
	uint32_t cp;

	if (doc->node[at].count == 0) /* no escapes: the text is the UTF-8 */
		return it.s.n;
	while (json_point(&it, &cp))
		bytes += cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	return bytes;
}

static bool
is_text(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING;
}

/* Whose content: instructions and results are text alone, and only users show pictures. */
enum content_of { CONTENT_TEXT, CONTENT_USER, CONTENT_ASSISTANT };

static void
put_path(char out[static 48], const struct place *at, unsigned index)
{
	snprintf(out, 48, "%s.content[%u]", at->path, index);
}

static bool
media_check(struct place *at, uint32_t part, unsigned index)
{
	struct parts_facts *facts = &at->facts->parts;
	const char *where, *want;
	struct part found;
	char member[64];

	if (!part_read(at->doc, part, &found, &where, &want)) {
		snprintf(member, sizeof(member), ".content[%u]%s", index, where);
		return wrong(at, member, want);
	}
	if (facts->n[found.kind]++ == 0)
		put_path(facts->first[found.kind], at, index);
	if (found.url.p != NULL && facts->by_url[0] == '\0')
		put_path(facts->by_url, at, index);
	return true;
}

static bool
part_check(struct place *at, uint32_t part, unsigned index, enum content_of whose)
{
	uint32_t type = json_get(at->doc, part, "type");
	bool refusal = whose == CONTENT_ASSISTANT && json_is(at->doc, type, "refusal");
	char member[48];

	snprintf(member, sizeof(member), ".content[%u]", index);
	if (json_type(at->doc, part) != JSON_OBJECT || !is_text(at->doc, type))
		return wrong(at, member, "an object with a type");
	if (refusal || json_is(at->doc, type, "text")) {
		const char *name = refusal ? "refusal" : "text";
		uint32_t text = json_get(at->doc, part, name);

		snprintf(member, sizeof(member), ".content[%u].%s", index, name);
		if (!is_text(at->doc, text))
			return wrong(at, member, "a string");
		at->facts->prompt_bytes += messages_text_bytes(at->doc, text);
		return true;
	}
	if (whose == CONTENT_USER)
		return media_check(at, part, index);
	snprintf(member, sizeof(member), ".content[%u].type", index);
	return wrong(at, member, whose == CONTENT_TEXT ? "\"text\"" : "\"text\" or \"refusal\"");
}

static bool
content_check(struct place *at, uint32_t content, bool optional, enum content_of whose)
{
	unsigned index = 0;

	if (content == JSON_NONE || json_type(at->doc, content) == JSON_NULL)
		return optional || wrong(at, ".content", "a string or an array of parts");
	if (json_type(at->doc, content) == JSON_STRING) {
		at->facts->prompt_bytes += messages_text_bytes(at->doc, content);
		return true;
	}
	if (json_type(at->doc, content) != JSON_ARRAY)
		return wrong(at, ".content", "a string or an array of parts");
	for (uint32_t c = json_first(at->doc, content); c != JSON_NONE;
	     c = json_after(at->doc, content, c))
		if (!part_check(at, c, index++, whose))
			return false;
	return index > 0 || optional || wrong(at, ".content", "not empty");
}

static bool
tool_calls_check(struct place *at, uint32_t calls)
{
	unsigned index = 0;

	if (calls == JSON_NONE || json_type(at->doc, calls) == JSON_NULL)
		return true;
	if (json_type(at->doc, calls) != JSON_ARRAY)
		return wrong(at, ".tool_calls", "an array");
	for (uint32_t c = json_first(at->doc, calls); c != JSON_NONE;
	     c = json_after(at->doc, calls, c), index++) {
		uint32_t function = json_get(at->doc, c, "function");
		uint32_t arguments = json_get(at->doc, function, "arguments");
		char member[48];

		snprintf(member, sizeof(member), ".tool_calls[%u]", index);
		if (index >= TOOLS_MAX)
			return wrong(at, ".tool_calls", "at most 128 calls");
		if (!is_text(at->doc, json_get(at->doc, c, "id")))
			return wrong(at, member, "an object with a string id");
		if (json_is(at->doc, json_get(at->doc, c, "type"), "custom"))
			continue;
		if (!is_text(at->doc, json_get(at->doc, function, "name")) ||
		    !is_text(at->doc, arguments))
			return wrong(at, member, "a function call with name and arguments");
		at->facts->prompt_bytes += messages_text_bytes(at->doc, arguments);
		at->facts->other_bytes -= json_inner(at->doc, arguments).n; /* counted as both */
	}
	return true;
}

/* All strings in the message but its role and its content, names of members included. */
static uint64_t
other_bytes(const struct json *doc, uint32_t message, uint32_t role, uint32_t content)
{
	uint64_t bytes = 0;

	for (uint32_t c = json_first(doc, message); c != JSON_NONE;
	     c = json_after(doc, message, c)) {
		if (c + 1 == role || c + 1 == content)
			continue;
		for (uint32_t i = c + 1; i < doc->node[c + 1].next; i++)
			if (json_type(doc, i) == JSON_STRING)
				bytes += json_inner(doc, i).n;
	}
	return bytes;
}

static bool
message_check(struct place *at, uint32_t message)
{
	uint32_t role = json_get(at->doc, message, "role");
	uint32_t content = json_get(at->doc, message, "content");

	if (json_type(at->doc, message) != JSON_OBJECT)
		return wrong(at, "", "an object");
	if (role == JSON_NONE || json_type(at->doc, role) != JSON_STRING)
		return wrong(at, ".role", "a string");
	at->facts->other_bytes += other_bytes(at->doc, message, role, content);
	if (json_is(at->doc, role, "user"))
		return content_check(at, content, false, CONTENT_USER);
	if (json_is(at->doc, role, "system") || json_is(at->doc, role, "developer"))
		return content_check(at, content, false, CONTENT_TEXT);
	if (json_is(at->doc, role, "assistant"))
		return content_check(at, content, true, CONTENT_ASSISTANT) &&
		    tool_calls_check(at, json_get(at->doc, message, "tool_calls"));
	if (json_is(at->doc, role, "tool")) {
		if (!is_text(at->doc, json_get(at->doc, message, "tool_call_id")))
			return wrong(at, ".tool_call_id", "a string");
		return content_check(at, content, false, CONTENT_TEXT);
	}
	if (json_is(at->doc, role, "function")) {
		if (!is_text(at->doc, json_get(at->doc, message, "name")))
			return wrong(at, ".name", "a string");
		return content_check(at, content, true, CONTENT_TEXT);
	}
	return wrong(at, ".role", "one of system, developer, user, assistant, tool, function");
}

bool
messages_check(
    const struct json *doc, uint32_t at, struct messages_facts *facts, struct refusal *no)
{
	struct place place = { .doc = doc, .facts = facts, .no = no };
	unsigned index = 0;

	*facts = (struct messages_facts){ 0 };
	if (json_type(doc, at) != JSON_ARRAY || json_first(doc, at) == JSON_NONE)
		return refuse(
		    no, "invalid_value", "messages", "messages must be a non-empty array.");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		snprintf(place.path, sizeof(place.path), "messages[%u]", index++);
		if (!message_check(&place, c))
			return false;
	}
	facts->n = index;
	return true;
}

bool
tool_name_fits(struct span name)
{
	if (name.n == 0 || name.n > TOOL_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '-')
			return false;
	}
	return true;
}

bool
tools_check(const struct json *doc, uint32_t at, struct refusal *no)
{
	struct place place = { .doc = doc, .no = no };
	unsigned index = 0;

	if (json_type(doc, at) != JSON_ARRAY)
		return refuse(no, "invalid_value", "tools", "tools must be an array.");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		uint32_t type = json_get(doc, c, "type"), function = json_get(doc, c, "function");
		uint32_t name = json_get(doc, function, "name");
		uint32_t schema = json_get(doc, function, "parameters");

		snprintf(place.path, sizeof(place.path), "tools[%u]", index++);
		if (index > TOOLS_MAX)
			return refuse(no, "invalid_value", "tools", "tools must be at most 128.");
		if (type == JSON_NONE || json_type(doc, type) != JSON_STRING)
			return wrong(&place, ".type", "a string");
		if (json_is(doc, type, "custom"))
			continue;
		if (!json_is(doc, type, "function"))
			return wrong(&place, ".type", "\"function\"");
		if (name == JSON_NONE || json_type(doc, name) != JSON_STRING ||
		    !tool_name_fits(json_inner(doc, name)))
			return wrong(&place, ".function.name",
			    "1 to 64 letters, digits, underscores or hyphens");
		if (schema != JSON_NONE && json_type(doc, schema) != JSON_OBJECT &&
		    json_type(doc, schema) != JSON_NULL)
			return wrong(&place, ".function.parameters", "an object");
	}
	return true;
}
