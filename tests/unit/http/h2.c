/* h2.c - HTTP/2 over memory: requests, flow control, deadlines and the end of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "h2_memory.h"
#include "http/budget.h"
#include "http/h2_stream.h"

static struct h2_memory *m;
static struct buf b;

static int
open_connection(void **state)
{
	m = malloc(sizeof(*m));
	hm_init_ops(m, &hm_exchange_ops);
	buf_init(&b, 64 << 20);
	put_preface(&b);
	return 0;
}

static int
close_connection(void **state)
{
	hm_fini(m);
	buf_fini(&b);
	assert_int_equal(m->gone, m->heads);
	assert_int_equal(m->host.exchanges, 0);
	assert_int_equal(budget_used(), 0);
	free(m);
	return 0;
}

/* What was put together is sent. */
static void
sent(void)
{
	hm_bytes(m, buf_span(&b));
	buf_clear(&b);
}

static void
data(uint32_t id, const char *text, bool end)
{
	put_frame(&b, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, id, span_str(text));
}

static bool
logged(const char *text)
{
	return span_eq(buf_span(&m->log), span_str(text));
}

/* -- requests and answers -- */

static void
test_side_by_side(void **state)
{
	put_request(&b, 1, "POST", "/one?q", false);
	put_request(&b, 3, "POST", "/two", false);
	data(3, "second", true);
	data(1, "fi", false);
	put_request(&b, 5, "GET", "/three", true);
	data(1, "rst", true);
	sent();
	assert_true(logged("POST /one|POST /two|second;GET /three|;first;"));
	for (unsigned id = 1; id <= 5; id += 2) {
		assert_int_equal(m->seen[id].status, 200);
		assert_true(m->seen[id].ended);
		assert_int_equal(m->seen[id].reset, 0);
	}
	assert_int_equal(m->seen[1].body, 5);
	assert_int_equal(m->seen[3].body, 6);
	assert_int_equal(m->delivered, 3);
	assert_true(m->has_host && !m->finished);
}

static void
test_byte_by_byte(void **state)
{
	put_request(&b, 1, "POST", "/a", false);
	data(1, "hello", true);
	put_request(&b, 3, "GET", "/b", true);
	for (size_t i = 0; i < b.n; i++)
		hm_bytes(m, span_of(b.p + i, 1));
	assert_true(logged("POST /a|hello;GET /b|;"));
	assert_int_equal(m->delivered, 2);
}

static void
test_trailers_are_ignored(void **state)
{
	struct buf block;

	put_request(&b, 1, "POST", "/a", false);
	data(1, "x", false);
	buf_init(&block, 100);
	put_field(&block, SPAN_LIT("t"), SPAN_LIT("u"));
	put_block(&b, 1, NGHTTP2_FLAG_END_STREAM, buf_span(&block));
	buf_fini(&block);
	sent();
	assert_true(logged("POST /a|x;"));
	assert_int_equal(m->delivered, 1);
}

static void
test_head_request(void **state)
{
	put_request(&b, 1, "HEAD", "/a", true);
	sent();
	assert_int_equal(m->seen[1].status, 200);
	assert_int_equal(m->seen[1].body, 0);
	assert_true(m->seen[1].ended);
	assert_int_equal(m->delivered, 1);
}

static void
test_early_answer(void **state)
{
	/* RFC 9113 8.1: the whole answer, then a reset that says the rest is not wanted. */
	put_request(&b, 1, "POST", "/early", false);
	data(1, "not waited for", false);
	sent();
	assert_int_equal(m->seen[1].status, 200);
	assert_true(m->seen[1].ended);
	assert_int_equal(m->seen[1].reset, NGHTTP2_NO_ERROR + 1);
	assert_int_equal(m->delivered, 1);
}

static void
test_continue(void **state)
{
	struct buf block;

	buf_init(&block, 1000);
	put_pseudo(&block, "POST", "/a");
	put_field(&block, SPAN_LIT("expect"), SPAN_LIT("100-continue"));
	put_block(&b, 1, 0, buf_span(&block));
	buf_fini(&block);
	sent();
	assert_int_equal(m->seen[1].interim, 100);
	data(1, "body", true);
	sent();
	assert_int_equal(m->seen[1].status, 200);
}

static void
test_handler_aborts(void **state)
{
	put_request(&b, 1, "GET", "/abort", true);
	sent();
	assert_int_equal(m->seen[1].reset, NGHTTP2_INTERNAL_ERROR + 1);
	assert_false(m->seen[1].ended);
	assert_int_equal(m->gone, 1);
	assert_int_equal(m->delivered, 0);
	assert_false(m->finished);
}

static void
test_client_resets(void **state)
{
	put_request(&b, 1, "GET", "/hang", true);
	put_request(&b, 3, "GET", "/stream", true);
	sent();
	assert_int_equal(m->heads, 2);
	put_frame_u32(&b, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
	put_frame_u32(&b, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
	sent();
	assert_int_equal(m->gone, 2);
	assert_int_equal(m->delivered, 0);
	assert_int_equal(m->h2.pooled, 0);
	assert_false(m->finished);
}

static void
test_client_leaves(void **state)
{
	put_request(&b, 1, "GET", "/hang", true);
	sent();
	h2_eof(&m->h2);
	assert_int_equal(m->gone, 1);
	assert_true(m->finished);
}

static void
test_delivered_is_the_kernels(void **state)
{
	sent();
	m->kernel_takes = 0;
	put_request(&b, 1, "POST", "/a", false);
	data(1, "hello", true);
	sent();
	hm_turn(m);
	assert_int_equal(m->bodies, 1);
	assert_int_equal(m->gone, 0);
	m->kernel_takes = SIZE_MAX;
	m->kicked = true;
	hm_turn(m);
	assert_int_equal(m->delivered, 1);
}

/* -- flow control -- */

static void
test_stream_waits_for_the_window(void **state)
{
	put_request(&b, 1, "GET", "/stream", true);
	sent();
	assert_int_equal(m->seen[1].body, 65535);
	assert_true(m->h2.pooled <= STREAM_HIGH_BYTES);
	m->rooms = 0;
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 1 << 20);
	sent();
	assert_int_equal(m->seen[1].body, 65535 + (1 << 20));
	assert_true(m->rooms > 4);
}

static void
test_kernel_is_full(void **state)
{
	sent();
	m->kernel_takes = 0;
	put_request(&b, 1, "GET", "/stream", true);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1 << 30);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 1 << 30);
	sent();
	for (int i = 0; i < 100; i++)
		hm_flush(m);
	assert_true(m->queue.n < 128 << 10);
	assert_true(m->h2.pooled <= STREAM_HIGH_BYTES);
}

static void
test_streams_share(void **state)
{
	/* A client that opens its window has both of its streams, not the first one first. */
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
	put_setting(&b, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30);
	put_request(&b, 1, "GET", "/stream", true);
	put_request(&b, 3, "GET", "/stream", true);
	sent();
	assert_true(m->seen[1].body > 400000 && m->seen[3].body > 400000);
}

static void
test_zero_window(void **state)
{
	size_t held = 0;

	/* NET-10 */
	put_setting(&b, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
	for (uint32_t i = 0; i < H2_STREAMS_MAX; i++)
		put_request(&b, 1 + 2 * i, "GET", "/stream", true);
	sent();
	assert_int_equal(m->heads, H2_STREAMS_MAX);
	for (struct h2_stream *x = TAILQ_FIRST(&m->h2.open); x != NULL; x = TAILQ_NEXT(x, all)) {
		assert_true(h2_waiting(x) > 0);
		held += h2_waiting(x);
	}
	/* Each may write one piece (of 4096) beyond its room. */
	assert_true(held <= H2_CONN_HIGH_BYTES + (size_t)H2_STREAMS_MAX * 4096);
	/* Drips do not restart the clock. */
	for (int s = 5; s < 30; s += 5) {
		hm_time(m, 1000 + (uint64_t)s * 1000);
		put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 1);
		sent();
		assert_int_equal(m->gone, 0);
	}
	hm_time(m, 1000 + 31000);
	assert_int_equal(m->gone, H2_STREAMS_MAX);
	assert_int_equal(m->delivered, 0);
	assert_int_equal(m->seen[1].reset, NGHTTP2_CANCEL + 1);
	assert_int_equal(m->seen[1].body, 5);
	assert_int_equal(m->h2.pooled, 0);
}

static void
test_stalled_streams_starve_none(void **state)
{
	put_setting(&b, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
	put_request(&b, 1, "GET", "/stream", true);
	put_request(&b, 3, "GET", "/stream", true);
	put_request(&b, 5, "GET", "/stream", true);
	put_request(&b, 7, "GET", "/stream", true);
	sent();
	for (int i = 0; i < 20; i++) {
		put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 4096);
		put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 7, 4096);
		sent();
	}
	assert_int_equal(m->seen[7].body, 20 * 4096);
}

static void
test_shrunk_window(void **state)
{
	/* NET-10: RFC 9113 6.9.2 lets a window become negative. */
	put_request(&b, 1, "GET", "/stream", true);
	sent();
	put_setting(&b, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1000);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 1, 1000);
	sent();
	assert_int_equal(m->seen[1].body, 65535);
	hm_time(m, m->now_ms + 31000);
	assert_int_equal(m->gone, 1);
}

/* -- deadlines -- */

static void
test_preface_only(void **state)
{
	hm_time(m, 1000 + 10001);
	assert_true(m->finished);
}

static void
test_idle(void **state)
{
	sent();
	hm_time(m, 1000 + 74000);
	assert_false(m->finished);
	put_request(&b, 1, "GET", "/hang", true);
	sent();
	hm_time(m, 1000 + 200000);
	assert_false(m->finished);
	hm_answer(m->call[0].x, SPAN_LIT("late"));
	hm_turn(m);
	assert_int_equal(m->delivered, 1);
	hm_time(m, 1000 + 274000);
	assert_false(m->finished);
	hm_time(m, 1000 + 276000);
	assert_true(m->finished);
	assert_int_equal(m->goaway_code, NGHTTP2_NO_ERROR);
}

static void
test_head_drip(void **state)
{
	struct buf head;

	buf_init(&head, 1 << 16);
	put_request(&head, 1, "GET", "/a", true);
	sent();
	/* NET-13: a byte a second, and never the last one. */
	for (size_t i = 0; i < head.n - 1 && !m->finished; i++) {
		hm_bytes(m, span_of(head.p + i, 1));
		hm_time(m, m->now_ms + 1000);
	}
	assert_true(m->finished);
	assert_true(m->now_ms < 1000 + 20000);
	assert_int_equal(m->heads, 0);
	buf_fini(&head);
}

static void
test_over_and_unread(void **state)
{
	/* A late head ends the session while the kernel takes nothing: the clock is left alone. */
	sent();
	m->kernel_takes = 0;
	put_request(&b, 1, "GET", "/a", true);
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 3, SPAN_LIT("\x82"));
	sent();
	hm_turn(m);
	hm_time(m, m->now_ms + 200000);
	assert_true(m->h2.over && !m->finished);
	assert_int_equal(m->deadline_ms, 0);
	m->kernel_takes = SIZE_MAX;
	m->kicked = true;
	hm_turn(m);
	assert_true(m->finished);
	assert_int_equal(m->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(m->delivered, 1);
}

static void
test_body_drip(void **state)
{
	put_request(&b, 1, "POST", "/a", false);
	put_request(&b, 3, "GET", "/hang", true);
	sent();
	for (int i = 0; i < 6; i++) {
		data(1, "x", false);
		sent();
		hm_time(m, m->now_ms + 1000);
	}
	assert_int_equal(m->seen[1].status, 408);
	assert_true(m->seen[1].ended);
	assert_int_equal(m->seen[1].reset, NGHTTP2_NO_ERROR + 1);
	assert_int_equal(m->bodies, 1);
	/* The other stream is none the worse. */
	hm_answer(m->call[1].x, SPAN_LIT("fine"));
	hm_turn(m);
	assert_int_equal(m->seen[3].status, 200);
}

static void
test_body_too_large(void **state)
{
	struct buf block;

	m->want_max = 10;
	put_request(&b, 1, "POST", "/a", false);
	data(1, "0123456789", false);
	sent();
	assert_int_equal(m->errors, 0);
	data(1, "a", false);
	sent();
	assert_int_equal(m->seen[1].status, 413);
	buf_init(&block, 1000);
	put_pseudo(&block, "POST", "/b");
	put_field(&block, SPAN_LIT("content-length"), SPAN_LIT("11"));
	put_block(&b, 3, 0, buf_span(&block));
	buf_fini(&block);
	sent();
	assert_int_equal(m->seen[3].status, 413);
	assert_int_equal(m->bodies, 0);
	assert_int_equal(m->gone, 2);
}

static void
test_out_of_budget(void **state)
{
	const size_t most = MEMORY_BUDGET_BYTES - budget_used() - (64 << 10);

	/* NET-13: bodies are bounded by what all may hold; 503 and not the end of the process. */
	assert_true(budget_take(most));
	put_request(&b, 1, "POST", "/a", false);
	for (int i = 0; i < 20; i++) {
		static const uint8_t piece[8192];

		put_frame(&b, NGHTTP2_DATA, 0, 1, span_of(piece, sizeof(piece)));
	}
	sent();
	assert_int_equal(m->seen[1].status, 503);
	/* Not even for a head: the stream is reset, the connection stays. */
	assert_true(budget_take(MEMORY_BUDGET_BYTES - budget_used()));
	put_request(&b, 3, "GET", "/a", true);
	sent();
	assert_true(m->seen[3].reset != 0);
	assert_int_equal(m->heads, 1);
	budget_give(budget_used());
}

/* -- the end -- */

static void
test_drain_idle(void **state)
{
	sent();
	m->host.draining = true;
	h2_drain(&m->h2);
	hm_turn(m);
	assert_true(m->finished);
	assert_int_equal(m->goaways, 1);
	assert_int_equal(m->goaway_code, NGHTTP2_NO_ERROR);
}

static void
test_drain_twice(void **state)
{
	/* NET-16 */
	put_request(&b, 1, "GET", "/hang", true);
	sent();
	m->host.draining = true;
	h2_drain(&m->h2);
	h2_drain(&m->h2);
	hm_turn(m);
	assert_int_equal(m->goaways, 1);
	assert_int_equal(m->goaway_last, INT32_MAX);
	assert_int_equal(m->pings, 1);
	/* What was on its way is served. */
	put_request(&b, 3, "POST", "/late", true);
	put_frame(&b, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SPAN_LIT("\0\0\0\0\0\0\0\0"));
	sent();
	assert_int_equal(m->seen[3].status, 200);
	assert_int_equal(m->goaways, 2);
	assert_int_equal(m->goaway_last, 3);
	/* What comes after is not touched: the client may send it elsewhere. */
	put_request(&b, 5, "POST", "/later", true);
	sent();
	assert_int_equal(m->heads, 2);
	assert_false(m->finished);
	hm_answer(m->call[0].x, SPAN_LIT("done"));
	hm_turn(m);
	assert_int_equal(m->seen[1].status, 200);
	assert_int_equal(m->delivered, 2);
	assert_true(m->finished);
	assert_int_equal(m->goaway_code, NGHTTP2_NO_ERROR);
}

static void
test_drain_of_a_mute_client(void **state)
{
	put_request(&b, 1, "GET", "/hang", true);
	sent();
	m->host.draining = true;
	h2_drain(&m->h2);
	hm_turn(m);
	hm_time(m, m->now_ms + 1001);
	assert_int_equal(m->goaways, 2);
	assert_int_equal(m->goaway_last, 1);
	hm_answer(m->call[0].x, SPAN_LIT("done"));
	hm_turn(m);
	assert_true(m->finished);
}

int
main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, open_connection, close_connection)
	const struct CMUnitTest tests[] = {
		ROW(test_side_by_side),
		ROW(test_byte_by_byte),
		ROW(test_trailers_are_ignored),
		ROW(test_head_request),
		ROW(test_early_answer),
		ROW(test_continue),
		ROW(test_handler_aborts),
		ROW(test_client_resets),
		ROW(test_client_leaves),
		ROW(test_delivered_is_the_kernels),
		ROW(test_stream_waits_for_the_window),
		ROW(test_kernel_is_full),
		ROW(test_streams_share),
		ROW(test_zero_window),
		ROW(test_stalled_streams_starve_none),
		ROW(test_shrunk_window),
		ROW(test_preface_only),
		ROW(test_idle),
		ROW(test_head_drip),
		ROW(test_over_and_unread),
		ROW(test_body_drip),
		ROW(test_body_too_large),
		ROW(test_out_of_budget),
		ROW(test_drain_idle),
		ROW(test_drain_twice),
		ROW(test_drain_of_a_mute_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
