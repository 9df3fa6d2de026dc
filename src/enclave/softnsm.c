#include "enclave/softnsm.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "codec/hex.h"
#include "crypto/rng.h"
#include "enclave/item.h"
#include "enclave/softchain.h"

/* PCR 0 to 15 are the hypervisor's: locked from the start. */
enum { PCRS_OF_IMAGE = 16, MODULE_ID_MAX = 64 };
enum { ALG_ES384_NEGATIVE = 34 }; /* -1 - 34 = -35 */
enum { PAYLOAD_MAX_BYTES = NSM_ANSWER_MAX_BYTES };

struct soft_nsm {
	struct soft_chain *chain;
	uint64_t (*clock_ms)(void);
	char module_id[MODULE_ID_MAX];
	uint8_t pcr[NSM_PCRS][NSM_PCR_LEN];
	uint32_t locked;
};

static struct err
sha384(struct span a, struct span b, uint8_t out[static NSM_PCR_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, a.p, a.n) == 1 && EVP_DigestUpdate(ctx, b.p, b.n) == 1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? OK : FAIL(SYSTEM, "software module: SHA-384");
}

/* --- documents --- */

/* Names in the order that was always seen; the map is open, the inner ones are not (2.2). */
static void
put_payload(const struct soft_nsm *s, const struct nsm_request *r, uint64_t now_ms, struct buf *b)
{
	unsigned locked = 0;

	for (unsigned i = 0; i < NSM_PCRS; i++)
		locked += s->locked >> i & 1;
	item_put_open_map(b);
	item_put_text(b, "module_id");
	item_put_text(b, s->module_id);
	item_put_text(b, "digest");
	item_put_text(b, "SHA384");
	item_put_text(b, "timestamp");
	item_put_uint(b, now_ms);
	item_put_text(b, "pcrs");
	item_put_map(b, locked);
	for (unsigned i = 0; i < NSM_PCRS; i++)
		if (s->locked >> i & 1) {
			item_put_uint(b, i);
			item_put_bytes(b, span_of(s->pcr[i], NSM_PCR_LEN));
		}
	item_put_text(b, "certificate");
	item_put_bytes(b, soft_chain_get(s->chain, SOFT_LEVELS - 1));
	item_put_text(b, "cabundle");
	item_put_array(b, SOFT_LEVELS - 1);
	for (unsigned i = 0; i < SOFT_LEVELS - 1; i++)
		item_put_bytes(b, soft_chain_get(s->chain, i));
	item_put_text(b, "public_key");
	item_put_bytes_or_null(b, r->public_key);
	item_put_text(b, "user_data");
	item_put_bytes_or_null(b, r->user_data);
	item_put_text(b, "nonce");
	item_put_bytes_or_null(b, r->nonce);
	item_put_break(b);
}

static void
put_protected(struct buf *b)
{
	item_put_map(b, 1);
	item_put_uint(b, 1);
	item_put_negative(b, ALG_ES384_NEGATIVE);
}

/* RFC 9052 4.4: what is signed. */
static struct err
sign(const struct soft_nsm *s, struct span header, struct span payload,
    uint8_t signature[static SOFT_SIGNATURE_LEN])
{
	uint8_t digest[NSM_PCR_LEN];
	struct buf tbs;
	struct err e;

	buf_init(&tbs, PAYLOAD_MAX_BYTES + 64);
	item_put_array(&tbs, 4);
	item_put_text(&tbs, "Signature1");
	item_put_bytes(&tbs, header);
	item_put_bytes(&tbs, SPAN_LIT(""));
	item_put_bytes(&tbs, payload);
	if (!failed(e = buf_check(&tbs)) && !failed(e = sha384(buf_span(&tbs), SPAN_NONE, digest)))
		e = soft_chain_sign(s->chain, digest, signature);
	buf_fini(&tbs);
	return e;
}

static struct err
put_document(const struct soft_nsm *s, const struct nsm_request *r, uint64_t now_ms, struct buf *b)
{
	uint8_t signature[SOFT_SIGNATURE_LEN];
	struct buf header, payload;
	struct err e;

	buf_init(&header, 16);
	buf_init(&payload, PAYLOAD_MAX_BYTES);
	put_protected(&header);
	put_payload(s, r, now_ms, &payload);
	if (!failed(e = buf_check(&payload)) &&
	    !failed(e = sign(s, buf_span(&header), buf_span(&payload), signature))) {
		item_put_array(b, 4);
		item_put_bytes(b, buf_span(&header));
		item_put_map(b, 0);
		item_put_bytes(b, buf_span(&payload));
		item_put_bytes(b, span_of(signature, sizeof(signature)));
		e = buf_check(b);
	}
	buf_fini(&header);
	buf_fini(&payload);
	return e;
}

/* --- requests --- */

static void
refuse(struct nsm_answer *a, enum nsm_code code)
{
	*a = (struct nsm_answer){ .type = NSM_ERROR, .code = code };
}

static void
extend(struct soft_nsm *s, const struct nsm_request *r, struct nsm_answer *a)
{
	uint8_t old[NSM_PCR_LEN];

	if (s->locked >> r->index & 1) {
		refuse(a, NSM_CODE_READ_ONLY_INDEX);
		return;
	}
	memcpy(old, s->pcr[r->index], NSM_PCR_LEN);
	if (failed(sha384(span_of(old, NSM_PCR_LEN), r->data, s->pcr[r->index])))
		refuse(a, NSM_CODE_INTERNAL_ERROR);
	else
		a->data = span_of(s->pcr[r->index], NSM_PCR_LEN);
}

static void
lock_range(struct soft_nsm *s, const struct nsm_request *r, struct nsm_answer *a)
{
	if (r->range > NSM_PCRS)
		refuse(a, NSM_CODE_INVALID_INDEX);
	else
		s->locked |= (uint32_t)((UINT64_C(1) << r->range) - 1);
}

static void
lock_one(struct soft_nsm *s, const struct nsm_request *r, struct nsm_answer *a)
{
	if (s->locked >> r->index & 1)
		refuse(a, NSM_CODE_READ_ONLY_INDEX);
	else
		s->locked |= UINT32_C(1) << r->index;
}

static void
describe(const struct soft_nsm *s, struct nsm_answer *a)
{
	a->module.major = 1;
	a->module.max_pcrs = NSM_PCRS;
	a->module.module_id = span_str(s->module_id);
	a->module.digest = SPAN_LIT("SHA384");
	a->module.locked_pcrs = s->locked;
}

static void
attest(struct soft_nsm *s, const struct nsm_request *r, struct buf *room, struct nsm_answer *a)
{
	uint64_t now_ms = s->clock_ms();

	if (r->user_data.n > NSM_USER_DATA_MAX_BYTES || r->nonce.n > NSM_NONCE_MAX_BYTES ||
	    r->public_key.n > NSM_PUBLIC_KEY_MAX_BYTES)
		refuse(a, NSM_CODE_INPUT_TOO_LARGE);
	else if (failed(soft_chain_renew(s->chain, now_ms / 1000)) ||
	    failed(put_document(s, r, now_ms, room)))
		refuse(a, NSM_CODE_INTERNAL_ERROR);
	else
		a->data = buf_span(room);
}

static void
take(struct soft_nsm *s, const struct nsm_request *r, struct buf *room, struct nsm_answer *a)
{
	bool has_index = r->type == NSM_DESCRIBE_PCR || r->type == NSM_EXTEND_PCR ||
	    r->type == NSM_LOCK_PCR;
	uint8_t *random_bytes;

	*a = (struct nsm_answer){ .type = r->type };
	if (has_index && r->index >= NSM_PCRS) {
		refuse(a, NSM_CODE_INVALID_INDEX);
		return;
	}
	switch (r->type) {
	case NSM_DESCRIBE_PCR:
		a->lock = s->locked >> r->index & 1;
		a->data = span_of(s->pcr[r->index], NSM_PCR_LEN);
		break;
	case NSM_EXTEND_PCR:
		extend(s, r, a);
		break;
	case NSM_LOCK_PCR:
		lock_one(s, r, a);
		break;
	case NSM_LOCK_PCRS:
		lock_range(s, r, a);
		break;
	case NSM_DESCRIBE_NSM:
		describe(s, a);
		break;
	case NSM_ATTESTATION:
		attest(s, r, room, a);
		break;
	case NSM_GET_RANDOM:
		if ((random_bytes = buf_grow(room, NSM_RANDOM_MAX_BYTES)) == NULL) {
			refuse(a, NSM_CODE_INTERNAL_ERROR);
			break;
		}
		rng_bytes(random_bytes, NSM_RANDOM_MAX_BYTES);
		a->data = buf_span(room);
		break;
	case NSM_ERROR:
	case NSM_TYPE_COUNT:
		refuse(a, NSM_CODE_INVALID_OPERATION);
		break;
	}
}

static struct err
exchange(void *ctx, struct span request, uint8_t *answer, size_t *n)
{
	struct soft_nsm *s = ctx;
	struct nsm_request r;
	struct nsm_answer a;
	struct buf room, out;
	struct err e;

	if (request.n > NSM_REQUEST_MAX_BYTES)
		return FAIL(TOO_LARGE, "NSM: InputTooLarge");
	buf_init(&room, NSM_ANSWER_MAX_BYTES);
	buf_init(&out, NSM_ANSWER_MAX_BYTES);
	if (failed(nsm_request_parse(&r, request)))
		refuse(&a, NSM_CODE_INVALID_ARGUMENT);
	else
		take(s, &r, &room, &a);
	nsm_answer_put(&out, &a);
	if (!failed(e = buf_check(&out))) {
		memcpy(answer, out.p, out.n);
		*n = out.n;
	}
	buf_fini(&room);
	buf_fini(&out);
	return e;
}

/* --- life --- */

/* "i-<17 hex>-enc<16 hex>" is what real ones have behind the prefix. */
static void
name_module(char out[static MODULE_ID_MAX])
{
	uint8_t raw[17];
	struct buf text;

	rng_bytes(raw, sizeof(raw));
	buf_init(&text, MODULE_ID_MAX);
	hex_put(&text, span_of(raw, sizeof(raw)));
	snprintf(out, MODULE_ID_MAX, "local-simulation-i-%.17s-enc%.16s", (const char *)text.p,
	    (const char *)text.p + 17);
	buf_fini(&text);
}

struct err
soft_nsm_new(struct soft_nsm **out, const struct attest_pcrs *pcrs, uint64_t (*clock_ms)(void))
{
	struct soft_nsm *s;
	struct err e;

	*out = NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return FAIL(SYSTEM, "software module: memory");
	s->clock_ms = clock_ms;
	s->locked = (UINT32_C(1) << PCRS_OF_IMAGE) - 1;
	for (unsigned i = 0; pcrs != NULL && i < PCRS_OF_IMAGE; i++)
		if (pcrs->named >> i & 1)
			memcpy(s->pcr[i], pcrs->value[i], NSM_PCR_LEN);
	name_module(s->module_id);
	if (failed(e = soft_chain_new(&s->chain, s->module_id, clock_ms() / 1000)))
		soft_nsm_free(s);
	else
		*out = s;
	return e;
}

void
soft_nsm_free(struct soft_nsm *s)
{
	if (s == NULL)
		return;
	soft_chain_free(s->chain);
	free(s);
}

struct nsm_port
soft_nsm_port(struct soft_nsm *s)
{
	return (struct nsm_port){ exchange, s };
}

struct span
soft_nsm_get_root(const struct soft_nsm *s)
{
	return soft_chain_get(s->chain, 0);
}
