/*
 * sealer.h - seals a JWE, step by step after RFC 7518 4.6 and 5.3, so that each step can be bent.
 */
#ifndef TEST_SEALER_H
#define TEST_SEALER_H

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "codec/b64.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "crypto/jwe.h"
#include "crypto/p256.h"

/* What is to be wrong with it; NULL: nothing. */
struct bend {
	const char *header; /* the whole, with %s for epk's members x and y */
	const char *alg;    /* the algorithm that the key is derived for */
	const char *encrypted_key;
};

static inline void
put_epk(struct buf *b, const struct es256_pub *pub)
{
	buf_put_str(b, "\"x\":\"");
	b64url_put(b, span_of(pub->x, sizeof(pub->x)));
	buf_put_str(b, "\",\"y\":\"");
	b64url_put(b, span_of(pub->y, sizeof(pub->y)));
	buf_put_str(b, "\"");
}

static inline void
put_u32(struct buf *b, size_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_put_byte(b, (uint8_t)(v >> shift));
}

static inline void
seal_header(struct buf *b, const char *form, const struct es256_pub *epk)
{
	const char *rest = strstr(form, "%s");
	struct buf text;

	buf_init(&text, 4096);
	buf_put(&text, span_of(form, rest == NULL ? strlen(form) : (size_t)(rest - form)));
	if (rest != NULL) {
		put_epk(&text, epk);
		buf_put_str(&text, rest + 2);
	}
	b64url_put(b, buf_span(&text));
	buf_fini(&text);
}

/* The JWE of `plain` for `to`, appended to b; how may be NULL. FALSE: the library failed. */
static inline bool
seal(struct buf *b, const struct es256_pub *to, struct span plain, const struct bend *how)
{
	const char *form = how != NULL && how->header != NULL
	    ? how->header
	    : "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",%"
	      "s}}";
	const char *alg = how != NULL && how->alg != NULL ? how->alg : "A256GCM";
	static const uint8_t iv[JWE_IV_LEN] = { 1, 2, 3 };
	uint8_t shared[32], cek[SHA256_LEN], out[PROVISION_MAX_BYTES], tag[JWE_TAG_LEN];
	EVP_PKEY *mine = EVP_EC_gen("P-256"), *theirs = p256_pkey(to);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	size_t start = b->n, n = sizeof(shared);
	struct es256_pub epk;
	struct buf kdf;
	int some = 0, last = 0;
	bool good = p256_read(mine, &epk) && EVP_PKEY_derive_init(ctx) > 0 &&
	    EVP_PKEY_derive_set_peer(ctx, theirs) > 0 && EVP_PKEY_derive(ctx, shared, &n) > 0;

	buf_init(&kdf, 256);
	put_u32(&kdf, 1);
	buf_put(&kdf, span_of(shared, sizeof(shared)));
	put_u32(&kdf, strlen(alg));
	buf_put_str(&kdf, alg);
	put_u32(&kdf, 0);
	put_u32(&kdf, 0);
	put_u32(&kdf, 256);
	sha256_of(buf_span(&kdf), cek);
	buf_fini(&kdf);
	seal_header(b, form, &epk);
	good = good && plain.n <= sizeof(out) &&
	    EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, cek, iv) > 0 &&
	    EVP_EncryptUpdate(cipher, NULL, &some, b->p + start, (int)(b->n - start)) > 0 &&
	    (plain.n == 0 || EVP_EncryptUpdate(cipher, out, &some, plain.p, (int)plain.n) > 0) &&
	    EVP_EncryptFinal_ex(cipher, out, &last) > 0 &&
	    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) > 0;
	buf_put_byte(b, '.');
	if (how != NULL && how->encrypted_key != NULL)
		buf_put_str(b, how->encrypted_key);
	buf_put_byte(b, '.');
	b64url_put(b, span_of(iv, sizeof(iv)));
	buf_put_byte(b, '.');
	b64url_put(b, span_of(out, plain.n));
	buf_put_byte(b, '.');
	b64url_put(b, span_of(tag, sizeof(tag)));
	EVP_CIPHER_CTX_free(cipher);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(theirs);
	return good && !failed(buf_check(b));
}

#endif
