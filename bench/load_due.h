/*
 * load_due.h - which request is next, and since when it is due.
 */
#ifndef BENCH_LOAD_DUE_H
#define BENCH_LOAD_DUE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "load_options.h"

/*
 * The clock starts. With a rate, `due` is called whenever the next request is due, until all were
 * taken; without one all are due at once, and nobody is called.
 */
void due_start(const struct options *opt, uv_loop_t *loop, void (*due)(void));
/* Whether a request is due; none is before the clock has started. */
bool due_now(void);
/* Takes it; its time counts from *began_ns. False when none is due. */
bool due_take(uint64_t *began_ns);
/* None is left, due or not. */
bool due_none_left(void);
/* When the clock started. */
uint64_t due_began_ns(void);
/* Nothing is due any more; the loop may end. Safe twice. */
void due_stop(void);

#endif
