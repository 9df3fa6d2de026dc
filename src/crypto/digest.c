#include "crypto/digest.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/*
 * SHA-256 cannot fail on its input; only the library can, when memory for a context is refused.
 * A hash that silently covered less than was sent would be signed, so the process ends instead.
 */
static void
must(int ok)
{
	if (ok != 1)
		abort();
}

static EVP_MD *algorithm;

static void
fetch(void)
{
	must((algorithm = EVP_MD_fetch(NULL, "SHA256", NULL)) != NULL);
}

/* Looked up once for the process: EVP_sha256() has the library look it up at each use. */
static const EVP_MD *
sha256_algorithm(void)
{
	static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

	must(CRYPTO_THREAD_run_once(&once, fetch));
	return algorithm;
}

struct sha256 {
	EVP_MD_CTX *ctx;
	EVP_MD_CTX *scratch; /* sha256_peek() finishes a copy in here */
	uint64_t count;
};

struct sha256 *
sha256_new(void)
{
	struct sha256 *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	h->scratch = EVP_MD_CTX_new();
	if (h->ctx == NULL || h->scratch == NULL ||
	    EVP_DigestInit_ex(h->ctx, sha256_algorithm(), NULL) != 1) {
		sha256_free(h);
		return NULL;
	}
	return h;
}

void
sha256_free(struct sha256 *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_CTX_free(h->scratch);
	free(h);
}

void
sha256_update(struct sha256 *h, struct span s)
{
	if (s.n == 0)
		return;
	must(EVP_DigestUpdate(h->ctx, s.p, s.n));
	h->count += s.n;
}

uint64_t
sha256_count(const struct sha256 *h)
{
	return h->count;
}

void
sha256_peek(const struct sha256 *h, uint8_t out[static SHA256_LEN])
{
	must(EVP_MD_CTX_copy_ex(h->scratch, h->ctx));
	must(EVP_DigestFinal_ex(h->scratch, out, NULL));
}

void
sha256_of(struct span s, uint8_t out[static SHA256_LEN])
{
	must(
	    EVP_Digest(s.n > 0 ? (const void *)s.p : "", s.n, out, NULL, sha256_algorithm(), NULL));
}
