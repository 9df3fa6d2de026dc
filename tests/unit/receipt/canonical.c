/* canonical.c and pytext.c: rule R2, byte for byte. */
#include "receipt/canonical.h"

#include <string.h>

#include "../vectors.h"
#include "crypto/keccak.h"
#include "receipt/pytext.h"

static struct vectors vectors;

/* The canonical text of `body` into b. */
static struct err
canonical(struct buf *b, enum canonical_form form, struct span body)
{
	struct arena arena;
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, body, JSON_MAX_NODES));
	arena_init(&arena, REQUEST_ARENA_BYTES);
	e = canonical_put(b, form, &doc, &arena);
	arena_fini(&arena);
	json_fini(&doc);
	return e;
}

static void
check_vector(uint32_t at)
{
	struct span name = vectors_text(&vectors, at, "name");
	struct span endpoint = vectors_text(&vectors, at, "endpoint");
	bool chat = span_eq(endpoint, SPAN_LIT("/v1/chat/completions"));
	uint32_t want = vectors_get(&vectors, at, "rev2");
	uint8_t hash[KECCAK_LEN];
	struct buf got;
	struct err e;

	buf_init(&got, 1 << 20);
	e = canonical(&got, chat ? CANONICAL_CHAT : CANONICAL_COMPLETION,
	    vectors_text(&vectors, at, "request_body"));
	if (json_type(&vectors.doc, want) == JSON_NULL) {
		if (!failed(e))
			fail_msg("%s: accepted", (const char *)name.p);
	} else {
		keccak_256(buf_span(&got), hash);
		if (failed(e))
			fail_msg("%s: %s", (const char *)name.p, e.what);
		if (!span_eq(buf_span(&got), vectors_hex(&vectors, want, "canonical_hex")))
			fail_msg("%s: %.*s", (const char *)name.p, (int)got.n, got.p);
		if (!span_eq(
			span_of(hash, KECCAK_LEN), vectors_hex(&vectors, want, "tee_request_hash")))
			fail_msg("%s: hash", (const char *)name.p);
	}
	buf_fini(&got);
}

static void
published_vectors(void **state)
{
	uint32_t list, seen = 0;

	vectors_open(&vectors, "signing/canonical_requests.json");
	list = vectors_get(&vectors, 0, "vectors");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c)) {
		/* Not served here: interfaces.md H7. */
		if (json_is(&vectors.doc, vectors_get(&vectors, c, "endpoint"), "/v1/web_search"))
			continue;
		check_vector(c);
		seen++;
	}
	assert_int_equal(seen, 33);
	vectors_close(&vectors);
}

/* Rows: `want` is the canonical text, or NULL when it must be refused with `code`. */
struct row {
	const char *rule, *body, *want;
	enum err_code code;
};

#define ONE(message)	"{\"model\":\"m\",\"messages\":[" message "]}"
#define HASHED(message) "{\"messages\": [" message "], \"model\": \"m\", \"temperature\": 0.0}"
#define MORE(members)	"{\"model\":\"m\",\"messages\":[]," members "}"

static const struct row chat_rows[] = {
	{ "user: absent content is Python's None", ONE("{\"role\":\"user\"}"),
	    HASHED("{\"content\": \"None\", \"role\": \"user\"}"), ERR_OK },
	{ "user: null content is Python's None", ONE("{\"role\":\"user\",\"content\":null}"),
	    HASHED("{\"content\": \"None\", \"role\": \"user\"}"), ERR_OK },
	{ "user: a number is its textual form", ONE("{\"role\":\"user\",\"content\":-0}"),
	    HASHED("{\"content\": \"0\", \"role\": \"user\"}"), ERR_OK },
	{ "user: an object is its textual form, duplicates folded in place",
	    ONE("{\"role\":\"user\",\"content\":{\"a\":1,\"b\":\"x\",\"a\":true}}"),
	    HASHED("{\"content\": \"{'a': True, 'b': 'x'}\", \"role\": \"user\"}"), ERR_OK },
	{ "user: an empty list stays a list", ONE("{\"role\":\"user\",\"content\":[]}"),
	    HASHED("{\"content\": [], \"role\": \"user\"}"), ERR_OK },
	{ "user: name is dropped", ONE("{\"role\":\"user\",\"name\":\"n\",\"content\":\"x\"}"),
	    HASHED("{\"content\": \"x\", \"role\": \"user\"}"), ERR_OK },
	{ "user: null and absent text become empty",
	    ONE("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":null},"
		"{\"type\":\"text\"}]}"),
	    HASHED("{\"content\": [{\"text\": \"\", \"type\": \"text\"}, "
		   "{\"text\": \"\", \"type\": \"text\"}], \"role\": \"user\"}"),
	    ERR_OK },
	{ "user: parts that are no objects become text",
	    ONE("{\"role\":\"user\",\"content\":[\"it's\",1,1.0,true,null,[\"it's\",[]],"
		"\"\\ud83d\"]}"),
	    HASHED(
		"{\"content\": [{\"text\": \"it's\", \"type\": \"text\"}, "
		"{\"text\": \"1\", \"type\": \"text\"}, {\"text\": \"1.0\", \"type\": \"text\"}, "
		"{\"text\": \"True\", \"type\": \"text\"}, "
		"{\"text\": \"None\", \"type\": \"text\"}, "
		"{\"text\": \"[\\\"it's\\\", []]\", \"type\": \"text\"}, "
		"{\"text\": \"\\ud83d\", \"type\": \"text\"}], \"role\": \"user\"}"),
	    ERR_OK },
	{ "user: file.filename goes before filename; bytes and the rest are dropped",
	    ONE("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"filename\":\"b\","
		"\"file\":{\"filename\":\"a\",\"file_data\":\"x\"}},"
		"{\"type\":\"file\",\"filename\":\"b\",\"file\":{\"filename\":\"\"}},"
		"{\"type\":\"file\",\"filename\":\"c\",\"file\":\"d\"},"
		"{\"type\":\"file\",\"filename\":\"\"}]}"),
	    HASHED("{\"content\": [{\"filename\": \"a\", \"type\": \"file\"}, "
		   "{\"filename\": \"b\", \"type\": \"file\"}, "
		   "{\"filename\": \"c\", \"type\": \"file\"}, {\"type\": \"file\"}], "
		   "\"role\": \"user\"}"),
	    ERR_OK },
	{ "user: a part without type has a null one",
	    ONE("{\"role\":\"user\",\"content\":[{\"x\":1}]}"),
	    HASHED("{\"content\": [{\"type\": null}], \"role\": \"user\"}"), ERR_OK },
	{ "user: escapes in names and types are decoded before they are compared",
	    ONE("{\"\\u0072ole\":\"us\\u0065r\",\"content\":[{\"typ\\u0065\":\"te\\u0078t\","
		"\"text\":\"\\u0041\"}]}"),
	    HASHED("{\"content\": [{\"text\": \"A\", \"type\": \"text\"}], \"role\": \"user\"}"),
	    ERR_OK },
	{ "system: content passes unchanged, absent is null", ONE("{\"role\":\"system\"}"),
	    HASHED("{\"content\": null, \"role\": \"system\"}"), ERR_OK },
	{ "developer: counts as system, lists keep every member",
	    ONE("{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"x\","
		"\"a\":1.50}]}"),
	    HASHED("{\"content\": [{\"a\": 1.5, \"text\": \"x\", \"type\": \"text\"}], "
		   "\"role\": \"system\"}"),
	    ERR_OK },
	{ "assistant: empty, null and absent content are the empty string",
	    ONE("{\"role\":\"assistant\",\"content\":\"\"},"
		"{\"role\":\"assistant\",\"content\":[]},{\"role\":\"assistant\"}"),
	    HASHED("{\"content\": \"\", \"role\": \"assistant\"}, "
		   "{\"content\": \"\", \"role\": \"assistant\"}, "
		   "{\"content\": \"\", \"role\": \"assistant\"}"),
	    ERR_OK },
	{ "assistant: empty tool_calls are left out",
	    ONE("{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[]},"
		"{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":null}"),
	    HASHED("{\"content\": \"x\", \"role\": \"assistant\"}, "
		   "{\"content\": \"x\", \"role\": \"assistant\"}"),
	    ERR_OK },
	{ "assistant: absent members of a tool call are null",
	    ONE("{\"role\":\"assistant\",\"tool_calls\":[{},{\"function\":{}}]}"),
	    HASHED("{\"content\": \"\", \"role\": \"assistant\", \"tool_calls\": "
		   "[{\"function\": {\"arguments\": null, \"name\": null}, \"id\": null, "
		   "\"type\": null}, {\"function\": {\"arguments\": null, \"name\": null}, "
		   "\"id\": null, \"type\": null}]}"),
	    ERR_OK },
	{ "tool: tool_call_id absent is null, content a list as received",
	    ONE("{\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":null}]}"),
	    HASHED("{\"content\": [{\"text\": null, \"type\": \"text\"}], \"role\": \"tool\", "
		   "\"tool_call_id\": null}"),
	    ERR_OK },
	{ "function: role, content, name",
	    ONE("{\"role\":\"function\",\"name\":\"f\",\"content\":\"x\",\"y\":1}"),
	    HASHED("{\"content\": \"x\", \"name\": \"f\", \"role\": \"function\"}"), ERR_OK },
	{ "members that Python calls false are left out",
	    MORE("\"stop\":\"\",\"tools\":[],\"response_format\":{},\"web_search\":0.0"),
	    HASHED(""), ERR_OK },
	{ "members that are null are left out",
	    MORE("\"stop\":null,\"tools\":null,\"response_format\":null,\"web_search\":null,"
		 "\"max_tokens\":null,\"temperature\":null"),
	    HASHED(""), ERR_OK },
	{ "a float that underflows is false", MORE("\"web_search\":1e-400"), HASHED(""), ERR_OK },
	{ "web_search is true when truthy", MORE("\"web_search\":\"no\""),
	    "{\"messages\": [], \"model\": \"m\", \"temperature\": 0.0, \"web_search\": true}",
	    ERR_OK },
	{ "every member in its sorted place",
	    MORE("\"web_search\":true,\"tools\":[1],\"temperature\":2,\"stop\":[\"a\"],"
		 "\"response_format\":{\"type\":\"text\"},\"max_tokens\":1e2"),
	    "{\"max_tokens\": 100.0, \"messages\": [], \"model\": \"m\", \"response_format\": "
	    "{\"type\": \"text\"}, \"stop\": [\"a\"], \"temperature\": 2.0, \"tools\": [1], "
	    "\"web_search\": true}",
	    ERR_OK },
	{ "the integer -0 is 0.0", MORE("\"temperature\":-0"), HASHED(""), ERR_OK },
	{ "the last of equal names counts", MORE("\"temperature\":1,\"temperature\":0.0"),
	    HASHED(""), ERR_OK },
	{ "not an object", "[]", NULL, ERR_MALFORMED },
	{ "no model", "{\"messages\":[]}", NULL, ERR_MALFORMED },
	{ "model is no string", "{\"messages\":[],\"model\":1}", NULL, ERR_MALFORMED },
	{ "no messages", "{\"model\":\"m\"}", NULL, ERR_MALFORMED },
	{ "messages is no array", "{\"model\":\"m\",\"messages\":{}}", NULL, ERR_MALFORMED },
	{ "a message that is no object", ONE("\"x\""), NULL, ERR_MALFORMED },
	{ "no role", ONE("{\"content\":\"x\"}"), NULL, ERR_MALFORMED },
	{ "unknown role", ONE("{\"role\":\"User\",\"content\":\"x\"}"), NULL, ERR_MALFORMED },
	{ "a tool call that is no object", ONE("{\"role\":\"assistant\",\"tool_calls\":[1]}"), NULL,
	    ERR_MALFORMED },
	{ "tool_calls is no array", ONE("{\"role\":\"assistant\",\"tool_calls\":{\"a\":1}}"), NULL,
	    ERR_MALFORMED },
	{ "a tool call's function is no object",
	    ONE("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":\"f\"}]}"), NULL,
	    ERR_MALFORMED },
	{ "temperature is a string", MORE("\"temperature\":\"1\""), NULL, ERR_MALFORMED },
	{ "temperature is a boolean", MORE("\"temperature\":true"), NULL, ERR_MALFORMED },
	{ "temperature overflows", MORE("\"temperature\":1e309"), NULL, ERR_REFUSED },
	{ "a number passed through overflows", MORE("\"tools\":[-1e400]"), NULL, ERR_REFUSED },
	{ "a number that is not committed may overflow", MORE("\"top_p\":1e400"), HASHED(""),
	    ERR_OK },
};

static const struct row completion_rows[] = {
	{ "max_tokens null is left out, absent is 16",
	    "{\"model\":\"m\",\"prompt\":[\"a\",1],\"max_tokens\":null,\"stop\":\"\"}",
	    "{\"model\": \"m\", \"prompt\": [\"a\", 1], \"temperature\": 1.0}", ERR_OK },
	{ "every member in its sorted place",
	    "{\"temperature\":0,\"stop\":\"x\",\"prompt\":\"\",\"model\":\"m\",\"n\":2}",
	    "{\"max_tokens\": 16, \"model\": \"m\", \"prompt\": \"\", \"stop\": \"x\", "
	    "\"temperature\": 0.0}",
	    ERR_OK },
	{ "no prompt", "{\"model\":\"m\"}", NULL, ERR_MALFORMED },
	{ "no model", "{\"prompt\":\"m\"}", NULL, ERR_MALFORMED },
	{ "temperature overflows", "{\"model\":\"m\",\"prompt\":\"\",\"temperature\":-1e999}", NULL,
	    ERR_REFUSED },
};

static void
check_rows(enum canonical_form form, const struct row *rows, size_t n)
{
	for (size_t r = 0; r < n; r++) {
		struct buf got;
		struct err e;

		buf_init(&got, 1 << 20);
		e = canonical(&got, form, span_str(rows[r].body));
		if (e.code != rows[r].code)
			fail_msg("%s: %s", rows[r].rule, e.what == NULL ? "accepted" : e.what);
		if (!failed(e) && !span_eq(buf_span(&got), span_str(rows[r].want)))
			fail_msg("%s: %.*s", rows[r].rule, (int)got.n, got.p);
		buf_fini(&got);
	}
}

static void
rules(void **state)
{
	check_rows(CANONICAL_CHAT, chat_rows, sizeof(chat_rows) / sizeof(chat_rows[0]));
	check_rows(CANONICAL_COMPLETION, completion_rows,
	    sizeof(completion_rows) / sizeof(completion_rows[0]));
}

/* An integer of any length is a temperature only if a double can hold it. */
static void
long_integer_temperature(void **state)
{
	struct buf body, got;

	for (size_t digits = 309; digits <= 401; digits += 92) {
		buf_init(&body, 4096);
		buf_init(&got, 4096);
		buf_put_str(&body, "{\"model\":\"m\",\"messages\":[],\"temperature\":1");
		for (size_t i = 1; i < digits; i++)
			buf_put_byte(&body, '0');
		buf_put_byte(&body, '}');
		assert_int_equal(canonical(&got, CANONICAL_CHAT, buf_span(&body)).code,
		    digits == 309 ? ERR_OK : ERR_REFUSED);
		if (digits == 309)
			assert_true(span_ends(buf_span(&got), SPAN_LIT(" 1e+308}")));
		buf_fini(&got);
		buf_fini(&body);
	}
}

static void
bounds(void **state)
{
	static const char body[] = ONE("{\"role\":\"user\",\"content\":[[1,2,3]]}");
	struct arena arena;
	struct json doc;
	struct buf got;

	buf_init(&got, 40);
	assert_int_equal(canonical(&got, CANONICAL_CHAT, span_str(body)).code, ERR_TOO_LARGE);
	buf_fini(&got);

	buf_init(&got, 1 << 20);
	arena_init(&arena, 16);
	assert_int_equal(
	    json_parse(&doc, SPAN_LIT(MORE("\"tools\":[{\"a\":1}]")), JSON_MAX_NODES).code, ERR_OK);
	assert_int_equal(canonical_put(&got, CANONICAL_CHAT, &doc, &arena).code, ERR_NOMEM);
	json_fini(&doc);
	arena_fini(&arena);
	buf_fini(&got);
}

static void
python_text_forms(void **state)
{
	uint32_t list, seen = 0;

	vectors_open(&vectors, "signing/python_text_form.json");
	list = vectors_get(&vectors, 0, "vectors");
	for (uint32_t c = json_first(&vectors.doc, list); c != JSON_NONE;
	     c = json_after(&vectors.doc, list, c), seen++) {
		struct span content = vectors_text(&vectors, c, "content_json");
		struct span want = vectors_hex(&vectors, c, "python_str_utf8_hex");
		struct buf got;
		struct json doc;

		buf_init(&got, 1 << 20);
		assert_int_equal(json_parse(&doc, content, JSON_MAX_NODES).code, ERR_OK);
		assert_int_equal(pytext_put(&got, &doc, 0, &vectors.arena).code, ERR_OK);
		if (!span_eq(buf_span(&got), want))
			fail_msg("%s: %.*s", (const char *)content.p, (int)got.n, got.p);
		json_fini(&doc);
		buf_fini(&got);
	}
	assert_int_equal(seen, 11);
	vectors_close(&vectors);
}

static void
printable(void **state)
{
	static const struct {
		const char *what;
		uint32_t cp;
		bool want;
	} rows[] = {
		{ "NUL", 0, false },
		{ "unit separator", 0x1f, false },
		{ "space, alone of the separators", 0x20, true },
		{ "tilde", 0x7e, true },
		{ "delete", 0x7f, false },
		{ "no-break space", 0xa0, false },
		{ "inverted exclamation mark", 0xa1, true },
		{ "soft hyphen", 0xad, false },
		{ "line separator", 0x2028, false },
		{ "ideographic space", 0x3000, false },
		{ "a surrogate", 0xd800, false },
		{ "private use", 0xe000, false },
		{ "replacement character", 0xfffd, true },
		{ "a noncharacter", 0xffff, false },
		{ "linear B", 0x10000, true },
		{ "an emoji", 0x1f600, true },
		{ "unassigned in Unicode 14", 0x1fae8, false },
		{ "a variation selector of plane 14", 0xe0100, true },
		{ "the last code point", 0x10ffff, false },
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		if (pytext_printable(rows[r].cp) != rows[r].want)
			fail_msg("%s", rows[r].what);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(rules),
		cmocka_unit_test(long_integer_temperature),
		cmocka_unit_test(bounds),
		cmocka_unit_test(python_text_forms),
		cmocka_unit_test(printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
