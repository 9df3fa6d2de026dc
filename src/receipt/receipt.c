#include "receipt/receipt.h"

#include "codec/b64.h"
#include "codec/hex.h"
#include "codec/json.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "crypto/jws.h"
#include "crypto/keccak.h"

/* More members than fit into RECEIPT_MAX_BYTES. */
enum { MEMBERS_MAX_NODES = RECEIPT_MAX_BYTES };

const char *
receipt_outcome_name(enum receipt_outcome outcome)
{
	static const char *const names[] = {
		[RECEIPT_COMPLETE] = "complete",
		[RECEIPT_TRUNCATED] = "truncated",
		[RECEIPT_FAILED] = "failed",
	};

	return names[outcome];
}

/*
 * Bytes of the UTF-8 character that s begins with; 0 when it begins with none.
 * Source: Unicode 15, table 3-7 (no overlong forms, no surrogates, nothing above U+10FFFF).
 */
static size_t
character_bytes(struct span s)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (s.n == 0)
		return 0;
	if (s.p[0] < 0x80)
		return 1;
	if (s.p[0] < 0xc2 || s.p[0] > 0xf4)
		return 0;
	n = s.p[0] < 0xe0 ? 2 : s.p[0] < 0xf0 ? 3 : 4;
	if (s.n < n)
		return 0;
	if (s.p[0] == 0xe0)
		low = 0xa0;
	else if (s.p[0] == 0xed)
		high = 0x9f;
	else if (s.p[0] == 0xf0)
		low = 0x90;
	else if (s.p[0] == 0xf4)
		high = 0x8f;
	if (s.p[1] < low || s.p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s.p[i] < 0x80 || s.p[i] > 0xbf)
			return 0;
	return n;
}

/* One member's name. The object is open, so that a comma goes before all but the first. */
static void
put_name(struct buf *b, const char *name)
{
	if (b->n > 0 && b->p[b->n - 1] != '{')
		buf_put_byte(b, ',');
	buf_put_byte(b, '"');
	buf_put_str(b, name);
	buf_put_str(b, "\":");
}

static void
put_text(struct buf *b, const char *name, struct span text)
{
	if (text.p == NULL)
		return;
	put_name(b, name);
	json_put_string(b, text);
}

static void
put_foreign(struct buf *b, const char *name, struct span text)
{
	static const struct span replacement = SPAN_LIT("\xef\xbf\xbd");
	struct buf cut;

	if (text.p == NULL)
		return;
	buf_init(&cut, RECEIPT_FOREIGN_BYTES);
	while (text.n > 0) {
		size_t n = character_bytes(text);
		struct span piece = n > 0 ? span_cut(text, 0, n) : replacement;

		if (piece.n > RECEIPT_FOREIGN_BYTES - cut.n)
			break;
		buf_put(&cut, piece);
		text = span_cut(text, n > 0 ? n : 1, text.n);
	}
	put_text(b, name, cut.n > 0 ? buf_span(&cut) : SPAN_LIT(""));
	if (failed(buf_check(&cut)))
		b->over = true;
	buf_fini(&cut);
}

static void
put_json(struct buf *b, const char *name, struct span json)
{
	if (json.p == NULL)
		return;
	put_name(b, name);
	buf_put(b, json);
}

static void
put_number(struct buf *b, const char *name, uint64_t v)
{
	put_name(b, name);
	buf_put_u64(b, v);
}

static void
put_hash(struct buf *b, const char *name, const uint8_t *sha256)
{
	if (sha256 == NULL)
		return;
	put_name(b, name);
	buf_put_byte(b, '"');
	b64url_put(b, span_of(sha256, SHA256_LEN));
	buf_put_byte(b, '"');
}

static void
put_keccak(struct buf *b, const char *name, const uint8_t *hash)
{
	put_name(b, name);
	buf_put_byte(b, '"');
	hex_put(b, span_of(hash, KECCAK_LEN));
	buf_put_byte(b, '"');
}

static void
put_upstream(struct buf *b, const struct receipt *r)
{
	if (r->upstream.host.p == NULL)
		return;
	put_name(b, "upstream");
	buf_put_byte(b, '{');
	put_foreign(b, "host", r->upstream.host);
	put_text(b, "tls", r->upstream.tls);
	put_hash(b, "spki", r->upstream.spki);
	put_hash(b, "cert", r->upstream.cert);
	put_foreign(b, "request_id", r->upstream.request_id);
	put_foreign(b, "account", r->upstream.account);
	buf_put_byte(b, '}');
}

static void
put_adjusted(struct buf *b, const struct receipt *r)
{
	if (r->n_adjusted == 0)
		return;
	put_name(b, "adjusted");
	for (size_t i = 0; i < r->n_adjusted; i++) {
		buf_put_byte(b, i == 0 ? '[' : ',');
		json_put_string(b, r->adjusted[i]);
	}
	buf_put_byte(b, ']');
}

static void
put_payment(struct buf *b, const struct receipt_payment *p)
{
	if (p->scheme.p == NULL)
		return;
	put_name(b, "payment");
	buf_put_byte(b, '{');
	put_text(b, "scheme", p->scheme);
	put_text(b, "network", p->network);
	put_text(b, "asset", p->asset);
	put_text(b, "payer", p->payer);
	put_text(b, "pay_to", p->pay_to);
	put_text(b, "facilitator", p->facilitator);
	put_text(b, "permit_nonce", p->permit_nonce);
	put_text(b, "cap", p->cap);
	put_text(b, "charged", p->charged);
	put_text(b, "session_total", p->session_total);
	put_text(b, "price_usd", p->price_usd);
	put_number(b, "price_time", p->price_unix_s);
	buf_put_byte(b, '}');
}

void
receipt_put_members(struct buf *b, const struct receipt *r)
{
	buf_put_byte(b, '{');
	put_text(b, "jti", r->jti);
	put_text(b, "path", r->path);
	put_number(b, "status", r->status);
	put_foreign(b, "nonce", r->nonce);
	put_hash(b, "req", r->req);
	put_hash(b, "res", r->res);
	put_number(b, "res_len", r->res_len);
	put_hash(b, "fwd", r->fwd);
	put_hash(b, "up", r->up);
	put_foreign(b, "model", r->model);
	put_text(b, "provider", r->provider);
	put_foreign(b, "served_model", r->served_model);
	put_upstream(b, r);
	put_text(b, "outcome", span_str(receipt_outcome_name(r->outcome)));
	put_json(b, "finish_reason", r->finish_reason);
	put_json(b, "usage", r->usage);
	put_adjusted(b, r);
	if (r->limit > 0)
		put_number(b, "limit", r->limit);
	put_payment(b, &r->payment);
	put_hash(b, "config", r->config);
	if (r->request_hash != NULL && r->output_hash != NULL) {
		put_name(b, "hash");
		buf_put_byte(b, '{');
		put_keccak(b, "request", r->request_hash);
		put_keccak(b, "output", r->output_hash);
		buf_put_byte(b, '}');
	}
	buf_put_byte(b, '}');
}

/* The bytes between the braces of the worker's object, which may claim anything but who signs. */
static struct err
members_inside(const struct json *doc, struct span *inside)
{
	static const char *const ours[] = { "iss", "iat", "platform" };
	struct span object = json_raw(doc, 0);

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(REFUSED, "interfaces.md K3: receipt members are not an object");
	if (failed(json_no_duplicates(doc)))
		return FAIL(REFUSED, "interfaces.md K3: receipt members with a name twice");
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (json_get(doc, 0, ours[i]) != JSON_NONE)
			return FAIL(
			    REFUSED, "interfaces.md K3: iss, iat, platform are ours to write");
	*inside = span_trim(span_cut(object, 1, object.n - 1));
	return OK;
}

static struct err
put_claims(
    struct buf *b, struct span iss, struct span platform, uint64_t iat_unix_s, struct span members)
{
	struct span inside;
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, members, MEMBERS_MAX_NODES));
	if (!failed(e = members_inside(&doc, &inside))) {
		buf_put_byte(b, '{');
		put_text(b, "iss", iss);
		put_number(b, "iat", iat_unix_s);
		put_text(b, "platform", platform);
		if (inside.n > 0)
			buf_put_byte(b, ',');
		buf_put(b, inside);
		buf_put_byte(b, '}');
		e = buf_check(b);
	}
	json_fini(&doc);
	return e;
}

struct err
receipt_sign(struct buf *out, const struct es256_key *key, struct span iss, struct span platform,
    uint64_t iat_unix_s, struct span members)
{
	struct buf claims, jws;
	struct err e;

	buf_init(&claims, RECEIPT_MAX_BYTES);
	buf_init(&jws, RECEIPT_MAX_BYTES);
	e = put_claims(&claims, iss, platform, iat_unix_s, members);
	if (!failed(e))
		e = jws_sign(&jws, key, RECEIPT_TYP, buf_span(&claims));
	if (!failed(e)) {
		buf_put(out, buf_span(&jws));
		e = buf_check(out);
	}
	buf_fini(&jws);
	buf_fini(&claims);
	return e;
}
