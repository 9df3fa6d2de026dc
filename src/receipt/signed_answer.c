#include "receipt/signed_answer.h"

#include "codec/json.h"
#include "core/arena.h"
#include "core/limits.h"
#include "crypto/pss.h"

/* json.dumps() spells an astral character of four bytes in twelve; separators add the rest. */
enum { CANONICAL_GROWTH = 12, CANONICAL_EXTRA_BYTES = 4096 };

struct judging {
	struct span signing_spki, request, response;
	struct signed_answer *v;
	uint8_t delivered[KECCAK_LEN];
};

static struct err
canonical_hash(const struct json *doc, size_t request_bytes, enum canonical_form form, uint8_t *out)
{
	struct arena arena;
	struct buf text;
	struct err e;

	arena_init(&arena, REQUEST_ARENA_BYTES);
	buf_init(&text, CANONICAL_GROWTH * request_bytes + CANONICAL_EXTRA_BYTES);
	if (!failed(e = canonical_put(&text, form, doc, &arena)) && !failed(e = buf_check(&text)))
		keccak_256(buf_span(&text), out);
	buf_fini(&text);
	arena_fini(&arena);
	return e;
}

struct err
signed_answer_request_hash(
    struct span request, enum canonical_form form, uint8_t out[static KECCAK_LEN])
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, request, JSON_MAX_NODES));
	e = canonical_hash(&doc, request.n, form, out);
	json_fini(&doc);
	return e;
}

struct err
signed_answer_signature(const struct legacy_fields *f, struct span signing_spki)
{
	uint8_t message[KECCAK_LEN];
	struct pss_pub *key;
	struct err e;

	if (!f->has_signature)
		return FAIL(REFUSED, "interfaces.md S1: the answer has no tee_signature");
	TRY(pss_pub_parse(&key, signing_spki));
	legacy_message(f->request_hash, f->output_hash, f->timestamp_unix_s, message);
	e = pss_verify(
	    key, span_of(message, sizeof(message)), span_of(f->signature, f->signature_len));
	pss_pub_free(key);
	return e.code == ERR_REFUSED
	    ? FAIL(REFUSED, "opengradient.md 4.3: tee_signature does not fit the signing key")
	    : e;
}

static struct err
check_fields(struct judging *j)
{
	return legacy_read(j->response, &j->v->fields, j->delivered);
}

static struct err
check_tee_id(struct judging *j)
{
	char id[TEE_ID_LEN];

	legacy_tee_id(j->signing_spki, id);
	if (!span_eq(span_of(id, sizeof(id)), span_of(j->v->fields.tee_id, TEE_ID_LEN)))
		return FAIL(REFUSED, "opengradient.md 1: tee_id is not keccak-256 of this key");
	return OK;
}

/* Both endpoints' requests are told apart by what only they have: messages, or a prompt. */
static struct err
request_form(struct span request, enum canonical_form *form)
{
	struct json doc;

	TRY(json_parse(&doc, request, JSON_MAX_NODES));
	*form = json_get(&doc, 0, "messages") != JSON_NONE ? CANONICAL_CHAT : CANONICAL_COMPLETION;
	json_fini(&doc);
	return OK;
}

static struct err
check_request_hash(struct judging *j)
{
	enum canonical_form form = CANONICAL_CHAT;
	uint8_t hash[KECCAK_LEN];

	TRY(request_form(j->request, &form));
	TRY(signed_answer_request_hash(j->request, form, hash));
	if (!span_eq(span_of(hash, KECCAK_LEN), span_of(j->v->fields.request_hash, KECCAK_LEN)))
		return FAIL(REFUSED, "opengradient.md 4.1: tee_request_hash is of another request");
	return OK;
}

static struct err
check_output_hash(struct judging *j)
{
	struct span said = span_of(j->v->fields.output_hash, KECCAK_LEN);

	if (!span_eq(span_of(j->delivered, KECCAK_LEN), said))
		return FAIL(REFUSED, "opengradient.md 4.3: tee_output_hash is of another output");
	return OK;
}

static struct err
check_signature(struct judging *j)
{
	return signed_answer_signature(&j->v->fields, j->signing_spki);
}

static const struct {
	struct check check;
	struct err (*run)(struct judging *);
} steps[] = {
#define STEP(name, source, what) { { #name, source, what, CHECK_PENDING }, check_##name },
	SIGNED_ANSWER_CHECKS(STEP)
#undef STEP
};

struct err
signed_answer_judge(
    struct signed_answer *v, struct span signing_spki, struct span request, struct span response)
{
	struct judging j = {
		.signing_spki = signing_spki,
		.request = request,
		.response = response,
		.v = v,
	};

	*v = (struct signed_answer){ 0 };
	for (size_t i = 0; i < SIGNED_ANSWER_N_CHECKS; i++)
		v->check[i] = steps[i].check;
	for (size_t i = 0; i < SIGNED_ANSWER_N_CHECKS; i++) {
		struct err e = steps[i].run(&j);

		v->check[i].verdict = failed(e) ? CHECK_FAILED : CHECK_PASSED;
		TRY(e);
	}
	return OK;
}
