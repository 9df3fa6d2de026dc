#include "crypto/p256.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

enum { UNCOMPRESSED = 4 };

void
p256_put_point(const struct es256_pub *k, uint8_t point[static P256_POINT_LEN])
{
	point[0] = UNCOMPRESSED;
	memcpy(point + 1, k->x, ES256_COORD_LEN);
	memcpy(point + 1 + ES256_COORD_LEN, k->y, ES256_COORD_LEN);
}

bool
p256_read(EVP_PKEY *pkey, struct es256_pub *out)
{
	uint8_t point[P256_POINT_LEN];
	size_t n = 0;

	if (EVP_PKEY_get_octet_string_param(
		pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n) != 1 ||
	    n != P256_POINT_LEN || point[0] != UNCOMPRESSED)
		return false;
	memcpy(out->x, point + 1, ES256_COORD_LEN);
	memcpy(out->y, point + 1 + ES256_COORD_LEN, ES256_COORD_LEN);
	return true;
}

EVP_PKEY *
p256_pkey(const struct es256_pub *k)
{
	uint8_t point[P256_POINT_LEN];
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group) - 1),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_END,
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;

	p256_put_point(k, point);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return pkey;
}
