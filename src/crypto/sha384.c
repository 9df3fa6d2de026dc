#include "crypto/sha384.h"

#include <stdlib.h>

#include <openssl/evp.h>

/* As in digest.c: only a refused allocation can fail here, and half a hash must not be used. */
static void
must(int ok)
{
	if (ok != 1)
		abort();
}

struct sha384 {
	EVP_MD_CTX *ctx;
};

struct sha384 *
sha384_new(void)
{
	struct sha384 *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	if ((h->ctx = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestInit_ex(h->ctx, EVP_sha384(), NULL) != 1) {
		sha384_free(h);
		return NULL;
	}
	return h;
}

void
sha384_free(struct sha384 *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void
sha384_update(struct sha384 *h, struct span s)
{
	if (s.n > 0)
		must(EVP_DigestUpdate(h->ctx, s.p, s.n));
}

void
sha384_copy(struct sha384 *to, const struct sha384 *from)
{
	must(EVP_MD_CTX_copy_ex(to->ctx, from->ctx));
}

void
sha384_finish(struct sha384 *h, uint8_t out[static SHA384_LEN])
{
	must(EVP_DigestFinal_ex(h->ctx, out, NULL));
}

void
sha384_of(struct span s, uint8_t out[static SHA384_LEN])
{
	must(EVP_Digest(s.n > 0 ? (const void *)s.p : "", s.n, out, NULL, EVP_sha384(), NULL));
}
