#include "cmd/fetch.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/answer.h"

enum {
	ANSWER_MAX = FETCH_BODY_MAX_BYTES + (256 << 10),
	REQUEST_MAX_BYTES = 1024,
	PORT_MAX = 65535
};
enum { MS_PER_S = 1000, NS_PER_MS = 1000000, HTTP_OK = 200 };

/* One connection. Everything on it must be done by `until_ms` of the monotonic clock. */
struct fetch {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	uint64_t until_ms;
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * MS_PER_S + (uint64_t)t.tv_nsec / NS_PER_MS;
}

/*
 * The address.
 */
static bool
is_host_byte(uint8_t c)
{
	uint8_t folded = (uint8_t)(c | 0x20);

	return (c >= '0' && c <= '9') || (folded >= 'a' && folded <= 'z') || c == '.' || c == '-';
}

static bool
is_v6_byte(uint8_t c)
{
	return is_host_byte(c) || c == ':';
}

static bool
copy_host(struct fetch_url *u, struct span host, bool (*allowed)(uint8_t))
{
	if (host.n == 0 || host.n > FETCH_HOST_MAX_BYTES)
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (!allowed(host.p[i]))
			return false;
	memcpy(u->host, host.p, host.n);
	u->host[host.n] = '\0';
	return true;
}

struct err
fetch_url_parse(struct fetch_url *u, struct span text)
{
	static const struct span scheme = SPAN_LIT("https://");
	bool v6;
	size_t end;
	uint64_t port = 443;

	*u = (struct fetch_url){ 0 };
	if (!span_starts(text, scheme))
		return FAIL(MALFORMED,
		    "must begin with https:// (interfaces.md V3: the certificate "
		    "is compared)");
	text = span_cut(text, scheme.n, text.n);
	if (span_ends(text, SPAN_LIT("/")))
		text = span_cut(text, 0, text.n - 1);
	v6 = span_starts(text, SPAN_LIT("["));
	end = span_find(text, v6 ? SPAN_LIT("]") : SPAN_LIT(":"), 0);
	if (end == SIZE_MAX && !v6)
		end = text.n;
	if (end == SIZE_MAX ||
	    !copy_host(u, span_cut(text, v6, end), v6 ? is_v6_byte : is_host_byte))
		return FAIL(MALFORMED, "must be https://host[:port]");
	text = span_cut(text, end + v6, text.n);
	if (text.n > 0 &&
	    (text.p[0] != ':' || !span_u64(span_cut(text, 1, text.n), PORT_MAX, &port) ||
		port == 0))
		return FAIL(MALFORMED, "must be https://host[:port]");
	(void)snprintf(u->port, sizeof(u->port), "%u", (unsigned)port);
	return OK;
}

/*
 * The connection.
 */
static struct err
wait_for(struct fetch *f, short events)
{
	struct pollfd p = { .fd = f->fd, .events = events };
	uint64_t now = now_ms();

	if (now >= f->until_ms || poll(&p, 1, (int)(f->until_ms - now)) == 0)
		return FAIL(TIMEOUT, "no answer in time");
	return OK;
}

/* Tries one address; false leaves no socket. */
static bool
connect_to(struct fetch *f, const struct addrinfo *a)
{
	int error = 0;
	socklen_t n = sizeof(error);

	f->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (f->fd == -1)
		return false;
	(void)connect(f->fd, a->ai_addr, a->ai_addrlen);
	if (!failed(wait_for(f, POLLOUT)) &&
	    getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0)
		return true;
	close(f->fd);
	f->fd = -1;
	return false;
}

static struct err
dial(struct fetch *f, const struct fetch_url *u)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	if (getaddrinfo(u->host, u->port, &hints, &list) != 0)
		return FAIL(UPSTREAM, "the host has no address");
	for (const struct addrinfo *a = list; a != NULL && f->fd == -1; a = a->ai_next)
		if (connect_to(f, a))
			break;
	freeaddrinfo(list);
	return f->fd != -1 ? OK : FAIL(UPSTREAM, "cannot connect");
}

/* After a call that said n: wait and try again (OK), or what went wrong. */
static struct err
wait_for_tls(struct fetch *f, int n)
{
	int why = SSL_get_error(f->ssl, n);

	if (why == SSL_ERROR_WANT_READ)
		return wait_for(f, POLLIN);
	if (why == SSL_ERROR_WANT_WRITE)
		return wait_for(f, POLLOUT);
	return FAIL(UPSTREAM, "the TLS connection failed");
}

static bool
is_address(const char *host)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *list = NULL;
	bool numeric = getaddrinfo(host, NULL, &hints, &list) == 0;

	if (numeric)
		freeaddrinfo(list);
	return numeric;
}

static struct err
handshake(struct fetch *f, const struct fetch_url *u)
{
	int n;

	if ((f->ctx = SSL_CTX_new(TLS_client_method())) == NULL ||
	    SSL_CTX_set_min_proto_version(f->ctx, TLS1_2_VERSION) != 1)
		return FAIL(NOMEM, "fetch: TLS");
	/* Nobody vouches for the leaf but the document that names it: see fetch.h. */
	SSL_CTX_set_verify(f->ctx, SSL_VERIFY_NONE, NULL);
	/* An answer says where it ends, so a connection that just closes cuts nothing unseen. */
	SSL_CTX_set_options(f->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if ((f->ssl = SSL_new(f->ctx)) == NULL || SSL_set_fd(f->ssl, f->fd) != 1 ||
	    (!is_address(u->host) && SSL_set_tlsext_host_name(f->ssl, u->host) != 1))
		return FAIL(NOMEM, "fetch: TLS");
	while ((n = SSL_connect(f->ssl)) != 1)
		TRY(wait_for_tls(f, n));
	return OK;
}

static struct err
take_leaf(struct fetch *f, struct buf *leaf_der)
{
	X509 *leaf = SSL_get1_peer_certificate(f->ssl);
	unsigned char *der = NULL;
	int n = leaf == NULL ? 0 : i2d_X509(leaf, &der);

	if (n > 0)
		buf_put(leaf_der, span_of(der, (size_t)n));
	OPENSSL_free(der);
	X509_free(leaf);
	return n > 0 ? buf_check(leaf_der) : FAIL(UPSTREAM, "the server showed no certificate");
}

static struct err
send_request(struct fetch *f, const struct fetch_url *u, const char *path)
{
	bool v6 = span_find(span_str(u->host), SPAN_LIT(":"), 0) != SIZE_MAX;
	char text[REQUEST_MAX_BYTES];
	int n,
	    length = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		path, v6 ? "[" : "", u->host, v6 ? "]" : "", u->port);

	if (length <= 0 || length >= (int)sizeof(text))
		return FAIL(TOO_LARGE, "fetch: the request is too long");
	while ((n = SSL_write(f->ssl, text, length)) <= 0)
		TRY(wait_for_tls(f, n));
	return OK;
}

static struct err
read_answer(struct fetch *f, struct buf *whole)
{
	char chunk[16384];
	int n;

	for (;;) {
		if ((n = SSL_read(f->ssl, chunk, sizeof(chunk))) > 0) {
			buf_put(whole, span_of(chunk, (size_t)n));
			TRY(buf_check(whole));
		} else if (SSL_get_error(f->ssl, n) == SSL_ERROR_ZERO_RETURN) {
			return OK;
		} else {
			TRY(wait_for_tls(f, n));
		}
	}
}

static struct err
exchange(struct fetch *f, const struct fetch_url *u, const char *path, struct buf *whole,
    struct buf *leaf_der)
{
	TRY(dial(f, u));
	TRY(handshake(f, u));
	TRY(take_leaf(f, leaf_der));
	TRY(send_request(f, u, path));
	return read_answer(f, whole);
}

/* What went wrong on the way is no verdict: tee-verify could not check. */
static struct err
read_body(struct span whole, struct buf *body)
{
	unsigned status;

	if (failed(answer_parse(whole, &status, body)))
		return FAIL(UPSTREAM, "the server's answer is not HTTP/1.1 as it should be");
	if (status != HTTP_OK)
		return FAIL(UPSTREAM, "the server answered with another status than 200");
	return OK;
}

struct err
fetch_get(const struct fetch_url *u, const char *path, struct buf *body, struct buf *leaf_der)
{
	struct fetch f = { .fd = -1, .until_ms = now_ms() + FETCH_MS };
	struct buf whole;
	struct err e;

	buf_init(&whole, ANSWER_MAX);
	e = exchange(&f, u, path, &whole, leaf_der);
	SSL_free(f.ssl);
	SSL_CTX_free(f.ctx);
	if (f.fd != -1)
		close(f.fd);
	ERR_clear_error();
	if (!failed(e))
		e = read_body(buf_span(&whole), body);
	buf_fini(&whole);
	return e;
}
