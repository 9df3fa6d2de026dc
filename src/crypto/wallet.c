#include "crypto/wallet.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

struct wallet_key {
	EVP_PKEY *pkey;
	uint8_t point[WALLET_POINT_LEN];
};

static bool
read_point(EVP_PKEY *pkey, uint8_t out[static WALLET_POINT_LEN])
{
	uint8_t point[1 + WALLET_POINT_LEN];
	size_t n = 0;

	if (EVP_PKEY_get_octet_string_param(
		pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n) != 1 ||
	    n != sizeof(point) || point[0] != 4) /* SEC 1 2.3.3: uncompressed */
		return false;
	memcpy(out, point + 1, WALLET_POINT_LEN);
	return true;
}

struct err
wallet_key_generate(struct wallet_key **out)
{
	struct wallet_key *k;

	*out = NULL;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return FAIL(SYSTEM, "wallet key: memory");
	if ((k->pkey = EVP_EC_gen("secp256k1")) == NULL || !read_point(k->pkey, k->point)) {
		wallet_key_free(k);
		ERR_clear_error();
		return FAIL(SYSTEM, "wallet key: cannot generate");
	}
	*out = k;
	return OK;
}

void
wallet_key_free(struct wallet_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* clears the private number */
	free(k);
}

void
wallet_key_point(const struct wallet_key *k, uint8_t out[static WALLET_POINT_LEN])
{
	memcpy(out, k->point, WALLET_POINT_LEN);
}
