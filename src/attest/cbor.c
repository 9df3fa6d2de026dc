#include "attest/cbor.h"

#include <assert.h>

enum { AI_BYTE = 24, AI_EIGHT = 27, AI_INDEFINITE = 31, FIRST_SIMPLE_BYTE = 32 };

static struct span
take(struct span *at, size_t n)
{
	struct span taken = span_cut(*at, 0, n);

	*at = span_cut(*at, n, at->n);
	return taken;
}

/* The argument of additional information 24 to 27: one, two, four or eight bytes, big endian. */
static struct err
read_argument(struct span *at, unsigned ai, uint64_t *value)
{
	size_t n = (size_t)1 << (ai - AI_BYTE);
	struct span bytes;

	if (n > at->n)
		return FAIL(MALFORMED, "cbor-truncated: RFC 8949 3: an argument is cut");
	bytes = take(at, n);
	*value = 0;
	for (size_t i = 0; i < n; i++)
		*value = *value << 8 | bytes.p[i];
	return OK;
}

static struct err
check_indefinite(enum cbor_major major)
{
	switch (major) {
	case CBOR_BYTES:
	case CBOR_TEXT:
		return FAIL(MALFORMED,
		    "cbor-indefinite-string: nitro-attestation.md 3.3: a string of indefinite "
		    "length");
	case CBOR_ARRAY:
	case CBOR_MAP:
	case CBOR_SIMPLE: /* the break */
		return OK;
	default:
		return FAIL(MALFORMED, "cbor-reserved-ai: RFC 8949 3.2: no such indefinite length");
	}
}

/* What a length or count claims must fit into the bytes at hand. */
static struct err
check_claim(struct span *at, struct cbor_item *item)
{
	uint64_t room = item->major == CBOR_MAP ? at->n / 2 : at->n;

	if (item->major < CBOR_BYTES || item->major > CBOR_MAP || item->indefinite)
		return OK;
	if (item->value > room)
		return FAIL(MALFORMED, "cbor-truncated: RFC 8949 3: more is claimed than follows");
	if (item->major == CBOR_BYTES || item->major == CBOR_TEXT)
		item->bytes = take(at, (size_t)item->value);
	return OK;
}

struct err
cbor_next(struct span *at, struct cbor_item *item)
{
	unsigned ai;

	*item = (struct cbor_item){ 0 };
	if (at->n == 0)
		return FAIL(MALFORMED, "cbor-truncated: RFC 8949 3: an item is missing");
	item->major = (enum cbor_major)(at->p[0] >> 5);
	ai = at->p[0] & 0x1f;
	take(at, 1);
	item->value = ai;
	if (ai > AI_EIGHT && ai < AI_INDEFINITE)
		return FAIL(
		    MALFORMED, "cbor-reserved-ai: RFC 8949 3: additional information 28 to 30");
	if (ai == AI_INDEFINITE) {
		TRY(check_indefinite(item->major));
		item->indefinite = true;
	} else if (ai >= AI_BYTE) {
		TRY(read_argument(at, ai, &item->value));
	}
	if (item->major == CBOR_SIMPLE && ai == AI_BYTE && item->value < FIRST_SIMPLE_BYTE)
		return FAIL(
		    MALFORMED, "cbor-reserved-ai: RFC 8949 3.3: a simple value in two bytes");
	return check_claim(at, item);
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool
is_utf8(struct span s)
{
	for (size_t i = 0; i < s.n;) {
		uint8_t c = s.p[i++];
		unsigned more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		uint32_t cp = c, least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;

		if (more == 0)
			continue;
		if (c < 0xc2 || c > 0xf4 || more > s.n - i)
			return false;
		cp &= 0x3fu >> more;
		for (unsigned k = 0; k < more; k++, i++) {
			if ((s.p[i] & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | (s.p[i] & 0x3f);
		}
		if (cp < least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
			return false;
	}
	return true;
}

static bool
is_break(const struct cbor_item *item)
{
	return item->major == CBOR_SIMPLE && item->indefinite;
}

/* Keys that were already read lie between `from` and `to`, each with its value. */
static struct err
check_new_key(struct span from, size_t n_before, const struct cbor_item *key)
{
	struct cbor_item other, value;

	for (size_t i = 0; i < n_before; i++) {
		TRY(cbor_next(&from, &other));
		if (other.major == key->major && other.value == key->value &&
		    span_eq(other.bytes, key->bytes))
			return FAIL(MALFORMED,
			    "cbor-duplicate-key: nitro-attestation.md 3.3: a map has two equal "
			    "keys");
		TRY(cbor_next(&from, &value));
		cbor_pass(&from, &value);
	}
	return OK;
}

static struct err check_item(struct span *at, struct cbor_item *item, unsigned depth);

static struct err
check_children(struct span *at, const struct cbor_item *head, unsigned depth)
{
	bool map = head->major == CBOR_MAP;
	struct span first = *at;
	struct cbor_item item;

	if (depth > CBOR_MAX_DEPTH)
		return FAIL(
		    MALFORMED, "cbor-depth: nitro-attestation.md 3.3: nested deeper than 8");
	for (uint64_t i = 0; head->indefinite || i < head->value; i++) {
		if (head->indefinite && at->n > 0 && at->p[0] == 0xff) {
			take(at, 1);
			return OK;
		}
		if (map && i == CBOR_MAX_PAIRS)
			return FAIL(TOO_LARGE, "cbor-count: a map of more than 256 pairs");
		TRY(check_item(at, &item, depth));
		if (!map)
			continue;
		if (item.major > CBOR_TEXT)
			return FAIL(MALFORMED, "cbor-key: a key is no integer and no string");
		TRY(check_new_key(first, (size_t)i, &item));
		TRY(check_item(at, &item, depth));
	}
	return OK;
}

/* Recursion is bounded: check_children() refuses before it goes below CBOR_MAX_DEPTH. */
static struct err
check_item(struct span *at, struct cbor_item *item, unsigned depth)
{
	TRY(cbor_next(at, item));
	if (is_break(item))
		return FAIL(MALFORMED, "cbor-break: RFC 8949 3.2.1: a break with nothing to end");
	if (item->major == CBOR_TAG)
		return FAIL(MALFORMED, "cbor-tag: nitro-attestation.md 3.3: a tag inside");
	if (item->major == CBOR_TEXT && !is_utf8(item->bytes))
		return FAIL(MALFORMED, "cbor-utf8: RFC 8949 3.1: a text is not UTF-8");
	if (item->major == CBOR_ARRAY || item->major == CBOR_MAP)
		return check_children(at, item, depth + 1);
	return OK;
}

struct err
cbor_check(struct span *at)
{
	struct cbor_item item;

	return check_item(at, &item, 0);
}

struct cbor_children
cbor_children(const struct cbor_item *head, struct span at)
{
	return (struct cbor_children){ .at = at,
		.left = head->major == CBOR_MAP ? 2 * head->value : head->value,
		.indefinite = head->indefinite };
}

bool
cbor_child(struct cbor_children *c, struct cbor_item *item)
{
	if (!c->indefinite && c->left-- == 0)
		return false;
	/* The bytes were checked; were they not, the walk ends here. */
	return !failed(cbor_next(&c->at, item)) && !is_break(item);
}

void
cbor_pass(struct span *at, const struct cbor_item *item)
{
	/* Items still to come of each open container; UINT64_MAX: up to its break. */
	uint64_t left[CBOR_MAX_DEPTH + 1];
	struct cbor_item next = *item;
	unsigned depth = 0;

	for (;;) {
		if (next.major == CBOR_ARRAY || next.major == CBOR_MAP) {
			assert(depth <= CBOR_MAX_DEPTH);
			left[depth++] = next.indefinite ? UINT64_MAX
			    : next.major == CBOR_MAP	? 2 * next.value
							: next.value;
		} else if (is_break(&next) && depth > 0) {
			depth--;
		}
		while (depth > 0 && left[depth - 1] == 0)
			depth--;
		if (depth == 0)
			return;
		if (left[depth - 1] != UINT64_MAX)
			left[depth - 1]--;
		if (failed(cbor_next(at, &next)))
			return;
	}
}

bool
cbor_is_text(const struct cbor_item *item, const char *text)
{
	return item->major == CBOR_TEXT && span_eq(item->bytes, span_str(text));
}
