#include "load_report.h"

#include <stdio.h>
#include <stdlib.h>

static int
by_total(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->total_us > y->total_us) - (x->total_us < y->total_us);
}

static int
by_first(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->first_us > y->first_us) - (x->first_us < y->first_us);
}

static void
print_count(const char *name, uint64_t n)
{
	printf("%s %llu\n", name, (unsigned long long)n);
}

static void
print_per(const char *name, double total, uint64_t n)
{
	if (n > 0)
		printf("%s %.2f\n", name, total / (double)n);
}

static void
report_times(struct sample *s, size_t n)
{
	size_t mid = n / 2, late = n * 99 / 100;

	if (n == 0)
		return;
	qsort(s, n, sizeof(*s), by_first);
	printf("first_byte_p50 %.3f\nfirst_byte_p99 %.3f\n", s[mid].first_us / 1e3,
	    s[late].first_us / 1e3);
	qsort(s, n, sizeof(*s), by_total);
	printf("total_p50 %.3f\ntotal_p99 %.3f\ntotal_max %.3f\n", s[mid].total_us / 1e3,
	    s[late].total_us / 1e3, s[n - 1].total_us / 1e3);
}

static void
report_steady(const struct steady *s)
{
	if (s->state != STEADY_OVER || s->events == 0)
		return;
	printf("steady_seconds %.3f\n", (double)s->ns / 1e9);
	print_count("steady_events", s->events);
	print_per("steady_cpu_us_per_event", (double)s->cpu_us, s->events);
}

void
load_report(const struct options *opt, const struct totals *t, const struct spent *spent)
{
	print_count("requests", t->whole);
	print_count("broken", t->broken);
	print_count("not_2xx", t->not_2xx);
	print_count("connections_opened", spent->connections_opened);
	printf("seconds %.3f\n", (double)spent->elapsed_ns / 1e9);
	print_count("body_bytes", t->body_bytes);
	print_count("events", t->count[MARK_EVENT]);
	print_count("receipts", t->count[MARK_RECEIPT]);
	print_count("done", t->count[MARK_DONE]);
	printf("requests_per_s %.1f\n", (double)t->whole * 1e9 / (double)spent->elapsed_ns);
	report_times(t->sample, t->whole);
	if (opt->pids > 0) {
		print_per("server_cpu_us_per_request", (double)spent->server_cpu_us, t->whole);
		print_per(
		    "server_cpu_us_per_event", (double)spent->server_cpu_us, t->count[MARK_EVENT]);
	}
	report_steady(&t->steady);
}

void
load_report_judged(const struct judged *j)
{
	print_count("judged_complete", j->outcome[RECEIPT_COMPLETE]);
	print_count("judged_truncated", j->outcome[RECEIPT_TRUNCATED]);
	print_count("judged_failed", j->outcome[RECEIPT_FAILED]);
	print_count("judged_refused", j->refused);
	printf("judge_seconds %.3f\n", (double)j->ns / 1e9);
}
