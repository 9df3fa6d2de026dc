/* egress.c - one call over a plain upstream: framing, deadlines, pauses, cancels. */
#include "net/egress.h"

#include "upstream_stub.h"
#include "egress_probe.h"

#include <poll.h>

#define HOST "http://127.0.0.1"

/* --- framing ----------------------------------------------------------------------------- */

enum end { END_WAIT, END_FIN, END_RESET };

struct row {
	const char *rule;
	struct span answer;
	enum end end;
	unsigned status;  /* 0: no head */
	const char *body; /* NULL: whatever came */
	enum egress_fault fault;
};

#define BYTES(s) SPAN_LIT(s)
#define CHUNKED	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct row rows[] = {
	{ "RFC 9112 6.2: a body with its length",
	    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), END_WAIT, 200, "hello",
	    EGRESS_NONE },
	{ "an empty body is whole", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), END_WAIT,
	    200, "", EGRESS_NONE },
	{ "RFC 9112 7.1: chunks", BYTES(CHUNKED "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), END_WAIT, 200,
	    "hello", EGRESS_NONE },
	{ "a trailer changes nothing",
	    BYTES(CHUNKED "2\r\nhe\r\n0\r\nX-Late: 1\r\nLocation: /x\r\n\r\n"), END_WAIT, 200, "he",
	    EGRESS_NONE },
	{ "RFC 9112 6.3: without a length the close ends the body",
	    BYTES("HTTP/1.1 200 OK\r\n\r\nhello"), END_FIN, 200, "hello", EGRESS_NONE },
	{ "204 has no body", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), END_WAIT, 204, "",
	    EGRESS_NONE },
	{ "RFC 9110 15.2: interim heads are skipped",
	    BYTES("HTTP/1.1 100 Continue\r\nLocation: /a\r\n\r\n"
		  "HTTP/1.1 103 Early Hints\r\nLocation: /b\r\n\r\n"
		  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	    END_WAIT, 200, "ok", EGRESS_NONE },
	{ "FLT-23: a redirect is an answer",
	    BYTES("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno"),
	    END_WAIT, 302, "no", EGRESS_NONE },
	{ "an error status is an answer", BYTES("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno"),
	    END_WAIT, 500, "no", EGRESS_NONE },
	{ "401 is not tried again with anything",
	    BYTES("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: "
		  "2\r\n\r\nno"),
	    END_WAIT, 401, "no", EGRESS_NONE },
	{ "Content-Encoding is left as it came",
	    BYTES("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nplai"),
	    END_WAIT, 200, "plai", EGRESS_NONE },
	{ "FLT-08: fewer bytes than the length",
	    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), END_FIN, 200, "hello",
	    EGRESS_BROKEN },
	{ "FLT-08: chunks without the last one", BYTES(CHUNKED "5\r\nhello\r\n"), END_FIN, 200,
	    "hello", EGRESS_BROKEN },
	{ "FLT-07: the end in mid chunk", BYTES(CHUNKED "9\r\nhello"), END_FIN, 200, "hello",
	    EGRESS_BROKEN },
	{ "FLT-07: a last chunk without its empty line", BYTES(CHUNKED "5\r\nhello\r\n0\r\n"),
	    END_FIN, 200, "hello", EGRESS_BROKEN },
	{ "FLT-07: reset in mid body", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
	    END_RESET, 200, NULL, EGRESS_BROKEN },
	{ "FLT-07: reset of a body that the close ends", BYTES("HTTP/1.1 200 OK\r\n\r\nhello"),
	    END_RESET, 200, NULL, EGRESS_BROKEN },
	{ "a chunk size that is no number", BYTES(CHUNKED "xyz\r\nhello\r\n0\r\n\r\n"), END_WAIT,
	    200, NULL, EGRESS_BROKEN },
	{ "FLT-04: the end without a byte", BYTES(""), END_FIN, 0, "", EGRESS_BROKEN },
	{ "FLT-04: reset without a byte", BYTES(""), END_RESET, 0, "", EGRESS_BROKEN },
	{ "the end in mid head", BYTES("HTTP/1.1 200 OK\r\nContent-"), END_FIN, 0, "",
	    EGRESS_BROKEN },
	{ "the end after an interim head", BYTES("HTTP/1.1 100 Continue\r\n\r\n"), END_FIN, 0, "",
	    EGRESS_BROKEN },
	{ "a field without a colon",
	    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nno colon\r\n\r\n"), END_WAIT, 0, "",
	    EGRESS_BROKEN },
	{ "FLT-23: nobody asked for another protocol",
	    BYTES("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), END_FIN, 101, NULL,
	    EGRESS_BROKEN },
	{ "HTTP/0.9 is no answer", BYTES("hello\r\n"), END_FIN, 0, "", EGRESS_BROKEN },
};

static void
end_link(struct link *l, enum end end)
{
	switch (end) {
	case END_WAIT:
		link_drain(l);
		break;
	case END_FIN:
		link_end(l, true);
		break;
	case END_RESET:
		link_reset(l);
		break;
	}
}

static void
play_row(struct link *l)
{
	const struct row *row = l->stub->arg;

	if (!link_request(l))
		return;
	link_send(l, row->answer);
	end_link(l, row->end);
}

static void
test_framing(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct stub *s = stub_start(play_row, row, NULL);
		struct probe p = { 0 };

		print_message("%s\n", row->rule);
		probe_open(NULL, EGRESS_PLAIN_ANY);
		probe_call(&p, HOST, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
		assert_int_equal(p.dones, 1);
		assert_int_equal(p.fault, row->fault);
		/* A reset may overtake the head. */
		if (row->end != END_RESET || p.heads > 0)
			assert_int_equal(p.status, row->status);
		if (row->body != NULL)
			assert_true(span_eq(buf_span(&p.body), span_str(row->body)));
		assert_string_equal(p.location, row->status == 302 ? "/elsewhere" : "");
		assert_false(p.peer.tls);
		probe_fini(&p);
		probe_close();
		/* Nothing is retried, nothing followed. */
		assert_int_equal(s->requests, 1);
		assert_int_equal(s->links, 1);
		stub_stop(s);
	}
}

/* --- what is sent ------------------------------------------------------------------------ */

static void
play_echo(struct link *l)
{
	char head[128];

	while (link_request(l)) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		    l->request.n);
		if (!link_send(l, span_str(head)) || !link_send(l, buf_span(&l->request)))
			return;
	}
}

static void
test_request_bytes(void **state)
{
	static uint8_t body[3 << 20];
	static const char *const absent[] = { "Expect", "User-Agent", "Cookie", "Proxy",
		"Upgrade" };
	struct stub *s = stub_start(play_echo, NULL, NULL);
	struct probe p = { 0 };
	struct span got;
	size_t head;

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 2654435761u >> 24);
	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_call(
	    &p, HOST, s->port, (struct egress_request){ .body = span_of(body, sizeof(body)) });
	assert_int_equal(p.fault, EGRESS_NONE);
	got = buf_span(&p.body);
	head = span_find(got, SPAN_LIT("\r\n\r\n"), 0);
	assert_true(span_starts(got, SPAN_LIT("POST /v1/chat HTTP/1.1\r\n")));
	assert_true(span_eq(span_cut(got, head + 4, got.n), span_of(body, sizeof(body))));
	got = span_cut(got, 0, head);
	assert_true(span_find(got, SPAN_LIT("\r\nAccept-Encoding: identity"), 0) < head);
	assert_true(span_find(got, SPAN_LIT("\r\nAuthorization: Bearer sk-test"), 0) < head);
	assert_true(span_find(got, SPAN_LIT("\r\nContent-Type: application/json"), 0) < head);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_true(span_find(got, span_str(absent[i]), 0) == SIZE_MAX);
	probe_fini(&p);
	probe_close();
	stub_stop(s);
}

/* A handle that served one method serves another, and nothing of the first is left. */
static void
test_get(void **state)
{
	static const struct {
		const char *rule;
		enum egress_method method;
		const char *line, *body;
	} turns[] = {
		{ "a GET", EGRESS_GET, "GET /v1/chat HTTP/1.1\r\n", "" },
		{ "a POST after a GET", EGRESS_POST, "POST /v1/chat HTTP/1.1\r\n", "{\"a\":1}" },
		{ "a GET after a POST", EGRESS_GET, "GET /v1/chat HTTP/1.1\r\n", "" },
		{ "a POST of nothing", EGRESS_POST, "POST /v1/chat HTTP/1.1\r\n", "" },
	};
	struct stub *s = stub_start(play_echo, NULL, NULL);

	probe_open(NULL, EGRESS_PLAIN_ANY);
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		struct probe p = { 0 };
		struct span got;
		size_t head;

		print_message("%s\n", turns[i].rule);
		probe_call(&p, HOST, s->port,
		    (struct egress_request){
			.method = turns[i].method, .body = span_str(turns[i].body) });
		assert_int_equal(p.fault, EGRESS_NONE);
		got = buf_span(&p.body);
		head = span_find(got, SPAN_LIT("\r\n\r\n"), 0);
		assert_true(span_starts(got, span_str(turns[i].line)));
		assert_true(span_eq(span_cut(got, head + 4, got.n), span_str(turns[i].body)));
		got = span_cut(got, 0, head);
		assert_true(
		    span_find(got, SPAN_LIT("\r\nAuthorization: Bearer sk-test"), 0) < head);
		assert_int_equal(span_find(got, SPAN_LIT("\r\nContent-Length: "), 0) != SIZE_MAX,
		    turns[i].method == EGRESS_POST);
		assert_true(span_find(got, SPAN_LIT("Transfer-Encoding"), 0) == SIZE_MAX);
		probe_fini(&p);
	}
	probe_close();
	assert_int_equal(s->links, 1);
	stub_stop(s);
}

static void
test_environment_is_ignored(void **state)
{
	static const char *const name[] = { "http_proxy", "HTTP_PROXY", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	struct stub *s = stub_start(play_echo, NULL, NULL),
		    *proxy = stub_start(play_echo, NULL, NULL);
	struct probe p = { 0 };
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", proxy->port);
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		setenv(name[i], url, 1);
	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_call(&p, HOST, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
	assert_int_equal(p.fault, EGRESS_NONE);
	assert_int_equal(s->requests, 1);
	assert_int_equal(proxy->links, 0);
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		unsetenv(name[i]);
	probe_fini(&p);
	probe_close();
	stub_stop(s);
	stub_stop(proxy);
}

static const struct {
	const char *rule, *url, *field;
} refused[] = {
	{ "a scheme we do not speak", "ftp://127.0.0.1/", "A: b" },
	{ "no scheme", "127.0.0.1/", "A: b" },
	{ "user and password in a URL", "http://u:p@127.0.0.1/", "A: b" },
	{ "no host", "http://", "A: b" },
	{ "a line break in a field", "http://127.0.0.1/", "A: b\r\nC: d" },
	{ "a bare line feed in a field", "http://127.0.0.1/", "A: b\nC: d" },
};

static void
test_refused_at_start(void **state)
{
	struct egress_call *c;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *const fields[] = { refused[i].field, NULL };
		const struct egress_request r = {
			.url = refused[i].url, .field = fields, .ops = &probe_ops
		};

		print_message("%s\n", refused[i].rule);
		probe_open(NULL, EGRESS_PLAIN_ANY);
		assert_int_equal(egress_start(probe_egress, &r, &c).code, ERR_MALFORMED);
		assert_null(c);
		probe_close();
	}
	{
		const struct egress_request r = { .method = EGRESS_GET,
			.url = "http://127.0.0.1/",
			.field = probe_fields,
			.body = SPAN_LIT("{}"),
			.ops = &probe_ops };

		print_message("a GET with a body\n");
		probe_open(NULL, EGRESS_PLAIN_ANY);
		assert_int_equal(egress_start(probe_egress, &r, &c).code, ERR_MALFORMED);
		assert_null(c);
		probe_close();
	}
}

static const struct {
	const char *rule;
	enum egress_plain plain;
	const char *url;
	enum err_code want;
} plain_rows[] = {
	{ "never: not even loopback", EGRESS_PLAIN_NEVER, "http://127.0.0.1/", ERR_MALFORMED },
	{ "never: https goes", EGRESS_PLAIN_NEVER, "https://example.com/", ERR_OK },
	{ "any: a name", EGRESS_PLAIN_ANY, "http://example.com/", ERR_OK },
	{ "loopback: 127.0.0.1", EGRESS_PLAIN_LOOPBACK, "http://127.0.0.1:8080/", ERR_OK },
	{ "loopback: all of 127/8", EGRESS_PLAIN_LOOPBACK, "http://127.255.3.4/", ERR_OK },
	{ "loopback: ::1", EGRESS_PLAIN_LOOPBACK, "http://[::1]:8080/", ERR_OK },
	{ "loopback: https anywhere", EGRESS_PLAIN_LOOPBACK, "https://example.com/", ERR_OK },
	{ "loopback: a short form is read as libcurl reads it", EGRESS_PLAIN_LOOPBACK,
	    "http://127.1/", ERR_OK },
	{ "loopback: another address", EGRESS_PLAIN_LOOPBACK, "http://10.0.0.1/", ERR_MALFORMED },
	{ "loopback: another address as one number", EGRESS_PLAIN_LOOPBACK, "http://167772161/",
	    ERR_MALFORMED },
	{ "loopback: the unspecified address", EGRESS_PLAIN_LOOPBACK, "http://0.0.0.0/",
	    ERR_MALFORMED },
	{ "loopback: another IPv6 address", EGRESS_PLAIN_LOOPBACK, "http://[::2]/", ERR_MALFORMED },
	{ "loopback: no name, whatever it means", EGRESS_PLAIN_LOOPBACK, "http://localhost/",
	    ERR_MALFORMED },
	{ "loopback: a name that looks like an address", EGRESS_PLAIN_LOOPBACK,
	    "http://127.0.0.1.example.com/", ERR_MALFORMED },
	{ "loopback: an address before the @", EGRESS_PLAIN_LOOPBACK,
	    "http://127.0.0.1@example.com/", ERR_MALFORMED },
};

static void
test_plain(void **state)
{
	struct egress_call *c;

	for (size_t i = 0; i < sizeof(plain_rows) / sizeof(plain_rows[0]); i++) {
		const struct egress_request r = {
			.url = plain_rows[i].url, .field = probe_fields, .ops = &probe_ops
		};

		print_message("%s\n", plain_rows[i].rule);
		probe_open(NULL, plain_rows[i].plain);
		assert_int_equal(egress_start(probe_egress, &r, &c).code, plain_rows[i].want);
		if (c != NULL) /* before the loop sees it: nothing is sent */
			egress_cancel(c);
		probe_close();
	}
}

/* --- heads ------------------------------------------------------------------------------- */

/* arg: how many bytes of head; -1: interim heads without end. */
static void
play_big_head(struct link *l)
{
	static const char line[] =
	    "X-Filler: 0123456789012345678901234567890123456789012345678\r\n";
	const long want = *(const long *)l->stub->arg;

	if (!link_request(l))
		return;
	if (want < 0)
		while (link_send(l, SPAN_LIT("HTTP/1.1 102 Processing\r\nA: b\r\n\r\n")))
			;
	link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"));
	for (long n = 0; n < want; n += (long)sizeof(line) - 1)
		if (!link_send(l, span_str(line)))
			return;
	link_send(l, SPAN_LIT("\r\n"));
	link_drain(l);
}

static void
test_head_bounds(void **state)
{
	static const struct {
		const char *rule;
		long size;
		enum egress_fault fault;
	} heads[] = {
		{ "a head of 60 KiB", 60 << 10, EGRESS_NONE },
		{ "FLT-22: a head of 70 KiB", 70 << 10, EGRESS_TOO_LARGE },
		/* libcurl has a bound of its own, or else the first-byte deadline ends it. */
		{ "FLT-22: interim heads without end", -1, EGRESS_BROKEN },
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct stub *s = stub_start(play_big_head, &heads[i].size, NULL);
		struct probe p = { 0 };

		print_message("%s\n", heads[i].rule);
		probe_open(NULL, EGRESS_PLAIN_ANY);
		probe_call(&p, HOST, s->port, (struct egress_request){ .first_byte_ms = 500 });
		assert_int_equal(
		    p.fault == EGRESS_TIMEOUT ? EGRESS_BROKEN : p.fault, heads[i].fault);
		assert_int_equal(p.heads, heads[i].fault == EGRESS_NONE);
		probe_fini(&p);
		probe_close();
		stub_stop(s);
	}
}

static const struct row fields_row = { .answer = BYTES(
					   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
					   "Retry-After:   7 \r\nretry-afterwards: 9\r\nEmpty:\r\n"
					   "Twice: 1\r\ntWICE: 2\r\n\r\n") };

static void
fields_on_done(void *ctx, struct egress_call *c, enum egress_fault fault)
{
	assert_true(span_eq(egress_field(c, "retry-after"), SPAN_LIT("7")));
	assert_true(span_eq(egress_field(c, "CONTENT-LENGTH"), SPAN_LIT("0")));
	assert_int_equal(egress_field(c, "empty").n, 0);
	assert_non_null(egress_field(c, "empty").p);
	assert_null(egress_field(c, "twice").p);
	assert_null(egress_field(c, "retry").p);
	assert_null(egress_field(c, "HTTP/1.1 200 OK").p);
	assert_int_equal(fault, EGRESS_NONE);
	probes_open--;
}

static void
ignore_head(void *ctx, struct egress_call *c, unsigned status)
{
}

static void
test_fields(void **state)
{
	const struct egress_ops ops = { ignore_head, NULL, fields_on_done };
	struct stub *s = stub_start(play_row, &fields_row, NULL);
	struct egress_request r = { .field = probe_fields, .ops = &ops };
	struct egress_call *c;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", s->port);
	r.url = url;
	probe_open(NULL, EGRESS_PLAIN_ANY);
	assert_int_equal(egress_start(probe_egress, &r, &c).code, ERR_OK);
	assert_null(egress_peer(c));
	assert_null(egress_field(c, "retry-after").p);
	probes_open = 1;
	probe_run();
	probe_close();
	stub_stop(s);
}

/* --- deadlines --------------------------------------------------------------------------- */

static void
play_silence(struct link *l)
{
	const struct span *answer = l->stub->arg;

	if (link_request(l) && (answer == NULL || link_send(l, *answer)))
		link_drain(l);
}

static void
play_drip(struct link *l)
{
	struct pollfd left = { .fd = l->fd, .events = POLLIN };

	if (!link_request(l) || !link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\n\r\n")))
		return;
	/* A byte every 5 ms until the client leaves. */
	while (poll(&left, 1, 5) == 0 && link_send(l, SPAN_LIT("x")))
		;
}

static const struct span half_head = SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Le");
static const struct span half_body = SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");

static const struct {
	const char *rule;
	stub_script *script;
	const struct span *answer;
	struct egress_request r;
	unsigned heads;
} late[] = {
	{ "FLT-05: accepts, never answers", play_silence, NULL, { .first_byte_ms = 60 }, 0 },
	{ "FLT-05: stops in mid head", play_silence, &half_head, { .first_byte_ms = 60 }, 0 },
	{ "FLT-09: stops in mid body", play_silence, &half_body, { .gap_ms = 60 }, 1 },
	{ "a drip keeps the gap, not the total", play_drip, NULL,
	    { .gap_ms = 2000, .total_ms = 90 }, 1 },
	{ "the total counts before the head too", play_silence, NULL, { .total_ms = 60 }, 0 },
};

static void
test_deadlines(void **state)
{
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct stub *s = stub_start(late[i].script, late[i].answer, NULL);
		struct probe p = { 0 };
		uint64_t began;

		print_message("%s\n", late[i].rule);
		probe_open(NULL, EGRESS_PLAIN_ANY);
		began = uv_now(&probe_loop);
		probe_call(&p, HOST, s->port, late[i].r);
		assert_int_equal(p.dones, 1);
		assert_int_equal(p.fault, EGRESS_TIMEOUT);
		assert_int_equal(p.heads, late[i].heads);
		assert_true(uv_now(&probe_loop) - began >= 60);
		probe_fini(&p);
		probe_close();
		stub_stop(s);
	}
}

static void
test_not_reached(void **state)
{
	struct probe p = { 0 }, q = { 0 };
	struct sockaddr_in at = { .sin_family = AF_INET };
	uint16_t port;
	int fd = stub_port(&port), filler[8];

	print_message("a refused port\n");
	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_call(&p, HOST, port, (struct egress_request){ 0 });
	assert_int_equal(p.fault, EGRESS_CONNECT);
	assert_int_equal(p.heads, 0);
	probe_fini(&p);

	/* A full backlog drops further connection requests. */
	print_message("no answer to the connection request: nothing was sent\n");
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	at.sin_port = htons(port);
	assert_int_equal(listen(fd, 0), 0);
	for (size_t i = 0; i < 8; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(filler[i], (struct sockaddr *)&at, sizeof(at));
	}
	probe_call(&q, HOST, port, (struct egress_request){ .connect_ms = 80 });
	assert_int_equal(q.fault, EGRESS_CONNECT);
	probe_fini(&q);
	probe_close();
	for (size_t i = 0; i < 8; i++)
		close(filler[i]);
	close(fd);
}

/* --- pauses ------------------------------------------------------------------------------ */

enum { LONG_BYTES = 4 << 20 };
static uint8_t long_body[LONG_BYTES];

/* arg: how many chunks long_body is sent in; NULL: with its length. */
static void
play_long(struct link *l)
{
	const unsigned *chunks = l->stub->arg;
	char line[80];

	while (link_request(l)) {
		size_t step = chunks == NULL ? LONG_BYTES : LONG_BYTES / *chunks;

		snprintf(line, sizeof(line), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
		    LONG_BYTES);
		if (!link_send(l, chunks == NULL ? span_str(line) : SPAN_LIT(CHUNKED)))
			return;
		for (size_t at = 0; at < LONG_BYTES; at += step) {
			snprintf(line, sizeof(line), "%zx\r\n", step);
			if ((chunks != NULL && !link_send(l, span_str(line))) ||
			    !link_send(l, span_of(long_body + at, step)) ||
			    (chunks != NULL && !link_send(l, SPAN_LIT("\r\n"))))
				return;
		}
		if (chunks != NULL && !link_send(l, SPAN_LIT("0\r\n\r\n")))
			return;
	}
}

static void
test_pauses(void **state)
{
	static const unsigned many = 1024;
	static const struct {
		const char *rule;
		unsigned pauses;
		uint32_t pause_ms;
		const unsigned *chunks;
	} how[] = {
		{ "never paused", 0, 0, NULL },
		{ "bytes of a pause come again, once", 200, 0, NULL },
		{ "so they do in chunks", 200, 0, &many },
		{ "and after a while", 20, 2, &many },
		{ "a pause of ours is no gap of theirs", 1, 400, NULL },
	};

	for (size_t i = 0; i < LONG_BYTES; i++)
		long_body[i] = (uint8_t)(i * 2654435761u >> 24);
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct stub *s = stub_start(play_long, how[i].chunks, NULL);
		struct probe p = { .pauses = how[i].pauses, .pause_ms = how[i].pause_ms };

		print_message("%s\n", how[i].rule);
		probe_open(NULL, EGRESS_PLAIN_ANY);
		probe_call(&p, HOST, s->port, (struct egress_request){ .gap_ms = 200 });
		assert_int_equal(p.fault, EGRESS_NONE);
		assert_int_equal(p.pauses, 0);
		assert_true(span_eq(buf_span(&p.body), span_of(long_body, LONG_BYTES)));
		probe_fini(&p);
		probe_close();
		stub_stop(s);
	}
}

static void
test_pause_ends_by_total(void **state)
{
	struct stub *s = stub_start(play_long, NULL, NULL);
	struct probe p = { .pauses = 1, .pause_ms = 60000 };

	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_call(&p, HOST, s->port, (struct egress_request){ .gap_ms = 20, .total_ms = 120 });
	assert_int_equal(p.fault, EGRESS_TIMEOUT);
	probe_fini(&p);
	probe_close();
	stub_stop(s);
}

/* FLT-26: sends without end until nothing has been taken for a while; says how much was. */
static void
play_flood(struct link *l)
{
	atomic_ulong *sent = (atomic_ulong *)(uintptr_t)l->stub->arg;
	const int little = 64 << 10;
	struct pollfd room = { .fd = l->fd, .events = POLLOUT };
	ssize_t n;

	setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
	if (!link_request(l) || !link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\n\r\n")))
		return;
	while (poll(&room, 1, 300) == 1 && *sent < (64 << 20) &&
	    (n = send(l->fd, long_body, 65536, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
		atomic_fetch_add(sent, (unsigned long)n);
	link_end(l, true);
}

static void
test_pause_reaches_the_upstream(void **state)
{
	atomic_ulong sent = 0;
	struct stub *s = stub_start(play_flood, &sent, NULL);
	struct probe p = { .pauses = 1, .pause_ms = 800 };

	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_call(&p, HOST, s->port, (struct egress_request){ .gap_ms = 5000 });
	assert_int_equal(p.fault, EGRESS_NONE);
	assert_int_equal(p.body.n, sent);
	assert_true(sent < (2 << 20));
	probe_fini(&p);
	probe_close();
	stub_stop(s);
}

/* --- cancels ----------------------------------------------------------------------------- */

static void
test_cancel_in_callbacks(void **state)
{
	static const struct {
		const char *rule;
		enum probe_cancel at;
		unsigned pauses, heads, bodies, dones;
	} when[] = {
		{ "cancelled in on_head", CANCEL_AT_HEAD, 0, 1, 0, 0 },
		{ "cancelled in on_body", CANCEL_AT_BODY, 0, 1, 1, 0 },
		{ "cancelled in on_body, which also pauses", CANCEL_AT_BODY, 1, 1, 1, 0 },
		{ "cancelled in on_done: too late, and harmless", CANCEL_AT_DONE, 0, 1, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
		struct stub *s = stub_start(play_long, NULL, NULL);
		struct probe p = { .cancel_at = when[i].at, .pauses = when[i].pauses };

		print_message("%s\n", when[i].rule);
		probe_open(NULL, EGRESS_PLAIN_ANY);
		probe_call(&p, HOST, s->port, (struct egress_request){ 0 });
		assert_int_equal(p.heads, when[i].heads);
		if (when[i].dones == 0)
			assert_int_equal(p.bodies, when[i].bodies);
		assert_int_equal(p.dones, when[i].dones);
		probe_fini(&p);
		probe_close();
		stub_stop(s);
	}
}

/* From a callback of one call another one goes; and its body must not be read any more. */
static void
test_cancel_another(void **state)
{
	struct stub *s = stub_start(play_long, NULL, NULL);
	uint8_t *body = calloc(1, LONG_BYTES);
	struct probe victim = { 0 }, p = { .cancel_at = CANCEL_AT_HEAD, .victim = &victim };

	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_init(&victim);
	probe_init(&p);
	assert_int_equal(probe_start(&p, HOST, s->port, (struct egress_request){ 0 }).code, ERR_OK);
	assert_int_equal(probe_start(&victim, HOST, s->port,
			     (struct egress_request){ .body = span_of(body, LONG_BYTES) })
			     .code,
	    ERR_OK);
	while (victim.call != NULL)
		uv_run(&probe_loop, UV_RUN_ONCE);
	free(body);
	probe_run();
	assert_int_equal(p.fault, EGRESS_NONE);
	assert_int_equal(p.dones, 1);
	assert_int_equal(victim.dones, 0);
	probe_fini(&p);
	probe_fini(&victim);
	probe_close();
	stub_stop(s);
}

static void
test_cancel_outside(void **state)
{
	struct stub *s = stub_start(play_long, NULL, NULL);
	struct probe fresh = { 0 }, sent = { 0 }, paused = { .pauses = 1, .pause_ms = 60000 };

	probe_open(NULL, EGRESS_PLAIN_ANY);
	print_message("before the loop saw it\n");
	probe_init(&fresh);
	assert_int_equal(
	    probe_start(&fresh, HOST, s->port, (struct egress_request){ 0 }).code, ERR_OK);
	probe_cancel(&fresh);
	probe_run();
	assert_int_equal(fresh.heads + fresh.dones, 0);
	assert_int_equal(s->requests, 0);

	print_message("while it connects\n");
	probe_init(&sent);
	assert_int_equal(
	    probe_start(&sent, HOST, s->port, (struct egress_request){ 0 }).code, ERR_OK);
	uv_run(&probe_loop, UV_RUN_NOWAIT);
	probe_cancel(&sent);
	probe_run();
	assert_int_equal(sent.heads + sent.dones, 0);

	print_message("while it is paused, and about to resume\n");
	probe_init(&paused);
	assert_int_equal(
	    probe_start(&paused, HOST, s->port, (struct egress_request){ 0 }).code, ERR_OK);
	while (paused.bodies == 0)
		uv_run(&probe_loop, UV_RUN_ONCE);
	egress_resume(paused.call);
	probe_cancel(&paused);
	probe_run();
	assert_int_equal(paused.bodies, 1);
	assert_int_equal(paused.dones, 0);

	probe_fini(&fresh);
	probe_fini(&sent);
	probe_fini(&paused);
	probe_close();
	stub_stop(s);
}

/* --- the pool ---------------------------------------------------------------------------- */

static void
test_many_at_once(void **state)
{
	enum { MANY = 120 };
	static struct probe p[MANY];
	struct stub *s = stub_start(play_echo, NULL, NULL);

	probe_open(NULL, EGRESS_PLAIN_ANY);
	for (int round = 0; round < 2; round++) {
		memset(p, 0, sizeof(p));
		for (size_t i = 0; i < MANY; i++) {
			probe_init(&p[i]);
			p[i].pauses = (unsigned)i % 3;
			assert_int_equal(
			    probe_start(&p[i], HOST, s->port,
				(struct egress_request){ .body = span_of(long_body, i * 100) })
				.code,
			    ERR_OK);
		}
		probe_run();
		for (size_t i = 0; i < MANY; i++) {
			assert_int_equal(p[i].dones, 1);
			assert_int_equal(p[i].fault, EGRESS_NONE);
			assert_true(span_ends(buf_span(&p[i].body), span_of(long_body, i * 100)));
			probe_fini(&p[i]);
		}
	}
	assert_int_equal(s->requests, 2 * MANY);
	/* The second round found the connections of the first. */
	assert_true(s->links <= MANY);
	probe_close();
	stub_stop(s);
}

static pthread_barrier_t gate;
static atomic_bool gated;

/* While there is a gate an answer waits until as many requests have come as the gate wants. */
static void
play_gated(struct link *l)
{
	while (link_request(l)) {
		if (gated)
			pthread_barrier_wait(&gate);
		if (!link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
			return;
	}
}

/* As many calls at once; how many connections the stub has taken since it began. */
static unsigned
run_many(struct stub *s, size_t many)
{
	static struct probe p[STUB_LINKS_MAX];

	memset(p, 0, sizeof(p));
	for (size_t i = 0; i < many; i++) {
		probe_init(&p[i]);
		assert_int_equal(probe_start(&p[i], HOST, s->port,
				     (struct egress_request){ .body = SPAN_LIT("{}") })
				     .code,
		    ERR_OK);
	}
	probe_run();
	for (size_t i = 0; i < many; i++) {
		assert_int_equal(p[i].fault, EGRESS_NONE);
		probe_fini(&p[i]);
	}
	return s->links;
}

/*
 * net/multi.h: of idle connections 128 are kept. Calls that end in the same instant may leave more,
 * of which each later one closes one.
 */
static void
test_idle_bound(void **state)
{
	enum { MANY = 160, IDLE_MAX = 128 };
	struct stub *s = stub_start(play_gated, NULL, NULL);

	assert_int_equal(pthread_barrier_init(&gate, NULL, MANY), 0);
	probe_open(NULL, EGRESS_PLAIN_ANY);
	gated = true;
	assert_int_equal(run_many(s, MANY), MANY);
	gated = false;
	for (int i = 0; i < MANY - IDLE_MAX; i++)
		assert_int_equal(run_many(s, 1), MANY);
	gated = true;
	assert_in_range(run_many(s, MANY), 2 * MANY - IDLE_MAX - 1, 2 * MANY - IDLE_MAX);
	probe_close();
	stub_stop(s);
	pthread_barrier_destroy(&gate);
}

/* First request answered; the second read and dropped: it may have been processed. */
static void
play_second_fails(struct link *l)
{
	const enum end *end = l->stub->arg;

	if (!link_request(l) ||
	    !link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
		return;
	if (link_request(l))
		end_link(l, *end);
}

static void
test_no_retry_on_a_reused_connection(void **state)
{
	static const enum end ends[] = { END_FIN, END_RESET };

	for (size_t i = 0; i < 2; i++) {
		struct stub *s = stub_start(play_second_fails, &ends[i], NULL);
		struct probe first = { 0 }, second = { 0 };

		print_message("FLT-04: %s\n", ends[i] == END_FIN ? "FIN" : "RST");
		probe_open(NULL, EGRESS_PLAIN_ANY);
		probe_call(
		    &first, HOST, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
		assert_int_equal(first.fault, EGRESS_NONE);
		probe_call(
		    &second, HOST, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
		assert_int_equal(second.fault, EGRESS_BROKEN);
		assert_int_equal(s->requests, 2);
		probe_fini(&first);
		probe_fini(&second);
		probe_close();
		assert_int_equal(s->requests, 2);
		stub_stop(s);
	}
}

/* FLT-29: bytes after a finished answer belong to nobody. */
static void
play_extra(struct link *l)
{
	if (!link_request(l))
		return;
	if (l->number > 0)
		link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"));
	else
		link_send(l,
		    SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
			     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
	link_drain(l);
}

static void
test_extra_answer(void **state)
{
	struct stub *s = stub_start(play_extra, NULL, NULL);
	struct probe first = { 0 }, second = { 0 };

	probe_open(NULL, EGRESS_PLAIN_ANY);
	probe_call(&first, HOST, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
	assert_true(span_eq(buf_span(&first.body), SPAN_LIT("one")));
	probe_call(&second, HOST, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
	assert_int_equal(second.fault, EGRESS_NONE);
	assert_true(span_eq(buf_span(&second.body), SPAN_LIT("good")));
	probe_fini(&first);
	probe_fini(&second);
	probe_close();
	stub_stop(s);
}

static void
test_shutdown_under_way(void **state)
{
	enum { MANY = 12 };
	static struct probe p[MANY];
	struct stub *s = stub_start(play_long, NULL, NULL);

	probe_open(NULL, EGRESS_PLAIN_ANY);
	for (size_t i = 0; i < MANY; i++) {
		p[i].pauses = 1;
		p[i].pause_ms = 60000;
		probe_init(&p[i]);
		assert_int_equal(
		    probe_start(&p[i], HOST, s->port, (struct egress_request){ 0 }).code, ERR_OK);
		/* Some wait for their body, some for their head, some are not even begun. */
		for (size_t turn = 0; turn < i; turn++)
			uv_run(&probe_loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < MANY; i++)
		probe_fini(&p[i]);
	probe_close();
	stub_stop(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_request_bytes),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_environment_is_ignored),
		cmocka_unit_test(test_refused_at_start),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_head_bounds),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_not_reached),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_pause_ends_by_total),
		cmocka_unit_test(test_pause_reaches_the_upstream),
		cmocka_unit_test(test_cancel_in_callbacks),
		cmocka_unit_test(test_cancel_another),
		cmocka_unit_test(test_cancel_outside),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_idle_bound),
		cmocka_unit_test(test_no_retry_on_a_reused_connection),
		cmocka_unit_test(test_extra_answer),
		cmocka_unit_test(test_shutdown_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
