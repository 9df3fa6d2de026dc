#include "enclave/nsm_wire.h"

#include "enclave/item.h"

static const char *const type_names[] = {
#define NSM_TYPE_NAME(id, name) name,
	NSM_TYPES(NSM_TYPE_NAME)
#undef NSM_TYPE_NAME
};

static const char *const code_names[] = {
#define NSM_CODE_NAME(id, name) name,
	NSM_CODES(NSM_CODE_NAME)
#undef NSM_CODE_NAME
};

const char *
nsm_code_name(enum nsm_code code)
{
	return code < NSM_CODE_COUNT ? code_names[code] : "?";
}

/* --- the frame that all messages share: a text, or a map of one pair --- */

/* *bare: there are no arguments. Else *s is at the value. */
static struct err
take_type(struct span *s, enum nsm_type *type, bool *bare, struct item_walk *outer)
{
	struct item it;
	bool more;

	TRY(item_next(s, &it));
	if (!(*bare = it.kind == ITEM_TEXT)) {
		if (it.kind != ITEM_MAP)
			return FAIL(MALFORMED, "NSM: a message is a text or a map");
		item_walk_init(outer, &it);
		TRY(item_walk_next(outer, s, &more));
		if (!more)
			return FAIL(MALFORMED, "NSM: a map of nothing");
		TRY(item_want(s, ITEM_TEXT, &it));
	}
	for (*type = 0; *type < NSM_TYPE_COUNT; ++*type)
		if (span_eq(it.bytes, span_str(type_names[*type])))
			return OK;
	return FAIL(MALFORMED, "NSM: a message of a type nobody knows");
}

static struct err
take_end(struct span *s, bool bare, struct item_walk *outer)
{
	bool more = false;

	if (!bare)
		TRY(item_walk_next(outer, s, &more));
	if (more || s->n != 0)
		return FAIL(MALFORMED, "NSM: bytes after a message");
	return OK;
}

/* Where the value of one name goes, and what it may be. */
struct member {
	const char *name;
	enum item_kind kind; /* TEXT, BYTES, BOOL, UINT (up to 65535), or ARRAY of PCR numbers */
	bool nullable;
	bool seen;
	struct span *bytes;
	uint16_t *number;
	bool *flag;
	uint32_t *set;
};

static struct err
take_pcr_set(struct span *s, const struct item *array, uint32_t *set)
{
	struct item_walk w;
	struct item it;
	bool more;

	item_walk_init(&w, array);
	for (;;) {
		TRY(item_walk_next(&w, s, &more));
		if (!more)
			return OK;
		TRY(item_want(s, ITEM_UINT, &it));
		if (it.number >= NSM_PCRS || (*set & UINT32_C(1) << it.number) != 0)
			return FAIL(MALFORMED, "NSM: a PCR number out of range, or twice");
		*set |= UINT32_C(1) << it.number;
	}
}

static struct err
take_value(struct span *s, const struct member *m)
{
	struct item it;

	TRY(item_next(s, &it));
	if (it.kind == ITEM_NULL && m->nullable)
		return OK;
	if (it.kind != m->kind)
		return FAIL(MALFORMED, "NSM: a value of another type");
	if (m->bytes != NULL)
		*m->bytes = it.bytes;
	if (m->number != NULL && it.number > UINT16_MAX)
		return FAIL(MALFORMED, "NSM: a number above 65535");
	if (m->number != NULL)
		*m->number = (uint16_t)it.number;
	if (m->flag != NULL)
		*m->flag = it.number != 0;
	return m->set == NULL ? OK : take_pcr_set(s, &it, m->set);
}

static struct member *
find_member(struct member *m, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_eq(name, span_str(m[i].name)))
			return &m[i];
	return NULL;
}

/* A map that has each of the n members (nullable ones may be missing), and others are passed by. */
static struct err
take_members(struct span *s, struct member *m, size_t n)
{
	struct item_walk w;
	struct member *found;
	struct item it;
	bool more;

	TRY(item_want(s, ITEM_MAP, &it));
	item_walk_init(&w, &it);
	for (;;) {
		TRY(item_walk_next(&w, s, &more));
		if (!more)
			break;
		TRY(item_want(s, ITEM_TEXT, &it));
		if ((found = find_member(m, n, it.bytes)) == NULL) {
			TRY(item_skip(s));
			continue;
		}
		if (found->seen)
			return FAIL(MALFORMED, "NSM: a name twice");
		found->seen = true;
		TRY(take_value(s, found));
	}
	for (size_t i = 0; i < n; i++)
		if (!m[i].seen && !m[i].nullable)
			return FAIL(MALFORMED, "NSM: a name is missing");
	return OK;
}

/* For a type without arguments that came with some: null or anything else is passed by. */
static struct err
take_nothing(struct span *s, bool bare)
{
	return bare ? OK : item_skip(s);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- requests --- */

static void
put_call(struct buf *b, enum nsm_type type, size_t arguments)
{
	item_put_map(b, 1);
	item_put_text(b, type_names[type]);
	item_put_map(b, arguments);
}

void
nsm_request_put(struct buf *b, const struct nsm_request *r)
{
	switch (r->type) {
	case NSM_DESCRIBE_PCR:
	case NSM_LOCK_PCR:
		put_call(b, r->type, 1);
		item_put_text(b, "index");
		item_put_uint(b, r->index);
		break;
	case NSM_EXTEND_PCR:
		put_call(b, r->type, 2);
		item_put_text(b, "index");
		item_put_uint(b, r->index);
		item_put_text(b, "data");
		item_put_bytes(b, r->data);
		break;
	case NSM_LOCK_PCRS:
		put_call(b, r->type, 1);
		item_put_text(b, "range");
		item_put_uint(b, r->range);
		break;
	case NSM_ATTESTATION:
		put_call(b, r->type, 3);
		item_put_text(b, "user_data");
		item_put_bytes_or_null(b, r->user_data);
		item_put_text(b, "nonce");
		item_put_bytes_or_null(b, r->nonce);
		item_put_text(b, "public_key");
		item_put_bytes_or_null(b, r->public_key);
		break;
	case NSM_DESCRIBE_NSM:
	case NSM_GET_RANDOM:
		item_put_text(b, type_names[r->type]);
		break;
	case NSM_ERROR:
	case NSM_TYPE_COUNT:
		b->over = true; /* no request */
		break;
	}
}

static struct err
take_request(struct span *s, struct nsm_request *r, bool bare)
{
	struct member index[] = { { .name = "index", .kind = ITEM_UINT, .number = &r->index } };
	struct member range[] = { { .name = "range", .kind = ITEM_UINT, .number = &r->range } };
	struct member extend[] = {
		{ .name = "index", .kind = ITEM_UINT, .number = &r->index },
		{ .name = "data", .kind = ITEM_BYTES, .bytes = &r->data },
	};
	struct member attest[] = {
		{ .name = "user_data",
		    .kind = ITEM_BYTES,
		    .nullable = true,
		    .bytes = &r->user_data },
		{ .name = "nonce", .kind = ITEM_BYTES, .nullable = true, .bytes = &r->nonce },
		{ .name = "public_key",
		    .kind = ITEM_BYTES,
		    .nullable = true,
		    .bytes = &r->public_key },
	};

	switch (r->type) {
	case NSM_DESCRIBE_NSM:
	case NSM_GET_RANDOM:
		return take_nothing(s, bare);
	case NSM_DESCRIBE_PCR:
	case NSM_LOCK_PCR:
		return take_members(s, index, COUNT(index));
	case NSM_LOCK_PCRS:
		return take_members(s, range, COUNT(range));
	case NSM_EXTEND_PCR:
		return take_members(s, extend, COUNT(extend));
	case NSM_ATTESTATION:
		return take_members(s, attest, COUNT(attest));
	case NSM_ERROR:
	case NSM_TYPE_COUNT:
		break;
	}
	return FAIL(MALFORMED, "NSM: no request");
}

struct err
nsm_request_parse(struct nsm_request *r, struct span message)
{
	struct item_walk outer;
	struct span s = message;
	bool bare;

	*r = (struct nsm_request){ 0 };
	TRY(take_type(&s, &r->type, &bare, &outer));
	TRY(take_request(&s, r, bare));
	return take_end(&s, bare, &outer);
}

/* --- answers --- */

static void
put_text(struct buf *b, struct span s)
{
	char text[128];

	snprintf(text, sizeof(text), "%.*s", (int)s.n, s.p == NULL ? "" : (const char *)s.p);
	item_put_text(b, text);
}

static void
put_module(struct buf *b, const struct nsm_answer *a)
{
	size_t locked = 0;

	put_call(b, NSM_DESCRIBE_NSM, 7);
	item_put_text(b, "version_major");
	item_put_uint(b, a->module.major);
	item_put_text(b, "version_minor");
	item_put_uint(b, a->module.minor);
	item_put_text(b, "version_patch");
	item_put_uint(b, a->module.patch);
	item_put_text(b, "module_id");
	put_text(b, a->module.module_id);
	item_put_text(b, "max_pcrs");
	item_put_uint(b, a->module.max_pcrs);
	item_put_text(b, "locked_pcrs");
	for (unsigned i = 0; i < NSM_PCRS; i++)
		locked += a->module.locked_pcrs >> i & 1;
	item_put_array(b, locked);
	for (unsigned i = 0; i < NSM_PCRS; i++)
		if (a->module.locked_pcrs >> i & 1)
			item_put_uint(b, i);
	item_put_text(b, "digest");
	put_text(b, a->module.digest);
}

void
nsm_answer_put(struct buf *b, const struct nsm_answer *a)
{
	static const char *const names[] = { [NSM_EXTEND_PCR] = "data",
		[NSM_ATTESTATION] = "document",
		[NSM_GET_RANDOM] = "random" };

	switch (a->type) {
	case NSM_DESCRIBE_PCR:
		put_call(b, a->type, 2);
		item_put_text(b, "lock");
		item_put_bool(b, a->lock);
		item_put_text(b, "data");
		item_put_bytes(b, a->data);
		break;
	case NSM_EXTEND_PCR:
	case NSM_ATTESTATION:
	case NSM_GET_RANDOM:
		put_call(b, a->type, 1);
		item_put_text(b, names[a->type]);
		item_put_bytes(b, a->data);
		break;
	case NSM_LOCK_PCR:
	case NSM_LOCK_PCRS:
		item_put_text(b, type_names[a->type]);
		break;
	case NSM_DESCRIBE_NSM:
		put_module(b, a);
		break;
	case NSM_ERROR:
		item_put_map(b, 1);
		item_put_text(b, type_names[a->type]);
		item_put_text(b, nsm_code_name(a->code));
		break;
	case NSM_TYPE_COUNT:
		b->over = true;
		break;
	}
}

static struct err
take_error(struct span *s, struct nsm_answer *a, bool bare)
{
	struct item it;

	if (bare)
		return FAIL(MALFORMED, "NSM: an error without its code");
	TRY(item_want(s, ITEM_TEXT, &it));
	a->code = NSM_CODE_INTERNAL_ERROR;
	for (enum nsm_code c = 0; c < NSM_CODE_COUNT; c++)
		if (span_eq(it.bytes, span_str(code_names[c])))
			a->code = c;
	return OK;
}

static struct err
take_module(struct span *s, struct nsm_answer *a)
{
	struct member m[] = {
		{ .name = "version_major", .kind = ITEM_UINT, .number = &a->module.major },
		{ .name = "version_minor", .kind = ITEM_UINT, .number = &a->module.minor },
		{ .name = "version_patch", .kind = ITEM_UINT, .number = &a->module.patch },
		{ .name = "module_id", .kind = ITEM_TEXT, .bytes = &a->module.module_id },
		{ .name = "max_pcrs", .kind = ITEM_UINT, .number = &a->module.max_pcrs },
		{ .name = "locked_pcrs", .kind = ITEM_ARRAY, .set = &a->module.locked_pcrs },
		{ .name = "digest", .kind = ITEM_TEXT, .bytes = &a->module.digest },
	};

	return take_members(s, m, COUNT(m));
}

static struct err
take_answer(struct span *s, struct nsm_answer *a, bool bare)
{
	struct member pcr[] = {
		{ .name = "lock", .kind = ITEM_BOOL, .flag = &a->lock },
		{ .name = "data", .kind = ITEM_BYTES, .bytes = &a->data },
	};
	struct member data[] = { { .name = "data", .kind = ITEM_BYTES, .bytes = &a->data } };
	struct member document[] = {
		{ .name = "document", .kind = ITEM_BYTES, .bytes = &a->data }
	};
	struct member random_bytes[] = {
		{ .name = "random", .kind = ITEM_BYTES, .bytes = &a->data }
	};

	switch (a->type) {
	case NSM_LOCK_PCR:
	case NSM_LOCK_PCRS:
		return take_nothing(s, bare);
	case NSM_DESCRIBE_PCR:
		return take_members(s, pcr, COUNT(pcr));
	case NSM_EXTEND_PCR:
		return take_members(s, data, COUNT(data));
	case NSM_ATTESTATION:
		return take_members(s, document, COUNT(document));
	case NSM_GET_RANDOM:
		return take_members(s, random_bytes, COUNT(random_bytes));
	case NSM_DESCRIBE_NSM:
		return take_module(s, a);
	case NSM_ERROR:
		return take_error(s, a, bare);
	case NSM_TYPE_COUNT:
		break;
	}
	return FAIL(MALFORMED, "NSM: no answer");
}

struct err
nsm_answer_parse(struct nsm_answer *a, struct span message)
{
	struct item_walk outer;
	struct span s = message;
	bool bare;

	*a = (struct nsm_answer){ 0 };
	TRY(take_type(&s, &a->type, &bare, &outer));
	TRY(take_answer(&s, a, bare));
	return take_end(&s, bare, &outer);
}

/* --- a document --- */

/* The payload of a COSE_Sign1 array, tag 18 or not. */
static struct err
take_payload(struct span *s, struct span *payload)
{
	struct item it;

	TRY(item_next(s, &it));
	if (it.kind == ITEM_TAG && it.number == 18)
		TRY(item_next(s, &it));
	if (it.kind != ITEM_ARRAY || it.indefinite || it.number != 4)
		return FAIL(MALFORMED, "RFC 9052 4.2: not an array of four");
	TRY(item_want(s, ITEM_BYTES, &it));
	TRY(item_skip(s));
	TRY(item_want(s, ITEM_BYTES, &it));
	*payload = it.bytes;
	return OK;
}

struct err
nsm_document_time(struct span document, uint64_t *unix_ms)
{
	struct span s = document, payload;
	struct item_walk w;
	struct item it;
	bool more, found = false;

	TRY(take_payload(&s, &payload));
	TRY(item_want(&payload, ITEM_MAP, &it));
	item_walk_init(&w, &it);
	for (;;) {
		TRY(item_walk_next(&w, &payload, &more));
		if (!more)
			break;
		TRY(item_want(&payload, ITEM_TEXT, &it));
		if (!span_eq(it.bytes, SPAN_LIT("timestamp"))) {
			TRY(item_skip(&payload));
			continue;
		}
		if (found)
			return FAIL(MALFORMED, "NSM: a document with two times");
		TRY(item_want(&payload, ITEM_UINT, &it));
		*unix_ms = it.number;
		found = true;
	}
	return found ? OK : FAIL(MALFORMED, "NSM: a document without a time");
}
