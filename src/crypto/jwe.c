#include "crypto/jwe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "codec/b64.h"
#include "codec/json.h"
#include "core/limits.h"
#include "core/wipe.h"
#include "crypto/digest.h"
#include "crypto/p256.h"

enum { PARTS = 5, HEADER_MAX_BYTES = 1024, HEADER_MAX_NODES = 32 };
enum { HEADER_MEMBERS = 3, EPK_MEMBERS = 4 };
enum { SHARED_LEN = 32 };

struct seal_key {
	EVP_PKEY *pkey;
	struct es256_pub pub;
};

static struct err
library_failed(const char *what)
{
	ERR_clear_error();
	return (struct err){ ERR_SYSTEM, what };
}

struct err
seal_key_generate(struct seal_key **out)
{
	struct seal_key *k = calloc(1, sizeof(*k));

	*out = NULL;
	if (k == NULL)
		return FAIL(SYSTEM, "seal key: memory");
	if ((k->pkey = EVP_EC_gen("P-256")) == NULL || !p256_read(k->pkey, &k->pub)) {
		seal_key_free(k);
		return library_failed("seal key: cannot generate");
	}
	*out = k;
	return OK;
}

void
seal_key_free(struct seal_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* clears the private number */
	free(k);
}

void
seal_key_pub(const struct seal_key *k, struct es256_pub *out)
{
	*out = k->pub;
}

/* --- what it says --- */

/* Exactly n bytes, in the one base64url spelling they have. */
static struct err
read_fixed(uint8_t *out, size_t n, struct span text)
{
	struct buf b;
	struct err e;

	buf_init(&b, n);
	e = b64url_parse(&b, text);
	if (!failed(e) && b.n != n)
		e = FAIL(MALFORMED, "RFC 7518: a part of another length");
	if (!failed(e))
		memcpy(out, b.p, n);
	buf_fini(&b);
	return e;
}

static struct err
read_coordinate(uint8_t out[static ES256_COORD_LEN], const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING || doc->node[at].count != 0)
		return FAIL(MALFORMED, "RFC 7518 6.2: epk has no x or y");
	return read_fixed(out, ES256_COORD_LEN, json_inner(doc, at));
}

static struct err
read_epk(struct es256_pub *epk, const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE || json_type(doc, at) != JSON_OBJECT)
		return FAIL(MALFORMED, "RFC 7518 4.6: the header has no epk");
	if (!json_is(doc, json_get(doc, at, "kty"), "EC") ||
	    !json_is(doc, json_get(doc, at, "crv"), "P-256"))
		return FAIL(REFUSED, "interfaces.md P3: epk is not on P-256");
	if (doc->node[at].count != EPK_MEMBERS)
		return FAIL(REFUSED, "interfaces.md P3: epk has a member beyond kty, crv, x, y");
	TRY(read_coordinate(epk->x, doc, json_get(doc, at, "x")));
	return read_coordinate(epk->y, doc, json_get(doc, at, "y"));
}

/* With the count of members, "crit", "zip", "apu" and a key of the sender's are refused. */
static struct err
read_members(struct jwe *j, const struct json *doc)
{
	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "RFC 7516 4: the header is not an object");
	TRY(json_no_duplicates(doc));
	if (!json_is(doc, json_get(doc, 0, "alg"), "ECDH-ES"))
		return FAIL(REFUSED, "interfaces.md P3: alg is not ECDH-ES");
	if (!json_is(doc, json_get(doc, 0, "enc"), "A256GCM"))
		return FAIL(REFUSED, "interfaces.md P3: enc is not A256GCM");
	TRY(read_epk(&j->epk, doc, json_get(doc, 0, "epk")));
	if (doc->node[0].count != HEADER_MEMBERS)
		return FAIL(REFUSED, "interfaces.md P3: a header member beyond alg, enc, epk");
	return OK;
}

static struct err
read_header(struct jwe *j)
{
	struct json doc;
	struct buf raw;
	struct err e;

	buf_init(&raw, HEADER_MAX_BYTES);
	if (!failed(e = b64url_parse(&raw, j->header)) &&
	    !failed(e = json_parse(&doc, buf_span(&raw), HEADER_MAX_NODES))) {
		e = read_members(j, &doc);
		json_fini(&doc);
	}
	buf_fini(&raw);
	return e;
}

static struct err
split(struct span part[static PARTS], struct span text)
{
	for (size_t i = 0; i < PARTS; i++) {
		size_t dot = text.n == 0 ? SIZE_MAX : span_find(text, SPAN_LIT("."), 0);

		if ((dot == SIZE_MAX) != (i == PARTS - 1))
			return FAIL(MALFORMED, "RFC 7516 7.1: not five parts");
		part[i] = span_cut(text, 0, dot == SIZE_MAX ? text.n : dot);
		if (dot != SIZE_MAX)
			text = span_cut(text, dot + 1, text.n);
	}
	return OK;
}

/* The same judgement on the content as on the rest, so that opening it finds nothing new. */
static struct err
check_content(struct span text)
{
	struct buf raw;
	struct err e;

	buf_init(&raw, PROVISION_MAX_BYTES);
	e = b64url_parse(&raw, text);
	buf_fini(&raw);
	return e;
}

struct err
jwe_parse(struct jwe *j, struct span text)
{
	struct span part[PARTS];

	*j = (struct jwe){ 0 };
	if (text.n > PROVISION_MAX_BYTES)
		return FAIL(TOO_LARGE, "JWE: too long");
	TRY(split(part, text));
	j->header = part[0];
	j->content = part[3];
	TRY(read_header(j));
	if (part[1].n != 0)
		return FAIL(MALFORMED, "RFC 7518 4.6: ECDH-ES has no encrypted key");
	TRY(read_fixed(j->iv, sizeof(j->iv), part[2]));
	TRY(check_content(j->content));
	return read_fixed(j->tag, sizeof(j->tag), part[4]);
}

/* --- what is in it --- */

/* RFC 7518 4.6.2: one round of the Concat KDF, without parties' names. */
static void
derive_cek(const uint8_t shared[static SHARED_LEN], uint8_t cek[static SHA256_LEN])
{
	static const uint8_t round[] = { 0, 0, 0, 1 };
	static const uint8_t info[] = { 0, 0, 0, 7, 'A', '2', '5', '6', 'G', 'C', 'M', /* the use */
		0, 0, 0, 0,   /* from nobody */
		0, 0, 0, 0,   /* to nobody */
		0, 0, 1, 0 }; /* 256 bits */
	uint8_t in[sizeof(round) + SHARED_LEN + sizeof(info)];

	memcpy(in, round, sizeof(round));
	memcpy(in + sizeof(round), shared, SHARED_LEN);
	memcpy(in + sizeof(round) + SHARED_LEN, info, sizeof(info));
	sha256_of(span_of(in, sizeof(in)), cek);
	wipe(in, sizeof(in));
}

static struct err
agree(uint8_t cek[static SHA256_LEN], const struct es256_pub *epk, const struct seal_key *k)
{
	uint8_t shared[SHARED_LEN];
	size_t n = sizeof(shared);
	EVP_PKEY *peer = p256_pkey(epk);
	EVP_PKEY_CTX *ctx;
	bool done;

	if (peer == NULL)
		return FAIL(REFUSED, "SEC 1 3.2.2: epk is not on P-256");
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
	done = ctx != NULL && EVP_PKEY_derive_init(ctx) > 0 &&
	    EVP_PKEY_derive_set_peer(ctx, peer) > 0 && EVP_PKEY_derive(ctx, shared, &n) > 0 &&
	    n == sizeof(shared);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	if (done)
		derive_cek(shared, cek);
	wipe(shared, sizeof(shared));
	return done ? OK : library_failed("ECDH");
}

/* FALSE: the tag does not fit, and nothing of what was written may be used. */
static bool
decrypt(uint8_t *out, struct span in, const struct jwe *j, const uint8_t cek[static SHA256_LEN])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[JWE_TAG_LEN];
	int n = 0, last = 0;
	bool good;

	memcpy(tag, j->tag, sizeof(tag));
	good = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, cek, j->iv) > 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) > 0 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, j->header.p, (int)j->header.n) > 0 &&
	    (in.n == 0 || EVP_DecryptUpdate(ctx, out, &n, in.p, (int)in.n) > 0) &&
	    EVP_DecryptFinal_ex(ctx, out, &last) > 0;
	EVP_CIPHER_CTX_free(ctx); /* clears its keys */
	ERR_clear_error();
	return good;
}

struct err
jwe_open(struct buf *plain, const struct jwe *j, const struct seal_key *k)
{
	size_t before = plain->n;
	uint8_t cek[SHA256_LEN], *out;
	struct buf raw;
	struct err e;

	buf_init(&raw, PROVISION_MAX_BYTES);
	if (!failed(e = b64url_parse(&raw, j->content)) && !failed(e = agree(cek, &j->epk, k))) {
		if ((out = buf_grow(plain, raw.n + 1)) == NULL) {
			e = FAIL(TOO_LARGE, "JWE: content");
		} else if (!decrypt(out, buf_span(&raw), j, cek)) {
			wipe(out, raw.n + 1);
			buf_truncate(plain, before);
			e = FAIL(REFUSED, "RFC 7518 5.3: sealed for another key, or changed since");
		} else {
			buf_truncate(plain, before + raw.n);
		}
		wipe(cek, sizeof(cek));
	}
	buf_fini(&raw);
	return e;
}
