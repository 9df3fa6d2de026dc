/*
 * tee-verify registration: what the network's registry is told of a gateway that was found to be one
 * identity, as JSON and as the input of the call. Source: opengradient.md 2; interfaces.md 10.
 */
#include <string.h>

#include "cmd/verify.h"
#include "cmd/verify_identity.h"
#include "cmd/verify_time.h"
#include "codec/abi.h"
#include "codec/hex.h"
#include "crypto/address.h"
#include "crypto/keccak.h"
#include "receipt/legacy.h"

#define REGISTRY "0x4e72238852f3c918f4E4e57AeC9280dDB0c80248" /* opengradient.md 2: published */
#define FUNCTION "registerTEEWithAttestation(bytes,bytes,bytes,address,string,uint8)"

/* opengradient.md 2: what the chain takes. */
enum {
	TEE_TYPE_LLM_PROXY = 0,
	DOCUMENT_MAX_BYTES = 16 << 10,
	KEY_MAX_BYTES = 8 << 10,
	CERTIFICATE_MAX_BYTES = 8 << 10,
	AGE_MAX_S = 300,
	REGISTRATION_PCRS = 3,
	ARRAY_OF_4 = 0x84,
};
enum { CALL_MAX_BYTES = 64 << 10, RESULT_MAX_BYTES = 256 << 10 };

struct registration {
	struct address registry, pay_to;
	struct span document, key, certificate, endpoint;
	uint8_t pcr_hash[KECCAK_LEN];
	uint64_t attested_unix_s;
};

/* What the published configuration says; empty when it says nothing. */
static struct err
configured(struct identity *i, const char *name, struct span *text)
{
	uint32_t at = identity_config(i, name);

	*text = SPAN_NONE;
	return at == JSON_NONE || json_type(&i->config, at) == JSON_NULL
	    ? OK
	    : json_string(&i->config, at, &i->arena, text);
}

static struct err
check_sizes(const struct registration *g)
{
	if (g->document.n == 0 || g->document.p[0] != ARRAY_OF_4)
		return FAIL(REFUSED,
		    "cose-tag: opengradient.md 2: the registry takes the document without a tag");
	if (g->document.n > DOCUMENT_MAX_BYTES || g->key.n > KEY_MAX_BYTES ||
	    g->certificate.n > CERTIFICATE_MAX_BYTES)
		return FAIL(TOO_LARGE,
		    "too-large: opengradient.md 2: document at most 16 KiB, key and certificate 8");
	return OK;
}

static struct err
hash_pcrs(const struct attest_document *d, uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	keccak_init(&k);
	for (unsigned n = 0; n < REGISTRATION_PCRS; n++) {
		if (d->pcr[n].p == NULL)
			return FAIL(REFUSED, "pcr-missing: opengradient.md 2: PCR0, PCR1 and PCR2");
		keccak_update(&k, d->pcr[n]);
	}
	keccak_final(&k, out);
	return OK;
}

/* After identity_judge(): the gateway says who is paid, and where it is reached if it knows. */
static struct err
collect(struct registration *g, struct identity *i, struct span url)
{
	struct span pay_to;

	g->document = buf_span(&i->session.document);
	g->key = buf_span(&i->spki);
	g->certificate = buf_span(&i->session.leaf);
	g->attested_unix_s = i->session.d.timestamp_ms / 1000;
	TRY(check_sizes(g));
	TRY(hash_pcrs(&i->session.d, g->pcr_hash));
	TRY(configured(i, "pay_to", &pay_to));
	if (!address_parse(&g->pay_to, pay_to))
		return FAIL(REFUSED,
		    "no-pay-to: interfaces.md R9: the published configuration names no payment "
		    "address");
	TRY(configured(i, "public_url", &g->endpoint));
	if (g->endpoint.n == 0) {
		g->endpoint = url;
		report_note(
		    i->r, "the configuration has no public_url: the endpoint is that of --url");
	}
	return OK;
}

static void
put_call(struct buf *b, const struct registration *g)
{
	const struct abi_value argument[] = {
		{ ABI_BYTES, 0, g->document },
		{ ABI_BYTES, 0, g->key },
		{ ABI_BYTES, 0, g->certificate },
		{ ABI_ADDRESS, 0, span_of(g->pay_to.b, ADDRESS_BYTES) },
		{ ABI_BYTES, 0, g->endpoint },
		{ ABI_UINT, TEE_TYPE_LLM_PROXY, SPAN_NONE },
	};
	uint8_t hash[KECCAK_LEN];

	keccak_256(SPAN_LIT(FUNCTION), hash);
	abi_put_call(b, hash, argument, sizeof(argument) / sizeof(argument[0]));
}

static void
put_hex(struct buf *b, const char *before, struct span bytes)
{
	buf_put_str(b, before);
	buf_put_str(b, "\"0x");
	hex_put(b, bytes);
	buf_put_byte(b, '"');
}

static void
put_time(struct buf *b, const char *before, uint64_t unix_s)
{
	char text[TIME_TEXT_LEN + 1];

	time_print(unix_s, text);
	buf_put_str(b, before);
	json_put_string(b, span_str(text));
}

static void
put_text(struct buf *b, const char *before, const char *text, size_t n)
{
	buf_put_str(b, before);
	json_put_string(b, span_of(text, n));
}

/* The arguments by name, in the function's order, what they are judged by, and the call. */
static struct err
put_result(struct buf *b, const struct registration *g)
{
	char id[TEE_ID_LEN], address[ADDRESS_LEN];
	struct buf call;

	legacy_tee_id(g->key, id);
	address_text(&g->registry, address);
	put_text(b, "{\"registry\":", address, sizeof(address));
	put_text(b, ",\"function\":", FUNCTION, strlen(FUNCTION));
	put_hex(b, ",\"attestation\":", g->document);
	put_hex(b, ",\"signing_key\":", g->key);
	put_hex(b, ",\"tls_certificate\":", g->certificate);
	address_text(&g->pay_to, address);
	put_text(b, ",\"payment_address\":", address, sizeof(address));
	buf_put_str(b, ",\"endpoint\":");
	json_put_string(b, g->endpoint);
	buf_put_str(b, ",\"tee_type\":");
	buf_put_u64(b, TEE_TYPE_LLM_PROXY);
	put_text(b, ",\"tee_id\":", id, sizeof(id));
	put_hex(b, ",\"pcr_hash\":", span_of(g->pcr_hash, sizeof(g->pcr_hash)));
	put_time(b, ",\"attested_at\":", g->attested_unix_s);
	put_time(b, ",\"register_before\":", g->attested_unix_s + AGE_MAX_S);
	buf_init(&call, CALL_MAX_BYTES);
	put_call(&call, g);
	put_hex(b, ",\"calldata\":", buf_span(&call));
	buf_put_byte(b, '}');
	if (failed(buf_check(&call)))
		b->over = true;
	buf_fini(&call);
	return buf_check(b);
}

static struct err
judge(struct identity *i, struct registration *g, struct span url, struct buf *result)
{
	char id[TEE_ID_LEN];

	TRY(identity_judge(i));
	TRY(collect(g, i, url));
	TRY(put_result(result, g));
	legacy_tee_id(g->key, id);
	buf_put_str(&i->r->outcome, "registration of ");
	buf_put(&i->r->outcome, span_of(id, sizeof(id)));
	report_member(i->r, "outcome", SPAN_LIT("registration"));
	i->r->result = result;
	i->r->result_name = "registration";
	return OK;
}

int
verify_registration(const struct options *o)
{
	const char *registry = o->value[OPTION_REGISTRY];
	struct registration g = { 0 };
	struct identity i;
	struct report r;
	struct buf result;
	int status;

	if (!address_parse(&g.registry, span_str(registry != NULL ? registry : REGISTRY)))
		return options_usage("--registry", "takes an address: 0x and 40 hex digits");
	report_init(&r);
	buf_init(&result, RESULT_MAX_BYTES);
	if ((status = identity_init(&i, o, &r)) == 0)
		status = report_finish(&r, o->value[OPTION_JSON] != NULL,
		    judge(&i, &g, span_str(o->value[OPTION_URL]), &result));
	identity_fini(&i);
	buf_fini(&result);
	report_fini(&r);
	return status;
}
