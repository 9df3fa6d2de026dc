/*
 * An RSA public key from strangers, as DER and as PEM: what is accepted as PEM is accepted as the
 * DER inside it, and takes no signature by chance.
 */
#include <stdint.h>
#include <stdlib.h>

#include "crypto/pss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t sig[PSS_SIG_LEN];
	struct span s = span_of(data, size);
	struct pss_pub *pub, *again;
	struct buf der;

	buf_init(&der, RSA_SPKI_MAX_BYTES);
	if (!failed(pss_pub_parse(&pub, s)) &&
	    !failed(pss_verify(pub, SPAN_LIT("message"), span_of(sig, sizeof(sig)))))
		abort();
	pss_pub_free(pub);
	if (!failed(pss_pub_from_pem(&pub, s, &der))) {
		if (failed(pss_pub_parse(&again, buf_span(&der))))
			abort();
		pss_pub_free(again);
	}
	pss_pub_free(pub);
	buf_fini(&der);
	return 0;
}
