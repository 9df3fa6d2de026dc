/* h1.c - HTTP/1.1 over memory: strictness, order, flow control and deadlines with our own clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/budget.h"
#include "memory.h"
#include "rows.h"

static size_t
count(struct span hay, struct span needle)
{
	size_t n = 0, at = 0;

	while ((at = span_find(hay, needle, at)) != SIZE_MAX) {
		n++;
		at += needle.n;
	}
	return n;
}

static unsigned
status_of(const struct memory *m)
{
	uint64_t v = 0;

	if (m->out.n < 12 || !span_starts(buf_span(&m->out), SPAN_LIT("HTTP/1.1 ")) ||
	    !span_u64(span_of(m->out.p + 9, 3), 999, &v))
		return 0;
	return (unsigned)v;
}

static bool
says(const struct memory *m, const char *text)
{
	return span_find(buf_span(&m->out), span_str(text), 0) != SIZE_MAX;
}

/* -- the strictness table -- */

static void
check_row(const struct memory *m, const struct row *row, const char *how)
{
	size_t answers = count(buf_span(&m->out), SPAN_LIT("HTTP/1.1 "));
	bool ok = answers == 1 && status_of(m) == row->status && m->finished == row->closes &&
	    !m->cut && (m->errors == 1) == (row->status != 200) && m->gone == m->heads &&
	    m->host.exchanges == 0 && says(m, "Connection: close\r\n") == row->closes;

	if (!ok)
		fail_msg("%s (%s): %zu answers, status %u, closed %d, cut %d", row->rule, how,
		    answers, status_of(m), m->finished, m->cut);
}

static void
run_row(void *ctx, const struct row *row)
{
	struct memory m;

	memory_init(&m);
	memory_bytes(&m, buf_span(&row->bytes));
	check_row(&m, row, "whole");
	memory_fini(&m);
	if (row->bytes.n > 2000)
		return;
	/* Byte by byte, the verdict is the same. */
	memory_init(&m);
	for (size_t i = 0; i < row->bytes.n; i++)
		memory_bytes(&m, span_of(row->bytes.p + i, 1));
	check_row(&m, row, "byte by byte");
	memory_fini(&m);
	/* Nothing that follows a refused message is ever taken for a request. */
	if (row->closes) {
		struct buf more;

		buf_init(&more, 1 << 20);
		buf_put(&more, buf_span(&row->bytes));
		buf_put_str(&more, "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
		memory_init(&m);
		memory_bytes(&m, buf_span(&more));
		check_row(&m, row, "with a request behind");
		assert_true(span_find(buf_span(&m.log), SPAN_LIT("smuggled"), 0) == SIZE_MAX);
		memory_fini(&m);
		buf_fini(&more);
	}
}

static void
test_rows(void **state)
{
	assert_true(rows_each(run_row, NULL) > 130);
	assert_int_equal(budget_used(), 0);
}

/* -- requests that are fine -- */

static const char valid[] = "POST /a/b?c=d&e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
			    "X-A: b\r\n\r\n5;x=\"y\"\r\nhello\r\n006\r\n world\r\n0\r\nT: u\r\n\r\n"
			    "GET /second? HTTP/1.1\r\nHost: h\r\n\r\n"
			    "POST /third HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nend";
static const char valid_log[] = "POST /a/b?c=d&e|hello world;GET /second?|;POST /third|end;";

static void
test_split(void **state)
{
	const struct span in = span_str(valid);

	for (size_t i = 0; i <= in.n; i++) {
		struct memory m;

		memory_init(&m);
		memory_bytes(&m, span_cut(in, 0, i));
		memory_bytes(&m, span_cut(in, i, in.n));
		if (!span_eq(buf_span(&m.log), span_str(valid_log)))
			fail_msg("split at %zu: %.*s", i, (int)m.log.n, (const char *)m.log.p);
		assert_int_equal(count(buf_span(&m.out), SPAN_LIT("HTTP/1.1 200 OK\r\n")), 3);
		assert_int_equal(m.delivered, 3);
		assert_true(m.reading && !m.finished && !m.cut);
		assert_int_equal(m.h1.state, H1_IDLE);
		memory_fini(&m);
	}
	assert_int_equal(budget_used(), 0);
}

static void
test_answer_form(void **state)
{
	struct memory m;
	size_t end;

	memory_init(&m);
	memory_bytes(&m, SPAN_LIT("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"));
	assert_true(says(&m, "HTTP/1.1 200 OK\r\nDate: "));
	assert_true(says(&m, " GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"));
	end = m.out.n;
	memory_bytes(&m, SPAN_LIT("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(span_ends(buf_span(&m.out), SPAN_LIT("Content-Length: 0\r\n\r\n")));
	assert_true(m.out.n > end);
	assert_int_equal(m.delivered, 2);
	memory_fini(&m);

	/* RFC 9110 9.3.2: a HEAD answer has the length, not the body. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"));
	memory_answer(&m, SPAN_LIT("body"));
	memory_bytes(&m, SPAN_NONE);
	assert_true(span_ends(buf_span(&m.out), SPAN_LIT("Content-Length: 4\r\n\r\n")));
	assert_int_equal(m.delivered, 1);
	memory_fini(&m);
}

/* exchange_head() with this status and length; then "ab", "c" and the end. */
static void
answer_with(struct memory *m, unsigned status, uint64_t length)
{
	exchange_head(m->x, status, NULL, 0, length);
	exchange_write(m->x, SPAN_LIT("ab"));
	exchange_write(m->x, SPAN_NONE);
	exchange_write(m->x, SPAN_LIT("c"));
	exchange_end(m->x);
	memory_bytes(m, SPAN_NONE);
}

static void
test_framing(void **state)
{
	static const struct {
		const char *rule, *request;
		unsigned status;
		uint64_t length;
		const char *tail;
		bool closes;
	} rows[] = {
		{ "RFC 9112 7.1: a stream is chunked", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200,
		    EXCHANGE_STREAM,
		    "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", false },
		{ "RFC 9112 6.3: HTTP/1.0 has no chunks", "GET / HTTP/1.0\r\n\r\n", 200,
		    EXCHANGE_STREAM, " GMT\r\nConnection: close\r\n\r\nabc", true },
		{ "RFC 9112 6.2: a length is said", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 404, 3,
		    "\r\nContent-Length: 3\r\n\r\nabc", false },
		{ "RFC 9110 9.3.2: HEAD of a stream", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200,
		    EXCHANGE_STREAM, "\r\nTransfer-Encoding: chunked\r\n\r\n", false },
		{ "RFC 9110 8.6: 204 has no length", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204,
		    0, " GMT\r\n\r\n", false },
		{ "RFC 9112 9.6: asked to close",
		    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200, 3,
		    "\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct memory m;

		memory_init(&m);
		m.silent = true;
		memory_bytes(&m, span_str(rows[i].request));
		answer_with(&m, rows[i].status, rows[i].length);
		if (!span_ends(buf_span(&m.out), span_str(rows[i].tail)) ||
		    m.finished != rows[i].closes || m.delivered != 1)
			fail_msg("%s: %.*s", rows[i].rule, (int)m.out.n, (const char *)m.out.p);
		memory_fini(&m);
	}
}

static void
test_fields_cannot_split(void **state)
{
	const struct http_field bad = { SPAN_LIT("X-A"), SPAN_LIT("b\r\nX-Evil: c") };
	struct memory m;

	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	exchange_head(m.x, 200, &bad, 1, 0);
	exchange_end(m.x);
	memory_bytes(&m, SPAN_NONE);
	assert_false(says(&m, "Evil"));
	assert_int_equal(status_of(&m), 200);
	memory_fini(&m);
}

/* -- order -- */

static void
test_one_at_a_time(void **state)
{
	struct memory m;

	memory_init(&m);
	m.silent = true;
	memory_bytes(&m,
	    SPAN_LIT("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3"));
	assert_int_equal(m.heads, 1);
	assert_false(m.reading);
	memory_answer(&m, SPAN_LIT("one"));
	assert_int_equal(m.heads, 1); /* not from inside a call of the handler */
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.heads, 2);
	assert_false(m.reading);
	/* "answered" means that the kernel has it all, not that it was queued. */
	m.kernel_takes = 10;
	memory_answer(&m, SPAN_LIT("two"));
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.gone, 1);
	m.kernel_takes = SIZE_MAX;
	memory_flush(&m);
	assert_int_equal(m.gone, 2);
	assert_true(m.reading);
	memory_bytes(&m, SPAN_LIT(" HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_int_equal(m.heads, 3);
	memory_answer(&m, SPAN_LIT("three"));
	memory_bytes(&m, SPAN_NONE);
	assert_true(span_eq(buf_span(&m.log), SPAN_LIT("GET /1|;GET /2|;GET /3|;")));
	assert_int_equal(m.delivered, 3);
	memory_fini(&m);
	assert_int_equal(budget_used(), 0);
}

static void
test_hundred_pipelined(void **state)
{
	struct memory m;
	struct buf in;

	buf_init(&in, 1 << 20);
	for (unsigned i = 0; i < 100; i++)
		buf_put_str(&in, "GET /p HTTP/1.1\r\nHost: h\r\n\r\n");
	memory_init(&m);
	memory_bytes(&m, buf_span(&in));
	assert_int_equal(m.delivered, 100);
	assert_true(m.reading);
	memory_fini(&m);
	buf_fini(&in);
	assert_int_equal(budget_used(), 0);
}

static void
test_early_answer_closes(void **state)
{
	struct memory m;

	memory_init(&m);
	m.answer_early = true;
	memory_bytes(&m,
	    SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n"
		     "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(says(&m, "Connection: close\r\n\r\nearly"));
	assert_true(m.finished && m.linger && m.delivered == 1 && m.heads == 1);
	memory_fini(&m);
	assert_int_equal(budget_used(), 0);
}

/* -- Expect -- */

static void
test_continue(void **state)
{
	static const char head[] =
	    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
	struct memory m;

	memory_init(&m); /* asked for when the handler wants the body */
	memory_bytes(&m, span_str(head));
	assert_true(span_eq(buf_span(&m.out), SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n")));
	memory_bytes(&m, SPAN_LIT("hi"));
	assert_true(span_eq(buf_span(&m.log), SPAN_LIT("POST /|hi;")));
	memory_fini(&m);

	memory_init(&m); /* not when the body is on its way already */
	memory_bytes(&m,
	    SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		     "Content-Length: 2\r\n\r\nh"));
	assert_int_equal(m.out.n, 0);
	memory_fini(&m);

	memory_init(&m); /* not when the answer is known without it */
	m.answer_early = true;
	memory_bytes(&m, span_str(head));
	assert_int_equal(status_of(&m), 200);
	assert_true(m.finished);
	memory_fini(&m);

	memory_init(&m); /* not when it is too large */
	m.want_max = 1;
	memory_bytes(&m, span_str(head));
	assert_int_equal(status_of(&m), 413);
	assert_int_equal(m.gone, 1);
	assert_int_equal(m.delivered, 0);
	memory_fini(&m);

	memory_init(&m); /* RFC 9110 10.1.1: a 1.0 client cannot mean it */
	memory_bytes(&m,
	    SPAN_LIT("POST / HTTP/1.0\r\nExpect: 100-continue\r\n"
		     "Content-Length: 2\r\n\r\n"));
	assert_int_equal(m.out.n, 0);
	memory_fini(&m);
}

/* -- flow control -- */

static void
test_room(void **state)
{
	static uint8_t block[STREAM_HIGH_BYTES];
	struct memory m;

	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	exchange_head(m.x, 200, NULL, 0, EXCHANGE_STREAM);
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(exchange_room(m.x), STREAM_HIGH_BYTES);
	m.kernel_takes = 1000;
	exchange_write(m.x, span_of(block, sizeof(block)));
	assert_int_equal(exchange_room(m.x), 0);
	while (m.queue.n > STREAM_LOW_BYTES) {
		assert_int_equal(m.rooms, 0);
		memory_flush(&m);
	}
	assert_int_equal(m.rooms, 1);
	memory_flush(&m);
	assert_int_equal(m.rooms, 1); /* once for each time that it was full */
	assert_int_equal(exchange_room(m.x), STREAM_HIGH_BYTES - m.queue.n);
	exchange_end(m.x);
	m.kernel_takes = SIZE_MAX;
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.delivered, 1);
	memory_fini(&m);
}

/* -- ends -- */

static void
test_abort(void **state)
{
	struct memory m;

	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	exchange_head(m.x, 200, NULL, 0, EXCHANGE_STREAM);
	exchange_write(m.x, SPAN_LIT("part"));
	exchange_abort(m.x);
	assert_int_equal(m.gone, 0);
	memory_bytes(&m, SPAN_NONE);
	assert_true(m.cut && m.gone == 1 && m.delivered == 0);
	assert_false(says(&m, "0\r\n\r\n"));
	memory_fini(&m);

	/* HTTP/1.0: the end of the connection would look like the end of the answer. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.0\r\n\r\n"));
	exchange_head(m.x, 200, NULL, 0, EXCHANGE_STREAM);
	exchange_abort(m.x);
	memory_bytes(&m, SPAN_NONE);
	assert_true(m.cut && m.reset);
	memory_fini(&m);

	/* Fewer bytes than announced: the client must see that, too. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	exchange_head(m.x, 200, NULL, 0, 10);
	exchange_write(m.x, SPAN_LIT("part"));
	exchange_end(m.x);
	memory_bytes(&m, SPAN_NONE);
	assert_true(m.cut && m.gone == 1 && m.delivered == 0);
	memory_fini(&m);
}

static void
test_client_ends(void **state)
{
	static const struct {
		const char *rule, *bytes;
		unsigned status;
	} rows[] = {
		{ "nothing was asked", "", 0 },
		{ "RFC 9112 8: inside the head", "GET / HTTP/1.1\r\nHo", 400 },
		{ "RFC 9112 8: inside a body with a length",
		    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab", 400 },
		{ "RFC 9112 8: inside a chunk",
		    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		    400 },
		{ "RFC 9112 8: before the last chunk",
		    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
		    400 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct memory m;

		memory_init(&m);
		memory_bytes(&m, span_str(rows[i].bytes));
		h1_eof(&m.h1);
		memory_bytes(&m, SPAN_NONE);
		if (status_of(&m) != rows[i].status || !m.finished || m.gone != m.heads ||
		    m.bodies != 0)
			fail_msg("%s: status %u", rows[i].rule, status_of(&m));
		memory_fini(&m);
	}
}

static void
test_client_half_closes(void **state)
{
	struct memory m;

	/* FLT-17, FLT-18: an interim answer finds out whether anybody is there. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	h1_hangup(&m.h1);
	memory_bytes(&m, SPAN_NONE);
	assert_true(span_eq(buf_span(&m.out), SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n")));
	assert_int_equal(m.gone, 0);
	memory_answer(&m, SPAN_LIT("still"));
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.delivered, 1);
	h1_eof(&m.h1);
	assert_true(m.finished);
	memory_fini(&m);

	/* Into an answer that has begun only its author writes; behind its end nobody does. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	exchange_head(m.x, 200, NULL, 0, EXCHANGE_STREAM);
	assert_int_equal(m.hangups, 0);
	h1_hangup(&m.h1);
	assert_int_equal(m.hangups, 1);
	exchange_end(m.x);
	h1_eof(&m.h1);
	assert_int_equal(m.hangups, 1);
	memory_bytes(&m, SPAN_NONE);
	assert_false(says(&m, "100 Continue"));
	assert_int_equal(m.delivered, 1);
	assert_true(m.finished);
	memory_fini(&m);

	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.0\r\n\r\n"));
	h1_hangup(&m.h1);
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.out.n, 0);
	assert_int_equal(m.hangups, 0);
	memory_fini(&m);
}

static void
test_reads_for_the_end(void **state)
{
	struct memory m;

	/* An end that only reading shows (a close_notify); the connection ends behind the answer. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(m.reading);
	h1_eof(&m.h1);
	memory_bytes(&m, SPAN_NONE);
	assert_true(says(&m, "100 Continue"));
	memory_answer(&m, SPAN_LIT("one"));
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.delivered, 1);
	assert_true(m.finished);
	memory_fini(&m);

	/* What comes in place of it is held, and no more is read; the end is found out behind it. */
	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"));
	memory_bytes(&m, SPAN_LIT("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_false(m.reading);
	memory_answer(&m, SPAN_LIT("one"));
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.heads, 2);
	assert_true(m.reading);
	h1_eof(&m.h1);
	memory_answer(&m, SPAN_LIT("two"));
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.delivered, 2);
	assert_true(m.finished);
	memory_fini(&m);

	/* A body that nobody wants is not read for that. */
	memory_init(&m);
	m.silent = true;
	m.wants = false;
	memory_bytes(&m, SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na"));
	assert_false(m.reading);
	memory_fini(&m);
	assert_int_equal(budget_used(), 0);
}

static void
test_lost(void **state)
{
	struct memory m;

	memory_init(&m);
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab"));
	h1_lost(&m.h1);
	assert_int_equal(m.gone, 1);
	assert_int_equal(m.delivered, 0);
	h1_lost(&m.h1);
	assert_int_equal(m.gone, 1);
	memory_fini(&m);
}

/* -- deadlines -- */

static void
test_idle(void **state)
{
	struct memory m;

	memory_init(&m);
	memory_time(&m, 1000 + KEEPALIVE_IDLE_MS - 1);
	assert_false(m.finished);
	memory_time(&m, 1000 + KEEPALIVE_IDLE_MS);
	assert_true(m.finished);
	assert_int_equal(m.out.n, 0);
	memory_fini(&m);

	/* Half an empty line is the begin of a head: it has its own deadline. */
	memory_init(&m);
	memory_bytes(&m, SPAN_LIT("\r"));
	memory_bytes(&m, SPAN_LIT("\n"));
	memory_time(&m, 1000 + HEAD_MS - 1);
	assert_false(m.finished);
	memory_time(&m, 1000 + HEAD_MS);
	assert_true(m.finished);
	memory_fini(&m);

	/* It starts again behind an answer, and stray empty lines do not put it off. */
	memory_init(&m);
	memory_time(&m, 50000);
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	memory_time(&m, 100000);
	memory_bytes(&m, SPAN_LIT("\r\n"));
	memory_time(&m, 50000 + KEEPALIVE_IDLE_MS - 1);
	assert_false(m.finished);
	memory_time(&m, 50000 + KEEPALIVE_IDLE_MS);
	assert_true(m.finished);
	memory_fini(&m);
}

static void
test_slow_head(void **state)
{
	struct memory m;

	memory_init(&m);
	memory_time(&m, 20000);
	/* From the first byte on, and further bytes do not help. */
	memory_bytes(&m, SPAN_LIT("G"));
	for (unsigned i = 1; i < 10; i++) {
		memory_time(&m, 20000 + i * 1000);
		memory_bytes(&m, SPAN_LIT("E"));
	}
	memory_time(&m, 20000 + HEAD_MS - 1);
	assert_false(m.finished);
	memory_time(&m, 20000 + HEAD_MS);
	assert_int_equal(status_of(&m), 408);
	assert_true(m.finished);
	memory_fini(&m);
}

static void
test_slow_body(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
	static uint8_t block[BODY_MIN_RATE_BPS];
	struct memory m;

	memory_init(&m); /* nothing comes: the grace */
	memory_bytes(&m, span_str(head));
	memory_time(&m, 1000 + 4999);
	assert_int_equal(m.errors, 0);
	memory_time(&m, 1000 + 5000);
	assert_int_equal(status_of(&m), 408);
	assert_int_equal(m.gone, 1);
	memory_fini(&m);

	memory_init(&m); /* ten seconds' worth at once, then nothing */
	memory_bytes(&m, span_str(head));
	for (unsigned i = 0; i < 10; i++)
		memory_bytes(&m, span_of(block, sizeof(block)));
	memory_time(&m, 1000 + 9999);
	assert_int_equal(m.errors, 0);
	memory_time(&m, 1000 + 10000);
	assert_int_equal(status_of(&m), 408);
	memory_fini(&m);

	memory_init(&m); /* at the minimum rate: the total */
	memory_bytes(&m, span_str(head));
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(m.errors, 0);
		memory_bytes(&m, span_of(block, sizeof(block)));
		memory_bytes(&m, span_of(block, sizeof(block)));
		memory_time(&m, 1000 + i * 1000);
	}
	memory_time(&m, 1000 + BODY_MS - 1);
	assert_int_equal(m.errors, 0);
	memory_time(&m, 1000 + BODY_MS);
	assert_int_equal(status_of(&m), 408);
	memory_fini(&m);

	memory_init(&m); /* an answer may take its time */
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"));
	memory_time(&m, 10000000);
	assert_false(m.finished || m.cut);
	memory_answer(&m, SPAN_LIT("late"));
	memory_bytes(&m, SPAN_NONE);
	assert_int_equal(m.delivered, 1);
	memory_fini(&m);
	assert_int_equal(budget_used(), 0);
}

static void
test_drain(void **state)
{
	struct memory m;

	memory_init(&m); /* idle: at once */
	m.host.draining = true;
	h1_drain(&m.h1);
	assert_true(m.finished);
	memory_fini(&m);

	memory_init(&m); /* an answer that begins now is the last */
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	m.host.draining = true;
	h1_drain(&m.h1);
	assert_false(m.finished);
	memory_answer(&m, SPAN_LIT("bye"));
	memory_bytes(&m, SPAN_NONE);
	assert_true(says(&m, "Connection: close\r\n\r\nbye"));
	assert_true(m.finished && m.delivered == 1);
	memory_fini(&m);

	memory_init(&m); /* one that had begun ends well, and its connection behind it */
	m.silent = true;
	memory_bytes(&m, SPAN_LIT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
	exchange_head(m.x, 200, NULL, 0, EXCHANGE_STREAM);
	m.host.draining = true;
	h1_drain(&m.h1);
	exchange_end(m.x);
	memory_bytes(&m, SPAN_NONE);
	assert_true(m.finished && m.delivered == 1);
	memory_fini(&m);
}

/* -- memory -- */

static void
test_budget(void **state)
{
	static uint8_t block[64 << 10];
	struct memory m;

	/* A promise alone costs little, and what came is given back. */
	memory_init(&m);
	memory_bytes(
	    &m, SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n"));
	assert_true(budget_used() <= 128 << 10);
	for (unsigned i = 0; i < 64; i++)
		memory_bytes(&m, span_of(block, sizeof(block)));
	assert_true(budget_used() >= 64 * sizeof(block));
	memory_fini(&m);
	assert_int_equal(budget_used(), 0);

	/* NET-13: over the budget the answer is 503, before more is read. */
	assert_true(budget_take(MEMORY_BUDGET_BYTES - (100 << 10)));
	memory_init(&m);
	memory_bytes(
	    &m, SPAN_LIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n"));
	for (unsigned i = 0; i < 4; i++)
		memory_bytes(&m, span_of(block, sizeof(block)));
	assert_int_equal(status_of(&m), 503);
	assert_true(m.finished && m.gone == 1);
	memory_fini(&m);
	budget_give(MEMORY_BUDGET_BYTES - (100 << 10));
	assert_int_equal(budget_used(), 0);
}

/* E1: the shape of an error follows the path, however the message is broken. */
static void
test_error_path(void **state)
{
	static const struct {
		const char *bytes, *path;
	} rows[] = {
		{ "GET /v1/a?b HTTP/1.1\nHost: h\n\n", "/v1/a" },
		{ "\r\nGET /v1/a HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "/v1/a" },
		{ "BREW /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", "/v1/a" },
		{ "GET /v1/a HTTP/1.1\r\n\r\n", "/v1/a" },
		{ "GET /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", "/v1/a" },
		{ "GET http://h/v1/a HTTP/1.1\r\nHost: i\r\n\r\n", NULL },
		{ "\x16\x03\x01", NULL },
		{ "GET\r\n\r\n", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct memory m;

		memory_init(&m);
		memory_bytes(&m, span_str(rows[i].bytes));
		assert_int_equal(m.errors, 1);
		if (!span_eq(buf_span(&m.error_path), span_str(rows[i].path)))
			fail_msg("%s: %.*s", rows[i].bytes, (int)m.error_path.n,
			    (const char *)m.error_path.p);
		memory_fini(&m);
	}
}

static void
test_field_get(void **state)
{
	const struct http_field field[] = {
		{ SPAN_LIT("A"), SPAN_LIT("1") },
		{ SPAN_LIT("b"), SPAN_LIT("") },
		{ SPAN_LIT("a"), SPAN_LIT("2") },
	};
	const struct http_head head = { .field = field, .n_fields = 3 };
	bool many = true;

	assert_true(http_field_get(&head, "B", &many).p != NULL);
	assert_false(many);
	assert_true(span_eq(http_field_get(&head, "a", &many), SPAN_LIT("1")));
	assert_true(many);
	assert_null(http_field_get(&head, "c", &many).p);
	assert_false(many);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_answer_form),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_fields_cannot_split),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_hundred_pipelined),
		cmocka_unit_test(test_early_answer_closes),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_client_ends),
		cmocka_unit_test(test_client_half_closes),
		cmocka_unit_test(test_reads_for_the_end),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_slow_head),
		cmocka_unit_test(test_slow_body),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_error_path),
		cmocka_unit_test(test_field_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
