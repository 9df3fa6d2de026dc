/* sse.c: the same events however the bytes arrive. Every row is fed whole, byte by byte, and cut
 * once at every offset. */
#include "codec/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Events are written one after the other, each followed by '|'. */
static const struct {
	const char *rule, *in, *want;
} rows[] = {
	{ "nothing", "", "" },
	{ "one event", "data: a\n\n", "a|" },
	{ "two events", "data: a\n\ndata: b\n\n", "a|b|" },
	{ "rule 2: CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "a|b|" },
	{ "rule 2: CR", "data: a\r\rdata: b\r\r", "a|b|" },
	{ "rule 2: CR, then CRLF for the blank line", "data: a\r\r\ndata: b\n\n", "a|b|" },
	{ "rule 2: LF, then CR", "data: a\n\rdata: b\n\n", "a|b|" },
	{ "rule 2: LF after CR LF is a line of its own", "data: a\r\n\ndata: b\n\n", "a|b|" },
	{ "rule 3: data lines join with LF", "data: a\ndata: b\n\n", "a\nb|" },
	{ "rule 3: an empty data line joins too", "data: a\ndata:\ndata\ndata: b\n\n",
	    "a\n\n\nb|" },
	{ "rule 3: no space after the colon", "data:{}\n\n", "{}|" },
	{ "rule 3: only one space goes", "data:  a \n\n", " a |" },
	{ "a colon in the value", "data: a: b\n\n", "a: b|" },
	{ "data without a value is an event", "data:\n\n", "|" },
	{ "data without a colon is an event", "data\n\n", "|" },
	{ "blank lines alone are no events", "\n\n\r\n\r\r\n\n", "" },
	{ "rule 4: comments", ": OPENROUTER PROCESSING\n\n:\ndata: a\n: x\ndata: b\n\n", "a\nb|" },
	{ "rule 5: other fields",
	    "event: message\nid: 1\nretry: 5\ndata: a\nfoo\n\nevent: x\n\ndata: b\n\n", "a|b|" },
	{ "names are exact", "Data: a\ndata : b\n data: c\ndatax: d\ndata: e\n\n", "e|" },
	{ "rule 6: byte order mark",
	    "\xef\xbb\xbf"
	    "data: a\n\n",
	    "a|" },
	{ "rule 6: a mark before a blank line", "\xef\xbb\xbf\ndata: a\n\n", "a|" },
	{ "rule 6: only at the start",
	    "\n\xef\xbb\xbf"
	    "data: a\n\ndata: \xef\xbb\xbf\n\n",
	    "\xef\xbb\xbf|" },
	{ "rule 6: only once",
	    "\xef\xbb\xbf\xef\xbb\xbf"
	    "data: a\n\n",
	    "" },
	{ "rule 1: characters of several bytes", "data: \xe4\xb8\x96\xf0\x9f\x98\x80\n\n",
	    "\xe4\xb8\x96\xf0\x9f\x98\x80|" },
	{ "rule 8: no blank line at the end", "data: a\n\ndata: b\n", "a|b|" },
	{ "rule 8: no line end at the end", "data: a\n\ndata: b", "a|b|" },
	{ "rule 8: several lines at the end", "data: a\r\ndata: b", "a\nb|" },
	{ "rule 8: a comment at the end", "data: a\n\n: b", "a|" },
	{ "rule 8: a field cut short", "data: a\n\ndat", "a|" },
};

static struct err
feed(struct sse *s, struct span in, struct buf *out)
{
	struct span event;

	do {
		TRY(sse_next(s, &in, &event));
		if (event.p == NULL)
			assert_int_equal(in.n, 0);
		else {
			buf_put(out, event);
			buf_put_byte(out, '|');
		}
	} while (event.p != NULL);
	return OK;
}

static struct err
end(struct sse *s, struct buf *out)
{
	struct span event;

	TRY(sse_end(s, &event));
	if (event.p != NULL) {
		buf_put(out, event);
		buf_put_byte(out, '|');
	}
	return OK;
}

static void
compare(const char *rule, const char *how, size_t at, struct buf *out, const char *want)
{
	if (!span_eq(buf_span(out), span_str(want)))
		fail_msg("%s: fed %s (%zu)", rule, how, at);
	buf_clear(out);
}

static void
any_split(void **state)
{
	struct buf out;

	buf_init(&out, 4096);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct span in = span_str(rows[r].in);
		struct sse s;

		for (size_t cut = 0; cut <= in.n; cut++) {
			sse_init(&s, 64);
			assert_int_equal(feed(&s, span_cut(in, 0, cut), &out).code, ERR_OK);
			assert_int_equal(feed(&s, span_cut(in, cut, in.n), &out).code, ERR_OK);
			assert_int_equal(end(&s, &out).code, ERR_OK);
			compare(rows[r].rule, "in two parts", cut, &out, rows[r].want);
			sse_fini(&s);
		}
		sse_init(&s, 64);
		for (size_t i = 0; i < in.n; i++) {
			assert_int_equal(feed(&s, span_cut(in, i, i + 1), &out).code, ERR_OK);
			assert_int_equal(feed(&s, SPAN_NONE, &out).code, ERR_OK);
		}
		assert_int_equal(end(&s, &out).code, ERR_OK);
		compare(rows[r].rule, "byte by byte", 0, &out, rows[r].want);
		sse_fini(&s);
	}
	buf_fini(&out);
}

/* The event ends with its blank line, not with the first byte of the next event. */
static void
prompt(void **state)
{
	static const char *const ends[] = { "\n\n", "\r\r", "\r\n\r", "\r\n\n" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct span in, event;
		struct buf text;
		struct sse s;

		buf_init(&text, 64);
		buf_put_str(&text, "data: now");
		buf_put_str(&text, ends[i]);
		in = buf_span(&text);
		sse_init(&s, 64);
		assert_int_equal(sse_next(&s, &in, &event).code, ERR_OK);
		assert_true(span_eq(event, SPAN_LIT("now")));
		sse_fini(&s);
		buf_fini(&text);
	}
}

static const struct {
	const char *rule, *in;
	enum err_code want;
} bounds[] = {
	{ "an event at the bound", "data: 01234567\n\n", ERR_OK },
	{ "an event past the bound", "data: 012345678\n\n", ERR_TOO_LARGE },
	{ "lines count together, with their LF", "data: 0123\ndata: 4567\n\n", ERR_TOO_LARGE },
	{ "many events below the bound", "data: 01234567\n\ndata: 01234567\n\n", ERR_OK },
	{ "a line without end",
	    ": 0123456789012345678901234567890123456789012345678901234567890123456789012",
	    ERR_TOO_LARGE },
};

static void
bounded(void **state)
{
	for (size_t r = 0; r < sizeof(bounds) / sizeof(bounds[0]); r++) {
		struct span in = span_str(bounds[r].in);
		struct err e = OK;
		struct buf out;
		struct sse s;

		buf_init(&out, 4096);
		sse_init(&s, 8);
		if (feed(&s, in, &out).code != bounds[r].want)
			fail_msg("%s: whole", bounds[r].rule);
		sse_fini(&s);
		sse_init(&s, 8);
		for (size_t i = 0; i < in.n && !failed(e); i++)
			e = feed(&s, span_cut(in, i, i + 1), &out);
		if (e.code != bounds[r].want)
			fail_msg("%s: byte by byte", bounds[r].rule);
		sse_fini(&s);
		buf_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_split),
		cmocka_unit_test(prompt),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
