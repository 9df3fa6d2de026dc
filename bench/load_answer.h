/*
 * load_answer.h - one answer as it comes, and what all of them add up to.
 */
#ifndef BENCH_LOAD_ANSWER_H
#define BENCH_LOAD_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/span.h"
#include "load_options.h"

/* What is counted in bodies. */
enum { MARK_EVENT, MARK_RECEIPT, MARK_DONE, MARKS };

struct answer {
	uint64_t began_ns, first_ns; /* first_ns 0: nothing has come */
	uint8_t matched[MARKS];
	struct buf body; /* filled when it is to be judged */
};

/* Its request was taken; its time counts from began_ns. */
void answer_begin(struct answer *a, uint64_t began_ns);
/* Some of it came, if only of its head; the first time counts. */
void answer_came(struct answer *a);
/* Content bytes: after transfer decoding. */
void answer_body(struct answer *a, struct span bytes);
/* One of these ends it. */
void answer_whole(struct answer *a, unsigned status);
void answer_broken(struct answer *a);

/* --- all of them ------------------------------------------------------------------------- */

struct totals {
	uint64_t whole, not_2xx, broken, body_bytes;
	uint64_t count[MARKS];
	struct sample {
		uint32_t total_us, first_us;
	} * sample; /* one for each whole answer; answers_fini() frees them */
	/* While every place was in the middle of an answer. */
	struct steady {
		enum { STEADY_NOT_YET, STEADY_NOW, STEADY_OVER } state;
		uint64_t ns, cpu_us, events;
	} steady;
};

/* Before the first one; opt is borrowed. */
void answers_init(const struct options *opt);
void answers_fini(void);
/* All that were asked for have come, or cannot. */
bool answers_done(void);
const struct totals *answers_totals(void);
/* What the processes of --pid have spent so far. */
uint64_t server_cpu_us(const struct options *opt);

#endif
