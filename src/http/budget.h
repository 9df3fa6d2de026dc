/*
 * budget.h - one bound on the bytes that all loops hold for strangers (MEMORY_BUDGET_BYTES).
 *
 * A process-wide counter, shared by every thread, shown as the metric memory_bytes. Small things
 * that the number of connections bounds already need not be counted.
 */
#ifndef HTTP_BUDGET_H
#define HTTP_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

/* Whether n more bytes may be held; counts them if so. */
bool budget_take(size_t n);
/* Gives back what was taken. */
void budget_give(size_t n);
/* Bytes taken now. */
size_t budget_used(void);

#endif
