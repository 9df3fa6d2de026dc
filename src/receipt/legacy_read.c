/*
 * What a client holds, read back: delivered text and the tee_* fields of a body or a stream.
 */
#include "receipt/legacy.h"

#include <string.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "codec/sse.h"
#include "core/arena.h"
#include "core/limits.h"
#include "core/wipe.h"

/* Decoded strings are no longer than what they were decoded from. */
enum { ARENA_EXTRA_BYTES = 1 << 20 };

struct reader {
	struct legacy_fields *fields;
	struct output out;
	struct arena arena;
	bool tool_calls; /* choice 0 ended with that reason */
	bool final;	 /* the tee_* fields were read */
	bool done;	 /* [DONE] was read */
};

/* The object names no member twice: two readers would see two answers. */
static struct err
check_unique(struct reader *r, const struct json *doc, uint32_t at)
{
	struct json_member *members;
	uint32_t n;

	TRY(json_members(doc, at, &r->arena, &members, &n));
	if (n != doc->node[at].count)
		return FAIL(MALFORMED, "interfaces.md S1: a member named twice");
	return OK;
}

/* A string member of the root, decoded; .p == NULL when it is absent. */
static struct err
field(struct reader *r, const struct json *doc, const char *name, struct span *out)
{
	uint32_t at = json_get(doc, 0, name);

	*out = SPAN_NONE;
	if (at == JSON_NONE)
		return OK;
	if (failed(json_string(doc, at, &r->arena, out)))
		return FAIL(MALFORMED, "opengradient.md 4: a tee field that is no string");
	return OK;
}

/* Exactly 64 lower-case hex digits. */
static struct err
parse_hash(struct span text, uint8_t out[static KECCAK_LEN])
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'F')
			return FAIL(MALFORMED, "opengradient.md 4.1: a hash in upper case");
	if (failed(hex_parse(out, KECCAK_LEN, text)))
		return FAIL(MALFORMED, "opengradient.md 4.1: a hash is 64 hex digits");
	return OK;
}

static struct err
read_hash(
    struct reader *r, const struct json *doc, const char *name, uint8_t out[static KECCAK_LEN])
{
	struct span text;

	TRY(field(r, doc, name, &text));
	if (text.p == NULL)
		return FAIL(
		    MALFORMED, "interfaces.md S1: tee_request_hash or tee_output_hash absent");
	return parse_hash(text, out);
}

static struct err
read_tee_id(struct reader *r, const struct json *doc)
{
	uint8_t id[KECCAK_LEN];
	struct span text;

	TRY(field(r, doc, "tee_id", &text));
	if (text.n != TEE_ID_LEN || !span_starts(text, SPAN_LIT("0x")))
		return FAIL(MALFORMED, "opengradient.md 1: tee_id is 0x and 64 hex digits");
	TRY(parse_hash(span_cut(text, 2, text.n), id));
	memcpy(r->fields->tee_id, text.p, TEE_ID_LEN);
	return OK;
}

static struct err
read_signature(struct reader *r, const struct json *doc)
{
	struct legacy_fields *f = r->fields;
	struct span text;
	struct buf bytes;
	struct err e;

	TRY(field(r, doc, "tee_signature", &text));
	if (text.p == NULL)
		return OK;
	buf_init(&bytes, sizeof(f->signature));
	e = b64_parse(&bytes, text);
	if (!failed(e) && bytes.n == 0)
		e = FAIL(MALFORMED, "opengradient.md 4.3: an empty tee_signature");
	if (!failed(e)) {
		memcpy(f->signature, bytes.p, bytes.n);
		f->signature_len = bytes.n;
		f->has_signature = true;
	}
	buf_fini(&bytes);
	return e;
}

/* The five fields of the root. */
static struct err
read_fields(struct reader *r, const struct json *doc)
{
	struct legacy_fields *f = r->fields;

	TRY(read_hash(r, doc, "tee_request_hash", f->request_hash));
	TRY(read_hash(r, doc, "tee_output_hash", f->output_hash));
	if (!json_u64(doc, json_get(doc, 0, "tee_timestamp"), UINT64_MAX, &f->timestamp_unix_s))
		return FAIL(MALFORMED, "opengradient.md 4.3: tee_timestamp is whole seconds");
	TRY(read_tee_id(r, doc));
	TRY(read_signature(r, doc));
	r->final = true;
	return OK;
}

static struct err
absorb_text(struct reader *r, const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE || json_type(doc, at) == JSON_NULL)
		return OK;
	if (json_type(doc, at) != JSON_STRING)
		return FAIL(MALFORMED, "opengradient.md 4.4: content is no string");
	output_text(&r->out, json_inner(doc, at));
	return OK;
}

static struct err
read_tool_calls(struct reader *r, const struct json *doc, uint32_t at)
{
	TRY(output_tool_calls(&r->out, doc, at));
	if (at == JSON_NONE || json_type(doc, at) != JSON_ARRAY)
		return OK;
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		uint32_t function = json_get(doc, c, "function");

		TRY(check_unique(r, doc, c));
		if (function != JSON_NONE && json_type(doc, function) == JSON_OBJECT)
			TRY(check_unique(r, doc, function));
	}
	return OK;
}

/* One entry of choices; `inside` is what holds the content: message or delta. */
static struct err
read_choice(struct reader *r, const struct json *doc, uint32_t at, const char *inside)
{
	uint32_t message, reason;

	TRY(check_unique(r, doc, at));
	message = json_get(doc, at, inside);
	if (message != JSON_NONE && json_type(doc, message) == JSON_OBJECT) {
		TRY(check_unique(r, doc, message));
		TRY(absorb_text(r, doc, json_get(doc, message, "content")));
		TRY(read_tool_calls(r, doc, json_get(doc, message, "tool_calls")));
	} else if (message != JSON_NONE && json_type(doc, message) != JSON_NULL) {
		return FAIL(MALFORMED, "opengradient.md 4.4: message or delta is no object");
	}
	TRY(absorb_text(r, doc, json_get(doc, at, "text")));
	reason = json_get(doc, at, "finish_reason");
	if (reason != JSON_NONE && json_type(doc, reason) != JSON_NULL)
		r->tool_calls = json_is(doc, reason, "tool_calls");
	return OK;
}

/* Choice 0: the one of that index, or the first one where no index is given. */
static struct err
read_choices(struct reader *r, const struct json *doc, const char *inside)
{
	uint32_t choices = json_get(doc, 0, "choices");
	uint64_t position = 0;

	if (choices == JSON_NONE || json_type(doc, choices) != JSON_ARRAY)
		return FAIL(MALFORMED, "opengradient.md 4.4: choices is no array");
	for (uint32_t c = json_first(doc, choices); c != JSON_NONE;
	     c = json_after(doc, choices, c), position++) {
		uint32_t index;
		uint64_t v = position;

		if (json_type(doc, c) != JSON_OBJECT)
			return FAIL(MALFORMED, "opengradient.md 4.4: a choice that is no object");
		index = json_get(doc, c, "index");
		if (index != JSON_NONE && !json_u64(doc, index, UINT64_MAX, &v))
			return FAIL(
			    MALFORMED, "opengradient.md 4.4: a choice's index is no integer");
		if (v == 0)
			TRY(read_choice(r, doc, c, inside));
	}
	return OK;
}

static struct err
check_root(struct reader *r, const struct json *doc)
{
	uint32_t error;

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.4: an answer is an object");
	TRY(check_unique(r, doc, 0));
	error = json_get(doc, 0, "error");
	if (error != JSON_NONE && json_type(doc, error) != JSON_NULL)
		return FAIL(REFUSED, "interfaces.md E1: the answer is an error");
	return OK;
}

static struct err
read_body(struct reader *r, struct span text)
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, text, JSON_MAX_NODES));
	e = check_root(r, &doc);
	if (!failed(e))
		e = read_fields(r, &doc);
	if (!failed(e))
		e = read_choices(r, &doc, "message");
	json_fini(&doc);
	return e;
}

static struct err
read_event(struct reader *r, struct span data)
{
	struct json doc;
	struct err e;

	if (r->done)
		return FAIL(MALFORMED, "interfaces.md S2: an event after [DONE]");
	if (span_eq(data, SPAN_LIT("[DONE]"))) {
		r->done = true;
		return r->final ? OK : FAIL(REFUSED, "interfaces.md S2: no final event");
	}
	if (r->final)
		return FAIL(MALFORMED, "interfaces.md S2: an event after the final one");
	arena_fini(&r->arena); /* what the last event needed */
	TRY(json_parse(&doc, data, JSON_MAX_NODES));
	e = check_root(r, &doc);
	if (!failed(e))
		e = read_choices(r, &doc, "delta");
	if (!failed(e) && json_get(&doc, 0, "tee_request_hash") != JSON_NONE)
		e = read_fields(r, &doc);
	json_fini(&doc);
	return e;
}

static struct err
read_stream(struct reader *r, struct span in)
{
	struct span event = SPAN_NONE;
	struct sse sse;
	struct err e = OK;

	sse_init(&sse, SSE_EVENT_MAX_BYTES);
	while (!failed(e)) {
		e = sse_next(&sse, &in, &event);
		if (failed(e) || event.p == NULL)
			break;
		e = read_event(r, event);
	}
	if (!failed(e))
		e = sse_end(&sse, &event);
	if (!failed(e) && event.p != NULL)
		e = FAIL(REFUSED, "interfaces.md S2: the stream ended inside an event");
	if (!failed(e) && !r->final)
		e = FAIL(REFUSED, "interfaces.md S2: the stream ended without its final event");
	if (!failed(e) && !r->done)
		e = FAIL(REFUSED, "interfaces.md S2: the stream ended without [DONE]");
	sse_fini(&sse);
	return e;
}

struct err
legacy_read(struct span response, struct legacy_fields *f, uint8_t delivered[static KECCAK_LEN])
{
	struct reader r = { .fields = f };
	struct err e;

	*f = (struct legacy_fields){ 0 };
	output_init(&r.out);
	arena_init(&r.arena, REQUEST_ARENA_BYTES + ARENA_EXTRA_BYTES + 2 * response.n);
	if (span_starts(response, SPAN_LIT("data:")) || span_starts(response, SPAN_LIT(":")) ||
	    span_starts(response, SPAN_LIT("event:")))
		e = read_stream(&r, response);
	else
		e = read_body(&r, response);
	if (!failed(e))
		e = output_hash(&r.out, r.tool_calls, delivered);
	if (failed(e))
		wipe(f, sizeof(*f));
	arena_fini(&r.arena);
	output_fini(&r.out);
	return e;
}
