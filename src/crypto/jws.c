#include "crypto/jws.h"

#include "codec/b64.h"
#include "codec/json.h"

enum { HEADER_MAX_BYTES = 512, HEADER_MAX_NODES = 16, HEADER_MEMBERS = 3 };

struct err
jws_sign(struct buf *out, const struct es256_key *key, const char *typ, struct span payload)
{
	uint8_t sig[ES256_SIG_LEN];
	size_t start = out->n;
	struct buf header;
	struct err e;

	buf_init(&header, HEADER_MAX_BYTES);
	buf_put_str(&header, "{\"alg\":\"ES256\",\"kid\":\"");
	buf_put(&header, es256_key_kid(key));
	buf_put_str(&header, "\",\"typ\":\"");
	buf_put_str(&header, typ);
	buf_put_str(&header, "\"}");
	if (!failed(e = buf_check(&header))) {
		b64url_put(out, buf_span(&header));
		buf_put_byte(out, '.');
		b64url_put(out, payload);
		e = buf_check(out);
	}
	buf_fini(&header);
	TRY(e);
	TRY(es256_sign(key, span_cut(buf_span(out), start, out->n), sig));
	buf_put_byte(out, '.');
	b64url_put(out, span_of(sig, sizeof(sig)));
	return buf_check(out);
}

/* Exactly {"alg","kid","typ"} in any order: "crit", "jwk", "jku", "x5u" are refused with the rest
 * (R8), and no member can come in two readings. */
static struct err
judge_members(const struct json *doc, const struct es256_pub *key, const char *typ)
{
	char kid[ES256_KID_LEN + 1];

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "RFC 7515 4: the header is not an object");
	TRY(json_no_duplicates(doc));
	if (!json_is(doc, json_get(doc, 0, "alg"), "ES256"))
		return FAIL(REFUSED, "interfaces.md R8: alg is not ES256");
	if (!json_is(doc, json_get(doc, 0, "typ"), typ))
		return FAIL(REFUSED, "interfaces.md R8: another typ");
	es256_pub_kid(key, kid);
	kid[ES256_KID_LEN] = '\0';
	if (!json_is(doc, json_get(doc, 0, "kid"), kid))
		return FAIL(REFUSED, "interfaces.md R8: kid is not the key's thumbprint");
	if (doc->node[0].count != HEADER_MEMBERS)
		return FAIL(REFUSED, "interfaces.md R8: a header member beyond alg, kid, typ");
	return OK;
}

static struct err
judge_header(struct span text, const struct es256_pub *key, const char *typ)
{
	struct json doc;
	struct buf raw;
	struct err e;

	buf_init(&raw, HEADER_MAX_BYTES);
	if (!failed(e = b64url_parse(&raw, text)) &&
	    !failed(e = json_parse(&doc, buf_span(&raw), HEADER_MAX_NODES))) {
		e = judge_members(&doc, key, typ);
		json_fini(&doc);
	}
	buf_fini(&raw);
	return e;
}

static struct err
judge_signature(struct span text, const struct es256_pub *key, struct span signed_part)
{
	struct buf sig;
	struct err e;

	buf_init(&sig, ES256_SIG_LEN);
	if (!failed(e = b64url_parse(&sig, text)))
		e = es256_verify(key, signed_part, buf_span(&sig));
	buf_fini(&sig);
	return e;
}

struct err
jws_verify(struct span jws, const struct es256_pub *key, const char *typ, struct buf *payload)
{
	static const struct span dot = SPAN_LIT(".");
	size_t first = span_find(jws, dot, 0);
	size_t second = first == SIZE_MAX ? SIZE_MAX : span_find(jws, dot, first + 1);

	if (second == SIZE_MAX || span_find(jws, dot, second + 1) != SIZE_MAX)
		return FAIL(MALFORMED, "RFC 7515 3.1: not three parts");
	TRY(judge_header(span_cut(jws, 0, first), key, typ));
	TRY(judge_signature(span_cut(jws, second + 1, jws.n), key, span_cut(jws, 0, second)));
	return b64url_parse(payload, span_cut(jws, first + 1, second));
}
