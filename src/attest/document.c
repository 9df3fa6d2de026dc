#include "attest/document.h"

#include "attest/cbor.h"

enum { N_IMAGE_PCRS = 3 };

/* A byte string of 1 to ATTEST_MEMBER_MAX_BYTES: a certificate. */
static bool
is_certificate(const struct cbor_item *item)
{
	return item->major == CBOR_BYTES && item->bytes.n > 0 &&
	    item->bytes.n <= ATTEST_MEMBER_MAX_BYTES;
}

static struct err
read_module_id(struct attest_document *d, const struct cbor_item *item, struct span children)
{
	if (item->major != CBOR_TEXT || item->bytes.n == 0)
		return FAIL(MALFORMED, "module_id: nitro-attestation.md 2.2: not a text, or empty");
	d->module_id = item->bytes;
	return OK;
}

static struct err
read_digest(struct attest_document *d, const struct cbor_item *item, struct span children)
{
	if (!cbor_is_text(item, "SHA384"))
		return FAIL(REFUSED, "digest: nitro-attestation.md 2.2: not SHA384");
	return OK;
}

static struct err
read_timestamp(struct attest_document *d, const struct cbor_item *item, struct span children)
{
	if (item->major != CBOR_UINT || item->value == 0)
		return FAIL(MALFORMED, "timestamp: nitro-attestation.md 2.2: not above zero");
	d->timestamp_ms = item->value;
	return OK;
}

static struct err
read_pcrs(struct attest_document *d, const struct cbor_item *item, struct span children)
{
	struct cbor_item index, value;
	struct cbor_children pairs;
	unsigned n = 0;

	if (item->major != CBOR_MAP)
		return FAIL(MALFORMED, "pcrs: nitro-attestation.md 2.2: not a map");
	pairs = cbor_children(item, children);
	for (; cbor_child(&pairs, &index) && cbor_child(&pairs, &value); n++) {
		cbor_pass(&pairs.at, &value);
		if (n == PCR_COUNT)
			return FAIL(MALFORMED, "pcrs: nitro-attestation.md 2.2: more than 32");
		if (index.major != CBOR_UINT || index.value >= PCR_COUNT)
			return FAIL(MALFORMED, "pcr-index: nitro-attestation.md 2.2: not 0 to 31");
		if (value.major != CBOR_BYTES || value.bytes.n != PCR_LEN)
			return FAIL(
			    MALFORMED, "pcr-length: nitro-attestation.md 2.2: not 48 bytes");
		d->pcr[index.value] = value.bytes;
	}
	return n > 0 ? OK : FAIL(MALFORMED, "pcrs: nitro-attestation.md 2.2: there is none");
}

static struct err
read_certificate(struct attest_document *d, const struct cbor_item *item, struct span children)
{
	if (!is_certificate(item))
		return FAIL(
		    MALFORMED, "certificate: nitro-attestation.md 2.2: not 1 to 1024 bytes");
	d->certificate = item->bytes;
	return OK;
}

static struct err
read_cabundle(struct attest_document *d, const struct cbor_item *item, struct span children)
{
	struct cbor_children list;
	struct cbor_item one;

	if (item->major != CBOR_ARRAY)
		return FAIL(MALFORMED, "cabundle: nitro-attestation.md 2.2: not an array");
	list = cbor_children(item, children);
	while (cbor_child(&list, &one)) {
		if (!is_certificate(&one))
			return FAIL(MALFORMED,
			    "cabundle: nitro-attestation.md 2.2: an item is not 1 to 1024 bytes");
		if (d->n_cabundle == CABUNDLE_MAX)
			return FAIL(TOO_LARGE, "cabundle: more than 16 certificates");
		d->cabundle[d->n_cabundle++] = one.bytes;
	}
	return d->n_cabundle > 0
	    ? OK
	    : FAIL(MALFORMED, "cabundle: nitro-attestation.md 2.2: no certificate");
}

static bool
read_optional(struct span *out, const struct cbor_item *item)
{
	if (item->major == CBOR_SIMPLE && item->value == CBOR_NULL)
		return true;
	*out = item->bytes;
	return item->major == CBOR_BYTES && item->bytes.n <= ATTEST_MEMBER_MAX_BYTES;
}

#define READ_OPTIONAL(member)                                                               \
	static struct err read_##member(                                                    \
	    struct attest_document *d, const struct cbor_item *item, struct span children)  \
	{                                                                                   \
		return read_optional(&d->member, item)                                      \
		    ? OK                                                                    \
		    : FAIL(MALFORMED,                                                       \
			  #member                                                           \
			  ": nitro-attestation.md 2.3: not null, and not 0 to 1024 bytes"); \
	}
READ_OPTIONAL(public_key)
READ_OPTIONAL(user_data)
READ_OPTIONAL(nonce)

/* Every member that is read. Others are passed over: they are signed, and AWS may add some. */
#define MEMBERS(MEMBER)           \
	MEMBER(module_id, true)   \
	MEMBER(digest, true)      \
	MEMBER(timestamp, true)   \
	MEMBER(pcrs, true)        \
	MEMBER(certificate, true) \
	MEMBER(cabundle, true)    \
	MEMBER(public_key, false) \
	MEMBER(user_data, false)  \
	MEMBER(nonce, false)

static const struct {
	const char *name, *missing; /* missing: NULL when it may be */
	struct err (*read)(struct attest_document *, const struct cbor_item *, struct span);
} members[] = {
#define MEMBER_ROW(name, required)                                                              \
	{ #name,                                                                                \
		(required) ? "missing-" #name ": nitro-attestation.md 2.2: a member is missing" \
			   : NULL,                                                              \
		read_##name },
	MEMBERS(MEMBER_ROW)
#undef MEMBER_ROW
};
enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

/* Row of `members` that has this name; N_MEMBERS when none does. */
static size_t
find_member(const struct cbor_item *name)
{
	size_t i = 0;

	while (i < N_MEMBERS && !cbor_is_text(name, members[i].name))
		i++;
	return i;
}

static struct err
read_members(struct attest_document *d, struct cbor_children *pairs)
{
	bool seen[N_MEMBERS] = { false };
	struct cbor_item name, value;
	struct err e = OK;

	while (!failed(e) && cbor_child(pairs, &name) && cbor_child(pairs, &value)) {
		size_t i = find_member(&name);

		if (i < N_MEMBERS) {
			e = members[i].read(d, &value, pairs->at);
			seen[i] = true;
		}
		cbor_pass(&pairs->at, &value);
	}
	for (size_t i = 0; i < N_MEMBERS && !failed(e); i++)
		if (!seen[i] && members[i].missing != NULL)
			e = (struct err){ ERR_MALFORMED, members[i].missing };
	return e;
}

struct err
attest_document_read(struct attest_document *d, struct span payload)
{
	struct cbor_children pairs;
	struct span rest = payload;
	struct cbor_item map;

	*d = (struct attest_document){ 0 };
	TRY(cbor_check(&rest));
	if (rest.n != 0)
		return FAIL(MALFORMED,
		    "payload-trailing: nitro-attestation.md 3.3: bytes after the payload's map");
	TRY(cbor_next(&payload, &map));
	if (map.major != CBOR_MAP)
		return FAIL(MALFORMED, "payload-type: nitro-attestation.md 2.2: not a map");
	pairs = cbor_children(&map, payload);
	return read_members(d, &pairs);
}

bool
attest_document_debug(const struct attest_document *d)
{
	static const uint8_t zero[PCR_LEN];

	for (int i = 0; i < N_IMAGE_PCRS; i++)
		if (!span_eq(d->pcr[i], span_of(zero, sizeof(zero))))
			return false;
	return true;
}
