#include "keyholder/keys.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "crypto/address.h"
#include "crypto/certificate.h"
#include "crypto/es256.h"
#include "crypto/jwe.h"
#include "crypto/jws.h"
#include "crypto/pss.h"
#include "crypto/wallet.h"
#include "receipt/anchor.h"
#include "receipt/legacy.h"
#include "receipt/receipt.h"
#include "sys/harden.h"

struct keys {
	struct pss_key *signing;
	struct es256_key *receipt;
	struct wallet_key *wallet;
	const char *platform;
	char tee_id[TEE_ID_LEN];
	uint8_t tee_id_bytes[KECCAK_LEN];
	/* The encoded identity, with the TLS key in it, on pages of its own. */
	uint8_t *identity;
	size_t identity_len;
	bool locked;
};

/* What an identity is made of, while it is being made. */
struct parts {
	struct buf signing_spki, receipt_spki, binding, tls_cert, tls_key;
};

static void
parts_init(struct parts *p)
{
	buf_init(&p->signing_spki, RSA_SPKI_MAX_BYTES);
	buf_init(&p->receipt_spki, RSA_SPKI_MAX_BYTES);
	buf_init(&p->binding, RSA_SPKI_MAX_BYTES);
	buf_init(&p->tls_cert, CERTIFICATE_MAX_BYTES);
	buf_init(&p->tls_key, CERTIFICATE_MAX_BYTES);
}

static void
parts_fini(struct parts *p)
{
	buf_fini(&p->signing_spki);
	buf_fini(&p->receipt_spki);
	buf_fini(&p->binding);
	buf_fini(&p->tls_cert);
	buf_fini(&p->tls_key);
}

static struct err
make_parts(const struct keys *k, struct parts *p, uint64_t now_unix_s)
{
	bool loopback = span_eq(span_str(k->platform), SPAN_LIT("local-simulation"));
	struct es256_pub pub;

	TRY(pss_key_spki(k->signing, &p->signing_spki));
	es256_key_pub(k->receipt, &pub);
	es256_pub_spki(&pub, &p->receipt_spki);
	buf_put_str(&p->binding, RECEIPT_KEY_CONTEXT);
	buf_put(&p->binding, buf_span(&p->receipt_spki));
	TRY(buf_check(&p->receipt_spki));
	TRY(buf_check(&p->binding));
	return certificate_make(&p->tls_cert, &p->tls_key, loopback, now_unix_s);
}

/* Signs the binding and moves everything into the message that each worker gets. */
static struct err
keep_identity(struct keys *k, const struct parts *p)
{
	uint8_t signature[PSS_SIG_LEN], point[WALLET_POINT_LEN];
	struct key_facts f = {
		.signing_spki = buf_span(&p->signing_spki),
		.receipt_spki = buf_span(&p->receipt_spki),
		.receipt_key_signature = span_of(signature, sizeof(signature)),
		.tls_cert = buf_span(&p->tls_cert),
		.tls_key = buf_span(&p->tls_key),
	};
	struct address wallet;
	struct buf b;
	struct err e;

	TRY(pss_sign(k->signing, buf_span(&p->binding), signature));
	legacy_tee_id(f.signing_spki, k->tee_id);
	keccak_256(f.signing_spki, k->tee_id_bytes);
	memcpy(f.tee_id, k->tee_id, TEE_ID_LEN);
	wallet_key_point(k->wallet, point);
	address_of_point(&wallet, point);
	address_text(&wallet, f.wallet_address);
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_facts_put(&b, &f);
	e = buf_check(&b);
	if (!failed(e) && (k->identity = harden_map(b.n, &k->locked)) == NULL)
		e = FAIL(SYSTEM, "key holder: memory for the identity");
	if (!failed(e)) {
		memcpy(k->identity, b.p, b.n);
		k->identity_len = b.n;
	}
	buf_fini(&b);
	return e;
}

static struct err
make_all(struct keys *k, uint64_t now_unix_s)
{
	struct parts p;
	struct err e;

	TRY(pss_key_generate(&k->signing));
	TRY(es256_key_generate(&k->receipt));
	TRY(wallet_key_generate(&k->wallet));
	parts_init(&p);
	if (!failed(e = make_parts(k, &p, now_unix_s)))
		e = keep_identity(k, &p);
	parts_fini(&p);
	return e;
}

struct err
keys_make(struct keys **out, const char *platform, uint64_t now_unix_s)
{
	struct keys *k;
	struct err e;

	*out = NULL;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return FAIL(SYSTEM, "key holder: memory");
	k->platform = platform;
	if (failed(e = make_all(k, now_unix_s)))
		keys_free(k);
	else
		*out = k;
	return e;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	pss_key_free(k->signing);
	es256_key_free(k->receipt);
	wallet_key_free(k->wallet);
	harden_unmap(k->identity, k->identity_len);
	free(k);
}

bool
keys_locked(const struct keys *k)
{
	return k->locked;
}

struct err
keys_facts(const struct keys *k, struct key_facts *f)
{
	return key_facts_parse(f, span_of(k->identity, k->identity_len));
}

struct err
keys_vouch_seal(const struct keys *k, struct span seal_spki, uint8_t signature[static PSS_SIG_LEN])
{
	struct buf message;
	struct err e;

	buf_init(&message, RSA_SPKI_MAX_BYTES);
	buf_put_str(&message, SEAL_KEY_CONTEXT);
	buf_put(&message, seal_spki);
	if (!failed(e = buf_check(&message)))
		e = pss_sign(k->signing, buf_span(&message), signature);
	buf_fini(&message);
	return e;
}

static struct err
answer_chat(const struct keys *k, const struct key_request *r, uint64_t now_unix_s, struct buf *b)
{
	uint64_t t = r->timestamp_unix_s;
	uint8_t msg[KECCAK_LEN], sig[PSS_SIG_LEN];

	if (t > now_unix_s ? t - now_unix_s > CHAT_CLOCK_TOLERANCE_S
			   : now_unix_s - t > CHAT_CLOCK_TOLERANCE_S)
		return FAIL(REFUSED, "interfaces.md K3: a chat's time is not now");
	legacy_message(r->request_hash, r->output_hash, t, msg);
	TRY(pss_sign(k->signing, span_of(msg, sizeof(msg)), sig));
	buf_put(b, span_of(sig, sizeof(sig)));
	return buf_check(b);
}

/* K3: nobody but us says when: a heartbeat of another day would keep a dead node alive. */
static struct err
answer_heartbeat(
    const struct keys *k, const struct key_request *r, uint64_t now_unix_s, struct buf *b)
{
	struct key_heartbeat h = { .timestamp_unix_s = now_unix_s - r->buffer_s };
	uint8_t msg[KECCAK_LEN];

	if (r->buffer_s > HEARTBEAT_BUFFER_MAX_S || now_unix_s < r->buffer_s)
		return FAIL(REFUSED, "interfaces.md K3: a heartbeat's buffer is 0 to 1500");
	legacy_heartbeat(k->tee_id_bytes, h.timestamp_unix_s, msg);
	TRY(pss_sign(k->signing, span_of(msg, sizeof(msg)), h.signature));
	key_heartbeat_put(b, &h);
	return buf_check(b);
}

struct err
keys_answer(const struct keys *k, const struct key_request *r, uint64_t now_unix_s, struct buf *b)
{
	switch (r->type) {
	case KEY_IDENTITY:
		buf_put(b, span_of(k->identity, k->identity_len));
		return buf_check(b);
	case KEY_CHAT:
		return answer_chat(k, r, now_unix_s, b);
	case KEY_HEARTBEAT:
		return answer_heartbeat(k, r, now_unix_s, b);
	case KEY_RECEIPT:
		return receipt_sign(b, k->receipt, span_of(k->tee_id, TEE_ID_LEN),
		    span_str(k->platform), now_unix_s, r->body);
	case KEY_CONFIG:
		return jws_sign(b, k->receipt, CONFIG_TYP, r->body);
	case KEY_PROVISIONED: /* provision.c and attester.c have these */
	case KEY_ATTEST:
	case KEY_OWN:
	case KEY_UNSEAL:
	case KEY_APP_HASH:
	case KEY_PROVISION:
		break;
	}
	return FAIL(MALFORMED, "key protocol: type");
}
