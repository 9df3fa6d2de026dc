/*
 * load_judge.h - the receipt of every stream, judged as tee-verify judges it (receipt/judge.h):
 * signature, hashes and length of what came, outcome, ids and fields.
 */
#ifndef BENCH_LOAD_JUDGE_H
#define BENCH_LOAD_JUDGE_H

#include <stdint.h>

#include "core/buf.h"
#include "load_options.h"
#include "receipt/receipt.h"

struct judged {
	uint64_t outcome[RECEIPT_FAILED + 1]; /* receipts that verify, by what they say */
	uint64_t refused;		      /* .. and that do not; the first is told on stderr */
	uint64_t ns;
};

/* Reads the key set of opt->judge, which must hold one key. Borrows opt. */
void judge_init(const struct options *opt);
/* Takes the body over; *body is empty afterwards. Nothing is judged while the clock runs. */
void judge_later(struct buf *body);
void judge_all(struct judged *j);
void judge_fini(void);

#endif
