#include "http/budget.h"

#include <assert.h>
#include <stdatomic.h>

#include "core/limits.h"
#include "sys/metrics.h"

static atomic_size_t used;

bool
budget_take(size_t n)
{
	size_t before = atomic_load(&used);

	do {
		if (n > MEMORY_BUDGET_BYTES - before)
			return false;
	} while (!atomic_compare_exchange_weak(&used, &before, before + n));
	if (n > 0)
		metric_add(METRIC_MEMORY_BYTES, NULL, NULL, (int64_t)n);
	return true;
}

void
budget_give(size_t n)
{
	size_t before = atomic_fetch_sub(&used, n);

	assert(before >= n);
	if (n > 0)
		metric_add(METRIC_MEMORY_BYTES, NULL, NULL, -(int64_t)n);
}

size_t
budget_used(void)
{
	return atomic_load(&used);
}
