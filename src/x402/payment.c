#include "x402/payment.h"

#include "codec/hex.h"
#include "codec/json.h"
#include "core/limits.h"
#include "x402/header.h"

static bool
address_at(const struct json *doc, uint32_t object, const char *name, struct address *out)
{
	struct span text;

	return x402_plain(doc, json_get(doc, object, name), &text) && address_parse(out, text);
}

/* Amounts, nonces and times are decimal strings; a JSON number is none of them (x402.md 2). */
static bool
number_at(const struct json *doc, uint32_t object, const char *name, struct u256 *out)
{
	struct span text;

	return x402_plain(doc, json_get(doc, object, name), &text) && u256_parse(out, text);
}

static bool
object_at(const struct json *doc, uint32_t object, const char *name, uint32_t *out)
{
	*out = json_get(doc, object, name);
	return *out != JSON_NONE && json_type(doc, *out) == JSON_OBJECT;
}

static struct x402_verdict
read_signature(struct x402_payment *p, const struct json *doc, uint32_t payload, struct arena *a)
{
	struct span text;
	uint8_t *bytes;

	X402_NEED(x402_plain(doc, json_get(doc, payload, "signature"), &text) &&
		span_starts(text, SPAN_LIT("0x")) && text.n % 2 == 0,
	    PAYLOAD, "payload.signature is not a string of 0x and bytes in hex");
	X402_NEED(text.n / 2 - 1 <= X402_SIGNATURE_MAX_BYTES, PAYLOAD,
	    "payload.signature is longer than 4096 bytes");
	p->signature.n = text.n / 2 - 1;
	X402_NEED(
	    (bytes = arena_alloc(a, p->signature.n + 1)) != NULL, NOMEM, "payment: no memory");
	X402_NEED(!failed(hex_parse(bytes, p->signature.n, span_cut(text, 2, text.n))), PAYLOAD,
	    "payload.signature is not a string of 0x and bytes in hex");
	p->signature.p = bytes;
	return X402_OK;
}

static struct x402_verdict
read_permit2(struct x402_payment *p, const struct json *doc, uint32_t permit)
{
	uint32_t permitted, witness;
	struct span nonce;

	p->form = X402_PERMIT2;
	X402_NEED(address_at(doc, permit, "from", &p->payer), PAYLOAD,
	    "payload.permit2Authorization.from is not an address");
	X402_NEED(object_at(doc, permit, "permitted", &permitted) &&
		address_at(doc, permitted, "token", &p->token),
	    PAYLOAD, "payload.permit2Authorization.permitted.token is not an address");
	X402_NEED(number_at(doc, permitted, "amount", &p->amount), PAYLOAD,
	    "payload.permit2Authorization.permitted.amount is not a decimal string");
	X402_NEED(address_at(doc, permit, "spender", &p->spender), PAYLOAD,
	    "payload.permit2Authorization.spender is not an address");
	/* Clients write decimal; facilitators take hex too. */
	X402_NEED(x402_plain(doc, json_get(doc, permit, "nonce"), &nonce) &&
		(u256_parse(&p->nonce, nonce) || u256_parse_hex(&p->nonce, nonce)),
	    PAYLOAD, "payload.permit2Authorization.nonce is not a number in a string");
	X402_NEED(number_at(doc, permit, "deadline", &p->deadline), PAYLOAD,
	    "payload.permit2Authorization.deadline is not a decimal string");
	X402_NEED(
	    object_at(doc, permit, "witness", &witness) && address_at(doc, witness, "to", &p->to),
	    PAYLOAD, "payload.permit2Authorization.witness.to is not an address");
	X402_NEED(number_at(doc, witness, "validAfter", &p->valid_after), PAYLOAD,
	    "payload.permit2Authorization.witness.validAfter is not a decimal string");
	p->has_facilitator = x402_present(doc, json_get(doc, witness, "facilitator"));
	X402_NEED(!p->has_facilitator || address_at(doc, witness, "facilitator", &p->facilitator),
	    PAYLOAD, "payload.permit2Authorization.witness.facilitator is not an address");
	return X402_OK;
}

static struct x402_verdict
read_eip3009(struct x402_payment *p, const struct json *doc, uint32_t auth)
{
	struct span nonce;

	p->form = X402_EIP3009;
	X402_NEED(address_at(doc, auth, "from", &p->payer), PAYLOAD,
	    "payload.authorization.from is not an address");
	X402_NEED(address_at(doc, auth, "to", &p->to), PAYLOAD,
	    "payload.authorization.to is not an address");
	X402_NEED(number_at(doc, auth, "value", &p->amount), PAYLOAD,
	    "payload.authorization.value is not a decimal string");
	X402_NEED(number_at(doc, auth, "validAfter", &p->valid_after), PAYLOAD,
	    "payload.authorization.validAfter is not a decimal string");
	X402_NEED(number_at(doc, auth, "validBefore", &p->deadline), PAYLOAD,
	    "payload.authorization.validBefore is not a decimal string");
	/* bytes32: all 64 digits. */
	X402_NEED(x402_plain(doc, json_get(doc, auth, "nonce"), &nonce) &&
		nonce.n == 2 + 2 * U256_BYTES && u256_parse_hex(&p->nonce, nonce),
	    PAYLOAD, "payload.authorization.nonce is not 0x and 64 hex digits");
	return X402_OK;
}

/* What the client says it accepted. A spelling that we never offered matches nothing. */
static struct x402_verdict
read_accepted(struct x402_payment *p, const struct json *doc, uint32_t accepted)
{
	uint32_t extra = json_get(doc, accepted, "extra");
	uint32_t timeout = json_get(doc, accepted, "maxTimeoutSeconds");

	X402_NEED(x402_plain(doc, json_get(doc, accepted, "scheme"), &p->accepted.scheme), NO_MATCH,
	    "accepted.scheme is not one we offer");
	X402_NEED(x402_plain(doc, json_get(doc, accepted, "network"), &p->accepted.network),
	    NO_MATCH, "accepted.network is not one we offer");
	X402_NEED(number_at(doc, accepted, "amount", &p->accepted.amount), NO_MATCH,
	    "accepted.amount is not one we offer");
	X402_NEED(address_at(doc, accepted, "asset", &p->accepted.asset), NO_MATCH,
	    "accepted.asset is not the one we offer");
	X402_NEED(address_at(doc, accepted, "payTo", &p->accepted.pay_to), NO_MATCH,
	    "accepted.payTo is not ours");
	p->accepted.has_max_timeout = x402_present(doc, timeout);
	X402_NEED(!p->accepted.has_max_timeout ||
		json_u64(doc, timeout, UINT64_MAX, &p->accepted.max_timeout_s),
	    NO_MATCH, "accepted.maxTimeoutSeconds is not the one we offer");
	if (!x402_present(doc, extra))
		return X402_OK;
	X402_NEED(
	    json_type(doc, extra) == JSON_OBJECT, NO_MATCH, "accepted.extra is not an object");
	p->accepted.has_facilitator = x402_present(doc, json_get(doc, extra, "facilitatorAddress"));
	X402_NEED(!p->accepted.has_facilitator ||
		address_at(doc, extra, "facilitatorAddress", &p->accepted.facilitator),
	    NO_MATCH, "accepted.extra.facilitatorAddress is not one we offer");
	return X402_OK;
}

/* What is read of a payment, here or by the facilitator. */
static const char *const read_names[] = { "x402Version", "payload", "accepted", "resource",
	"extensions", "signature", "permit2Authorization", "authorization", "from", "permitted",
	"token", "amount", "spender", "nonce", "deadline", "witness", "to", "facilitator",
	"validAfter", "validBefore", "value", "scheme", "network", "asset", "payTo",
	"maxTimeoutSeconds", "extra", "facilitatorAddress", "assetTransferMethod",
	"erc20ApprovalGasSponsoring", "eip2612GasSponsoring", "info", "signedTransaction" };

static uint32_t
lower(uint32_t cp)
{
	if (cp == 0x212a || cp == 0x17f) /* signs for kelvin and long s: letters to Go */
		return cp == 0x212a ? 'k' : 's';
	return cp >= 'A' && cp <= 'Z' ? cp | 0x20 : cp;
}

/* Whether a name is `name` to somebody: Go folds letter case, Python's models know snake_case. */
static bool
resembles(struct span inner, const char *name)
{
	struct json_points it = { .s = inner };
	uint32_t cp;

	while (json_point(&it, &cp)) {
		if (cp == '_')
			continue;
		if (*name == '\0' || lower(cp) != lower((uint8_t)*name))
			return false;
		name++;
	}
	return *name == '\0';
}

/* PAY-06: no reader after us may find another payment in it than we did. */
static bool
has_double(const struct json *doc)
{
	for (uint32_t at = 0; at < doc->n; at++) {
		if (json_type(doc, at) != JSON_OBJECT)
			continue;
		for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
			for (size_t i = 0; i < sizeof(read_names) / sizeof(read_names[0]); i++)
				if (resembles(json_inner(doc, c), read_names[i]) &&
				    !json_is(doc, c, read_names[i]))
					return true;
	}
	return false;
}

/* The second is its sibling for tokens with `permit`, which we do not declare but facilitators take. */
static bool
sponsored(const struct json *doc)
{
	uint32_t all = json_get(doc, 0, "extensions");
	uint32_t approval = json_get(doc, all, "erc20ApprovalGasSponsoring");
	uint32_t permit = json_get(doc, all, "eip2612GasSponsoring");

	approval = json_get(doc, approval, "info");
	permit = json_get(doc, permit, "info");
	return x402_present(doc, json_get(doc, approval, "signedTransaction")) ||
	    x402_present(doc, json_get(doc, permit, "signature"));
}

static struct x402_verdict
read_members(struct x402_payment *p, const struct json *doc, struct arena *a)
{
	uint32_t version = json_get(doc, 0, "x402Version"), payload, accepted, permit, auth;
	bool permit2;
	uint64_t v;

	X402_NEED(
	    json_type(doc, 0) == JSON_OBJECT, PAYLOAD, "PAYMENT-SIGNATURE is not a JSON object");
	X402_NEED(!has_double(doc), UNREADABLE,
	    "PAYMENT-SIGNATURE spells the name of a member in another way than x402 does");
	X402_NEED(version != JSON_NONE &&
		(json_type(doc, version) == JSON_INT || json_type(doc, version) == JSON_FLOAT),
	    PAYLOAD, "x402Version is not a number");
	X402_NEED(
	    json_u64(doc, version, UINT64_MAX, &v) && v == 2, VERSION, "x402Version is not 2");
	X402_NEED(object_at(doc, 0, "payload", &payload), PAYLOAD, "payload is not an object");
	X402_TRY(read_signature(p, doc, payload, a));
	permit = json_get(doc, payload, "permit2Authorization");
	auth = json_get(doc, payload, "authorization");
	permit2 = x402_present(doc, permit);
	X402_NEED(permit2 != x402_present(doc, auth), PAYLOAD,
	    "payload has not one of permit2Authorization and authorization");
	X402_TRY(permit2 ? read_permit2(p, doc, permit) : read_eip3009(p, doc, auth));
	X402_NEED(object_at(doc, 0, "accepted", &accepted), PAYLOAD, "accepted is not an object");
	X402_TRY(read_accepted(p, doc, accepted));
	p->sponsored = sponsored(doc);
	return X402_OK;
}

struct x402_verdict
x402_payment_read(struct x402_payment *p, struct span value, bool many, struct arena *a)
{
	struct x402_verdict v = X402_OK;
	struct span text = SPAN_NONE;
	struct json doc;
	struct buf b;

	*p = (struct x402_payment){ .form = X402_PERMIT2 };
	X402_NEED(value.p != NULL, ABSENT, "PAYMENT-SIGNATURE is absent: this route is paid");
	X402_NEED(!many, UNREADABLE, "PAYMENT-SIGNATURE is there more than once");
	X402_NEED(value.n <= X402_HEADER_MAX_BYTES, UNREADABLE,
	    "PAYMENT-SIGNATURE is longer than 16384 bytes");
	buf_init(&b, X402_HEADER_MAX_BYTES);
	if (failed(x402_header_decode(&b, value)))
		v = X402_REFUSE(UNREADABLE, "PAYMENT-SIGNATURE is not base64");
	else if ((text = arena_copy(a, buf_span(&b))).p == NULL)
		v = X402_REFUSE(NOMEM, "payment: no memory");
	else if (failed(x402_json(&doc, text)))
		v = X402_REFUSE(UNREADABLE,
		    "PAYMENT-SIGNATURE is not base64 of JSON with each name once, 16 deep");
	else {
		v = read_members(p, &doc, a);
		buf_clear(&b);
		x402_put_compact(&b, &doc, 0);
		json_fini(&doc);
		if (v.reason == X402_FINE &&
		    (failed(buf_check(&b)) || (p->text = arena_copy(a, buf_span(&b))).p == NULL))
			v = X402_REFUSE(NOMEM, "payment: no memory");
	}
	buf_fini(&b);
	return v;
}
