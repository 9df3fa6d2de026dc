/* egress_tls.c - whom we believe to be the upstream, and what the record says about it. */
#include "net/egress.h"

#include "upstream_stub.h"
#include "egress_probe.h"

#include <sys/stat.h>

#include "crypto/digest.h"

#define NAME	"https://localhost"
#define ADDRESS "https://127.0.0.1"

static struct stub_ca ours, theirs;
static char keylog[] = "/tmp/tee-gateway-keylog-XXXXXX";

static const struct egress_request ask = { .body = SPAN_LIT("{}") };

static void
play_answer(struct link *l)
{
	while (link_request(l))
		if (!link_send(l, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
			return;
	link_end(l, true);
}

/* --- the record -------------------------------------------------------------------------- */

static void
expect_record(const struct egress_peer *peer, SSL_CTX *tls, const char *version, const char *host)
{
	X509 *leaf = SSL_CTX_get0_certificate(tls);
	uint8_t want[SHA256_LEN];
	unsigned char *der = NULL;
	int n;

	assert_true(peer->tls);
	assert_string_equal(peer->version, version);
	assert_string_equal(peer->host, host);
	n = i2d_X509(leaf, &der);
	sha256_of(span_of(der, (size_t)n), want);
	assert_memory_equal(peer->cert, want, sizeof(want));
	OPENSSL_free(der);
	der = NULL;
	n = i2d_PUBKEY(X509_get0_pubkey(leaf), &der);
	sha256_of(span_of(der, (size_t)n), want);
	assert_memory_equal(peer->spki, want, sizeof(want));
	OPENSSL_free(der);
}

static void
test_record(void **state)
{
	static const struct {
		const char *rule;
		int max_version;
		const char *version, *url, *host, *san;
	} how[] = {
		{ "R7: TLS 1.3", 0, "TLSv1.3", NAME, "localhost", "DNS:localhost" },
		{ "R7: TLS 1.2", TLS1_2_VERSION, "TLSv1.2", NAME, "localhost", "DNS:localhost" },
		{ "R7: an address is a name", 0, "TLSv1.3", ADDRESS, "127.0.0.1", "IP:127.0.0.1" },
		{ "R7: the name asked for, not the pattern", 0, "TLSv1.3", "https://a.localhost",
		    "a.localhost", "DNS:*.localhost,DNS:a.localhost" },
	};

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		SSL_CTX *tls = stub_tls(&ours, how[i].san, 3600);
		struct stub *s = stub_start(play_answer, NULL, tls);
		struct probe fresh = { 0 }, reused = { 0 };

		print_message("%s\n", how[i].rule);
		SSL_CTX_set_max_proto_version(tls, how[i].max_version);
		probe_open(ours.file, EGRESS_PLAIN_NEVER);
		probe_call(&fresh, how[i].url, s->port, ask);
		assert_int_equal(fresh.fault, EGRESS_NONE);
		expect_record(&fresh.peer, tls, how[i].version, how[i].host);
		probe_call(&reused, how[i].url, s->port, ask);
		assert_int_equal(reused.fault, EGRESS_NONE);
		expect_record(&reused.peer, tls, how[i].version, how[i].host);
		assert_int_equal(s->links, 1);
		assert_int_equal(s->requests, 2);
		probe_fini(&fresh);
		probe_fini(&reused);
		probe_close();
		stub_stop(s);
		SSL_CTX_free(tls);
	}
}

/* FLT-24: right name, but another key on the next connection: the record is of this one. */
static void
test_record_follows_the_connection(void **state)
{
	SSL_CTX *tls[2] = { stub_tls(&ours, "DNS:localhost", 3600),
		stub_tls(&ours, "DNS:localhost", 3600) };

	probe_open(ours.file, EGRESS_PLAIN_NEVER);
	for (size_t i = 0; i < 2; i++) {
		struct stub *s = stub_start(play_answer, NULL, tls[i]);
		struct probe p = { 0 };

		probe_call(&p, NAME, s->port, ask);
		assert_int_equal(p.fault, EGRESS_NONE);
		expect_record(&p.peer, tls[i], "TLSv1.3", "localhost");
		assert_int_equal(s->links, 1);
		probe_fini(&p);
		if (i == 1)
			probe_close();
		else
			shutdown(s->link[0].fd, SHUT_RDWR);
		stub_stop(s);
	}
	SSL_CTX_free(tls[0]);
	SSL_CTX_free(tls[1]);
}

/* --- whom we do not believe -------------------------------------------------------------- */

static void
test_refused_certificates(void **state)
{
	static const struct {
		const char *rule;
		const struct stub_ca *signer;
		const char *san;
		long valid_s;
		const char *url;
		bool no_roots;
	} how[] = {
		{ "FLT-24: unknown authority", &theirs, "DNS:localhost", 3600, NAME, false },
		{ "FLT-24: another name", &ours, "DNS:example.com", 3600, NAME, false },
		{ "FLT-24: a name is no address", &ours, "DNS:127.0.0.1", 3600, ADDRESS, false },
		{ "FLT-24: expired", &ours, "DNS:localhost", -60, NAME, false },
		{ "without roots nobody is believed", &ours, "DNS:localhost", 3600, NAME, true },
	};

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		SSL_CTX *tls = stub_tls(how[i].signer, how[i].san, how[i].valid_s);
		struct stub *s = stub_start(play_answer, NULL, tls);
		struct probe p = { 0 };

		print_message("%s\n", how[i].rule);
		probe_open(how[i].no_roots ? NULL : ours.file, EGRESS_PLAIN_NEVER);
		probe_call(&p, how[i].url, s->port, ask);
		assert_int_equal(p.fault, EGRESS_TLS);
		assert_int_equal(p.heads, 0);
		assert_false(p.peer_known);
		probe_fini(&p);
		probe_close();
		assert_int_equal(s->requests, 0);
		stub_stop(s);
		SSL_CTX_free(tls);
	}
}

static void
play_plain(struct link *l)
{
	link_send(l, SPAN_LIT("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
	link_drain(l);
}

static void
play_nothing(struct link *l)
{
	link_drain(l);
}

static void
test_handshake_faults(void **state)
{
	struct stub *s = stub_start(play_plain, NULL, NULL);
	struct probe p = { 0 }, q = { 0 };

	print_message("an upstream that does not speak TLS\n");
	probe_open(ours.file, EGRESS_PLAIN_NEVER);
	probe_call(&p, NAME, s->port, ask);
	assert_int_equal(p.fault, EGRESS_TLS);
	probe_fini(&p);
	probe_close();
	stub_stop(s);

	print_message("a handshake without answer: nothing was sent\n");
	s = stub_start(play_nothing, NULL, NULL);
	probe_open(ours.file, EGRESS_PLAIN_NEVER);
	probe_call(&q, NAME, s->port, (struct egress_request){ .connect_ms = 100 });
	assert_int_equal(q.fault, EGRESS_CONNECT);
	probe_fini(&q);
	probe_close();
	stub_stop(s);
}

static void
test_ca_file(void **state)
{
	const struct egress_options missing = { &probe_loop, "/nonexistent/ca.pem",
		EGRESS_PLAIN_NEVER };
	const struct egress_options empty = { &probe_loop, "/dev/null", EGRESS_PLAIN_NEVER };
	struct egress *e;

	assert_int_equal(uv_loop_init(&probe_loop), 0);
	assert_int_equal(egress_new(&e, &missing).code, ERR_SYSTEM);
	assert_null(e);
	assert_int_equal(egress_new(&e, &empty).code, ERR_SYSTEM);
	assert_null(e);
	uv_run(&probe_loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&probe_loop), 0);
}

/* --- how a body may end ------------------------------------------------------------------ */

enum end { END_NOTIFY, END_CUT, END_RESET };

struct row {
	const char *rule;
	struct span answer;
	enum end end;
	enum egress_fault fault;
};

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct row rows[] = {
	{ "close_notify ends a body without length", SPAN_LIT("HTTP/1.1 200 OK\r\n\r\nhello"),
	    END_NOTIFY, EGRESS_NONE },
	{ "FLT-07: the end without close_notify", SPAN_LIT("HTTP/1.1 200 OK\r\n\r\nhello"), END_CUT,
	    EGRESS_BROKEN },
	{ "FLT-07: reset", SPAN_LIT("HTTP/1.1 200 OK\r\n\r\nhello"), END_RESET, EGRESS_BROKEN },
	{ "a body with its length needs no close_notify",
	    SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), END_CUT, EGRESS_NONE },
	{ "nor do chunks", SPAN_LIT(CHUNKED "5\r\nhello\r\n0\r\n\r\n"), END_CUT, EGRESS_NONE },
	{ "FLT-07: cut on a chunk boundary", SPAN_LIT(CHUNKED "5\r\nhello\r\n"), END_CUT,
	    EGRESS_BROKEN },
	{ "close_notify on a chunk boundary is no end", SPAN_LIT(CHUNKED "5\r\nhello\r\n"),
	    END_NOTIFY, EGRESS_BROKEN },
	{ "204 ends with its head", SPAN_LIT("HTTP/1.1 204 No Content\r\n\r\n"), END_CUT,
	    EGRESS_NONE },
	{ "FLT-04: the end without a byte", SPAN_LIT(""), END_CUT, EGRESS_BROKEN },
};

static void
play_row(struct link *l)
{
	const struct row *row = l->stub->arg;

	if (!link_request(l))
		return;
	link_send(l, row->answer);
	if (row->end == END_RESET)
		link_reset(l);
	else
		link_end(l, row->end == END_NOTIFY);
}

static void
test_ends(void **state)
{
	SSL_CTX *tls = stub_tls(&ours, "DNS:localhost", 3600);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stub *s = stub_start(play_row, &rows[i], tls);
		struct probe p = { 0 };

		print_message("%s\n", rows[i].rule);
		probe_open(ours.file, EGRESS_PLAIN_NEVER);
		probe_call(&p, NAME, s->port, ask);
		assert_int_equal(p.fault, rows[i].fault);
		probe_fini(&p);
		probe_close();
		assert_int_equal(s->requests, 1);
		stub_stop(s);
	}
	SSL_CTX_free(tls);
}

/* --- pauses: bytes may wait inside TLS, where no descriptor shows them -------------------- */

enum { LONG_BYTES = 2 << 20 };
static uint8_t long_body[LONG_BYTES];

static void
play_long(struct link *l)
{
	char head[80];

	while (link_request(l)) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
		    LONG_BYTES);
		if (!link_send(l, span_str(head)) || !link_send(l, span_of(long_body, LONG_BYTES)))
			return;
	}
}

static void
test_pauses(void **state)
{
	SSL_CTX *tls = stub_tls(&ours, "DNS:localhost", 3600);
	struct stub *s = stub_start(play_long, NULL, tls);
	struct probe p = { .pauses = 100, .pause_ms = 1 };

	for (size_t i = 0; i < LONG_BYTES; i++)
		long_body[i] = (uint8_t)(i * 2654435761u >> 24);
	probe_open(ours.file, EGRESS_PLAIN_NEVER);
	probe_call(&p, NAME, s->port, (struct egress_request){ .gap_ms = 2000 });
	assert_int_equal(p.fault, EGRESS_NONE);
	assert_int_equal(p.pauses, 0);
	assert_true(span_eq(buf_span(&p.body), span_of(long_body, LONG_BYTES)));
	probe_fini(&p);
	probe_close();
	stub_stop(s);
	SSL_CTX_free(tls);
}

/* Runs last: every handshake above had its chance. */
static void
test_no_secrets_leave(void **state)
{
	struct stat st;

	assert_int_equal(stat(keylog, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static int
setup(void **state)
{
	int fd = mkstemp(keylog);

	stub_ca_init(&ours);
	stub_ca_init(&theirs);
	/* libcurl reads it once, when it is first used. */
	setenv("SSLKEYLOGFILE", keylog, 1);
	return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	stub_ca_fini(&ours);
	stub_ca_fini(&theirs);
	return unlink(keylog);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_record_follows_the_connection),
		cmocka_unit_test(test_refused_certificates),
		cmocka_unit_test(test_handshake_faults),
		cmocka_unit_test(test_ca_file),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_no_secrets_leave),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
