#include "enclave/item.h"

#include <cbor.h>

enum { ITEM_HEAD_MAX_BYTES = 9, BREAK_BYTE = 0xff };

/* --- reading: libcbor calls one of these for the head it found --- */

static void
on_u8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .number = v };
}

static void
on_u16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .number = v };
}

static void
on_u32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .number = v };
}

static void
on_u64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .number = v };
}

static void
on_n8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_NEGATIVE, .number = v };
}

static void
on_n16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_NEGATIVE, .number = v };
}

static void
on_n32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_NEGATIVE, .number = v };
}

static void
on_n64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_NEGATIVE, .number = v };
}

static void
on_bytes(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_BYTES, .bytes = span_of(p, n) };
}

static void
on_text(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_TEXT, .bytes = span_of(p, n) };
}

/* A string in pieces: the kind stays 0, which is refused. */
static void
on_pieces(void *ctx)
{
	*(struct item *)ctx = (struct item){ 0 };
}

static void
on_array(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_ARRAY, .number = n };
}

static void
on_open_array(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_ARRAY, .indefinite = true };
}

static void
on_map(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_MAP, .number = n };
}

static void
on_open_map(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_MAP, .indefinite = true };
}

static void
on_tag(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_TAG, .number = v };
}

static void
on_float(void *ctx, float v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER };
}

static void
on_double(void *ctx, double v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER };
}

static void
on_undefined(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER };
}

static void
on_null(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_NULL };
}

static void
on_bool(void *ctx, bool v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_BOOL, .number = v };
}

static void
on_break(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_BREAK };
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_u8,
	.uint16 = on_u16,
	.uint32 = on_u32,
	.uint64 = on_u64,
	.negint8 = on_n8,
	.negint16 = on_n16,
	.negint32 = on_n32,
	.negint64 = on_n64,
	.byte_string = on_bytes,
	.byte_string_start = on_pieces,
	.string = on_text,
	.string_start = on_pieces,
	.array_start = on_array,
	.indef_array_start = on_open_array,
	.map_start = on_map,
	.indef_map_start = on_open_map,
	.tag = on_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_undefined,
	.null = on_null,
	.boolean = on_bool,
	.indef_break = on_break,
};

struct err
item_next(struct span *s, struct item *it)
{
	struct cbor_decoder_result r;

	*it = (struct item){ 0 };
	if (s->n == 0)
		return FAIL(MALFORMED, "RFC 8949: the item is cut short");
	r = cbor_stream_decode(s->p, s->n, &callbacks, it);
	if (r.status != CBOR_DECODER_FINISHED || r.read == 0 || r.read > s->n)
		return FAIL(MALFORMED, "RFC 8949: no data item");
	if (it->kind == 0)
		return FAIL(MALFORMED, "RFC 8949: a string of indefinite length");
	*s = span_cut(*s, r.read, s->n);
	return OK;
}

struct err
item_want(struct span *s, enum item_kind kind, struct item *it)
{
	TRY(item_next(s, it));
	return it->kind == kind ? OK : FAIL(MALFORMED, "RFC 8949: an item of another type");
}

void
item_walk_init(struct item_walk *w, const struct item *container)
{
	*w = (struct item_walk){ .indefinite = container->indefinite, .left = container->number };
}

struct err
item_walk_next(struct item_walk *w, struct span *s, bool *more)
{
	if (!w->indefinite) {
		*more = w->left > 0;
		w->left -= *more;
		return OK;
	}
	if (s->n == 0)
		return FAIL(MALFORMED, "RFC 8949: a container without its break");
	/* A break is looked for where an item begins, never inside one. */
	if ((*more = s->p[0] != BREAK_BYTE) == false)
		*s = span_cut(*s, 1, s->n);
	return OK;
}

/* One value's head; a container's walk is left for the caller. */
static struct err
skip_head(struct span *s, struct item *it)
{
	do
		TRY(item_next(s, it));
	while (it->kind == ITEM_TAG);
	return it->kind == ITEM_BREAK ? FAIL(MALFORMED, "RFC 8949: a break in the open") : OK;
}

struct err
item_skip(struct span *s)
{
	struct item_walk open[ITEM_MAX_DEPTH];
	bool pairs[ITEM_MAX_DEPTH], more;
	struct item it;
	int depth = 0;

	TRY(skip_head(s, &it));
	for (;;) {
		if (it.kind == ITEM_ARRAY || it.kind == ITEM_MAP) {
			if (depth == ITEM_MAX_DEPTH)
				return FAIL(MALFORMED, "CBOR: too deep");
			pairs[depth] = it.kind == ITEM_MAP;
			item_walk_init(&open[depth++], &it);
		}
		for (more = false; depth > 0 && !more; depth -= !more)
			TRY(item_walk_next(&open[depth - 1], s, &more));
		if (!more)
			return OK;
		/* Names of maps are plain values here: texts and numbers. */
		if (pairs[depth - 1]) {
			TRY(item_next(s, &it));
			if (it.kind != ITEM_TEXT && it.kind != ITEM_UINT &&
			    it.kind != ITEM_NEGATIVE && it.kind != ITEM_BYTES)
				return FAIL(MALFORMED, "CBOR: a name that is no text or number");
		}
		TRY(skip_head(s, &it));
	}
}

/* --- writing --- */

static void
put_head(struct buf *b, const unsigned char *head, size_t n)
{
	if (n == 0)
		b->over = true;
	else
		buf_put(b, span_of(head, n));
}

#define PUT(b, call)                                       \
	do {                                               \
		unsigned char head[ITEM_HEAD_MAX_BYTES];   \
		size_t room = sizeof(head), used = (call); \
		put_head((b), head, used);                 \
	} while (0)

void
item_put_uint(struct buf *b, uint64_t v)
{
	PUT(b, cbor_encode_uint(v, head, room));
}

void
item_put_negative(struct buf *b, uint64_t n)
{
	PUT(b, cbor_encode_negint(n, head, room));
}

void
item_put_bytes(struct buf *b, struct span s)
{
	PUT(b, cbor_encode_bytestring_start(s.n, head, room));
	buf_put(b, s);
}

void
item_put_text(struct buf *b, const char *s)
{
	PUT(b, cbor_encode_string_start(strlen(s), head, room));
	buf_put_str(b, s);
}

void
item_put_array(struct buf *b, size_t items)
{
	PUT(b, cbor_encode_array_start(items, head, room));
}

void
item_put_map(struct buf *b, size_t pairs)
{
	PUT(b, cbor_encode_map_start(pairs, head, room));
}

void
item_put_open_map(struct buf *b)
{
	PUT(b, cbor_encode_indef_map_start(head, room));
}

void
item_put_break(struct buf *b)
{
	PUT(b, cbor_encode_break(head, room));
}

void
item_put_bool(struct buf *b, bool v)
{
	PUT(b, cbor_encode_bool(v, head, room));
}

void
item_put_null(struct buf *b)
{
	PUT(b, cbor_encode_null(head, room));
}

void
item_put_bytes_or_null(struct buf *b, struct span s)
{
	if (s.p == NULL)
		item_put_null(b);
	else
		item_put_bytes(b, s);
}
