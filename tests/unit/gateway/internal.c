/*
 * internal.c - nitriding's internal interface with a key holder of the test's own: every row of
 * nitro-attestation.md 5.5, and the 403 of an enclave (interfaces.md section 4).
 */
#include "gateway/internal.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/limits.h"
#include "keyholder/proto.h"
#include "net/listen.h"

#define HASH "JTg+Mp3H1LXTos0LR7pcWA7COc9iS+okN0YrSAgn8cY="

static struct supervise_note note;
static struct gateway gw = { .note = &note };
static struct loop loop = { .gw = &gw };
static int key_holder;
static uint16_t port;
static enum err_code key_holder_says;
static unsigned hashes; /* that reached the key holder */

static void
on_lost(void *ctx)
{
	fail_msg("the key holder is there");
}

static int
set_up(void **state)
{
	int pair[2], fd;

	atomic_store(&note.app_ready, false);
	hashes = 0;
	port = 0;
	if (uv_loop_init(&loop.uv) != 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ||
	    failed(key_client_new(&loop.keys, &loop.uv, pair[0], on_lost, NULL)) ||
	    failed(listen_tcp(&fd, SPAN_LIT("127.0.0.1"), &port)) ||
	    failed(internal_start(&loop.internal, &loop, fd)))
		return 1;
	key_holder = pair[1];
	return 0;
}

static int
tear_down(void **state)
{
	server_stop(loop.internal);
	key_client_free(loop.keys);
	uv_run(&loop.uv, UV_RUN_DEFAULT);
	server_free(loop.internal);
	close(key_holder);
	return uv_loop_close(&loop.uv);
}

/* The key holder's part, when something is there for it. */
static void
serve_key_holder(void)
{
	static uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	ssize_t n = recv(key_holder, datagram, sizeof(datagram), MSG_DONTWAIT);
	struct key_request r;
	struct key_answer a = { .body = SPAN_LIT("\1") };
	struct buf b;

	if (n <= 0)
		return;
	assert_int_equal(key_request_parse(&r, span_of(datagram, (size_t)n)).code, ERR_OK);
	assert_int_equal(r.type, KEY_APP_HASH);
	assert_int_equal(r.body.p[0], 0x25);
	hashes++;
	a.type = r.type;
	a.ticket = r.ticket;
	a.code = key_holder_says;
	buf_init(&b, 256);
	key_answer_put(&b, &a);
	assert_int_equal(send(key_holder, b.p, b.n, MSG_NOSIGNAL), b.n);
	buf_fini(&b);
}

/* One request on a connection of its own; the whole answer. */
static void
ask(const char *request, char *answer, size_t answer_bytes)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = 0;
	ssize_t got;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	for (;;) {
		uv_run(&loop.uv, UV_RUN_NOWAIT);
		serve_key_holder();
		got = recv(fd, answer + n, answer_bytes - 1 - n, MSG_DONTWAIT);
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	answer[n] = '\0';
	close(fd);
}

#define POST(body, n)                                                                       \
	"POST /enclave/hash HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " n \
	"\r\n\r\n" body
#define REQUEST(method, path, fields) \
	method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" fields "\r\n"

static const struct {
	const char *rule, *request;
	enum err_code key_holder;
	const char *status, *body; /* body NULL: empty */
	unsigned hashes;
} rows[] = {
	{ "a hash", POST(HASH, "44"), ERR_OK, "200", NULL, 1 },
	{ "and a line feed", POST(HASH "\n", "45"), ERR_OK, "200", NULL, 1 },
	{ "interfaces.md 4: another one, in an enclave", POST(HASH, "44"), ERR_REFUSED, "403",
	    "the hash of the documents is that of the gateway's own key\n", 1 },
	{ "a key holder that cannot", POST(HASH, "44"), ERR_SYSTEM, "500",
	    "failed to register the hash\n", 1 },
	{ "46 bytes", POST(HASH "\n\n", "46"), ERR_OK, "400", "reached read limit\n", 0 },
	{ "no Base64", POST("********************************************", "44"), ERR_OK, "400",
	    "no Base64 given\n", 0 },
	{ "no padding", POST("JTg+Mp3H1LXTos0LR7pcWA7COc9iS+okN0YrSAgn8cY", "43"), ERR_OK, "400",
	    "no Base64 given\n", 0 },
	{ "31 bytes", POST("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "44"), ERR_OK, "400",
	    "given hash is of invalid size\n", 0 },
	{ "33 bytes", POST("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "44"), ERR_OK, "400",
	    "given hash is of invalid size\n", 0 },
	{ "nothing", POST("", "0"), ERR_OK, "400", "given hash is of invalid size\n", 0 },
	{ "another method", REQUEST("GET", "/enclave/hash", ""), ERR_OK, "405", NULL, 0 },
	{ "HEAD", REQUEST("HEAD", "/enclave/ready", ""), ERR_OK, "405", NULL, 0 },
	{ "POST of ready", REQUEST("POST", "/enclave/ready", "Content-Length: 0\r\n"), ERR_OK,
	    "405", NULL, 0 },
	{ "another path", REQUEST("GET", "/health", ""), ERR_OK, "404", "404 page not found\n", 0 },
	{ "a slash at the end", REQUEST("GET", "/enclave/ready/", ""), ERR_OK, "404",
	    "404 page not found\n", 0 },
	{ "H2: through a proxy", REQUEST("GET", "/enclave/ready", "X-Forwarded-For: 1.2.3.4\r\n"),
	    ERR_OK, "404", "404 page not found\n", 0 },
	{ "H2: from a browser", REQUEST("GET", "/enclave/ready", "Origin: https://x\r\n"), ERR_OK,
	    "404", "404 page not found\n", 0 },
	{ "not HTTP", "GET /enclave/ready\r\n\r\n", ERR_OK, "400", "", 0 },
};

static void
table(void **state)
{
	char answer[4096], start[32];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *body;

		print_message("%s\n", rows[i].rule);
		hashes = 0;
		key_holder_says = rows[i].key_holder;
		ask(rows[i].request, answer, sizeof(answer));
		snprintf(start, sizeof(start), "HTTP/1.1 %s ", rows[i].status);
		if (strncmp(answer, start, strlen(start)) != 0 ||
		    (body = strstr(answer, "\r\n\r\n")) == NULL)
			fail_msg("%s", answer);
		else if (rows[i].body == NULL || rows[i].body[0] != '\0')
			assert_string_equal(body + 4, rows[i].body != NULL ? rows[i].body : "");
		assert_null(strstr(answer, "ccess-control"));
		assert_int_equal(hashes, rows[i].hashes);
	}
	/* None of it was taken for ready. */
	assert_false(atomic_load(&note.app_ready));
}

static void
ready_once(void **state)
{
	char answer[4096];

	for (int i = 0; i < 3; i++) {
		ask(REQUEST("GET", "/enclave/ready", ""), answer, sizeof(answer));
		if (strncmp(answer, i == 0 ? "HTTP/1.1 200 " : "HTTP/1.1 410 ", 13) != 0)
			fail_msg("%s", answer);
		assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	}
}

/* A client that leaves before the key holder has answered. */
static void
leaves(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	const char *request = POST(HASH, "44");

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while (recv(key_holder, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_PEEK) <= 0)
		uv_run(&loop.uv, UV_RUN_NOWAIT);
	close(fd);
	while (server_connections(loop.internal) > 0)
		uv_run(&loop.uv, UV_RUN_NOWAIT);
	key_holder_says = ERR_OK;
	serve_key_holder();
	uv_run(&loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(hashes, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ready_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(leaves, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
