#include "keyholder/proto.h"

#include <string.h>

#include "core/limits.h"
#include "crypto/digest.h"

enum { VERSION = 1, ANSWER = 0x80, HEADER_LEN = 1 + 1 + 8 };
enum { CHAT_LEN = KECCAK_LEN + KECCAK_LEN + 8, HEARTBEAT_LEN = 2 };

/* The number of an error on the wire; err.h may grow without changing it. */
static const enum err_code codes[] = { ERR_OK, ERR_MALFORMED, ERR_TOO_LARGE, ERR_REFUSED, ERR_BUSY,
	ERR_SYSTEM };
enum { CODES = sizeof(codes) / sizeof(codes[0]), CODE_SYSTEM = CODES - 1 };

static void
put_u64(struct buf *b, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_put_byte(b, (uint8_t)(v >> shift));
}

/* The first n bytes of *s, which moves past them; .p is NULL when there are fewer. */
static struct span
take(struct span *s, size_t n)
{
	struct span head;

	if (s->p == NULL || s->n < n) {
		*s = SPAN_NONE;
		return SPAN_NONE;
	}
	head = span_cut(*s, 0, n);
	*s = span_cut(*s, n, s->n);
	return head;
}

static uint64_t
take_number(struct span *s, size_t bytes)
{
	struct span raw = take(s, bytes);
	uint64_t v = 0;

	for (size_t i = 0; i < raw.n; i++)
		v = v << 8 | raw.p[i];
	return v;
}

static void
take_copy(struct span *s, void *out, size_t n)
{
	struct span raw = take(s, n);

	if (raw.n == n)
		memcpy(out, raw.p, n);
}

static void
put_header(struct buf *b, uint8_t type, uint64_t ticket)
{
	buf_put_byte(b, VERSION);
	buf_put_byte(b, type);
	put_u64(b, ticket);
}

/* The type must come with (or without) the mark of an answer. */
static struct err
take_header(struct span *s, uint8_t mark, enum key_type *type, uint64_t *ticket)
{
	uint64_t version = take_number(s, 1);
	uint64_t wire_type = take_number(s, 1);

	*ticket = take_number(s, 8);
	if (s->p == NULL)
		return FAIL(MALFORMED, "key protocol: no header");
	if (version != VERSION)
		return FAIL(MALFORMED, "key protocol: version");
	if (wire_type < (mark | KEY_IDENTITY) || wire_type > (mark | KEY_APP_HASH))
		return FAIL(MALFORMED, "key protocol: type");
	*type = (enum key_type)(wire_type & ~(uint64_t)mark);
	return OK;
}

void
key_request_put(struct buf *b, const struct key_request *r)
{
	put_header(b, (uint8_t)r->type, r->ticket);
	if (r->type == KEY_CHAT) {
		buf_put(b, span_of(r->request_hash, KECCAK_LEN));
		buf_put(b, span_of(r->output_hash, KECCAK_LEN));
		put_u64(b, r->timestamp_unix_s);
	} else if (r->type == KEY_HEARTBEAT) {
		buf_put_byte(b, (uint8_t)(r->buffer_s >> 8));
		buf_put_byte(b, (uint8_t)r->buffer_s);
	} else {
		buf_put(b, r->body);
	}
}

struct err
key_request_parse(struct key_request *r, struct span datagram)
{
	struct span s = datagram;

	*r = (struct key_request){ 0 };
	TRY(take_header(&s, 0, &r->type, &r->ticket));
	switch (r->type) {
	case KEY_IDENTITY:
		if (s.n != 0)
			return FAIL(MALFORMED, "key protocol: identity takes nothing");
		return OK;
	case KEY_PROVISIONED:
		if (s.n != 0)
			return FAIL(MALFORMED, "key protocol: provisioned takes nothing");
		return OK;
	case KEY_OWN:
		if (s.n != 0)
			return FAIL(MALFORMED, "key protocol: own takes nothing");
		return OK;
	case KEY_ATTEST:
		if (s.n == 0 || s.n > ATTEST_NONCE_MAX_BYTES)
			return FAIL(MALFORMED, "key protocol: length of a nonce");
		break;
	case KEY_CHAT:
		if (s.n != CHAT_LEN)
			return FAIL(MALFORMED, "key protocol: length of a chat request");
		take_copy(&s, r->request_hash, KECCAK_LEN);
		take_copy(&s, r->output_hash, KECCAK_LEN);
		r->timestamp_unix_s = take_number(&s, 8);
		return OK;
	case KEY_HEARTBEAT:
		if (s.n != HEARTBEAT_LEN)
			return FAIL(MALFORMED, "key protocol: length of a heartbeat request");
		r->buffer_s = (uint32_t)take_number(&s, HEARTBEAT_LEN);
		if (r->buffer_s > HEARTBEAT_BUFFER_MAX_S)
			return FAIL(MALFORMED, "key protocol: K3: a heartbeat's buffer");
		return OK;
	case KEY_APP_HASH:
		if (s.n != SHA256_LEN)
			return FAIL(MALFORMED, "key protocol: length of a hash");
		break;
	case KEY_RECEIPT:
		if (s.n == 0 || s.n > RECEIPT_MAX_BYTES)
			return FAIL(MALFORMED, "key protocol: length of a receipt");
		break;
	case KEY_UNSEAL:
	case KEY_PROVISION:
		if (s.n == 0 || s.n > PROVISION_MAX_BYTES)
			return FAIL(MALFORMED, "key protocol: length of a provisioning");
		break;
	case KEY_CONFIG:
		if (s.n == 0 || s.n > CONFIG_MAX_BYTES)
			return FAIL(MALFORMED, "key protocol: length of a configuration");
		break;
	}
	r->body = s;
	return OK;
}

static uint8_t
code_to_wire(enum err_code code)
{
	for (uint8_t i = 0; i < CODES; i++)
		if (codes[i] == code)
			return i;
	return CODE_SYSTEM;
}

void
key_answer_put(struct buf *b, const struct key_answer *a)
{
	put_header(b, (uint8_t)(ANSWER | a->type), a->ticket);
	buf_put_byte(b, code_to_wire(a->code));
	if (a->code == ERR_OK)
		buf_put(b, a->body);
}

struct err
key_answer_parse(struct key_answer *a, struct span datagram)
{
	struct span s = datagram;
	uint64_t wire_code;

	*a = (struct key_answer){ 0 };
	TRY(take_header(&s, ANSWER, &a->type, &a->ticket));
	wire_code = take_number(&s, 1);
	if (s.p == NULL || wire_code >= CODES)
		return FAIL(MALFORMED, "key protocol: status");
	a->code = codes[wire_code];
	if ((a->code == ERR_OK) != (s.n > 0) ||
	    (a->code == ERR_OK && a->type == KEY_CHAT && s.n != PSS_SIG_LEN))
		return FAIL(MALFORMED, "key protocol: length of an answer");
	a->body = s;
	return OK;
}

static void
put_part(struct buf *b, struct span part)
{
	buf_put_byte(b, (uint8_t)(part.n >> 8));
	buf_put_byte(b, (uint8_t)part.n);
	buf_put(b, part);
}

static struct span
take_part(struct span *s)
{
	return take(s, (size_t)take_number(s, 2));
}

void
key_facts_put(struct buf *b, const struct key_facts *f)
{
	put_part(b, f->signing_spki);
	put_part(b, f->receipt_spki);
	put_part(b, f->receipt_key_signature);
	put_part(b, f->tls_cert);
	put_part(b, f->tls_key);
	buf_put(b, span_of(f->tee_id, TEE_ID_LEN));
	buf_put(b, span_of(f->wallet_address, ADDRESS_LEN));
}

struct err
key_facts_parse(struct key_facts *f, struct span body)
{
	struct span s = body;

	*f = (struct key_facts){ 0 };
	f->signing_spki = take_part(&s);
	f->receipt_spki = take_part(&s);
	f->receipt_key_signature = take_part(&s);
	f->tls_cert = take_part(&s);
	f->tls_key = take_part(&s);
	take_copy(&s, f->tee_id, TEE_ID_LEN);
	take_copy(&s, f->wallet_address, ADDRESS_LEN);
	if (s.p == NULL || s.n != 0)
		return FAIL(MALFORMED, "key protocol: length of the identity");
	return OK;
}

void
key_heartbeat_put(struct buf *b, const struct key_heartbeat *h)
{
	put_u64(b, h->timestamp_unix_s);
	buf_put(b, span_of(h->signature, PSS_SIG_LEN));
}

struct err
key_heartbeat_parse(struct key_heartbeat *h, struct span body)
{
	struct span s = body;

	*h = (struct key_heartbeat){ 0 };
	h->timestamp_unix_s = take_number(&s, 8);
	take_copy(&s, h->signature, PSS_SIG_LEN);
	if (s.p == NULL || s.n != 0)
		return FAIL(MALFORMED, "key protocol: length of a heartbeat");
	return OK;
}

void
key_provisioned_put(struct buf *b, const struct key_provisioned *p)
{
	buf_put_byte(b, p->open);
	if (p->open) {
		put_part(b, p->seal_spki);
		put_part(b, p->seal_signature);
	}
	buf_put(b, p->bytes);
}

struct err
key_provisioned_parse(struct key_provisioned *p, struct span body)
{
	struct span s = body;
	uint64_t open = take_number(&s, 1);

	*p = (struct key_provisioned){ .open = open == 1 };
	if (p->open) {
		p->seal_spki = take_part(&s);
		p->seal_signature = take_part(&s);
	}
	p->bytes = s;
	if (s.p == NULL || open > 1)
		return FAIL(MALFORMED, "key protocol: what was provisioned");
	return OK;
}

void
key_own_put(struct buf *b, const struct key_own *own)
{
	put_u64(b, own->made_unix_s);
	put_u64(b, (uint64_t)own->clock_offset_ms);
	for (size_t i = 0; i < KEY_OWN_PCRS; i++)
		buf_put(b, span_of(own->pcr[i], KEY_PCR_LEN));
	put_part(b, own->root);
	put_part(b, own->document);
}

struct err
key_own_parse(struct key_own *own, struct span body)
{
	struct span s = body;

	*own = (struct key_own){ 0 };
	own->made_unix_s = take_number(&s, 8);
	own->clock_offset_ms = (int64_t)take_number(&s, 8);
	for (size_t i = 0; i < KEY_OWN_PCRS; i++)
		take_copy(&s, own->pcr[i], KEY_PCR_LEN);
	own->root = take_part(&s);
	own->document = take_part(&s);
	if (s.p == NULL || s.n != 0 || own->document.n == 0)
		return FAIL(MALFORMED, "key protocol: length of our own document");
	return OK;
}
