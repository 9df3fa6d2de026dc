#include "receipt/legacy.h"

#include <stdlib.h>
#include <string.h>

#include "core/wipe.h"

enum {
	CALLS_MAX = 128,	    /* OpenAI allows no more tools in a request */
	CALLS_MAX_BYTES = 16 << 20, /* as much as one event may bring */
	REPLACEMENT = 0xfffd,
};

/* One tool call; the texts are string bytes as received (json_inner()). */
struct output_call {
	uint64_t index;
	struct buf id, type, name, arguments;
};

void
output_init(struct output *o)
{
	*o = (struct output){ 0 };
	keccak_init(&o->text);
}

void
output_fini(struct output *o)
{
	for (uint32_t i = 0; i < o->n_calls; i++) {
		buf_fini(&o->call[i].id);
		buf_fini(&o->call[i].type);
		buf_fini(&o->call[i].name);
		buf_fini(&o->call[i].arguments);
	}
	free(o->call);
	wipe(o, sizeof(*o));
}

static void
absorb(struct output *o, struct span utf8)
{
	keccak_update(&o->text, utf8);
	o->text_bytes += utf8.n;
}

static void
absorb_point(struct output *o, uint32_t cp)
{
	uint8_t utf8[4];

	absorb(o, span_of(utf8, json_utf8(cp, utf8)));
}

/* A high surrogate stays alone: the client's encoder replaces it. */
static void
end_pair(struct output *o)
{
	if (o->high != 0)
		absorb_point(o, REPLACEMENT);
	o->high = 0;
}

void
output_text(struct output *o, struct span inner)
{
	struct json_points it = { inner, 0 };
	uint32_t cp;

	while (it.at < inner.n) {
		const uint8_t *rest = inner.p + it.at;
		const uint8_t *escape = memchr(rest, '\\', inner.n - it.at);
		size_t plain = escape == NULL ? inner.n - it.at : (size_t)(escape - rest);

		if (plain > 0) {
			end_pair(o);
			absorb(o, span_of(rest, plain));
			it.at += plain;
			continue;
		}
		(void)json_point(&it, &cp);
		if (cp >= 0xdc00 && cp <= 0xdfff && o->high != 0) {
			absorb_point(o, 0x10000 + ((o->high - 0xd800) << 10) + (cp - 0xdc00));
			o->high = 0;
			continue;
		}
		end_pair(o);
		if (cp >= 0xd800 && cp <= 0xdbff)
			o->high = cp;
		else
			absorb_point(o, cp >= 0xdc00 && cp <= 0xdfff ? REPLACEMENT : cp);
	}
}

/* The call of this index, which may be a new one. */
static struct err
call_at(struct output *o, uint64_t index, struct output_call **out)
{
	struct output_call *call;
	uint32_t place = 0;

	/* Sorted by index; calls arrive in order, so the search from the end is short. */
	for (place = o->n_calls; place > 0 && o->call[place - 1].index > index; place--)
		;
	if (place > 0 && o->call[place - 1].index == index) {
		*out = &o->call[place - 1];
		return OK;
	}
	if (o->n_calls == CALLS_MAX)
		return FAIL(TOO_LARGE, "legacy: too many tool calls");
	if (o->call == NULL && (o->call = calloc(CALLS_MAX, sizeof(*o->call))) == NULL)
		return FAIL(NOMEM, "legacy: tool calls");
	call = &o->call[place];
	memmove(call + 1, call, (o->n_calls - place) * sizeof(*call));
	o->n_calls++;
	*call = (struct output_call){ .index = index };
	buf_init(&call->id, CALLS_MAX_BYTES);
	buf_init(&call->type, CALLS_MAX_BYTES);
	buf_init(&call->name, CALLS_MAX_BYTES);
	buf_init(&call->arguments, CALLS_MAX_BYTES);
	*out = call;
	return OK;
}

/* Member `name` of the object at `at`: a string with something in it, or nothing. */
static struct err
member_text(const struct json *doc, uint32_t at, const char *name, struct span *inner)
{
	uint32_t value = json_get(doc, at, name);

	*inner = SPAN_NONE;
	if (value == JSON_NONE || json_type(doc, value) == JSON_NULL)
		return OK;
	if (json_type(doc, value) != JSON_STRING)
		return FAIL(MALFORMED, "opengradient.md 4.3: a tool call's member is no string");
	*inner = json_inner(doc, value);
	return OK;
}

static struct err
keep(struct output *o, struct buf *b, struct span inner)
{
	if (inner.n > CALLS_MAX_BYTES - o->kept_bytes)
		return FAIL(TOO_LARGE, "legacy: tool calls above 16 MiB");
	o->kept_bytes += inner.n;
	buf_put(b, inner);
	return failed(buf_check(b)) ? FAIL(NOMEM, "legacy: tool call") : OK;
}

static struct err
replace(struct output *o, struct buf *b, struct span inner)
{
	o->kept_bytes -= b->n;
	buf_clear(b);
	return keep(o, b, inner);
}

/* A later id, type or name replaces the earlier one; an empty one says nothing. */
static struct err
set_text(struct output *o, struct buf *b, const struct json *doc, uint32_t at, const char *name)
{
	struct span inner;

	TRY(member_text(doc, at, name, &inner));
	return inner.n == 0 ? OK : replace(o, b, inner);
}

static uint64_t
utf8_bytes(struct span inner)
{
	struct json_points it = { inner, 0 };
	uint64_t sum = 0;
	uint8_t utf8[4];
	uint32_t cp;

	while (json_point(&it, &cp))
		sum += json_utf8(cp, utf8);
	return sum;
}

static struct err
merge_call(struct output *o, const struct json *doc, uint32_t at, uint64_t position)
{
	struct output_call *call;
	struct span inner;
	uint64_t index = position;
	uint32_t given, function;

	if (json_type(doc, at) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.3: a tool call that is no object");
	given = json_get(doc, at, "index");
	if (given != JSON_NONE && json_type(doc, given) != JSON_NULL &&
	    !json_u64(doc, given, UINT64_MAX, &index))
		return FAIL(MALFORMED, "opengradient.md 4.5: a tool call's index is no integer");
	function = json_get(doc, at, "function");
	if (function != JSON_NONE && json_type(doc, function) != JSON_NULL &&
	    json_type(doc, function) != JSON_OBJECT)
		return FAIL(MALFORMED, "opengradient.md 4.3: a tool call's function is no object");
	TRY(call_at(o, index, &call));
	TRY(set_text(o, &call->id, doc, at, "id"));
	TRY(set_text(o, &call->type, doc, at, "type"));
	TRY(set_text(o, &call->name, doc, function, "name"));
	TRY(member_text(doc, function, "arguments", &inner));
	o->call_bytes += utf8_bytes(inner);
	return keep(o, &call->arguments, inner);
}

struct err
output_tool_calls(struct output *o, const struct json *doc, uint32_t at)
{
	uint64_t position = 0;

	if (at == JSON_NONE || json_type(doc, at) == JSON_NULL)
		return OK;
	if (json_type(doc, at) != JSON_ARRAY)
		return FAIL(MALFORMED, "opengradient.md 4.3: tool_calls is no array");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		TRY(merge_call(o, doc, c, position++));
	return OK;
}

struct err
output_call_part(
    struct output *o, uint64_t index, struct span id, struct span name, struct span arguments)
{
	struct output_call *call;

	TRY(call_at(o, index, &call));
	if (id.n > 0)
		TRY(replace(o, &call->id, id));
	if (name.n > 0)
		TRY(replace(o, &call->name, name));
	o->call_bytes += utf8_bytes(arguments);
	return keep(o, &call->arguments, arguments);
}

/* The list as json.dumps(calls, sort_keys=True) prints it. */
static void
put_calls(struct buf *b, const struct output *o)
{
	for (uint32_t i = 0; i < o->n_calls; i++) {
		const struct output_call *call = &o->call[i];
		struct span type = call->type.n > 0 ? buf_span(&call->type) : SPAN_LIT("function");

		buf_put_str(b, i == 0 ? "[" : ", ");
		buf_put_str(b, "{\"function\": {\"arguments\": ");
		json_put_ascii(b, buf_span(&call->arguments));
		buf_put_str(b, ", \"name\": ");
		json_put_ascii(b, buf_span(&call->name));
		buf_put_str(b, "}, \"id\": ");
		json_put_ascii(b, buf_span(&call->id));
		buf_put_str(b, ", \"type\": ");
		json_put_ascii(b, type);
		buf_put_byte(b, '}');
	}
	buf_put_byte(b, ']');
}

struct err
output_hash(struct output *o, bool finish_is_tool_calls, uint8_t out[static KECCAK_LEN])
{
	struct buf list;
	struct err e;

	if (!finish_is_tool_calls || o->n_calls == 0) {
		end_pair(o);
		keccak_final(&o->text, out);
		return OK;
	}
	/* Six bytes an ASCII escape, and the punctuation of at most 128 calls. */
	buf_init(&list, 6 * (size_t)CALLS_MAX_BYTES + 128 * (size_t)CALLS_MAX);
	put_calls(&list, o);
	e = failed(buf_check(&list)) ? FAIL(NOMEM, "legacy: list of tool calls") : OK;
	if (!failed(e))
		keccak_256(buf_span(&list), out);
	buf_fini(&list);
	return e;
}

/* A uint256. */
static void
absorb_number(struct keccak *k, uint64_t v)
{
	uint8_t number[32] = { 0 };

	for (int i = 0; i < 8; i++)
		number[31 - i] = (uint8_t)(v >> (8 * i));
	keccak_update(k, span_of(number, sizeof(number)));
}

void
legacy_message(const uint8_t request_hash[static KECCAK_LEN],
    const uint8_t output_hash[static KECCAK_LEN], uint64_t timestamp_unix_s,
    uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	keccak_init(&k);
	keccak_update(&k, span_of(request_hash, KECCAK_LEN));
	keccak_update(&k, span_of(output_hash, KECCAK_LEN));
	absorb_number(&k, timestamp_unix_s);
	keccak_final(&k, out);
}

void
legacy_heartbeat(const uint8_t tee_id[static KECCAK_LEN], uint64_t timestamp_unix_s,
    uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	keccak_init(&k);
	keccak_update(&k, span_of(tee_id, KECCAK_LEN));
	absorb_number(&k, timestamp_unix_s);
	keccak_final(&k, out);
}

void
legacy_tee_id(struct span spki_der, char out[static TEE_ID_LEN])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t hash[KECCAK_LEN];

	keccak_256(spki_der, hash);
	out[0] = '0';
	out[1] = 'x';
	for (size_t i = 0; i < KECCAK_LEN; i++) {
		out[2 + 2 * i] = digits[hash[i] >> 4];
		out[3 + 2 * i] = digits[hash[i] & 15];
	}
}
