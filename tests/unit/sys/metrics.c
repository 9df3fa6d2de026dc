/* metrics.c - the text of /metrics: Prometheus exposition format 0.0.4, interfaces.md F4. */
#include "sys/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct buf text;

/* The whole output; each test looks for lines of its own metrics. */
static struct span
printed(void)
{
	buf_clear(&text);
	metrics_print(&text);
	assert_int_equal(buf_check(&text).code, ERR_OK);
	return buf_span(&text);
}

static size_t
count_of(const char *piece)
{
	struct span all = printed();
	size_t n = 0;

	for (size_t at = span_find(all, span_str(piece), 0); at != SIZE_MAX;
	     at = span_find(all, span_str(piece), at + 1))
		n++;
	return n;
}

#define HAS(piece)     assert_int_equal(count_of(piece), 1)
#define HAS_NOT(piece) assert_int_equal(count_of(piece), 0)

/* Runs first: nothing was counted yet. */
static void
test_empty_table(void **state)
{
	HAS("# HELP tee_gateway_connections_open Client connections\n"
	    "# TYPE tee_gateway_connections_open gauge\n"
	    "tee_gateway_connections_open 0\n");
	HAS("# TYPE tee_gateway_request_seconds histogram\n"
	    "tee_gateway_request_seconds_bucket{le=\"0.001\"} 0\n");
	HAS("tee_gateway_request_seconds_sum 0.000000\ntee_gateway_request_seconds_count 0\n");
	HAS_NOT("tee_gateway_requests_total");
	HAS_NOT("tee_gateway_build_info");
}

static void
test_counter(void **state)
{
	metric_add(METRIC_REQUESTS, "/v1/models", "200", 1);
	metric_add(METRIC_REQUESTS, "/v1/models", "404", 2);
	metric_add(METRIC_REQUESTS, "/v1/models", "200", 4);
	metric_add(METRIC_REQUESTS, "/v1/models", "200", -3); /* a counter does not go back */
	HAS("# TYPE tee_gateway_requests_total counter\n"
	    "tee_gateway_requests_total{route=\"/v1/models\",status=\"200\"} 5\n"
	    "tee_gateway_requests_total{route=\"/v1/models\",status=\"404\"} 2\n");
}

static void
test_gauge(void **state)
{
	metric_add(METRIC_STREAMS_OPEN, NULL, NULL, 2);
	metric_add(METRIC_STREAMS_OPEN, NULL, NULL, -3);
	HAS("\ntee_gateway_streams_open -1\n");
	metric_add(METRIC_BUILD_INFO, "0.1.0", NULL, 1);
	HAS("\ntee_gateway_build_info{version=\"0.1.0\"} 1\n");
}

static void
test_label_escapes(void **state)
{
	char long_label[101];

	memset(long_label, 'k', 100);
	long_label[100] = '\0';
	metric_add(METRIC_SIGNATURES, "a\"b\\c\nd\x80", NULL, 1);
	metric_add(METRIC_SIGNATURES, long_label, NULL, 1);
	metric_add(METRIC_SIGNATURES, NULL, NULL, 1);
	HAS("tee_gateway_signatures_total{kind=\"a\\\"b\\\\c_d_\"} 1\n");
	HAS("{kind=\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\"} 1\n");
	HAS("tee_gateway_signatures_total{kind=\"\"} 1\n");
}

static void
test_histogram(void **state)
{
	const char *p = "openai";

	metric_observe(METRIC_FIRST_BYTE_SECONDS, p, 0.001); /* le: the bound itself is inside */
	metric_observe(METRIC_FIRST_BYTE_SECONDS, p, 0.0011);
	metric_observe(METRIC_FIRST_BYTE_SECONDS, p, 2);
	metric_observe(METRIC_FIRST_BYTE_SECONDS, p, 301);
	metric_observe(METRIC_FIRST_BYTE_SECONDS, p, -5);		 /* a clock set back: 0 */
	metric_observe(METRIC_FIRST_BYTE_SECONDS, p, __builtin_nan("")); /* counts as 0 */
	HAS("first_byte_seconds_bucket{provider=\"openai\",le=\"0.001\"} 3\n");
	HAS("first_byte_seconds_bucket{provider=\"openai\",le=\"0.0025\"} 4\n");
	HAS("first_byte_seconds_bucket{provider=\"openai\",le=\"1\"} 4\n");
	HAS("first_byte_seconds_bucket{provider=\"openai\",le=\"2.5\"} 5\n");
	HAS("first_byte_seconds_bucket{provider=\"openai\",le=\"300\"} 5\n"
	    "tee_gateway_first_byte_seconds_bucket{provider=\"openai\",le=\"+Inf\"} 6\n"
	    "tee_gateway_first_byte_seconds_sum{provider=\"openai\"} 303.002100\n"
	    "tee_gateway_first_byte_seconds_count{provider=\"openai\"} 6\n");
	assert_int_equal(count_of("first_byte_seconds_bucket{provider=\"openai\""), 18);
}

static void
test_wrong_type_is_ignored(void **state)
{
	metric_observe(METRIC_CONNECTIONS_OPEN, NULL, 7);
	metric_add(METRIC_SIGN_SECONDS, NULL, NULL, 7);
	HAS("\ntee_gateway_connections_open 0\n");
	HAS("\ntee_gateway_sign_seconds_count 0\n");
}

static void
test_too_many_labels(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		char label[16];

		snprintf(label, sizeof(label), "p%03u", i);
		metric_add(METRIC_TOKENS, label, "in", 1);
	}
	metric_add(METRIC_TOKENS, "p000", "in", 1);
	assert_int_equal(count_of("tee_gateway_tokens_total{"), METRIC_MAX_SERIES);
	HAS("tee_gateway_tokens_total{provider=\"p000\",direction=\"in\"} 2\n");
	HAS("tee_gateway_tokens_total{provider=\"p126\",direction=\"in\"} 1\n");
	HAS("tee_gateway_tokens_total{provider=\"other\",direction=\"other\"} 73\n");
}

static void *
count_up(void *arg)
{
	for (int i = 0; i < 1000; i++)
		metric_add(METRIC_UPSTREAM_REQUESTS, arg, "200", 1);
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t t[4];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_up, (void *)"openai"), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	HAS("tee_gateway_upstream_requests_total{provider=\"openai\",status=\"200\"} 4000\n");
}

static void
test_small_buffer(void **state)
{
	struct buf small;

	buf_init(&small, 100);
	metrics_print(&small);
	assert_int_equal(buf_check(&small).code, ERR_TOO_LARGE);
	buf_fini(&small);
}

static void
test_digits(void **state)
{
	HAS("tee_gateway_unsettled_atomic_units 0\n");
	metric_set(METRIC_UNSETTLED, SPAN_LIT("1000000000000000000000"));
	HAS("# TYPE tee_gateway_unsettled_atomic_units gauge\n"
	    "tee_gateway_unsettled_atomic_units 1000000000000000000000\n");
	metric_set(METRIC_UNSETTLED, SPAN_LIT("0"));
	HAS("tee_gateway_unsettled_atomic_units 0\n");
	metric_set(METRIC_SETTLEMENTS, SPAN_LIT("5")); /* no gauge */
	HAS_NOT("tee_gateway_settlements_total");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_table),
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_gauge),
		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_label_escapes),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_wrong_type_is_ignored),
		cmocka_unit_test(test_too_many_labels),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_small_buffer),
	};
	int bad;

	buf_init(&text, 1 << 20);
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	buf_fini(&text);
	return bad;
}
