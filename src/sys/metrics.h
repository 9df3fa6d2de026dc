/*
 * metrics.h - the numbers of /metrics. Names are a contract: interfaces.md F4.
 *
 * All loops share one table behind one mutex. Label values come from closed sets only (routes,
 * providers, statuses); a metric holds at most METRIC_MAX_SERIES of them, further ones are
 * counted under "other".
 */
#ifndef SYS_METRICS_H
#define SYS_METRICS_H

#include <stdint.h>

#include "core/buf.h"

/* METRIC(id, name, type, first label, second label, help); types: counter gauge histogram */
#define METRICS(METRIC)                                                                       \
	METRIC(REQUESTS, "requests_total", counter, "route", "status", "Requests answered")   \
	METRIC(REQUEST_SECONDS, "request_seconds", histogram, NULL, NULL,                     \
	    "Time from the first byte of the head to the end of the answer")                  \
	METRIC(FIRST_BYTE_SECONDS, "first_byte_seconds", histogram, "provider", NULL,         \
	    "Time from admission to the upstream's first body byte")                          \
	METRIC(UPSTREAM_REQUESTS, "upstream_requests_total", counter, "provider", "status",   \
	    "Requests sent to providers")                                                     \
	METRIC(TOKENS, "tokens_total", counter, "provider", "direction", "Tokens reported")   \
	METRIC(STREAMS_OPEN, "streams_open", gauge, NULL, NULL, "Streamed answers under way") \
	METRIC(CONNECTIONS_OPEN, "connections_open", gauge, NULL, NULL, "Client connections") \
	METRIC(SIGNATURES, "signatures_total", counter, "kind", NULL, "Signatures made")      \
	METRIC(SIGN_SECONDS, "sign_seconds", histogram, NULL, NULL,                           \
	    "Time from asking for a signature to having it")                                  \
	METRIC(PAYMENTS, "payments_total", counter, "result", NULL, "Payments looked at")     \
	METRIC(SETTLEMENTS, "settlements_total", counter, "result", NULL,                     \
	    "Settlements of permits, by what the facilitator said")                           \
	METRIC(UNSETTLED, "unsettled_atomic_units", gauge, NULL, NULL,                        \
	    "Charged, and not settled or written off")                                        \
	METRIC(PRICE_AGE, "price_age_seconds", gauge, NULL, NULL, "Age of the token's price") \
	METRIC(CLOCK_OFFSET, "clock_offset_seconds", gauge, NULL, NULL,                       \
	    "The system's clock less the security module's")                                  \
	METRIC(WORKER_RESTARTS, "worker_restarts_total", counter, NULL, NULL,                 \
	    "Workers started again after one died")                                           \
	METRIC(MEMORY_BYTES, "memory_bytes", gauge, NULL, NULL, "Memory held for requests")   \
	METRIC(BUILD_INFO, "build_info", gauge, "version", NULL, "Always 1")

enum metric {
#define METRIC_ENUM(id, name, type, l1, l2, help) METRIC_##id,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
	    METRIC_COUNT
};

enum { METRIC_MAX_SERIES = 128 };

/* Counters go up; gauges may take negative steps. Labels are copied; NULL where it has none. */
void metric_add(enum metric m, const char *label1, const char *label2, int64_t step);
/* A gauge without labels, as decimal digits: amounts may be beyond 64 bits. */
void metric_set(enum metric m, struct span digits);
void metric_observe(enum metric m, const char *label1, double seconds);
/* The whole table as Prometheus text, names prefixed with "tee_gateway_". */
void metrics_print(struct buf *b);

#endif
