#include "crypto/ct.h"

#include <openssl/crypto.h>

bool
ct_equal(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	return a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}
