/*
 * load_report.h - what was measured, as "name value" lines.
 */
#ifndef BENCH_LOAD_REPORT_H
#define BENCH_LOAD_REPORT_H

#include <stdint.h>

#include "load_answer.h"
#include "load_judge.h"
#include "load_options.h"

/* What only the one who ran it all knows. */
struct spent {
	uint64_t connections_opened, elapsed_ns, server_cpu_us;
};

/* Sorts the samples. */
void load_report(const struct options *opt, const struct totals *t, const struct spent *spent);
void load_report_judged(const struct judged *j);

#endif
