#include "cpu.h"

#include <stdio.h>
#include <unistd.h>

#include "core/span.h"

/* utime and stime, the 14th and 15th field; proc(5): the name in parentheses may hold anything. */
static uint64_t
ticks_of(struct span stat)
{
	size_t name_end = span_rfind(stat, SPAN_LIT(") "));
	uint64_t ticks = 0;

	if (name_end == SIZE_MAX)
		return 0;
	stat = span_cut(stat, name_end + 2, stat.n);
	for (int field = 3; field <= 15; field++) {
		size_t end = span_find(stat, SPAN_LIT(" "), 0);
		uint64_t v = 0;

		if (end == SIZE_MAX)
			return 0;
		if (field >= 14 && span_u64(span_cut(stat, 0, end), UINT64_MAX, &v))
			ticks += v;
		stat = span_cut(stat, end + 1, stat.n);
	}
	return ticks;
}

bool
cpu_spent_us(const uint64_t *pid, size_t pids, uint64_t *us)
{
	uint64_t ticks = 0;

	for (size_t i = 0; i < pids; i++) {
		char path[64], text[1024];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid[i]);
		if ((f = fopen(path, "re")) == NULL)
			return false;
		ticks += ticks_of(span_of(text, fread(text, 1, sizeof(text), f)));
		fclose(f);
	}
	*us = ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	return true;
}
