/* server.c - the server over real sockets, plain and TLS: the table, ends, deadlines, memory. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"
#include "rows.h"

static size_t
count(struct span hay, const char *needle)
{
	size_t n = 0, at = 0;

	while ((at = span_find(hay, span_str(needle), at)) != SIZE_MAX) {
		n++;
		at += strlen(needle);
	}
	return n;
}

static uint64_t
now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* -- the strictness table -- */

struct table {
	struct rig *rig;
	bool tls;
};

static void
run_row(void *ctx, const struct row *row)
{
	static const char last[] = "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	const struct table *t = ctx;
	struct buf got;
	struct peer p;
	char status[16];
	ssize_t end;

	snprintf(status, sizeof(status), "HTTP/1.1 %u ", row->status);
	buf_init(&got, 1 << 20);
	peer_connect(&p, t->rig, t->tls);
	peer_send(&p, buf_span(&row->bytes));
	if (!row->closes)
		peer_send(&p, span_str(last));
	end = peer_read_all(&p, &got);
	if (end != 0 || !span_starts(buf_span(&got), span_str(status)) ||
	    count(buf_span(&got), "HTTP/1.1 ") != (row->closes ? 1 : 2))
		fail_msg("%s (%s): end %zd, %.*s", row->rule, t->tls ? "TLS" : "plain", end,
		    (int)(got.n < 200 ? got.n : 200), got.n > 0 ? (const char *)got.p : "");
	peer_close(&p);
	buf_fini(&got);
}

static void
test_rows(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	assert_true(rows_each(run_row, &(struct table){ &r, false }) > 130);
	assert_true(rows_each(run_row, &(struct table){ &r, true }) > 130);
	assert_int_equal(r.heads, r.gone);
	rig_stop(&r);
}

/* -- many requests -- */

static void
test_reuse(void **state)
{
	static const char request[] =
	    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		struct buf got;
		struct peer p;

		buf_init(&got, 1 << 20);
		peer_connect(&p, &r, tls);
		for (unsigned i = 0; i < 500; i++) {
			buf_clear(&got);
			peer_send(&p, span_str(request));
			assert_true(peer_read_until(&p, &got, "\r\n\r\nhello"));
			assert_true(span_starts(buf_span(&got), SPAN_LIT("HTTP/1.1 200 OK\r\n")));
		}
		peer_close(&p);
		buf_fini(&got);
	}
	assert_true(rig_wait(&r, &r.delivered, 1000));
	rig_stop(&r);
}

static void
test_pipelined(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		struct buf out, got;
		struct peer p;
		size_t at = 0;

		buf_init(&out, 1 << 20);
		buf_init(&got, 1 << 20);
		for (unsigned i = 0; i < 100; i++) {
			buf_put_str(
			    &out, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
			buf_put_u64(&out, 1000 + i);
		}
		buf_put_str(&out, "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		peer_connect(&p, &r, tls);
		peer_send(&p, buf_span(&out));
		assert_int_equal(peer_read_all(&p, &got), 0);
		for (unsigned i = 0; i < 100; i++) {
			char want[32];

			snprintf(want, sizeof(want), "\r\n\r\n%uHTTP/1.1 200", 1000 + i);
			at = span_find(buf_span(&got), span_str(want), at);
			assert_true(at != SIZE_MAX);
		}
		peer_close(&p);
		buf_fini(&out);
		buf_fini(&got);
	}
	rig_stop(&r);
}

static void
test_large(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		struct buf got, body;
		struct peer p;
		uint8_t *at;

		/* The largest body, there and back, and the largest answer in one call. */
		buf_init(&got, 128 << 20);
		buf_init(&body, 64 << 20);
		at = buf_grow(&body, BODY_MAX_BYTES);
		for (size_t i = 0; i < BODY_MAX_BYTES; i++)
			at[i] = (uint8_t)(i * 7 + i / 251);
		peer_connect(&p, &r, tls);
		peer_send(&p,
		    SPAN_LIT("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 20971520\r\n\r\n"));
		peer_send(&p, buf_span(&body));
		peer_send(
		    &p, SPAN_LIT("GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
		assert_int_equal(peer_read_all(&p, &got), 0);
		assert_true(span_find(buf_span(&got), buf_span(&body), 0) != SIZE_MAX);
		assert_int_equal(count(buf_span(&got), "HTTP/1.1 200 OK\r\n"), 2);
		assert_true(got.n > BODY_MAX_BYTES + ANSWER_MAX_BYTES);
		peer_close(&p);
		buf_fini(&got);
		buf_fini(&body);
	}
	rig_stop(&r);
}

/* -- streams -- */

static void
test_stream(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		struct buf got;
		struct peer p;

		buf_init(&got, 64 << 20);
		peer_connect(&p, &r, tls);
		peer_send(&p,
		    SPAN_LIT("GET /stream/500 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
		assert_int_equal(peer_read_all(&p, &got), 0);
		assert_int_equal(count(buf_span(&got), "\r\n4000\r\n"), 500);
		assert_true(span_ends(buf_span(&got), SPAN_LIT("\r\n0\r\n\r\n")));
		peer_close(&p);
		buf_fini(&got);
	}
	assert_int_equal(r.delivered, 2);
	rig_stop(&r);
}

/* A client that reads little: what the handler may write stops growing, and goes on with it. */
static void
test_slow_reader(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		const int small = 256 << 10;
		uint64_t before, after = 0;
		struct buf got;
		struct peer p;

		buf_init(&got, 64 << 20);
		peer_open(&p, &r, tls);
		setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		assert_true(!tls || peer_handshake(&p));
		peer_send(&p, SPAN_LIT("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"));
		assert_true(peer_read_until(&p, &got, "\r\n4000\r\n"));
		do {
			/* It is at rest when a tenth of a second changes nothing. */
			before = after;
			usleep(100000);
			pthread_mutex_lock(&r.lock);
			after = r.written;
			pthread_mutex_unlock(&r.lock);
		} while (after != before);
		assert_true(after < 2 << 20);
		while (got.n < 4 << 20)
			assert_true(peer_read(&p, &got, 64 << 10) > 0);
		pthread_mutex_lock(&r.lock);
		assert_true(r.written > 4 << 20);
		assert_true(r.written < got.n + (2 << 20));
		r.written = 0;
		pthread_mutex_unlock(&r.lock);
		peer_close(&p);
		assert_true(rig_wait(&r, &r.gone, 1 + (unsigned)tls));
		r.written = 0;
		buf_fini(&got);
	}
	assert_int_equal(r.delivered, 0);
	rig_stop(&r);
}

/* -- ends -- */

static void
test_abort(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		struct buf got;
		struct peer p;

		buf_init(&got, 1 << 20);
		peer_connect(&p, &r, tls);
		peer_send(&p, SPAN_LIT("GET /abort HTTP/1.1\r\nHost: h\r\n\r\n"));
		peer_read_all(&p, &got);
		assert_true(span_ends(buf_span(&got), SPAN_LIT("\r\n4\r\npart\r\n")));
		peer_close(&p);
		buf_clear(&got);
		/* HTTP/1.0 has no other sign than a broken connection. */
		peer_connect(&p, &r, tls);
		peer_send(&p, SPAN_LIT("GET /abort HTTP/1.0\r\n\r\n"));
		assert_true(peer_read_all(&p, &got) < 0);
		peer_close(&p);
		buf_fini(&got);
	}
	assert_true(rig_wait(&r, &r.gone, 4));
	assert_int_equal(r.delivered, 0);
	rig_stop(&r);
}

/* FLT-17: a client that left is noticed while its answer is being made. */
static void
test_client_leaves(void **state)
{
	static const struct linger at_once = { .l_onoff = 1 };
	unsigned gone = 0;
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		for (int reset = 0; reset < 2; reset++) {
			struct peer p;

			peer_connect(&p, &r, tls);
			peer_send(&p, SPAN_LIT("GET /hang HTTP/1.1\r\nHost: h\r\n\r\n"));
			assert_true(rig_wait(&r, &r.heads, gone + 1));
			if (reset)
				setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
			peer_close(&p);
			assert_true(rig_wait(&r, &r.gone, ++gone));
		}
	}
	assert_int_equal(r.delivered, 0);
	rig_stop(&r);
}

/* FLT-18: one that only ended its side still gets its answer. */
static void
test_half_close(void **state)
{
	static const char *const request[] = {
		"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /later HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /later HTTP/1.0\r\n\r\n",
		"GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /later HTTP/1.1\r\nHost: h\r\n\r\n",
	};
	static const size_t answers[] = { 1, 1, 1, 2 };
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		for (size_t i = 0; i < 4; i++) {
			struct buf got;
			struct peer p;

			buf_init(&got, 1 << 20);
			peer_connect(&p, &r, tls);
			peer_send(&p, span_str(request[i]));
			peer_half_close(&p);
			assert_int_equal(peer_read_all(&p, &got), 0);
			assert_int_equal(count(buf_span(&got), "HTTP/1.1 200 OK\r\n"), answers[i]);
			peer_close(&p);
			buf_fini(&got);
		}
	}
	rig_stop(&r);
}

/* The client that is still sending sees the answer, not a reset. */
static void
test_refused_upload(void **state)
{
	static uint8_t block[1 << 20];
	struct rig r;

	rig_start(&r, NULL);
	for (int tls = 0; tls < 2; tls++) {
		struct buf got;
		struct peer p;

		buf_init(&got, 1 << 20);
		peer_connect(&p, &r, tls);
		peer_send(&p,
		    SPAN_LIT(
			"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 104857600\r\n\r\n"));
		for (unsigned i = 0; i < 100; i++)
			peer_send(&p, span_of(block, sizeof(block)));
		assert_int_equal(peer_read_all(&p, &got), 0);
		assert_true(span_starts(buf_span(&got), SPAN_LIT("HTTP/1.1 413 ")));
		peer_close(&p);
		buf_fini(&got);
	}
	rig_stop(&r);
}

/* -- deadlines -- */

static void
test_deadlines(void **state)
{
	static const struct {
		const char *rule, *bytes;
		bool tls, handshake;
		unsigned limit_ms, status;
	} rows[] = {
		{ "TLS handshake, nothing said", "", true, false, 300, 0 },
		{ "TLS handshake, half a hello", "\x16\x03\x01\x02\x00\x01\x00\x01", true, false,
		    300, 0 },
		{ "keep-alive idle from the start", "", false, false, 700, 0 },
		{ "keep-alive idle over TLS", "", true, true, 700, 0 },
		{ "keep-alive idle behind an answer", "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
		    false, false, 700, 200 },
		{ "head", "GET / HTTP/1.1\r\nHo", false, false, 400, 408 },
		{ "head over TLS", "GET / HTTP/1.1\r\nHo", true, true, 400, 408 },
		{ "body: minimum rate",
		    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nhi", false, false, 500,
		    408 },
		{ "body over TLS: minimum rate",
		    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", true,
		    true, 500, 408 },
	};
	struct http_limits l = HTTP_LIMITS_DEFAULT;
	struct rig r;

	l.tls_handshake_ms = 300;
	l.keepalive_idle_ms = 700;
	l.head_ms = 400;
	l.body_grace_ms = 500;
	rig_start(&r, &l);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t start = now_ms(), took;
		char status[16];
		struct buf got;
		struct peer p;
		ssize_t end;

		snprintf(status, sizeof(status), "HTTP/1.1 %u ", rows[i].status);
		buf_init(&got, 1 << 20);
		peer_open(&p, &r, rows[i].tls);
		assert_true(!rows[i].handshake || peer_handshake(&p));
		peer_send(&p, span_str(rows[i].bytes));
		end = peer_read_all(&p, &got);
		took = now_ms() - start;
		/* Never early; late by no more than a busy machine explains. */
		if (end > 0 || took + 5 < rows[i].limit_ms || took > rows[i].limit_ms + 3000 ||
		    (rows[i].status == 0 ? got.n > 0
					 : !span_starts(buf_span(&got), span_str(status))))
			fail_msg("%s: took %u ms, %zu bytes", rows[i].rule, (unsigned)took, got.n);
		peer_close(&p);
		buf_fini(&got);
	}
	rig_stop(&r);
}

static void
test_write_stall(void **state)
{
	struct http_limits l = HTTP_LIMITS_DEFAULT;
	struct rig r;

	l.write_stall_ms = 400;
	rig_start(&r, &l);
	for (int tls = 0; tls < 2; tls++) {
		uint64_t start = now_ms(), took;
		struct peer p;

		peer_connect(&p, &r, tls);
		peer_send(&p, SPAN_LIT("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"));
		assert_true(rig_wait(&r, &r.gone, 1 + (unsigned)tls));
		took = now_ms() - start;
		assert_true(took >= 395 && took < 4000);
		peer_close(&p);
	}
	assert_int_equal(r.delivered, 0);
	rig_stop(&r);
}

/* -- limits and the end of the server -- */

static void
test_conn_max(void **state)
{
	struct http_limits l = HTTP_LIMITS_DEFAULT;
	struct peer a, b, c;
	struct buf got;
	struct rig r;

	l.conn_max = 2;
	rig_start(&r, &l);
	buf_init(&got, 1 << 20);
	peer_connect(&a, &r, false);
	peer_connect(&b, &r, false);
	peer_connect(&c, &r, false);
	assert_true(peer_read_all(&c, &got) <= 0);
	assert_int_equal(got.n, 0);
	peer_send(&b, SPAN_LIT("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(peer_read_until(&b, &got, "\r\n\r\n"));
	peer_close(&a);
	peer_close(&b);
	peer_close(&c);
	buf_fini(&got);
	rig_stop(&r);
}

static void
test_drain(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct peer idle, idle_tls, shaking, busy;
	struct buf got;
	struct rig r;

	rig_start(&r, NULL);
	to.sin_port = htons(r.port);
	buf_init(&got, 1 << 20);
	peer_connect(&idle, &r, false);
	peer_connect(&idle_tls, &r, true);
	peer_open(&shaking, &r, true);
	peer_connect(&busy, &r, false);
	peer_send(&busy, SPAN_LIT("GET /later HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(rig_wait(&r, &r.heads, 1));
	rig_drain(&r);
	assert_int_equal(peer_read_all(&idle, &got), 0);
	assert_int_equal(peer_read_all(&idle_tls, &got), 0);
	assert_true(peer_read_all(&shaking, &got) <= 0);
	assert_int_equal(got.n, 0);
	assert_int_equal(peer_read_all(&busy, &got), 0);
	assert_true(span_ends(buf_span(&got), SPAN_LIT("Connection: close\r\n\r\nlater")));
	assert_int_equal(r.delivered, 1);
	/* A3: refused, although another descriptor of the listener is open. */
	assert_int_equal(connect(late, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(late);
	peer_close(&idle);
	peer_close(&idle_tls);
	peer_close(&shaking);
	peer_close(&busy);
	buf_fini(&got);
	rig_stop(&r);
}

static void
test_stop(void **state)
{
	struct peer a, b;
	struct buf got;
	struct rig r;

	rig_start(&r, NULL);
	buf_init(&got, 64 << 20);
	peer_connect(&a, &r, false);
	peer_connect(&b, &r, true);
	peer_send(&a, SPAN_LIT("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"));
	peer_send(&b, SPAN_LIT("GET /hang HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(rig_wait(&r, &r.heads, 2));
	rig_stop(&r);
	assert_int_equal(r.gone, 2);
	assert_int_equal(r.delivered, 0);
	peer_close(&a);
	peer_close(&b);
	buf_fini(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_client_leaves),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_refused_upload),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_write_stall),
		cmocka_unit_test(test_conn_max),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
