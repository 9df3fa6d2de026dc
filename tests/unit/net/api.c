/* api.c - whole answers of a small service: what is sent, what is told, what is too much. */
#include "net/api.h"

#include "upstream_stub.h"
#include "egress_probe.h"

enum { ANSWER_MAX = 4096 };

/* What the callback was told, copied. */
struct told {
	unsigned times, status;
	enum egress_fault fault;
	struct buf body;
	char retry_after[16];
};

static void
on_answer(void *ctx, const struct api_answer *a)
{
	struct told *t = ctx;
	struct span field = egress_field(a->call, "retry-after");

	t->times++;
	t->status = a->status;
	t->fault = a->fault;
	buf_put(&t->body, a->body);
	snprintf(t->retry_after, sizeof(t->retry_after), "%.*s", (int)field.n,
	    field.n > 0 ? (const char *)field.p : "");
	probes_open--;
}

static struct err
ask(struct api_call **c, struct told *t, const struct stub *s, struct api_request r)
{
	char url[64];
	struct err e;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/price", s->port);
	buf_init(&t->body, 64 << 10);
	r.url = r.url != NULL ? r.url : url;
	r.answer_max_bytes = ANSWER_MAX;
	r.done = on_answer;
	r.ctx = t;
	if (!failed(e = api_start(c, probe_egress, &r)))
		probes_open++;
	return e;
}

static void
play_echo(struct link *l)
{
	char head[128];

	while (link_request(l)) {
		snprintf(head, sizeof(head),
		    "HTTP/1.1 429 Slowly\r\nRetry-After: 7\r\nContent-Length: %zu\r\n\r\n",
		    l->request.n);
		if (!link_send(l, span_str(head)) || !link_send(l, buf_span(&l->request)))
			return;
	}
}

static void
test_what_is_sent(void **state)
{
	static const char *const text[] = { "Content-Type: text/plain", NULL };
	static const struct {
		const char *rule;
		struct api_request r;
		const char *head, *field, *body;
	} rows[] = {
		{ "a GET wants JSON", { .method = EGRESS_GET }, "GET /price HTTP/1.1\r\n",
		    "\r\nAccept: application/json\r\n", "" },
		{ "a POST is JSON", { .body = SPAN_LIT("{}") }, "POST /price HTTP/1.1\r\n",
		    "\r\nContent-Type: application/json\r\n", "{}" },
		{ "or what the caller says", { .field = text, .body = SPAN_LIT("hi") },
		    "POST /price HTTP/1.1\r\n", "\r\nContent-Type: text/plain\r\n", "hi" },
	};
	struct stub *s = stub_start(play_echo, NULL, NULL);

	probe_open(NULL, EGRESS_PLAIN_LOOPBACK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct told t = { 0 };
		struct api_call *c;
		struct span got;

		print_message("%s\n", rows[i].rule);
		assert_int_equal(ask(&c, &t, s, rows[i].r).code, ERR_OK);
		probe_run();
		got = buf_span(&t.body);
		assert_int_equal(t.times, 1);
		assert_int_equal(t.fault, EGRESS_NONE);
		assert_int_equal(t.status, 429);
		assert_string_equal(t.retry_after, "7");
		assert_true(span_starts(got, span_str(rows[i].head)));
		assert_true(span_find(got, span_str(rows[i].field), 0) != SIZE_MAX);
		assert_true(span_ends(got, SPAN_LIT("\r\n\r\n")) == (rows[i].body[0] == 0));
		assert_true(span_ends(got, span_str(rows[i].body)));
		buf_fini(&t.body);
	}
	probe_close();
	stub_stop(s);
}

/* arg: the answer; then the connection stays as it is, or ends. */
static void
play(struct link *l)
{
	const struct span *answer = l->stub->arg;

	if (link_request(l) && link_send(l, *answer)) {
		if (answer[1].n > 0)
			link_end(l, true);
		else
			link_drain(l);
	}
}

#define CLOSES SPAN_LIT("x")

static void
test_faults(void **state)
{
	static char large[ANSWER_MAX + 43], fits[ANSWER_MAX + 42];
	const struct {
		const char *rule;
		struct span script[2];
		unsigned status;
		enum egress_fault fault;
	} rows[] = {
		{ "an answer as long as may be", { span_of(fits, sizeof(fits)) }, 200,
		    EGRESS_NONE },
		{ "one byte more", { span_of(large, sizeof(large)) }, 200, EGRESS_TOO_LARGE },
		{ "silence", { SPAN_LIT("") }, 0, EGRESS_TIMEOUT },
		{ "half a body", { SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{") }, 200,
		    EGRESS_TIMEOUT },
		{ "a body cut off",
		    { SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), CLOSES }, 200,
		    EGRESS_BROKEN },
		{ "no answer at all", { SPAN_LIT(""), CLOSES }, 0, EGRESS_BROKEN },
	};

	memset(fits, ' ', sizeof(fits));
	memset(large, ' ', sizeof(large));
	memcpy(fits, "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n", 42);
	memcpy(large, "HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", 42);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stub *s = stub_start(play, rows[i].script, NULL);
		struct told t = { 0 };
		struct api_call *c;

		print_message("%s\n", rows[i].rule);
		probe_open(NULL, EGRESS_PLAIN_LOOPBACK);
		assert_int_equal(ask(&c, &t, s,
				     (struct api_request){ .body = SPAN_LIT("{}"),
					 .total_ms = rows[i].fault == EGRESS_TIMEOUT ? 80 : 0 })
				     .code,
		    ERR_OK);
		probe_run();
		assert_int_equal(t.times, 1);
		assert_int_equal(t.fault, rows[i].fault);
		assert_int_equal(t.status, rows[i].status);
		assert_int_equal(t.body.n == ANSWER_MAX, rows[i].fault == EGRESS_NONE);
		buf_fini(&t.body);
		probe_close();
		stub_stop(s);
	}
}

static void
test_not_started(void **state)
{
	struct stub *s = stub_start(play_echo, NULL, NULL);
	struct told t = { 0 };
	struct api_call *c;

	probe_open(NULL, EGRESS_PLAIN_LOOPBACK);
	assert_int_equal(ask(&c, &t, s, (struct api_request){ .url = "http://example.com/" }).code,
	    ERR_MALFORMED);
	assert_null(c);
	assert_int_equal(t.times, 0);
	probe_close();
	stub_stop(s);
}

static void
test_cancel(void **state)
{
	static const struct span silence[2] = { SPAN_LIT("") };
	struct stub *s = stub_start(play, silence, NULL);
	struct told t = { 0 };
	struct api_call *c;

	probe_open(NULL, EGRESS_PLAIN_LOOPBACK);
	print_message("before the loop saw it\n");
	assert_int_equal(ask(&c, &t, s, (struct api_request){ .method = EGRESS_GET }).code, ERR_OK);
	api_cancel(c);
	print_message("while it waits for an answer\n");
	assert_int_equal(
	    ask(&c, &t, s, (struct api_request){ .body = SPAN_LIT("{}") }).code, ERR_OK);
	while (s->requests == 0)
		uv_run(&probe_loop, UV_RUN_NOWAIT);
	api_cancel(c);
	api_cancel(NULL);
	probe_close();
	assert_int_equal(t.times, 0);
	stub_stop(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_sent),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
