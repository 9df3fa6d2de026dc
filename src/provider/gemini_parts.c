#include "provider/gemini_parts.h"

#include "core/limits.h"

enum { DETAILS_MAX = 256 }; /* looked through for each call: two for each that may be there */

struct span
gemini_decoded(const struct json *doc, uint32_t at, struct buf *scratch)
{
	struct json_points it = { .s = json_inner(doc, at) };
	uint8_t utf8[4];
	uint32_t cp;

	if (doc->node[at].count == 0) /* no escapes: the text is the UTF-8 */
		return it.s;
	buf_clear(scratch);
	while (json_point(&it, &cp))
		buf_put(scratch,
		    span_of(utf8, json_utf8(cp >= 0xd800 && cp < 0xe000 ? 0xfffd : cp, utf8)));
	return buf_span(scratch);
}

static bool
is_text(const struct json *doc, uint32_t at)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING;
}

bool
gemini_args_of(const struct json *doc, uint32_t call, struct buf *scratch, struct span *args)
{
	uint32_t at = json_get(doc, json_get(doc, call, "function"), "arguments");
	struct json parsed;
	bool is_object;

	*args = span_trim(gemini_decoded(doc, at, scratch));
	if (args->n == 0) {
		*args = SPAN_LIT("{}");
		return true;
	}
	if (failed(json_parse(&parsed, *args, JSON_MAX_NODES)))
		return false;
	is_object = json_type(&parsed, 0) == JSON_OBJECT;
	json_fini(&parsed);
	return is_object;
}

/* A tool message's text between quotes: of its string, or of its parts one after the other. */
static void
put_inner(struct buf *b, const struct json *doc, uint32_t content)
{
	if (is_text(doc, content)) {
		buf_put(b, json_inner(doc, content));
		return;
	}
	for (uint32_t c = json_first(doc, content); c != JSON_NONE; c = json_after(doc, content, c))
		buf_put(b, json_inner(doc, json_get(doc, c, "text")));
}

static void
put_wrapped(struct buf *b, struct span value)
{
	buf_put_str(b, "{\"result\":");
	buf_put(b, value);
	buf_put_byte(b, '}');
}

void
gemini_put_response(struct buf *b, const struct json *doc, uint32_t content)
{
	struct json text, value;
	struct buf quoted, scratch;
	struct span decoded;

	buf_init(&quoted, BODY_MAX_BYTES + 2);
	buf_init(&scratch, BODY_MAX_BYTES);
	buf_put_byte(&quoted, '"');
	put_inner(&quoted, doc, content);
	buf_put_byte(&quoted, '"');
	if (failed(json_parse(&text, buf_span(&quoted), 1))) {
		b->over = true; /* memory: the document itself was valid */
	} else {
		decoded = span_trim(gemini_decoded(&text, 0, &scratch));
		if (failed(json_parse(&value, decoded, JSON_MAX_NODES))) {
			put_wrapped(b, buf_span(&quoted));
		} else {
			if (json_type(&value, 0) == JSON_OBJECT)
				buf_put(b, decoded);
			else
				put_wrapped(b, decoded);
			json_fini(&value);
		}
		json_fini(&text);
	}
	if (scratch.over)
		b->over = true;
	buf_fini(&quoted);
	buf_fini(&scratch);
}

static uint32_t
signature_in(const struct json *doc, uint32_t holder)
{
	uint32_t at = json_get(doc, holder, "thought_signature");

	return is_text(doc, at) && json_inner(doc, at).n > 0 ? at : JSON_NONE;
}

/* An entry of reasoning_details that names the call (aggregators' form). */
static uint32_t
signature_in_details(const struct json *doc, uint32_t message, uint32_t call)
{
	uint32_t details = json_get(doc, message, "reasoning_details");
	uint32_t id = json_get(doc, call, "id");
	unsigned n = 0;

	if (details == JSON_NONE || json_type(doc, details) != JSON_ARRAY || !is_text(doc, id))
		return JSON_NONE;
	for (uint32_t c = json_first(doc, details); c != JSON_NONE && n++ < DETAILS_MAX;
	     c = json_after(doc, details, c)) {
		uint32_t its = json_get(doc, c, "id"), data = json_get(doc, c, "data");

		if (is_text(doc, its) && is_text(doc, data) && json_inner(doc, data).n > 0 &&
		    span_eq(json_inner(doc, its), json_inner(doc, id)))
			return data;
	}
	return JSON_NONE;
}

uint32_t
gemini_signature_of_call(const struct json *doc, uint32_t message, uint32_t call)
{
	uint32_t function = json_get(doc, call, "function");
	const uint32_t holders[] = {
		json_get(doc, json_get(doc, call, "extra_content"), "google"),
		json_get(doc, call, "provider_specific_fields"),
		json_get(doc, function, "provider_specific_fields"),
		function,
	};

	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++)
		if (signature_in(doc, holders[i]) != JSON_NONE)
			return signature_in(doc, holders[i]);
	return signature_in_details(doc, message, call);
}

uint32_t
gemini_signature_of_text(const struct json *doc, uint32_t message)
{
	return signature_in(doc, json_get(doc, json_get(doc, message, "extra_content"), "google"));
}
