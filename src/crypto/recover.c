#include "crypto/recover.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

enum { POINT_LEN = 65 }; /* 0x04, x, y */

struct err
recover_signer(struct address *signer, const uint8_t digest[static 32],
    const uint8_t sig[static RECOVER_SIG_LEN])
{
	/* Recovering needs no tables and no randomness: the library's constant context will do. */
	const secp256k1_context *ctx = secp256k1_context_static;
	secp256k1_ecdsa_recoverable_signature with_id;
	secp256k1_ecdsa_signature plain;
	secp256k1_pubkey key;
	uint8_t point[POINT_LEN];
	size_t len = sizeof(point);

	if (sig[64] != 27 && sig[64] != 28)
		return FAIL(REFUSED, "x402.md 4.2: v is not 27 or 28");
	if (secp256k1_ecdsa_recoverable_signature_parse_compact(ctx, &with_id, sig, sig[64] - 27) !=
	    1)
		return FAIL(REFUSED, "SEC 1 4.1.6: r or s is out of range");
	if (secp256k1_ecdsa_recoverable_signature_convert(ctx, &plain, &with_id) != 1 ||
	    secp256k1_ecdsa_signature_normalize(ctx, NULL, &plain) != 0)
		return FAIL(REFUSED, "interfaces.md M8: s is above half the order");
	if (secp256k1_ecdsa_recover(ctx, &key, &with_id, digest) != 1)
		return FAIL(REFUSED, "SEC 1 4.1.6: no key fits the signature");
	if (secp256k1_ec_pubkey_serialize(ctx, point, &len, &key, SECP256K1_EC_UNCOMPRESSED) != 1 ||
	    len != sizeof(point))
		return FAIL(SYSTEM, "libsecp256k1: a key without a point");
	address_of_point(signer, point + 1);
	return OK;
}
