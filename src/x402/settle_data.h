/*
 * settle_data.h - the proof of an answer, as it is filed with the facilitator. Pure.
 * Source: x402.md 3, 5; opengradient.md 7; vectors/signing/settlement.json.
 */
#ifndef X402_SETTLE_DATA_H
#define X402_SETTLE_DATA_H

#include <stdint.h>

#include "core/buf.h"
#include "core/span.h"
#include "crypto/address.h"

enum settle_data_type { SETTLE_DATA_BATCH, SETTLE_DATA_INDIVIDUAL, SETTLE_DATA_PRIVATE };
/*
 * X-Settlement-Type of a request: letter case, blanks, `-` and `_` do not count; absent (.p NULL) or
 * unknown is BATCH.
 */
enum settle_data_type settle_data_type_of(struct span header);
/* The value of x-settlement-type: "batch", "individual", "private". */
const char *settle_data_type_name(enum settle_data_type type);

struct settle_data {
	struct span tee_id;		     /* "0x..." */
	struct span input_hash, output_hash; /* hex, as in tee_request_hash and tee_output_hash */
	struct span tee_signature;	     /* base64 */
	uint64_t tee_timestamp_unix_s, timestamp_unix_s;
	/* INDIVIDUAL only: request and answer as JSON values, and who paid. */
	struct span input, output;
	struct address payer;
};
/* The JSON whose base64 is x-settlement-data. type: BATCH or INDIVIDUAL. */
void settle_data_put(struct buf *b, enum settle_data_type type, const struct settle_data *d);

#endif
