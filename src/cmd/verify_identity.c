/*
 * tee-verify identity: attestation, TLS certificate, signing key, receipt key and published
 * configuration are one identity. Source: interfaces.md R2, R3, R9, V3; opengradient.md 1, 2.
 */
#include "cmd/verify_identity.h"

#include <stdlib.h>

#include "cmd/verify.h"
#include "cmd/verify_binding.h"
#include "cmd/verify_config.h"
#include "cmd/verify_files.h"
#include "codec/b64.h"
#include "core/limits.h"
#include "crypto/jwe.h"
#include "crypto/jws.h"
#include "crypto/pss.h"
#include "receipt/legacy.h"
#include "receipt/receipt.h"

enum { DOCUMENT_MAX_NODES = 4096, ARENA_BYTES = 1 << 20 };

/* The checks after those of the document, in the order in which they are made. */
#define IDENTITY_CHECKS(CHECK)                                                                     \
	CHECK(signing_key, "opengradient.md 2", "user_data names the key of /signing-key")         \
	CHECK(tee_id, "opengradient.md 1", "tee_id is keccak-256 of that key")                     \
	CHECK(receipt_key, "interfaces.md R2 a", "that key vouches for the receipt key")           \
	CHECK(attested_receipt_key, "interfaces.md R2 b", "public_key is the receipt key")         \
	CHECK(published_receipt_key, "interfaces.md 4", "/signing-key shows the same receipt key") \
	CHECK(archived_document, "interfaces.md R3, V3",                                           \
	    "the key set's own document holds at its own time and names both keys")                \
	CHECK(                                                                                     \
	    seal_key, "interfaces.md P3", "the signing key vouches for the key to seal keys for")  \
	CHECK(config, "interfaces.md R9", "the receipt key signed the published configuration")    \
	CHECK(config_file, "interfaces.md R9", "the configuration is the one of --config")

enum {
#define IDENTITY_COUNT(name, source, what) +1
	IDENTITY_N_CHECKS = 0 IDENTITY_CHECKS(IDENTITY_COUNT)
#undef IDENTITY_COUNT
};

static struct err
fetch_json(struct identity *i, const char *path, struct buf *text, struct json *doc)
{
	TRY(session_get(&i->session, i->r, path, text));
	TRY(json_parse(doc, buf_span(text), DOCUMENT_MAX_NODES));
	return json_no_duplicates(doc);
}

static struct err
check_signing_key(struct identity *i, enum check_verdict *verdict)
{
	struct pss_pub *key;
	struct span pem;
	uint32_t at;

	TRY(fetch_json(i, "/signing-key", &i->keys_text, &i->keys));
	if ((at = json_get(&i->keys, 0, "public_key")) == JSON_NONE)
		return FAIL(MALFORMED, "signing-key: interfaces.md 4: /signing-key has no key");
	TRY(json_string(&i->keys, at, &i->arena, &pem));
	TRY(pss_pub_from_pem(&key, pem, &i->spki));
	pss_pub_free(key);
	return binding_signing_key(&i->session.d, buf_span(&i->spki));
}

static struct err
check_tee_id(struct identity *i, enum check_verdict *verdict)
{
	uint32_t at = json_get(&i->keys, 0, "tee_id");
	char id[TEE_ID_LEN];

	legacy_tee_id(buf_span(&i->spki), id);
	if (at == JSON_NONE || json_type(&i->keys, at) != JSON_STRING ||
	    !span_eq(json_inner(&i->keys, at), span_of(id, sizeof(id))))
		return FAIL(REFUSED,
		    "tee-id-mismatch: opengradient.md 1: tee_id is not keccak-256 of the key");
	return OK;
}

static struct err
check_receipt_key(struct identity *i, enum check_verdict *verdict)
{
	TRY(session_get(&i->session, i->r, "/.well-known/jwks.json", &i->set_text));
	TRY(receipt_anchor_read(&i->anchor, buf_span(&i->set_text), SPAN_NONE));
	if (!span_eq(buf_span(&i->anchor.signing_spki), buf_span(&i->spki)))
		return FAIL(REFUSED,
		    "signing-key-mismatch: interfaces.md R3: the key set names another signing "
		    "key");
	return OK;
}

static struct err
check_attested_receipt_key(struct identity *i, enum check_verdict *verdict)
{
	return binding_receipt_key(&i->session.d, &i->anchor.key, verdict);
}

static bool
same_coordinate(const struct json *doc, uint32_t jwk, const char *name, const uint8_t *coordinate)
{
	uint32_t at = json_get(doc, jwk, name);
	struct buf text;
	bool same;

	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING)
		return false;
	buf_init(&text, 2 * ES256_COORD_LEN);
	b64url_put(&text, span_of(coordinate, ES256_COORD_LEN));
	same = !failed(buf_check(&text)) && span_eq(buf_span(&text), json_inner(doc, at));
	buf_fini(&text);
	return same;
}

static struct err
check_published_receipt_key(struct identity *i, enum check_verdict *verdict)
{
	uint32_t jwk = json_get(&i->keys, 0, "receipt_key");

	if (jwk == JSON_NONE || json_type(&i->keys, jwk) == JSON_NULL) {
		*verdict = CHECK_NONE;
		return OK;
	}
	if (!same_coordinate(&i->keys, jwk, "x", i->anchor.key.x) ||
	    !same_coordinate(&i->keys, jwk, "y", i->anchor.key.y))
		return FAIL(REFUSED,
		    "receipt-key-mismatch: interfaces.md 4: /signing-key shows another receipt "
		    "key");
	return OK;
}

static struct err
check_archived_document(struct identity *i, enum check_verdict *verdict)
{
	struct attest_policy archived = binding_archived_policy(i->policy);
	enum check_verdict ignored;
	struct attest_verdict checks;
	struct attest_document d;

	if (!i->anchor.has_attestation) {
		*verdict = CHECK_NONE;
		return OK;
	}
	TRY(attest_verify(&checks, &d, &archived, buf_span(&i->anchor.attestation)));
	TRY(binding_signing_key(&d, buf_span(&i->spki)));
	return binding_receipt_key(&d, &i->anchor.key, &ignored);
}

/* A coordinate of a JWK: 32 bytes in base64url. */
static struct err
read_coordinate(
    uint8_t out[static ES256_COORD_LEN], const struct json *doc, uint32_t jwk, const char *name)
{
	uint32_t at = json_get(doc, jwk, name);
	struct buf b;
	bool good;

	buf_init(&b, ES256_COORD_LEN);
	good = at != JSON_NONE && json_type(doc, at) == JSON_STRING &&
	    !failed(b64url_parse(&b, json_inner(doc, at))) && b.n == ES256_COORD_LEN;
	if (good)
		memcpy(out, b.p, ES256_COORD_LEN);
	buf_fini(&b);
	return good ? OK : FAIL(MALFORMED, "seal-key: interfaces.md P3: seal_key is no P-256 key");
}

static struct err
judge_voucher(struct identity *i, const struct es256_pub *seal, struct span signature_text)
{
	struct pss_pub *key = NULL;
	struct buf message, signature;
	struct err e;

	buf_init(&message, RSA_SPKI_MAX_BYTES);
	buf_init(&signature, RSA_SPKI_MAX_BYTES);
	buf_put_str(&message, SEAL_KEY_CONTEXT);
	es256_pub_spki(seal, &message);
	if (failed(e = b64_parse(&signature, signature_text)) || failed(e = buf_check(&message)) ||
	    failed(e = pss_pub_parse(&key, buf_span(&i->spki))) ||
	    failed(e = pss_verify(key, buf_span(&message), buf_span(&signature))))
		e = FAIL(REFUSED,
		    "seal-key: interfaces.md P3: the signing key does not vouch for the seal key");
	pss_pub_free(key);
	buf_fini(&signature);
	buf_fini(&message);
	return e;
}

/* Who seals something must seal it for this one: in the form of RFC 7638. */
static void
report_seal_key(struct identity *i, const struct es256_pub *seal)
{
	struct buf jwk;

	buf_init(&jwk, 256);
	buf_put_str(&jwk, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	b64url_put(&jwk, span_of(seal->x, ES256_COORD_LEN));
	buf_put_str(&jwk, "\",\"y\":\"");
	b64url_put(&jwk, span_of(seal->y, ES256_COORD_LEN));
	buf_put_str(&jwk, "\"}");
	report_member(i->r, "seal_key", buf_span(&jwk));
	buf_fini(&jwk);
}

static struct err
check_seal_key(struct identity *i, enum check_verdict *verdict)
{
	uint32_t jwk = json_get(&i->keys, 0, "seal_key");
	uint32_t signature = json_get(&i->keys, 0, "seal_key_signature");
	struct es256_pub seal;

	if (jwk == JSON_NONE) {
		*verdict = CHECK_NONE; /* provisioned already */
		return OK;
	}
	TRY(read_coordinate(seal.x, &i->keys, jwk, "x"));
	TRY(read_coordinate(seal.y, &i->keys, jwk, "y"));
	if (signature == JSON_NONE || json_type(&i->keys, signature) != JSON_STRING)
		return FAIL(MALFORMED, "seal-key: interfaces.md P3: nobody vouches for seal_key");
	TRY(judge_voucher(i, &seal, json_inner(&i->keys, signature)));
	report_seal_key(i, &seal);
	return OK;
}

static struct err
check_config(struct identity *i, enum check_verdict *verdict)
{
	uint32_t config, jws;
	struct buf payload;
	struct err e;

	TRY(fetch_json(i, "/.well-known/tee-config", &i->config_text, &i->config));
	config = json_get(&i->config, 0, "config");
	jws = json_get(&i->config, 0, "jws");
	if (config == JSON_NONE || json_type(&i->config, config) != JSON_OBJECT ||
	    jws == JSON_NONE || json_type(&i->config, jws) != JSON_STRING)
		return FAIL(MALFORMED, "config: interfaces.md R9: not {\"config\", \"jws\"}");
	buf_init(&payload, CONFIG_MAX_BYTES);
	if (failed(jws_verify(json_inner(&i->config, jws), &i->anchor.key, CONFIG_TYP, &payload)))
		e = FAIL(REFUSED,
		    "config-signature: interfaces.md R9: the receipt key did not sign the "
		    "configuration");
	else if (!span_eq(buf_span(&payload), json_raw(&i->config, config)))
		e = FAIL(REFUSED,
		    "config-mismatch: interfaces.md R9: the configuration shown is not the one "
		    "that "
		    "was signed");
	else
		e = OK;
	buf_fini(&payload);
	return e;
}

/* The file is the answer of the endpoint, or the object alone, in any spelling of JSON. */
static struct err
check_config_file(struct identity *i, enum check_verdict *verdict)
{
	uint32_t shown = json_get(&i->config, 0, "config"), expected;
	struct span member = SPAN_NONE;
	struct json doc;
	struct err e;
	bool same;

	if (!i->has_expected) {
		*verdict = CHECK_NONE;
		return OK;
	}
	TRY(json_parse(&doc, file_bytes(&i->expected_config), DOCUMENT_MAX_NODES));
	expected = json_get(&doc, 0, "config");
	if (expected == JSON_NONE)
		expected = 0;
	if (json_type(&doc, expected) != JSON_OBJECT || failed(json_no_duplicates(&doc)))
		e = FAIL(MALFORMED, "config: interfaces.md R9: --config is no configuration");
	else if (!failed(e = config_compare(
			     &i->config, shown, &doc, expected, &i->arena, &same, &member)) &&
	    !same) {
		report_fact(i->r, "config_differs_in", member);
		e = FAIL(REFUSED,
		    "config-mismatch: interfaces.md R9: another configuration than that of "
		    "--config");
	}
	json_fini(&doc);
	return e;
}

static const struct {
	struct check check;
	struct err (*run)(struct identity *, enum check_verdict *);
} steps[IDENTITY_N_CHECKS] = {
#define IDENTITY_STEP(name, source, what) { { #name, source, what, CHECK_PENDING }, check_##name },
	IDENTITY_CHECKS(IDENTITY_STEP)
#undef IDENTITY_STEP
};

static void
describe(struct identity *i)
{
	char id[TEE_ID_LEN];

	legacy_tee_id(buf_span(&i->spki), id);
	buf_put_str(&i->r->outcome, "one identity, ");
	buf_put(&i->r->outcome, span_of(id, sizeof(id)));
	report_member(i->r, "outcome", SPAN_LIT("one identity"));
	report_member(i->r, "tee_id", span_of(id, sizeof(id)));
}

struct err
identity_judge(struct identity *i)
{
	struct err e = session_open(&i->session, i->policy, i->r);

	for (size_t k = 0; k < IDENTITY_N_CHECKS; k++) {
		struct check check = steps[k].check;

		if (!failed(e)) {
			check.verdict = CHECK_PASSED;
			e = steps[k].run(i, &check.verdict);
			if (failed(e))
				check.verdict = CHECK_FAILED;
		}
		report_check(i->r, &check, 1);
	}
	return e;
}

uint32_t
identity_config(const struct identity *i, const char *name)
{
	return json_get(&i->config, json_get(&i->config, 0, "config"), name);
}

int
identity_init(struct identity *i, const struct options *o, struct report *r)
{
	int status;

	*i = (struct identity){ .r = r, .has_expected = o->value[OPTION_CONFIG] != NULL };
	buf_init(&i->expected_config, FILE_MAX_BYTES);
	buf_init(&i->keys_text, FETCH_BODY_MAX_BYTES);
	buf_init(&i->set_text, FETCH_BODY_MAX_BYTES);
	buf_init(&i->config_text, FETCH_BODY_MAX_BYTES);
	buf_init(&i->spki, RSA_SPKI_MAX_BYTES);
	arena_init(&i->arena, ARENA_BYTES);
	if ((status = options_need(o, OPTION_URL)) != 0)
		return status;
	if ((i->policy = malloc(sizeof(*i->policy))) == NULL)
		return EXIT_NOT_CHECKED;
	if ((status = verify_policy_init(i->policy, o)) != 0 ||
	    (status = session_init(&i->session, o)) != 0)
		return status;
	return i->has_expected && !file_read(o->value[OPTION_CONFIG], &i->expected_config)
	    ? EXIT_NOT_CHECKED
	    : 0;
}

void
identity_fini(struct identity *i)
{
	receipt_anchor_fini(&i->anchor);
	arena_fini(&i->arena);
	json_fini(&i->config);
	json_fini(&i->keys);
	buf_fini(&i->spki);
	buf_fini(&i->config_text);
	buf_fini(&i->set_text);
	buf_fini(&i->keys_text);
	buf_fini(&i->expected_config);
	session_fini(&i->session);
	if (i->policy != NULL)
		verify_policy_fini(i->policy);
	free(i->policy);
	i->policy = NULL;
}

int
verify_identity(const struct options *o)
{
	struct identity i;
	struct report r;
	struct err e;
	int status;

	report_init(&r);
	if ((status = identity_init(&i, o, &r)) == 0) {
		if (!failed(e = identity_judge(&i)))
			describe(&i);
		status = report_finish(&r, o->value[OPTION_JSON] != NULL, e);
	}
	identity_fini(&i);
	report_fini(&r);
	return status;
}
