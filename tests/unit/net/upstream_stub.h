/*
 * upstream_stub.h - a scripted upstream on loopback for the tests of net/egress: one thread
 * accepts, one serves each connection, plain or TLS with certificates made at run time.
 */
#ifndef TEST_UPSTREAM_STUB_H
#define TEST_UPSTREAM_STUB_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/buf.h"
#include "core/span.h"

enum { STUB_LINKS_MAX = 256 };

struct link;
typedef void stub_script(struct link *l);

struct stub {
	stub_script *script;
	const void *arg; /* for the script */
	SSL_CTX *tls;	 /* NULL: plain */
	int fd;
	uint16_t port;
	atomic_uint links, requests; /* connections taken, whole requests read */
	pthread_t thread;
	struct link {
		struct stub *stub;
		unsigned number; /* from 0 */
		int fd;
		SSL *ssl;
		struct buf request; /* the last one, head and body */
		pthread_t thread;
	} link[STUB_LINKS_MAX];
};

/* --- what scripts use -------------------------------------------------------------------- */

static inline ssize_t
link_read(struct link *l, void *to, size_t n)
{
	return l->ssl != NULL ? SSL_read(l->ssl, to, (int)n) : recv(l->fd, to, n, 0);
}

static inline bool
link_send(struct link *l, struct span s)
{
	while (s.n > 0) {
		ssize_t n = l->ssl != NULL ? SSL_write(l->ssl, s.p, (int)s.n)
					   : send(l->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		s = span_cut(s, (size_t)n, s.n);
	}
	return true;
}

static inline size_t
stub_content_length(struct span head)
{
	size_t at = span_find(head, SPAN_LIT("Content-Length: "), 0);
	uint64_t n = 0;

	if (at == SIZE_MAX)
		return 0;
	at += strlen("Content-Length: ");
	(void)span_u64(span_cut(head, at, span_find(head, SPAN_LIT("\r"), at)), 1 << 30, &n);
	return (size_t)n;
}

/* Reads one whole request into l->request; false at the end of the connection. */
static inline bool
link_request(struct link *l)
{
	uint8_t piece[16384];
	size_t head;
	ssize_t n;

	buf_clear(&l->request);
	for (;;) {
		struct span got = buf_span(&l->request);

		head = span_find(got, SPAN_LIT("\r\n\r\n"), 0);
		if (head != SIZE_MAX &&
		    got.n >= head + 4 + stub_content_length(span_cut(got, 0, head + 2)))
			break;
		if ((n = link_read(l, piece, sizeof(piece))) <= 0)
			return false;
		buf_put(&l->request, span_of(piece, (size_t)n));
	}
	atomic_fetch_add(&l->stub->requests, 1);
	return true;
}

/* Waits until the other side closes. */
static inline void
link_drain(struct link *l)
{
	uint8_t piece[4096];

	while (link_read(l, piece, sizeof(piece)) > 0)
		;
}

/* The connection ends with a reset instead of a FIN. */
static inline void
link_reset(struct link *l)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/*
 * Ends our direction, with close_notify or without, and waits for the other one: closing with
 * bytes unread would send a reset, which may overtake what was sent.
 */
static inline void
link_end(struct link *l, bool notify)
{
	uint8_t piece[4096];

	if (notify && l->ssl != NULL)
		SSL_shutdown(l->ssl);
	shutdown(l->fd, SHUT_WR);
	while (recv(l->fd, piece, sizeof(piece), 0) > 0)
		;
}

/* --- the stub ---------------------------------------------------------------------------- */

static inline void *
stub_serve_link(void *arg)
{
	struct link *l = arg;
	const struct timeval patience = { .tv_sec = 20 };
	sigset_t pipe;

	/* OpenSSL writes without MSG_NOSIGNAL; only here: the tested side must not need it. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (l->stub->tls != NULL) {
		l->ssl = SSL_new(l->stub->tls);
		SSL_set_fd(l->ssl, l->fd);
		SSL_set_quiet_shutdown(l->ssl, 0);
	}
	buf_init(&l->request, 64 << 20);
	if (l->ssl == NULL || SSL_accept(l->ssl) == 1)
		l->stub->script(l);
	SSL_free(l->ssl);
	close(l->fd);
	buf_fini(&l->request);
	OPENSSL_thread_stop();
	return NULL;
}

static inline void *
stub_accept(void *arg)
{
	struct stub *s = arg;
	unsigned n = 0;
	int fd;

	while (n < STUB_LINKS_MAX && (fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct link *l = &s->link[n];

		*l = (struct link){ .stub = s, .number = n++, .fd = fd };
		atomic_fetch_add(&s->links, 1);
		if (pthread_create(&l->thread, NULL, stub_serve_link, l) != 0)
			abort();
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(s->link[i].thread, NULL);
	return NULL;
}

/* A bound port on 127.0.0.1; refuses connections until listen(). */
static inline int
stub_port(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		abort();
	*port = ntohs(at.sin_port);
	return fd;
}

static inline struct stub *
stub_start(stub_script *script, const void *arg, SSL_CTX *tls)
{
	struct stub *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->script = script;
	s->arg = arg;
	s->tls = tls;
	s->fd = stub_port(&s->port);
	if (listen(s->fd, 256) != 0 || pthread_create(&s->thread, NULL, stub_accept, s) != 0)
		abort();
	return s;
}

/* Call when the client has closed its connections: waits for the scripts to return. */
static inline void
stub_stop(struct stub *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	free(s);
}

/* --- certificates ------------------------------------------------------------------------ */

struct stub_ca {
	EVP_PKEY *key;
	X509 *cert;
	char file[64]; /* the certificate as PEM */
};

/* signer NULL: a self-signed authority; else a leaf for the names in `san`. */
static inline X509 *
stub_cert(EVP_PKEY *key, const struct stub_ca *signer, const char *san, long valid_s)
{
	static atomic_long serial = 1;
	X509 *x = X509_new();
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	const char *subject = signer == NULL ? "test authority" : "test upstream";

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), atomic_fetch_add(&serial, 1));
	X509_gmtime_adj(X509_getm_notBefore(x), -7200);
	X509_gmtime_adj(X509_getm_notAfter(x), valid_s);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	    (const unsigned char *)subject, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(signer == NULL ? x : signer->cert));
	X509V3_set_ctx(&ctx, signer == NULL ? x : signer->cert, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx,
	    signer == NULL ? NID_basic_constraints : NID_subject_alt_name,
	    signer == NULL ? "critical,CA:TRUE" : san);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	X509_sign(x, signer == NULL ? key : signer->key, EVP_sha256());
	return x;
}

static inline void
stub_ca_init(struct stub_ca *ca)
{
	FILE *f;
	int fd;

	ca->key = EVP_EC_gen("P-256");
	ca->cert = stub_cert(ca->key, NULL, NULL, 3600);
	snprintf(ca->file, sizeof(ca->file), "/tmp/tee-gateway-ca-XXXXXX");
	if ((fd = mkstemp(ca->file)) < 0 || (f = fdopen(fd, "w")) == NULL)
		abort();
	PEM_write_X509(f, ca->cert);
	fclose(f);
}

static inline void
stub_ca_fini(struct stub_ca *ca)
{
	unlink(ca->file);
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

/* A server context with a fresh key; san as "DNS:localhost". */
static inline SSL_CTX *
stub_tls(const struct stub_ca *ca, const char *san, long valid_s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = stub_cert(key, ca, san, valid_s);

	SSL_CTX_use_certificate(ctx, leaf);
	SSL_CTX_use_PrivateKey(ctx, key);
	X509_free(leaf);
	EVP_PKEY_free(key);
	return ctx;
}

#endif
