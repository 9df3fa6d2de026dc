/*
 * receipts.h - the last receipts, for GET /v1/receipts/{id}: bounded memory, all loops, one mutex.
 * Source: interfaces.md section 4, H3, K5.
 */
#ifndef GATEWAY_RECEIPTS_H
#define GATEWAY_RECEIPTS_H

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

struct receipts;

MUST_USE struct err receipts_new(struct receipts **out, size_t max_bytes);
void receipts_free(struct receipts *r);

/*
 * Keeps a receipt under its response id, and under its request id (.p NULL: none) if no kept
 * receipt has it: first use wins. The oldest receipts make room.
 */
void receipts_put(struct receipts *r, struct span id, struct span request_id, struct span jws);
/* Appends the receipt to b. False when there is none. */
bool receipts_get(struct receipts *r, struct span id, struct buf *b);

#endif
