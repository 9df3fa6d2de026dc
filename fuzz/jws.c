/*
 * A compact JWS and a key set of strangers: nothing that our key did not sign verifies, and what it
 * signed comes back byte for byte.
 */
#include <stdlib.h>

#include "crypto/jws.h"
#include "receipt/anchor.h"
#include "receipt/judge.h"

enum { PAYLOAD_MAX_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct es256_key *
our_key(void)
{
	static struct es256_key *key;

	if (key == NULL && failed(es256_key_generate(&key)))
		abort();
	return key;
}

static void
strangers(struct span in, const struct es256_pub *pub)
{
	struct span content, jws;
	struct receipt_anchor a;
	struct buf out;
	bool done;

	buf_init(&out, PAYLOAD_MAX_BYTES);
	if (!failed(jws_verify(in, pub, "tee-receipt+jwt", &out)) || out.n != 0)
		abort();
	if (!failed(receipt_kid(in, &out)) && out.n == 0)
		abort();
	if (!failed(receipt_split_stream(in, &content, &jws, &done)) && content.n + jws.n >= in.n)
		abort();
	if (!failed(receipt_anchor_read(&a, in, SPAN_NONE)) && a.signing_spki.n == 0)
		abort();
	receipt_anchor_fini(&a);
	buf_fini(&out);
}

static void
round_trip(struct span in, const struct es256_pub *pub)
{
	struct buf jws, out;

	buf_init(&jws, 2 * PAYLOAD_MAX_BYTES);
	buf_init(&out, PAYLOAD_MAX_BYTES);
	if (failed(jws_sign(&jws, our_key(), "t", in)) ||
	    failed(jws_verify(buf_span(&jws), pub, "t", &out)) || !span_eq(buf_span(&out), in))
		abort();
	buf_clear(&out);
	if (!failed(jws_verify(buf_span(&jws), pub, "u", &out)))
		abort();
	buf_fini(&out);
	buf_fini(&jws);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct es256_pub pub;

	if (size > PAYLOAD_MAX_BYTES)
		return 0;
	es256_key_pub(our_key(), &pub);
	strangers(span_of(data, size), &pub);
	round_trip(span_of(data, size), &pub);
	return 0;
}
