#include "x402/requirements.h"

#include "codec/b64.h"
#include "core/limits.h"
#include "x402/header.h"

const char *
x402_scheme_name(enum x402_scheme scheme)
{
	return scheme == X402_UPTO ? "upto" : "exact";
}

/* A string that is not empty. */
static bool
text_of(const struct json *doc, uint32_t at, struct span *out)
{
	return x402_plain(doc, at, out) && out->n > 0;
}

static struct err
read_caps(struct x402_terms *t, const struct json *doc, uint32_t caps)
{
	if (caps == JSON_NONE || json_type(doc, caps) != JSON_ARRAY)
		return FAIL(REFUSED, "policy: payment.caps is not an array");
	for (uint32_t c = json_first(doc, caps); c != JSON_NONE; c = json_after(doc, caps, c)) {
		struct span text;
		struct u256 cap;

		if (!text_of(doc, c, &text) || !u256_parse(&cap, text) || u256_is_zero(cap))
			return FAIL(REFUSED, "policy: payment.caps: not an amount in atomic units");
		if (t->n_caps == X402_MAX_CAPS)
			return FAIL(REFUSED, "policy: payment.caps: more than 8");
		if (t->n_caps > 0 && u256_cmp(t->cap[t->n_caps - 1], cap) >= 0)
			return FAIL(REFUSED, "policy: payment.caps do not ascend");
		t->cap[t->n_caps++] = cap;
	}
	if (t->n_caps == 0)
		return FAIL(REFUSED, "policy: payment.caps is empty");
	return OK;
}

struct err
x402_terms_read(struct x402_terms *t, const struct json *doc, uint32_t at)
{
	static const struct span eip155 = SPAN_LIT("eip155:");
	struct span asset;

	*t = (struct x402_terms){ .scheme = X402_UPTO, .max_timeout_s = X402_MAX_TIMEOUT_S };
	if (at == JSON_NONE || json_type(doc, at) != JSON_OBJECT)
		return FAIL(REFUSED, "policy: payment is not an object");
	if (!text_of(doc, json_get(doc, at, "network"), &t->network) ||
	    !span_starts(t->network, eip155) ||
	    !span_u64(span_cut(t->network, eip155.n, t->network.n), INT64_MAX, &t->chain_id))
		return FAIL(REFUSED, "policy: payment.network is not eip155:CHAIN-ID");
	if (!text_of(doc, json_get(doc, at, "asset"), &asset) || !address_parse(&t->asset, asset))
		return FAIL(REFUSED, "policy: payment.asset is not an address");
	if (!text_of(doc, json_get(doc, at, "asset_name"), &t->asset_name))
		return FAIL(REFUSED, "policy: payment.asset_name is not a plain string");
	if (!text_of(doc, json_get(doc, at, "asset_version"), &t->asset_version))
		return FAIL(REFUSED, "policy: payment.asset_version is not a plain string");
	return read_caps(t, doc, json_get(doc, at, "caps"));
}

struct u256
x402_largest_cap(const struct x402_terms *t)
{
	return t->cap[t->n_caps - 1];
}

struct u256
x402_cap_for(const struct x402_terms *t, struct u256 worst)
{
	for (size_t i = 0; i < t->n_caps; i++)
		if (u256_cmp(t->cap[i], worst) >= 0)
			return t->cap[i];
	return x402_largest_cap(t);
}

bool
x402_facilitator_known(const struct x402_terms *t, const struct address *a)
{
	static const struct address nobody;

	/* Before the facilitator has said who it is, nobody is it. */
	if (address_eq(a, &nobody))
		return false;
	return address_eq(a, &t->facilitator) ||
	    (t->has_facilitator_before && address_eq(a, &t->facilitator_before));
}

static void
put_member(struct buf *b, const char *name, struct span text)
{
	buf_put_str(b, name);
	json_put_string(b, text);
}

static void
put_address(struct buf *b, const char *name, const struct address *a)
{
	buf_put_str(b, name);
	buf_put_byte(b, '"');
	address_put(b, a);
	buf_put_byte(b, '"');
}

void
x402_put_requirements(struct buf *b, const struct x402_terms *t, struct u256 amount,
    const struct address *facilitator)
{
	put_member(b, "{\"scheme\":", span_str(x402_scheme_name(t->scheme)));
	put_member(b, ",\"network\":", t->network);
	buf_put_str(b, ",\"amount\":\"");
	u256_put(b, amount);
	put_address(b, "\",\"asset\":", &t->asset);
	put_address(b, ",\"payTo\":", &t->pay_to);
	buf_put_str(b, ",\"maxTimeoutSeconds\":");
	buf_put_u64(b, t->max_timeout_s);
	put_member(b, ",\"extra\":{\"name\":", t->asset_name);
	put_member(b, ",\"version\":", t->asset_version);
	if (t->scheme != X402_EXACT_EIP3009)
		buf_put_str(b, ",\"assetTransferMethod\":\"permit2\"");
	if (t->scheme == X402_UPTO)
		put_address(b, ",\"facilitatorAddress\":", facilitator);
	buf_put_str(b, "}}");
}

/*
 * x402.md 4.6. The words are those of the official packages, byte for byte: clients send them back
 * inside every payment, and facilitators check what was added against this schema.
 */
static const char gas_sponsoring[] =
    ",\"extensions\":{\"erc20ApprovalGasSponsoring\":{\"info\":{"
    "\"description\":\"The facilitator broadcasts a pre-signed ERC-20 approve() transaction to "
    "grant Permit2 allowance.\",\"version\":\"1\"},\"schema\":{"
    "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","
    "\"properties\":{"
    "\"from\":{\"type\":\"string\",\"pattern\":\"^0x[a-fA-F0-9]{40}$\","
    "\"description\":\"The address of the sender (token owner).\"},"
    "\"asset\":{\"type\":\"string\",\"pattern\":\"^0x[a-fA-F0-9]{40}$\","
    "\"description\":\"The address of the ERC-20 token contract.\"},"
    "\"spender\":{\"type\":\"string\",\"pattern\":\"^0x[a-fA-F0-9]{40}$\","
    "\"description\":\"The address of the spender (Canonical Permit2).\"},"
    "\"amount\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\","
    "\"description\":\"The amount approved (uint256). Always MaxUint256.\"},"
    "\"signedTransaction\":{\"type\":\"string\",\"pattern\":\"^0x[a-fA-F0-9]+$\","
    "\"description\":\"The RLP-encoded signed EIP-1559 transaction as a hex string.\"},"
    "\"version\":{\"type\":\"string\",\"pattern\":\"^[0-9]+(\\\\.[0-9]+)*$\","
    "\"description\":\"Schema version identifier.\"}},"
    "\"required\":[\"from\",\"asset\",\"spender\",\"amount\",\"signedTransaction\","
    "\"version\"]}}}";

void
x402_put_required(struct buf *b, const struct x402_terms *t, struct u256 amount, const char *error,
    struct span url, const char *description)
{
	put_member(b, "{\"x402Version\":2,\"error\":", span_str(error));
	put_member(b, ",\"resource\":{\"url\":", url);
	put_member(b, ",\"description\":", span_str(description));
	buf_put_str(b, ",\"mimeType\":\"application/json\"},\"accepts\":[");
	x402_put_requirements(b, t, amount, &t->facilitator);
	buf_put_byte(b, ']');
	if (t->gas_sponsoring)
		buf_put_str(b, gas_sponsoring);
	buf_put_byte(b, '}');
}

void
x402_put_required_header(struct buf *b, const struct x402_terms *t, struct u256 amount,
    const char *error, struct span url, const char *description)
{
	struct buf json;

	buf_init(&json, X402_HEADER_MAX_BYTES);
	x402_put_required(&json, t, amount, error, url, description);
	if (failed(buf_check(&json)))
		b->over = true;
	else
		b64_put(b, buf_span(&json));
	buf_fini(&json);
}
