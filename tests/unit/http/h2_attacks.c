/*
 * h2_attacks.c - abuse of HTTP/2, by hand-made frames: what a peer does to make us work for
 * nothing ends its connection soon, and no request that was never complete is begun.
 */
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
	hm_bytes(m, buf_span(&b));
	buf_clear(&b);
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

/* As a loop reads: at most `piece` bytes at a time, output taken between. */
static void
sent(size_t piece)
{
	for (size_t at = 0; at < b.n && !m->finished; at += piece)
		hm_bytes(m, span_of(b.p + at, b.n - at < piece ? b.n - at : piece));
	buf_clear(&b);
}

/* -- floods: each row puts one turn of the attack, again and again -- */

static void
put_data(uint32_t id, const char *text, uint8_t flags)
{
	put_frame(&b, NGHTTP2_DATA, flags, id, span_str(text));
}

static void
rapid_reset(uint32_t i)
{
	put_request(&b, 1 + 2 * i, "GET", "/hang", true);
	put_frame_u32(&b, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
}

static void
rapid_reset_of_half(uint32_t i)
{
	put_request(&b, 1 + 2 * i, "POST", "/a", false);
	put_frame_u32(&b, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
}

static void
window_overflow(uint32_t i)
{
	put_request(&b, 1 + 2 * i, "POST", "/a", false);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 1 + 2 * i, INT32_MAX);
}

static void
body_beyond_length(uint32_t i)
{
	struct buf block;

	buf_init(&block, 1000);
	put_pseudo(&block, "POST", "/a");
	put_field(&block, SPAN_LIT("content-length"), SPAN_LIT("1"));
	put_block(&b, 1 + 2 * i, 0, buf_span(&block));
	buf_fini(&block);
	put_data(1 + 2 * i, "two", 0);
}

static void
bad_trailers(uint32_t i)
{
	struct buf block;

	put_request(&b, 1 + 2 * i, "POST", "/a", false);
	buf_init(&block, 1000);
	put_field(&block, SPAN_LIT(":path"), SPAN_LIT("/"));
	put_block(&b, 1 + 2 * i, NGHTTP2_FLAG_END_STREAM, buf_span(&block));
	buf_fini(&block);
}

static void
refused_head(uint32_t i)
{
	put_request(&b, 1 + 2 * i, "NONSENSE", "/a", true);
}

static void
empty_settings(uint32_t i)
{
	put_frame(&b, NGHTTP2_SETTINGS, 0, 0, SPAN_NONE);
}

static void
ping(uint32_t i)
{
	put_frame(&b, NGHTTP2_PING, 0, 0, SPAN_LIT("\0\0\0\0\0\0\0\0"));
}

static void
empty_data(uint32_t i)
{
	if (i == 0)
		put_request(&b, 1, "POST", "/a", false);
	put_data(1, "", 0);
}

static void
padding_only(uint32_t i)
{
	if (i == 0)
		put_request(&b, 1, "POST", "/a", false);
	put_frame(&b, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, SPAN_LIT("\3\0\0\0"));
}

static void
priority(uint32_t i)
{
	struct buf p;

	buf_init(&p, 5);
	put_u32(&p, 0);
	buf_put_byte(&p, 1);
	put_frame(&b, NGHTTP2_PRIORITY, 0, 1 + 2 * (i + 1), buf_span(&p));
	buf_fini(&p);
}

static void
unknown_frame(uint32_t i)
{
	put_frame(&b, 0xbe, 0xef, i, SPAN_LIT("whatever"));
}

static void
window_drip(uint32_t i)
{
	if (i == 0)
		put_request(&b, 1, "GET", "/hang", true);
	put_frame_u32(&b, NGHTTP2_WINDOW_UPDATE, 0, 1);
}

static const struct {
	const char *rule;
	void (*put)(uint32_t i);
	unsigned times;
	unsigned heads_max; /* requests begun */
} floods[] = {
	{ "NET-01: rapid reset", rapid_reset, 2000, 101 },
	{ "NET-01: of requests that are not complete", rapid_reset_of_half, 2000, 101 },
	{ "NET-02: window overflow", window_overflow, 5000, 128 },
	{ "NET-02: DATA beyond content-length", body_beyond_length, 5000, 128 },
	{ "NET-02: malformed trailers", bad_trailers, 5000, 128 },
	{ "NET-02: refused heads", refused_head, 5000, 0 },
	{ "NET-04: SETTINGS", empty_settings, 20000, 0 },
	{ "NET-05: PING", ping, 20000, 0 },
	{ "NET-06: empty DATA", empty_data, 50000, 1 },
	{ "NET-06: DATA that is padding", padding_only, 50000, 1 },
	{ "NET-07: PRIORITY", priority, 50000, 0 },
	{ "NET-10: window updates for nothing", window_drip, 50000, 1 },
	{ "NET-15: frames of no known type", unknown_frame, 50000, 0 },
};

static void
test_floods(void **state)
{
	static const size_t pieces[] = { 64 << 10, 1000 };

	close_connection(state);
	for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]) * 2; i++) {
		const size_t row = i / 2;

		open_connection(state);
		for (unsigned n = 0; n < floods[row].times; n++)
			floods[row].put(n);
		sent(pieces[i % 2]);
		/* In one read there are 129 streams before our resets leave: the same end. */
		if (!m->finished ||
		    (m->goaway_code != NGHTTP2_ENHANCE_YOUR_CALM &&
			(i % 2 != 0 || m->goaway_code != NGHTTP2_PROTOCOL_ERROR)) ||
		    m->heads > floods[row].heads_max || m->bodies > 128 || m->pongs > 600 ||
		    m->settings > 600)
			fail_msg("%s: finished %d, code %u, heads %u, pongs %u, settings %u",
			    floods[row].rule, m->finished, m->goaway_code, m->heads, m->pongs,
			    m->settings);
		close_connection(state);
	}
	open_connection(state);
}

static void
test_floods_unread(void **state)
{
	close_connection(state);
	for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
		open_connection(state);
		m->kernel_takes = 0;
		for (unsigned n = 0; n < floods[i].times; n++)
			floods[i].put(n);
		sent(16384);
		if (!m->finished || m->queue.n > 256 << 10)
			fail_msg("%s: finished %d, %zu bytes wait", floods[i].rule, m->finished,
			    m->queue.n);
		close_connection(state);
	}
	open_connection(state);
}

static void
test_patient_clients_are_welcome(void **state)
{
	/* The same number of resets, or of pings, over an hour. */
	for (uint32_t i = 0; i < 1000; i++) {
		rapid_reset(i);
		ping(i);
		sent(SIZE_MAX);
		hm_time(m, m->now_ms + 3600);
	}
	assert_false(m->finished);
	assert_int_equal(m->heads, 1000);
	assert_int_equal(m->pongs, 1000);
}

/* -- heads -- */

static void
test_continuation_flood(void **state)
{
	/* NET-03 */
	struct buf block;

	buf_init(&block, 1000);
	put_pseudo(&block, "GET", "/a");
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, buf_span(&block));
	for (int i = 0; i < 10000; i++)
		put_frame(&b, NGHTTP2_CONTINUATION, 0, 1, SPAN_NONE);
	sent(16384);
	assert_true(m->finished);
	assert_int_equal(m->heads, 0);
	buf_fini(&block);
}

/* A head of `fields` fields of `each` bytes; returns its status, or 1000 + the code of its reset. */
static unsigned
head_of(size_t fields, size_t each)
{
	static const uint8_t text[65536] = { [0 ... 65535] = 'v' };
	struct buf block;

	buf_init(&block, 1 << 20);
	put_pseudo(&block, "GET", "/a");
	for (size_t i = 0; i < fields; i++)
		put_field(&block, SPAN_LIT("n"), span_of(text, each));
	put_block(&b, 1, NGHTTP2_FLAG_END_STREAM, buf_span(&block));
	buf_fini(&block);
	sent(SIZE_MAX);
	return m->seen[1].reset > NGHTTP2_NO_ERROR + 1 ? 999 + m->seen[1].reset : m->seen[1].status;
}

static void
test_head_sizes(void **state)
{
	static const struct {
		const char *rule;
		size_t fields, each;
		unsigned want;
	} rows[] = {
		{ "a large head", 6, 10000, 200 },
		{ "NET-08: a little over 64 KiB", 7, 10000, 431 },
		{ "NET-08: over twice that", 14, 10000, 1000 + NGHTTP2_INTERNAL_ERROR },
		{ "NET-09: as many fields as HTTP/1.1 takes", 99, 1, 200 },
		{ "NET-09: one more", 100, 1, 431 },
		{ "NET-09: over twice that", 200, 1, 1000 + NGHTTP2_INTERNAL_ERROR },
	};

	close_connection(state);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned got;

		open_connection(state);
		got = head_of(rows[i].fields, rows[i].each);
		if (got != rows[i].want || m->finished || m->heads != (rows[i].want == 200))
			fail_msg("%s: %u, not %u", rows[i].rule, got, rows[i].want);
		close_connection(state);
	}
	open_connection(state);
}

static void
test_reference_bomb(void **state)
{
	/* NET-08: one entry of 3900 bytes, named 147,000 times in one byte each. */
	static const uint8_t text[3900] = { [0 ... 3899] = 'v' };
	struct buf block;

	buf_init(&block, 1 << 20);
	put_pseudo(&block, "GET", "/a");
	buf_put_byte(&block, 0x40);
	put_string(&block, SPAN_LIT("n"));
	put_string(&block, span_of(text, sizeof(text)));
	memset(buf_grow(&block, 140000), 0xbe, 140000);
	put_block(&b, 1, NGHTTP2_FLAG_END_STREAM, buf_span(&block));
	buf_fini(&block);
	sent(65536);
	assert_int_equal(m->heads, 0);
	assert_int_equal(m->seen[1].reset, NGHTTP2_INTERNAL_ERROR + 1);
	/* The table is whole: the next request is read. */
	put_request(&b, 3, "GET", "/b", true);
	sent(65536);
	assert_int_equal(m->seen[3].status, 200);
}

static void
test_too_many_streams(void **state)
{
	/* NET-11 */
	for (uint32_t i = 0; i < H2_STREAMS_MAX; i++)
		put_request(&b, 1 + 2 * i, "GET", "/hang", true);
	sent(SIZE_MAX);
	assert_int_equal(m->heads, H2_STREAMS_MAX);
	assert_false(m->finished);
	put_request(&b, 1 + 2 * H2_STREAMS_MAX, "GET", "/hang", true);
	sent(SIZE_MAX);
	assert_int_equal(m->heads, H2_STREAMS_MAX);
}

static void
test_ids_go_up(void **state)
{
	put_request(&b, 101, "GET", "/a", true);
	put_request(&b, 5, "GET", "/b", true);
	sent(SIZE_MAX);
	assert_int_equal(m->heads, 1);
	assert_int_equal(m->seen[5].status, 0);
}

/* NET-12: pseudo fields and fields of one head; none is a request. */
struct pair {
	const char *name, *value;
};
#define METHOD                    \
	{                         \
		":method", "POST" \
	}
#define SCHEME                     \
	{                          \
		":scheme", "https" \
	}
#define PATH                  \
	{                     \
		":path", "/a" \
	}
#define AUTHORITY                 \
	{                         \
		":authority", "h" \
	}

static const struct {
	const char *rule;
	struct pair field[8];
	unsigned want; /* status; 1: reset */
} malformed[] = {
	{ "a request that is fine", { METHOD, SCHEME, PATH, AUTHORITY, { "a", "b" } }, 200 },
	{ "RFC 9113 8.3.1: Host in place of :authority", { METHOD, SCHEME, PATH, { "host", "h" } },
	    200 },
	{ "RFC 9113 8.3.1: both, and equal", { METHOD, SCHEME, PATH, AUTHORITY, { "host", "H" } },
	    200 },
	{ "RFC 9113 8.3.1: both, and not equal",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "host", "other" } }, 400 },
	{ "RFC 9112 3.2: two hosts",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "host", "h" }, { "host", "h" } }, 1 },
	{ "RFC 9113 8.2: upper case", { METHOD, SCHEME, PATH, AUTHORITY, { "A", "b" } }, 1 },
	{ "RFC 9113 8.2.2: connection",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "connection", "close" } }, 1 },
	{ "RFC 9113 8.2.2: transfer-encoding",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "transfer-encoding", "chunked" } }, 1 },
	{ "RFC 9113 8.2.2: upgrade", { METHOD, SCHEME, PATH, AUTHORITY, { "upgrade", "h2c" } }, 1 },
	{ "RFC 9113 8.2.2: te", { METHOD, SCHEME, PATH, AUTHORITY, { "te", "gzip" } }, 1 },
	{ "RFC 9113 8.3: two paths", { METHOD, SCHEME, PATH, AUTHORITY, PATH }, 1 },
	{ "RFC 9113 8.3: no scheme", { METHOD, PATH, AUTHORITY }, 1 },
	{ "RFC 9113 8.3: no path", { METHOD, SCHEME, AUTHORITY }, 1 },
	{ "RFC 9113 8.3: an empty path", { METHOD, SCHEME, { ":path", "" }, AUTHORITY }, 1 },
	{ "RFC 9113 8.3: no method", { SCHEME, PATH, AUTHORITY }, 1 },
	{ "RFC 9113 8.3: a pseudo field behind another",
	    { METHOD, SCHEME, { "a", "b" }, PATH, AUTHORITY }, 1 },
	{ "RFC 9113 8.3: an unknown one", { METHOD, SCHEME, PATH, AUTHORITY, { ":x", "y" } }, 1 },
	{ "RFC 9113 8.3: one of an answer",
	    { METHOD, SCHEME, PATH, AUTHORITY, { ":status", "200" } }, 1 },
	{ "RFC 9110 9.3.6: CONNECT", { { ":method", "CONNECT" }, { ":authority", "h:443" } }, 400 },
	{ "RFC 9110 9.1: an unknown method", { { ":method", "BREW" }, SCHEME, PATH, AUTHORITY },
	    501 },
	{ "RFC 9113 8.3.1: a path without a slash", { METHOD, SCHEME, { ":path", "a" }, AUTHORITY },
	    1 },
	{ "RFC 9113 8.3.1: an asterisk", { METHOD, SCHEME, { ":path", "*" }, AUTHORITY }, 1 },
	{ "RFC 9112 3.2: a fragment", { METHOD, SCHEME, { ":path", "/a#b" }, AUTHORITY }, 400 },
	{ "a second request in the path",
	    { METHOD, SCHEME, { ":path", "/a HTTP/1.1\r\nx: y" }, AUTHORITY }, 1 },
	{ "a space in the path", { METHOD, SCHEME, { ":path", "/a b" }, AUTHORITY }, 1 },
	{ "RFC 9110 7.2: a name in front of the host",
	    { METHOD, SCHEME, PATH, { ":authority", "me@h" } }, 400 },
	{ "RFC 9113 8.2.1: CRLF in a value",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "a", "b\r\nc: d" } }, 400 },
	{ "RFC 9113 8.2.1: a control byte", { METHOD, SCHEME, PATH, AUTHORITY, { "a", "b\1" } },
	    400 },
	{ "RFC 9113 8.2.1: a space in a name", { METHOD, SCHEME, PATH, AUTHORITY, { "a b", "c" } },
	    400 },
	{ "RFC 9110 8.6: two lengths",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "content-length", "0" },
		{ "content-length", "0" } },
	    1 },
	{ "RFC 9110 8.6: a sign", { METHOD, SCHEME, PATH, AUTHORITY, { "content-length", "+0" } },
	    1 },
	{ "RFC 9113 8.1.1: a length and no body",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "content-length", "5" } }, 1 },
	{ "RFC 9110 10.1.1: an expectation",
	    { METHOD, SCHEME, PATH, AUTHORITY, { "expect", "tea" } }, 417 },
};

static void
test_malformed(void **state)
{
	close_connection(state);
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct buf block;
		bool ok;

		open_connection(state);
		buf_init(&block, 1000);
		for (const struct pair *p = malformed[i].field; p->name != NULL; p++)
			put_field(&block, span_str(p->name), span_str(p->value));
		put_block(&b, 1, NGHTTP2_FLAG_END_STREAM, buf_span(&block));
		put_request(&b, 3, "GET", "/next", true);
		sent(SIZE_MAX);
		ok = malformed[i].want == 1 ? m->seen[1].reset != 0 && m->seen[1].status == 0
					    : m->seen[1].status == malformed[i].want;
		if (!ok || m->heads != 1 + (malformed[i].want == 200) || m->seen[3].status != 200)
			fail_msg("%s: status %u, reset %u, %u requests", malformed[i].rule,
			    m->seen[1].status, m->seen[1].reset, m->heads);
		buf_fini(&block);
		close_connection(state);
	}
	open_connection(state);
}

static void
test_nul_in_a_value(void **state)
{
	struct buf block;

	buf_init(&block, 1000);
	put_pseudo(&block, "GET", "/a");
	put_field(&block, SPAN_LIT("a"), SPAN_LIT("b\0c"));
	put_block(&b, 1, NGHTTP2_FLAG_END_STREAM, buf_span(&block));
	sent(SIZE_MAX);
	buf_fini(&block);
	assert_int_equal(m->seen[1].status, 400);
	assert_int_equal(m->heads, 0);
}

static void
test_long_path(void **state)
{
	char path[TARGET_MAX_BYTES + 2];

	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	put_request(&b, 1, "GET", path, true);
	sent(SIZE_MAX);
	assert_int_equal(m->seen[1].status, 414);
}

/* -- what is not HTTP/2 -- */

static void
test_other_protocols(void **state)
{
	static const char *const rows[] = {
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r",
		"\x16\x03\x01",
	};

	/* NET-14 */
	close_connection(state);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		m = malloc(sizeof(*m));
		hm_init_ops(m, &hm_exchange_ops);
		buf_init(&b, 1000);
		hm_bytes(m, span_str(rows[i]));
		assert_true(m->finished);
		close_connection(state);
	}
	open_connection(state);
}

static void
test_frames_behind_the_end(void **state)
{
	/* NET-15: DATA on stream 0 ends the session; what follows in the same read is nothing. */
	put_frame(&b, NGHTTP2_DATA, 0, 0, SPAN_LIT("x"));
	for (uint32_t i = 0; i < 50; i++) {
		put_request(&b, 1 + 2 * i, "GET", "/a", true);
		ping(i);
		priority(i);
		empty_settings(i);
	}
	sent(SIZE_MAX);
	assert_true(m->finished);
	assert_int_equal(m->heads, 0);
	assert_int_equal(m->goaway_code, NGHTTP2_PROTOCOL_ERROR);
}

static void
test_odd_extension_frames(void **state)
{
	static const uint8_t types[] = { 0x0a, 0x0c, 0x10, 0x20, 0xff };

	/* NET-15: ALTSVC, ORIGIN, PRIORITY_UPDATE, and none, of every short length. */
	for (size_t i = 0; i < sizeof(types); i++)
		for (size_t n = 0; n < 12; n++)
			put_frame(&b, types[i], 0xff, (uint32_t)n % 3,
			    span_of("\0\0\0\0\0\0\0\0\0\0\0\0", n));
	put_request(&b, 1, "GET", "/a", true);
	sent(SIZE_MAX);
	assert_int_equal(m->seen[1].status, 200);
}

int
main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, open_connection, close_connection)
	const struct CMUnitTest tests[] = {
		ROW(test_floods),
		ROW(test_floods_unread),
		ROW(test_patient_clients_are_welcome),
		ROW(test_continuation_flood),
		ROW(test_head_sizes),
		ROW(test_reference_bomb),
		ROW(test_too_many_streams),
		ROW(test_ids_go_up),
		ROW(test_malformed),
		ROW(test_nul_in_a_value),
		ROW(test_long_path),
		ROW(test_other_protocols),
		ROW(test_frames_behind_the_end),
		ROW(test_odd_extension_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
