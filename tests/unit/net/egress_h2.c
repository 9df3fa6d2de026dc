/* egress_h2.c - calls over HTTP/2: every way a stream may end, against hand-made frames. */
#include "net/egress.h"

#include "upstream_stub.h"
#include "egress_probe.h"

#define NAME "https://localhost"

enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
};
enum { FLAG_ACK = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4 };

struct frame {
	enum frame_type type;
	uint8_t flags;
	uint32_t stream;
	uint8_t payload[16384];
	size_t n;
};

/* HPACK (RFC 7541): indexed ":status: 200"; literals with indexed names for the rest. */
#define STATUS_200 SPAN_LIT("\x88")
#define STATUS_103          \
	SPAN_LIT("\x08\x03" \
		 "103")
#define LENGTH_9                    \
	SPAN_LIT("\x88\x0f\x0d\x01" \
		 "9")
#define TRAILER             \
	SPAN_LIT("\x00\x06" \
		 "x-late"   \
		 "\x01"     \
		 "1")

static struct stub_ca ca;

/* --- the upstream's side ----------------------------------------------------------------- */

static bool
send_frame(
    struct link *l, enum frame_type type, uint8_t flags, uint32_t stream, struct span payload)
{
	uint8_t head[9] = { (uint8_t)(payload.n >> 16), (uint8_t)(payload.n >> 8),
		(uint8_t)payload.n, (uint8_t)type, flags, (uint8_t)(stream >> 24),
		(uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream };

	return link_send(l, span_of(head, sizeof(head))) && link_send(l, payload);
}

static bool
read_all(struct link *l, uint8_t *to, size_t n)
{
	while (n > 0) {
		ssize_t got = link_read(l, to, n);

		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
	}
	return true;
}

/* The next frame that matters; settings and pings are answered on the way. */
static bool
read_frame(struct link *l, struct frame *f)
{
	uint8_t head[9];

	for (;;) {
		if (!read_all(l, head, sizeof(head)))
			return false;
		f->n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		f->type = head[3];
		f->flags = head[4];
		f->stream = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 |
		    (uint32_t)head[7] << 8 | head[8];
		if (f->n > sizeof(f->payload) || !read_all(l, f->payload, f->n))
			return false;
		if (f->type == FRAME_SETTINGS && (f->flags & FLAG_ACK) == 0)
			send_frame(l, FRAME_SETTINGS, FLAG_ACK, 0, SPAN_NONE);
		else if (f->type == FRAME_PING)
			send_frame(l, FRAME_PING, FLAG_ACK, 0, span_of(f->payload, f->n));
		else
			return true;
	}
}

static bool
greet(struct link *l)
{
	uint8_t preface[24];

	return read_all(l, preface, sizeof(preface)) &&
	    span_starts(span_of(preface, sizeof(preface)), SPAN_LIT("PRI * HTTP/2.0\r\n")) &&
	    send_frame(l, FRAME_SETTINGS, 0, 0, SPAN_NONE);
}

/* The stream of the next whole request; 0 at the end of the connection. */
static uint32_t
next_request(struct link *l)
{
	struct frame f;

	while (read_frame(l, &f))
		if ((f.type == FRAME_DATA || f.type == FRAME_HEADERS) &&
		    (f.flags & FLAG_END_STREAM) != 0) {
			atomic_fetch_add(&l->stub->requests, 1);
			return f.stream;
		}
	return 0;
}

/* As providers do: HTTP/2 with whoever offers it. */
static int
choose(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
    unsigned int in_n, void *arg)
{
	static const unsigned char known[] = "\x02h2\x08http/1.1";
	unsigned char *hit = NULL;
	int found = SSL_select_next_proto(&hit, n, known, sizeof(known) - 1, in, in_n);

	*out = hit;
	return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool
speaks_h2(struct link *l)
{
	const unsigned char *name;
	unsigned int n;

	SSL_get0_alpn_selected(l->ssl, &name, &n);
	return span_eq(span_of(name, n), SPAN_LIT("h2"));
}

static struct stub *
start_h2(stub_script *script, const void *arg, SSL_CTX **tls)
{
	*tls = stub_tls(&ca, "DNS:localhost", 3600);
	SSL_CTX_set_alpn_select_cb(*tls, choose, NULL);
	return stub_start(script, arg, *tls);
}

/* --- how a stream may end ---------------------------------------------------------------- */

enum step_kind {
	STEP_STOP, /* close the connection properly */
	STEP_WAIT, /* until the client closes */
	STEP_HEAD,
	STEP_LAST_HEAD, /* with END_STREAM */
	STEP_DATA,
	STEP_LAST_DATA,
	STEP_RESET,  /* code in n */
	STEP_GOAWAY, /* last stream in n, NO_ERROR */
	STEP_CUT,    /* the connection ends without close_notify */
};

struct step {
	enum step_kind kind;
	struct span bytes;
	uint8_t n;
};

#define HEAD(fields)                 \
	{                            \
		STEP_HEAD, fields, 0 \
	}
#define LAST_HEAD(fields)                 \
	{                                 \
		STEP_LAST_HEAD, fields, 0 \
	}
#define DATA(s)                           \
	{                                 \
		STEP_DATA, SPAN_LIT(s), 0 \
	}
#define LAST_DATA(s)                           \
	{                                      \
		STEP_LAST_DATA, SPAN_LIT(s), 0 \
	}
#define RESET(code)                         \
	{                                   \
		STEP_RESET, SPAN_NONE, code \
	}
#define GOAWAY(last)                         \
	{                                    \
		STEP_GOAWAY, SPAN_NONE, last \
	}
#define WAIT                            \
	{                               \
		STEP_WAIT, SPAN_NONE, 0 \
	}
#define STOP                            \
	{                               \
		STEP_STOP, SPAN_NONE, 0 \
	}
#define CUT                            \
	{                              \
		STEP_CUT, SPAN_NONE, 0 \
	}

/* clang-format off */
static const struct row {
	const char *rule;
	struct step step[6];
	unsigned status;
	const char *body;
	enum egress_fault fault;
} rows[] = {
	{ "RFC 9113 8.1: END_STREAM ends the answer",
	    { HEAD(STATUS_200), DATA("hel"), LAST_DATA("lo"), WAIT }, 200, "hello", EGRESS_NONE },
	{ "END_STREAM on an empty frame",
	    { HEAD(STATUS_200), DATA("hello"), LAST_DATA(""), WAIT }, 200, "hello", EGRESS_NONE },
	{ "an answer without body",
	    { LAST_HEAD(STATUS_200), WAIT }, 200, "", EGRESS_NONE },
	{ "an interim head is skipped",
	    { HEAD(STATUS_103), HEAD(STATUS_200), LAST_DATA("hello"), WAIT }, 200, "hello", EGRESS_NONE },
	{ "trailers end the answer",
	    { HEAD(STATUS_200), DATA("hello"), LAST_HEAD(TRAILER), WAIT }, 200, "hello", EGRESS_NONE },
	{ "RFC 9113 8.1: NO_ERROR after the whole answer",
	    { HEAD(STATUS_200), LAST_DATA("hello"), RESET(0), WAIT }, 200, "hello", EGRESS_NONE },
	{ "FLT-07: RST_STREAM INTERNAL_ERROR",
	    { HEAD(STATUS_200), DATA("hello"), RESET(2), WAIT }, 200, "hello", EGRESS_BROKEN },
	{ "FLT-07: RST_STREAM CANCEL",
	    { HEAD(STATUS_200), DATA("hello"), RESET(8), WAIT }, 200, "hello", EGRESS_BROKEN },
	{ "FLT-07: RST_STREAM NO_ERROR short of the length",
	    { HEAD(LENGTH_9), DATA("hello"), RESET(0), WAIT }, 200, "hello", EGRESS_BROKEN },
	{ "FLT-07: a proper end of the connection in mid body",
	    { HEAD(STATUS_200), DATA("hello"), STOP }, 200, "hello", EGRESS_BROKEN },
	{ "FLT-07: a cut connection",
	    { HEAD(STATUS_200), DATA("hello"), CUT }, 200, "hello", EGRESS_BROKEN },
	{ "FLT-07: GOAWAY, then the end",
	    { HEAD(STATUS_200), DATA("hello"), GOAWAY(1), STOP }, 200, "hello", EGRESS_BROKEN },
	{ "GOAWAY lets a running stream end",
	    { HEAD(STATUS_200), GOAWAY(1), LAST_DATA("hello"), WAIT }, 200, "hello", EGRESS_NONE },
	{ "FLT-08: fewer bytes than the length",
	    { HEAD(LENGTH_9), LAST_DATA("hello"), WAIT }, 200, NULL, EGRESS_BROKEN },
	{ "FLT-08: more bytes than the length",
	    { HEAD(LENGTH_9), LAST_DATA("hello, hello"), WAIT }, 200, NULL, EGRESS_BROKEN },
	{ "E4: a refused stream is not sent again by itself",
	    { RESET(7), WAIT }, 0, "", EGRESS_BROKEN },
	{ "E4: nor is one that GOAWAY leaves out",
	    { GOAWAY(0), WAIT }, 0, "", EGRESS_BROKEN },
	{ "FLT-04: reset before the head",
	    { RESET(2), WAIT }, 0, "", EGRESS_BROKEN },
	{ "FLT-04: the end before the head",
	    { STOP }, 0, "", EGRESS_BROKEN },
	{ "an end before the final head",
	    { HEAD(STATUS_103), RESET(0), WAIT }, 0, "", EGRESS_BROKEN },
};
/* clang-format on */

/* False: the connection is over. */
static bool
play_step(struct link *l, const struct step *step, uint32_t stream)
{
	uint8_t goaway[8] = { 0, 0, 0, step->n }, code[4] = { 0, 0, 0, step->n };
	uint8_t end = step->kind == STEP_LAST_HEAD || step->kind == STEP_LAST_DATA ? FLAG_END_STREAM
										   : 0;

	switch (step->kind) {
	case STEP_HEAD:
	case STEP_LAST_HEAD:
		return send_frame(l, FRAME_HEADERS, FLAG_END_HEADERS | end, stream, step->bytes);
	case STEP_DATA:
	case STEP_LAST_DATA:
		return send_frame(l, FRAME_DATA, end, stream, step->bytes);
	case STEP_RESET:
		return send_frame(l, FRAME_RST_STREAM, 0, stream, span_of(code, sizeof(code)));
	case STEP_GOAWAY:
		return send_frame(l, FRAME_GOAWAY, 0, 0, span_of(goaway, sizeof(goaway)));
	case STEP_WAIT:
		while (next_request(l) != 0)
			;
		return false;
	case STEP_STOP:
	case STEP_CUT:
		link_end(l, step->kind == STEP_STOP);
		return false;
	}
	return false;
}

static void
play_row(struct link *l)
{
	const struct row *row = l->stub->arg;
	uint32_t stream;

	if (!greet(l) || (stream = next_request(l)) == 0)
		return;
	for (const struct step *s = row->step; play_step(l, s, stream); s++)
		;
}

static void
test_ends(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL_CTX *tls;
		struct stub *s = start_h2(play_row, &rows[i], &tls);
		struct probe p = { 0 };

		print_message("%s\n", rows[i].rule);
		probe_open(ca.file, EGRESS_PLAIN_NEVER);
		probe_call(&p, NAME, s->port,
		    (struct egress_request){ .body = SPAN_LIT("{}"),
			.gap_ms = 1000,
			.first_byte_ms = 1000,
			.never_pauses = true });
		assert_int_equal(p.dones, 1);
		assert_int_equal(p.fault, rows[i].fault);
		assert_int_equal(p.status, rows[i].status);
		if (rows[i].body != NULL)
			assert_true(span_eq(buf_span(&p.body), span_str(rows[i].body)));
		probe_fini(&p);
		probe_close();
		assert_int_equal(s->requests, 1);
		stub_stop(s);
		SSL_CTX_free(tls);
	}
}

/* --- sharing a connection ---------------------------------------------------------------- */

/* Answers streams 1, 5, 9, ...; the others wait until they are cancelled. */
static void
play_every_other(struct link *l)
{
	atomic_uint *resets = (atomic_uint *)(uintptr_t)l->stub->arg;
	bool seen[256] = { false };
	struct frame f;

	if (!speaks_h2(l)) {
		while (link_request(l))
			link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh1"));
		return;
	}
	if (!greet(l))
		return;
	while (read_frame(l, &f)) {
		/* libcurl says STREAM_CLOSED, sometimes twice, and of finished streams too. */
		if (f.type == FRAME_RST_STREAM && f.stream % 4 != 1 && f.stream < 256 &&
		    !seen[f.stream]) {
			seen[f.stream] = true;
			atomic_fetch_add(resets, 1);
		}
		if (f.type == FRAME_DATA && (f.flags & FLAG_END_STREAM) != 0) {
			atomic_fetch_add(&l->stub->requests, 1);
			send_frame(l, FRAME_HEADERS, FLAG_END_HEADERS, f.stream, STATUS_200);
			if (f.stream % 4 == 1)
				send_frame(
				    l, FRAME_DATA, FLAG_END_STREAM, f.stream, SPAN_LIT("h2"));
		}
	}
}

static void
test_one_connection(void **state)
{
	enum { MANY = 40 };
	const struct egress_request ask = { .body = SPAN_LIT("{}"), .never_pauses = true };
	atomic_uint resets = 0;
	static struct probe p[MANY];
	struct probe last = { 0 };
	SSL_CTX *tls;
	struct stub *s = start_h2(play_every_other, &resets, &tls);

	probe_open(ca.file, EGRESS_PLAIN_NEVER);
	for (size_t i = 0; i < MANY; i++) {
		probe_init(&p[i]);
		/* The odd ones get a head, and no more. */
		p[i].cancel_at = i % 2 == 1 ? CANCEL_AT_HEAD : CANCEL_NEVER;
		assert_int_equal(probe_start(&p[i], NAME, s->port, ask).code, ERR_OK);
	}
	probe_run();
	/* Cancelled streams do not harm the connection. */
	probe_call(&last, NAME, s->port, ask);
	assert_int_equal(last.fault, EGRESS_NONE);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(p[i].heads, 1);
		assert_int_equal(p[i].dones, i % 2 == 0);
		assert_int_equal(p[i].fault, EGRESS_NONE);
		assert_true(i % 2 == 1 || span_eq(buf_span(&p[i].body), SPAN_LIT("h2")));
		assert_memory_equal(p[i].peer.cert, last.peer.cert, sizeof(last.peer.cert));
		probe_fini(&p[i]);
	}
	probe_fini(&last);
	probe_close();
	assert_int_equal(s->links, 1);
	assert_int_equal(s->requests, MANY + 1);
	stub_stop(s);
	assert_int_equal(resets, MANY / 2);
	SSL_CTX_free(tls);
}

/* FLT-26: a call that may pause does not come near a shared connection, not even a free one. */
static void
test_pausing_calls_stay_apart(void **state)
{
	atomic_uint resets = 0;
	struct probe shared = { 0 }, apart = { .pauses = 1, .pause_ms = 1 };
	SSL_CTX *tls;
	struct stub *s = start_h2(play_every_other, &resets, &tls);

	probe_open(ca.file, EGRESS_PLAIN_NEVER);
	probe_call(&shared, NAME, s->port,
	    (struct egress_request){ .body = SPAN_LIT("{}"), .never_pauses = true });
	assert_true(span_eq(buf_span(&shared.body), SPAN_LIT("h2")));
	probe_call(&apart, NAME, s->port, (struct egress_request){ .body = SPAN_LIT("{}") });
	assert_true(span_eq(buf_span(&apart.body), SPAN_LIT("h1")));
	assert_int_equal(s->links, 2);
	probe_fini(&shared);
	probe_fini(&apart);
	probe_close();
	stub_stop(s);
	SSL_CTX_free(tls);
}

static int
setup(void **state)
{
	stub_ca_init(&ca);
	return 0;
}

static int
teardown(void **state)
{
	stub_ca_fini(&ca);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_one_connection),
		cmocka_unit_test(test_pausing_calls_stay_apart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
