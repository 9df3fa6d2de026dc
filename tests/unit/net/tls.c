/* tls.c - what the TLS side offers, to clients that ask for less or for more. Over memory pairs. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/certificate.h"
#include "net/tls.h"

struct pair {
	struct buf cert, key;
	struct tls_context *context;
	struct tls_link link;
	SSL_CTX *client_context;
	SSL *client;
	int fd[2];
};

static void
make_certificate(struct buf *cert, struct buf *key)
{
	buf_init(cert, CERTIFICATE_MAX_BYTES);
	buf_init(key, CERTIFICATE_MAX_BYTES);
	assert_int_equal(certificate_make(cert, key, true, 1790000000).code, ERR_OK);
}

static void
pair_open(struct pair *p)
{
	*p = (struct pair){ .fd = { -1, -1 } };
	make_certificate(&p->cert, &p->key);
	assert_int_equal(
	    tls_context_new(&p->context, buf_span(&p->cert), buf_span(&p->key)).code, ERR_OK);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd), 0);
	assert_int_equal(tls_link_init(&p->link, p->context, p->fd[0]).code, ERR_OK);
	p->client_context = SSL_CTX_new(TLS_client_method());
	/* What a client may offer must not be cut by this machine's policy. */
	SSL_CTX_set_security_level(p->client_context, 0);
	SSL_CTX_set_min_proto_version(p->client_context, 0);
	p->client = SSL_new(p->client_context);
	SSL_set_fd(p->client, p->fd[1]);
	SSL_set_connect_state(p->client);
}

static void
pair_close(struct pair *p)
{
	SSL_free(p->client);
	SSL_CTX_free(p->client_context);
	tls_link_fini(&p->link);
	tls_link_fini(&p->link);
	tls_context_free(p->context);
	buf_fini(&p->cert);
	buf_fini(&p->key);
	close(p->fd[0]);
	close(p->fd[1]);
	ERR_clear_error();
}

/* Both sides in turn; whether both are done. */
static bool
shake(struct pair *p)
{
	enum tls_result r = TLS_WANT_READ;
	int c = 0;

	for (unsigned i = 0; i < 20 && (r != TLS_OK || c != 1); i++) {
		ERR_clear_error();
		c = SSL_do_handshake(p->client);
		if (r != TLS_OK)
			r = tls_link_handshake(&p->link);
		if (r == TLS_LOST || r == TLS_EOF)
			return false;
	}
	return r == TLS_OK && c == 1;
}

static void
test_context(void **state)
{
	struct buf cert, key, other_cert, other_key;
	struct tls_context *c = NULL;

	make_certificate(&cert, &key);
	make_certificate(&other_cert, &other_key);
	assert_int_equal(
	    tls_context_new(&c, buf_span(&cert), buf_span(&other_key)).code, ERR_REFUSED);
	assert_null(c);
	assert_int_equal(
	    tls_context_new(&c, buf_span(&cert), SPAN_LIT("junk")).code, ERR_MALFORMED);
	assert_int_equal(tls_context_new(&c, SPAN_LIT("junk"), buf_span(&key)).code, ERR_MALFORMED);
	/* Bytes behind the key are not ours to ignore. */
	buf_put_byte(&key, 0);
	assert_int_equal(tls_context_new(&c, buf_span(&cert), buf_span(&key)).code, ERR_MALFORMED);
	buf_truncate(&key, key.n - 1);
	assert_int_equal(tls_context_new(&c, buf_span(&cert), buf_span(&key)).code, ERR_OK);
	tls_context_free(c);
	buf_fini(&cert);
	buf_fini(&key);
	buf_fini(&other_cert);
	buf_fini(&other_key);
}

static void
test_versions(void **state)
{
	static const struct {
		const char *rule;
		int version;
		const char *suites;
		bool want;
	} rows[] = {
		{ "TLS 1.3", TLS1_3_VERSION, NULL, true },
		{ "TLS 1.2", TLS1_2_VERSION, NULL, true },
		{ "TLS 1.2 with ChaCha20", TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
		{ "TLS 1.2 without forward secrecy", TLS1_2_VERSION, "AES128-GCM-SHA256", false },
		{ "TLS 1.2 with CBC", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", false },
		{ "TLS 1.2 without encryption", TLS1_2_VERSION, "ECDHE-ECDSA-NULL-SHA", false },
		{ "TLS 1.1", TLS1_1_VERSION, NULL, false },
		{ "TLS 1.0", TLS1_VERSION, NULL, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair p;

		pair_open(&p);
		SSL_set_min_proto_version(p.client, rows[i].version);
		SSL_set_max_proto_version(p.client, rows[i].version);
		if (rows[i].suites != NULL)
			assert_int_equal(SSL_set_cipher_list(p.client, rows[i].suites), 1);
		if (shake(&p) != rows[i].want)
			fail_msg("%s", rows[i].rule);
		if (rows[i].want)
			assert_int_equal(SSL_version(p.client), rows[i].version);
		pair_close(&p);
	}
}

static void
test_alpn(void **state)
{
	static const struct {
		const char *rule, *offer, *want;
		bool fails;
	} rows[] = {
		{ "nothing offered", "", "", false },
		{ "http/1.1", "\x08http/1.1", "http/1.1", false },
		{ "http/1.1 behind something else", "\x08http/0.9\x08http/1.1", "http/1.1", false },
		{ "h2", "\x02h2", "h2", false },
		{ "H6: h2 before http/1.1, whatever the client's order", "\x08http/1.1\x02h2", "h2",
		    false },
		{ "RFC 7301 3.2: nothing in common", "\x03h2c", "", true },
		{ "RFC 7301 3.2: half the name", "\x08http/1.0", "", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const unsigned char *chosen;
		unsigned n;
		struct pair p;

		pair_open(&p);
		if (rows[i].offer[0] != '\0')
			SSL_set_alpn_protos(p.client, (const unsigned char *)rows[i].offer,
			    (unsigned)strlen(rows[i].offer));
		if (shake(&p) == rows[i].fails)
			fail_msg("%s", rows[i].rule);
		SSL_get0_alpn_selected(p.client, &chosen, &n);
		if (!span_eq(span_of(chosen, n), span_str(rows[i].want)))
			fail_msg("%s: %.*s", rows[i].rule, (int)n, (const char *)chosen);
		pair_close(&p);
	}
}

/* H6: no tickets, no resumption, no 0-RTT, no renegotiation. */
static void
test_every_session_is_new(void **state)
{
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;
		struct pair first;
		uint8_t got[16];
		size_t n;

		pair_open(&first);
		SSL_set_max_proto_version(first.client, version);
		assert_true(shake(&first));
		/* TLS 1.3 tickets would come with the first bytes. */
		assert_int_equal(tls_link_write(&first.link, SPAN_LIT("x"), &n), TLS_OK);
		assert_int_equal(SSL_read(first.client, got, sizeof(got)), 1);
		session = SSL_get1_session(first.client);
		assert_int_equal(SSL_SESSION_has_ticket(session), 0);
		assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
		assert_int_equal(
		    SSL_SESSION_is_resumable(session) == 1 && SSL_SESSION_has_ticket(session), 0);
		if (version == TLS1_2_VERSION) {
			SSL_renegotiate(first.client);
			SSL_do_handshake(first.client);
			tls_link_read(&first.link, got, sizeof(got), &n);
			assert_int_equal(n, 0);
			assert_true(SSL_do_handshake(first.client) != 1);
		}
		SSL_SESSION_free(session);
		pair_close(&first);
	}
}

static void
test_bytes(void **state)
{
	static uint8_t block[40000];
	struct pair p;
	uint8_t got[20000];
	size_t n, put;

	pair_open(&p);
	assert_true(shake(&p));
	assert_int_equal(tls_link_read(&p.link, got, sizeof(got), &n), TLS_WANT_READ);
	assert_int_equal(SSL_write(p.client, "hello", 5), 5);
	assert_int_equal(SSL_write(p.client, "again", 5), 5);
	assert_int_equal(tls_link_read(&p.link, got, sizeof(got), &n), TLS_OK);
	assert_true(span_eq(span_of(got, n), SPAN_LIT("hello")));
	/* The second record was read ahead: no event of the descriptor will tell. */
	assert_true(tls_link_pending(&p.link));
	assert_int_equal(tls_link_read(&p.link, got, sizeof(got), &n), TLS_OK);
	assert_true(span_eq(span_of(got, n), SPAN_LIT("again")));
	assert_false(tls_link_pending(&p.link));

	assert_int_equal(tls_link_write(&p.link, span_of(block, sizeof(block)), &put), TLS_OK);
	assert_int_equal(put, 16384);
	/* A full descriptor is not an error, and the rest may move before it is sent again. */
	while (tls_link_write(&p.link, span_of(block, sizeof(block)), &put) == TLS_OK)
		continue;
	assert_int_equal(tls_link_write(&p.link, span_of(block + 1, 20000), &put), TLS_WANT_WRITE);
	while (SSL_read(p.client, got, sizeof(got)) > 0)
		continue;
	assert_int_equal(tls_link_write(&p.link, span_of(block + 2, 20000), &put), TLS_OK);
	tls_link_bye(&p.link);
	while (SSL_read(p.client, got, sizeof(got)) > 0)
		continue;
	assert_int_equal(SSL_get_shutdown(p.client), SSL_RECEIVED_SHUTDOWN);
	pair_close(&p);
}

/* H6: what the host sees of a word is the same for each of up to 255 bytes. */
static void
test_padding(void **state)
{
	static const struct {
		size_t bytes, want; /* of plain text; of the record behind its head */
	} rows[] = { { 1, 256 + 16 }, { 9, 256 + 16 }, { 255, 256 + 16 }, { 256, 512 + 16 },
		{ 700, 768 + 16 } };
	static const uint8_t text[1024];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t record[2048];
		struct pair p;
		size_t put;

		pair_open(&p);
		tls_link_fini(&p.link);
		tls_context_pad(p.context, 256);
		assert_int_equal(tls_link_init(&p.link, p.context, p.fd[0]).code, ERR_OK);
		assert_true(shake(&p));
		assert_int_equal(
		    tls_link_write(&p.link, span_of(text, rows[i].bytes), &put), TLS_OK);
		assert_int_equal(put, rows[i].bytes);
		assert_int_equal(read(p.fd[1], record, sizeof(record)), 5 + rows[i].want);
		assert_int_equal(record[0], 23); /* application data */
		assert_int_equal(record[3] << 8 | record[4], rows[i].want);
		pair_close(&p);
	}
}

static void
test_ends(void **state)
{
	uint8_t got[100];
	struct pair p;
	size_t n;

	pair_open(&p); /* with close_notify */
	assert_true(shake(&p));
	SSL_shutdown(p.client);
	assert_int_equal(tls_link_read(&p.link, got, sizeof(got), &n), TLS_EOF);
	pair_close(&p);

	pair_open(&p); /* without */
	assert_true(shake(&p));
	shutdown(p.fd[1], SHUT_WR);
	assert_int_equal(tls_link_read(&p.link, got, sizeof(got), &n), TLS_EOF);
	pair_close(&p);

	pair_open(&p); /* bytes that are no record */
	assert_true(shake(&p));
	assert_int_equal(write(p.fd[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_int_equal(tls_link_read(&p.link, got, sizeof(got), &n), TLS_LOST);
	pair_close(&p);

	pair_open(&p); /* a client without TLS */
	assert_int_equal(write(p.fd[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_int_equal(tls_link_handshake(&p.link), TLS_LOST);
	pair_close(&p);

	pair_open(&p); /* a peer that is gone */
	assert_true(shake(&p));
	close(p.fd[1]);
	p.fd[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(tls_link_write(&p.link, SPAN_LIT("x"), &n), TLS_LOST);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_every_session_is_new),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_ends),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
