#include "enclave/nsm.h"

#include "core/wipe.h"

static const char *const refusals[] = {
#define REFUSAL(id, name) "NSM: " name,
	NSM_CODES(REFUSAL)
#undef REFUSAL
};

static struct err
ask(const struct nsm_port *p, const struct nsm_request *r, uint8_t *room, struct nsm_answer *a)
{
	struct buf request;
	struct err e;
	size_t n = 0;

	buf_init(&request, NSM_REQUEST_MAX_BYTES);
	nsm_request_put(&request, r);
	if (failed(buf_check(&request)))
		e = FAIL(TOO_LARGE, "NSM: InputTooLarge");
	else
		e = p->exchange(p->ctx, buf_span(&request), room, &n);
	buf_fini(&request);
	TRY(e);
	if (n > NSM_ANSWER_MAX_BYTES)
		return FAIL(SYSTEM, "NSM: InternalError");
	/* A full buffer would have been cut without a word (nitro-attestation.md 1.1). */
	TRY(nsm_answer_parse(a, span_of(room, n)));
	if (a->type == NSM_ERROR)
		return FAIL(REFUSED, refusals[a->code]);
	if (a->type != r->type)
		return FAIL(MALFORMED, "NSM: InvalidResponse");
	return OK;
}

static struct err
copy_pcr(const struct nsm_answer *a, uint8_t value[static NSM_PCR_LEN])
{
	if (a->data.n != NSM_PCR_LEN)
		return FAIL(MALFORMED, "NSM: a PCR that is no SHA-384");
	memcpy(value, a->data.p, NSM_PCR_LEN);
	return OK;
}

struct err
nsm_describe(const struct nsm_port *p, struct nsm_about *about)
{
	struct nsm_request r = { .type = NSM_DESCRIBE_NSM };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;

	*about = (struct nsm_about){ 0 };
	TRY(ask(p, &r, room, &a));
	if (!span_eq(a.module.digest, SPAN_LIT("SHA384")))
		return FAIL(MALFORMED, "NSM: PCRs of another digest than SHA384");
	if (a.module.module_id.n == 0 || a.module.module_id.n >= sizeof(about->module_id))
		return FAIL(MALFORMED, "NSM: length of module_id");
	memcpy(about->module_id, a.module.module_id.p, a.module.module_id.n);
	about->major = a.module.major;
	about->minor = a.module.minor;
	about->patch = a.module.patch;
	about->max_pcrs = a.module.max_pcrs;
	about->locked_pcrs = a.module.locked_pcrs;
	return OK;
}

struct err
nsm_describe_pcr(const struct nsm_port *p, unsigned index, struct nsm_pcr *pcr)
{
	struct nsm_request r = { .type = NSM_DESCRIBE_PCR, .index = (uint16_t)index };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;

	TRY(ask(p, &r, room, &a));
	pcr->locked = a.lock;
	return copy_pcr(&a, pcr->value);
}

struct err
nsm_extend_pcr(
    const struct nsm_port *p, unsigned index, struct span data, uint8_t value[static NSM_PCR_LEN])
{
	struct nsm_request r = { .type = NSM_EXTEND_PCR, .index = (uint16_t)index, .data = data };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;

	TRY(ask(p, &r, room, &a));
	return copy_pcr(&a, value);
}

struct err
nsm_lock_pcr(const struct nsm_port *p, unsigned index)
{
	struct nsm_request r = { .type = NSM_LOCK_PCR, .index = (uint16_t)index };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;

	return ask(p, &r, room, &a);
}

struct err
nsm_lock_pcrs(const struct nsm_port *p, unsigned range)
{
	struct nsm_request r = { .type = NSM_LOCK_PCRS, .range = (uint16_t)range };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;

	return ask(p, &r, room, &a);
}

struct err
nsm_random(const struct nsm_port *p, uint8_t out[static NSM_RANDOM_MAX_BYTES], size_t *n)
{
	struct nsm_request r = { .type = NSM_GET_RANDOM };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;
	struct err e;

	*n = 0;
	e = ask(p, &r, room, &a);
	if (!failed(e) && (a.data.n == 0 || a.data.n > NSM_RANDOM_MAX_BYTES))
		e = FAIL(MALFORMED, "NSM: no randomness, or too much");
	if (!failed(e)) {
		memcpy(out, a.data.p, a.data.n);
		*n = a.data.n;
	}
	wipe(room, sizeof(room));
	return e;
}

struct err
nsm_attest(const struct nsm_port *p, const struct nsm_claims *claims, struct buf *document)
{
	struct nsm_request r = { .type = NSM_ATTESTATION,
		.user_data = claims->user_data,
		.nonce = claims->nonce,
		.public_key = claims->public_key };
	uint8_t room[NSM_ANSWER_MAX_BYTES];
	struct nsm_answer a;

	if (r.user_data.n > NSM_USER_DATA_MAX_BYTES || r.nonce.n > NSM_NONCE_MAX_BYTES ||
	    r.public_key.n > NSM_PUBLIC_KEY_MAX_BYTES)
		return FAIL(TOO_LARGE, "NSM: InputTooLarge");
	TRY(ask(p, &r, room, &a));
	if (a.data.n == 0)
		return FAIL(MALFORMED, "NSM: a document of no bytes");
	buf_put(document, a.data);
	return buf_check(document);
}
