#include "receipt/claims.h"

#include "codec/b64.h"
#include "codec/hex.h"
#include "codec/json.h"
#include "core/limits.h"
#include "receipt/legacy.h"

#define COUNT_MAX ((UINT64_C(1) << 53) - 1) /* RFC 8259 6: what every reader takes exactly */

enum { CLAIMS_MAX_NODES = RECEIPT_MAX_BYTES, STATUS_MIN = 100, STATUS_MAX = 599 };
enum { ID_MAX_BYTES = 128, NONCE_MIN_BYTES = 16, NONCE_MAX_BYTES = 64 };
/* Decimal digits of 2^256 - 1, the largest amount a token contract knows. */
enum { AMOUNT_MAX_DIGITS = 78 };

/* One claim: what it is called, how it must look, whether every receipt has it. */
struct rule {
	const char *name, *what;
	bool (*fits)(const struct json *doc, uint32_t at);
	bool required;
};
#define CLAIM(name, fits, required)                                                              \
	{                                                                                        \
		name, "interfaces.md R7: claim " name " is absent or ill-formed", fits, required \
	}
enum { OPTIONAL = false, REQUIRED = true };

static bool
is_type(const struct json *doc, uint32_t at, enum json_type type)
{
	return at != JSON_NONE && json_type(doc, at) == type;
}

/* A string's bytes; .p == NULL for other types and for strings with escapes. */
static struct span
plain(const struct json *doc, uint32_t at)
{
	if (!is_type(doc, at, JSON_STRING) || doc->node[at].count != 0)
		return SPAN_NONE;
	return json_inner(doc, at);
}

static bool
is_word(struct span s, size_t min, size_t max)
{
	if (s.p == NULL || s.n < min || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i], folded = (uint8_t)(c | 0x20);

		if (!(folded >= 'a' && folded <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
		    c != '_')
			return false;
	}
	return true;
}

static bool
is_text(const struct json *doc, uint32_t at)
{
	return is_type(doc, at, JSON_STRING);
}

static bool
is_count(const struct json *doc, uint32_t at)
{
	uint64_t v;

	return json_u64(doc, at, COUNT_MAX, &v);
}

static bool
is_tee_id(const struct json *doc, uint32_t at)
{
	struct span id = plain(doc, at);
	uint8_t hash[KECCAK_LEN];

	if (id.n != TEE_ID_LEN || !span_starts(id, SPAN_LIT("0x")))
		return false;
	return !failed(hex_parse(hash, sizeof(hash), span_cut(id, 2, id.n)));
}

static bool
is_id(const struct json *doc, uint32_t at)
{
	return is_word(plain(doc, at), 1, ID_MAX_BYTES);
}

static bool
is_nonce(const struct json *doc, uint32_t at)
{
	return is_word(plain(doc, at), NONCE_MIN_BYTES, NONCE_MAX_BYTES);
}

static bool
is_platform(const struct json *doc, uint32_t at)
{
	struct span name = plain(doc, at);

	return span_eq(name, SPAN_LIT("aws-nitro")) || span_eq(name, SPAN_LIT("local-simulation"));
}

static bool
is_path(const struct json *doc, uint32_t at)
{
	struct span path = plain(doc, at);

	return span_eq(path, SPAN_LIT("/v1/chat/completions")) ||
	    span_eq(path, SPAN_LIT("/v1/completions"));
}

static bool
is_status(const struct json *doc, uint32_t at)
{
	uint64_t v;

	return json_u64(doc, at, STATUS_MAX, &v) && v >= STATUS_MIN;
}

static bool
read_sha256(const struct json *doc, uint32_t at, uint8_t out[static SHA256_LEN])
{
	struct buf b;
	bool ok;

	buf_init(&b, SHA256_LEN);
	ok = !failed(b64url_parse(&b, plain(doc, at))) && b.n == SHA256_LEN;
	if (ok)
		memcpy(out, b.p, SHA256_LEN);
	buf_fini(&b);
	return ok;
}

static bool
is_sha256(const struct json *doc, uint32_t at)
{
	uint8_t hash[SHA256_LEN];

	return read_sha256(doc, at, hash);
}

/* Lower case only: the legacy fields are compared as text by clients. */
static bool
read_keccak(const struct json *doc, uint32_t at, uint8_t out[static KECCAK_LEN])
{
	struct span text = plain(doc, at);

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'F')
			return false;
	return !failed(hex_parse(out, KECCAK_LEN, text));
}

static bool
is_keccak(const struct json *doc, uint32_t at)
{
	uint8_t hash[KECCAK_LEN];

	return read_keccak(doc, at, hash);
}

static bool
read_outcome(const struct json *doc, uint32_t at, enum receipt_outcome *out)
{
	for (int i = RECEIPT_COMPLETE; i <= RECEIPT_FAILED; i++) {
		*out = (enum receipt_outcome)i;
		if (json_is(doc, at, receipt_outcome_name(*out)))
			return true;
	}
	return false;
}

static bool
is_outcome(const struct json *doc, uint32_t at)
{
	enum receipt_outcome outcome;

	return read_outcome(doc, at, &outcome);
}

static bool
is_text_or_null(const struct json *doc, uint32_t at)
{
	return is_text(doc, at) || is_type(doc, at, JSON_NULL);
}

static bool
is_array_of(const struct json *doc, uint32_t at, bool (*fits)(const struct json *, uint32_t))
{
	if (!is_type(doc, at, JSON_ARRAY))
		return false;
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		if (!fits(doc, c))
			return false;
	return true;
}

/* One reason, or one a choice when n > 1; null: the provider gave none. */
static bool
is_finish_reason(const struct json *doc, uint32_t at)
{
	return is_text_or_null(doc, at) || is_array_of(doc, at, is_text_or_null);
}

static bool
is_names(const struct json *doc, uint32_t at)
{
	return is_array_of(doc, at, is_text);
}

static bool
is_amount(const struct json *doc, uint32_t at)
{
	struct span digits = plain(doc, at);

	if (digits.n == 0 || digits.n > AMOUNT_MAX_DIGITS || (digits.n > 1 && digits.p[0] == '0'))
		return false;
	for (size_t i = 0; i < digits.n; i++)
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return false;
	return true;
}

static bool
is_time(const struct json *doc, uint32_t at)
{
	return is_count(doc, at) || is_text(doc, at);
}

/* NULL when all members fit, else the sentence of the first rule that does not. */
static const char *
first_misfit(const struct json *doc, uint32_t at, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t member = json_get(doc, at, rules[i].name);

		if (member == JSON_NONE ? rules[i].required : !rules[i].fits(doc, member))
			return rules[i].what;
	}
	return NULL;
}

#define OBJECT_FITS(doc, at, rules)           \
	(is_type((doc), (at), JSON_OBJECT) && \
	    first_misfit((doc), (at), (rules), sizeof(rules) / sizeof((rules)[0])) == NULL)

static bool
is_upstream(const struct json *doc, uint32_t at)
{
	static const struct rule rules[] = {
		CLAIM("host", is_text, REQUIRED),
		CLAIM("tls", is_text, OPTIONAL), /* none to a plain http upstream of local mode */
		CLAIM("spki", is_sha256, OPTIONAL),
		CLAIM("cert", is_sha256, OPTIONAL),
		CLAIM("request_id", is_text, OPTIONAL),
		CLAIM("account", is_text, OPTIONAL),
	};

	return OBJECT_FITS(doc, at, rules);
}

static bool
is_usage(const struct json *doc, uint32_t at)
{
	static const struct rule rules[] = {
		CLAIM("prompt_tokens", is_count, OPTIONAL),
		CLAIM("completion_tokens", is_count, OPTIONAL),
		CLAIM("total_tokens", is_count, OPTIONAL),
	};

	return OBJECT_FITS(doc, at, rules);
}

static bool
is_payment(const struct json *doc, uint32_t at)
{
	static const struct rule rules[] = {
		CLAIM("scheme", is_text, REQUIRED),
		CLAIM("network", is_text, REQUIRED),
		CLAIM("asset", is_text, REQUIRED),
		CLAIM("payer", is_text, REQUIRED),
		CLAIM("pay_to", is_text, REQUIRED),
		CLAIM("facilitator", is_text, OPTIONAL),
		CLAIM("permit_nonce", is_text, OPTIONAL),
		CLAIM("cap", is_amount, REQUIRED),
		CLAIM("charged", is_amount, REQUIRED),
		CLAIM("session_total", is_amount, OPTIONAL),
		CLAIM("price_usd", is_text, OPTIONAL),
		CLAIM("price_time", is_time, OPTIONAL),
	};

	return OBJECT_FITS(doc, at, rules);
}

static bool
is_pair(const struct json *doc, uint32_t at)
{
	static const struct rule rules[] = {
		CLAIM("request", is_keccak, REQUIRED),
		CLAIM("output", is_keccak, REQUIRED),
	};

	return OBJECT_FITS(doc, at, rules);
}

/* The table of R7, in its order. */
static const struct rule claim_rules[] = {
	CLAIM("iss", is_tee_id, REQUIRED),
	CLAIM("jti", is_id, REQUIRED),
	CLAIM("iat", is_count, REQUIRED),
	CLAIM("platform", is_platform, REQUIRED),
	CLAIM("path", is_path, REQUIRED),
	CLAIM("status", is_status, REQUIRED),
	CLAIM("nonce", is_nonce, OPTIONAL),
	CLAIM("req", is_sha256, REQUIRED),
	CLAIM("res", is_sha256, REQUIRED),
	CLAIM("res_len", is_count, REQUIRED),
	CLAIM("fwd", is_sha256, OPTIONAL),
	CLAIM("up", is_sha256, OPTIONAL),
	CLAIM("model", is_text, REQUIRED),
	CLAIM("provider", is_text, REQUIRED),
	CLAIM("served_model", is_text, OPTIONAL),
	CLAIM("upstream", is_upstream, OPTIONAL),
	CLAIM("outcome", is_outcome, REQUIRED),
	CLAIM("finish_reason", is_finish_reason, OPTIONAL),
	CLAIM("usage", is_usage, OPTIONAL),
	CLAIM("adjusted", is_names, OPTIONAL),
	CLAIM("limit", is_count, OPTIONAL),
	CLAIM("payment", is_payment, OPTIONAL),
	CLAIM("config", is_sha256, OPTIONAL),
	CLAIM("hash", is_pair, OPTIONAL),
};

/* After claim_rules none of this can fail. */
static bool
take_values(struct receipt_claims *c, const struct json *doc)
{
	uint32_t pair = json_get(doc, 0, "hash");

	*c = (struct receipt_claims){
		.iss = plain(doc, json_get(doc, 0, "iss")),
		.jti = plain(doc, json_get(doc, 0, "jti")),
		.platform = plain(doc, json_get(doc, 0, "platform")),
		.path = plain(doc, json_get(doc, 0, "path")),
		.nonce = plain(doc, json_get(doc, 0, "nonce")),
		.has_pair = pair != JSON_NONE,
	};
	return json_u64(doc, json_get(doc, 0, "iat"), COUNT_MAX, &c->iat_unix_s) &&
	    json_u64(doc, json_get(doc, 0, "status"), STATUS_MAX, &c->status) &&
	    json_u64(doc, json_get(doc, 0, "res_len"), COUNT_MAX, &c->res_len) &&
	    read_sha256(doc, json_get(doc, 0, "req"), c->req) &&
	    read_sha256(doc, json_get(doc, 0, "res"), c->res) &&
	    read_outcome(doc, json_get(doc, 0, "outcome"), &c->outcome) &&
	    (!c->has_pair ||
		(read_keccak(doc, json_get(doc, pair, "request"), c->request_hash) &&
		    read_keccak(doc, json_get(doc, pair, "output"), c->output_hash)));
}

static struct err
read_document(struct receipt_claims *c, const struct json *doc)
{
	const char *misfit;

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "interfaces.md R7: the claims are not an object");
	TRY(json_no_duplicates(doc));
	misfit = first_misfit(doc, 0, claim_rules, sizeof(claim_rules) / sizeof(claim_rules[0]));
	if (misfit != NULL)
		return (struct err){ ERR_MALFORMED, misfit };
	return take_values(c, doc) ? OK : FAIL(MALFORMED, "interfaces.md R7: ill-formed claims");
}

struct err
receipt_claims_read(struct receipt_claims *c, struct span payload)
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, payload, CLAIMS_MAX_NODES));
	e = read_document(c, &doc);
	json_fini(&doc);
	return e;
}
