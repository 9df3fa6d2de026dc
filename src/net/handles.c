#include "net/handles.h"

#include <string.h>
#include <sys/socket.h>

enum {
	RECEIVE_BYTES = 256 << 10, /* 2.5 MB a second at 100 ms */
	UPLOAD_BYTES = 16 << 10,   /* one TLS record; taken anew for each call */
};

/* What the kernel takes in while we pause is memory too; left alone it grows to megabytes. */
static int
on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	const int bytes = RECEIVE_BYTES;

	(void)purpose;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) != 0 ||
	    !multi_connection(ctx, fd))
		return CURL_SOCKOPT_ERROR;
	return CURL_SOCKOPT_OK;
}

static int
on_close(void *ctx, curl_socket_t fd)
{
	return multi_close(ctx, fd);
}

static CURLcode
on_ssl_ctx(CURL *easy, void *ssl_ctx, void *ctx)
{
	(void)easy;
	return roots_apply(ctx, ssl_ctx) ? CURLE_OK : CURLE_ABORTED_BY_CALLBACK;
}

/*
 * libcurl prints each address before it connects, and gives up where it cannot, as with AF_VSOCK. So
 * it keeps the one of its proxy, which it can print; it asks for the socket's options between that
 * and connect(2), and there the address becomes the host's. The address is the connection's own from
 * one callback to the other; were that to change, no connection would stand, and the tests fail.
 */
static curl_socket_t
on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct handles *h = ctx;

	(void)purpose;
	h->address = address;
	return socket(vsock_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int
on_tunnel(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	struct handles *h = ctx;
	struct sockaddr_storage to;
	socklen_t n = vsock_sockaddr(&to, &h->tunnel);

	if (h->address == NULL || n > sizeof(h->address->addr))
		return CURL_SOCKOPT_ERROR;
	memcpy(&h->address->addr, &to, n);
	h->address->addrlen = n;
	h->address->family = vsock_family;
	h->address = NULL;
	return on_socket(h->multi, fd, purpose);
}

/* Every setting that guards what leaves and whom we believe; a test holds each. */
static bool
set_policy(CURL *h, struct multi *m, struct roots *roots, bool allow_plain,
    const struct handle_calls *calls)
{
	CURLcode bad = CURLE_OK;

#define SET(option, value)                                            \
	do {                                                          \
		if (bad == CURLE_OK)                                  \
			bad = curl_easy_setopt(h, (option), (value)); \
	} while (0)
	SET(CURLOPT_PROTOCOLS_STR, allow_plain ? "https,http" : "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* not even the environment's */
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, NULL); /* on_ssl_ctx() brings the roots */
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
	SET(CURLOPT_SSL_CTX_DATA, roots);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L); /* every connection is verified on its own */
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(CURLOPT_SOCKOPTDATA, m);
	SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
	SET(CURLOPT_CLOSESOCKETDATA, m);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* never wait on the loop for a resolver's thread */
	SET(CURLOPT_PREREQFUNCTION, calls->connected);
	SET(CURLOPT_READFUNCTION, calls->read);
	SET(CURLOPT_HEADERFUNCTION, calls->header);
	SET(CURLOPT_WRITEFUNCTION, calls->write);
#undef SET
	return bad == CURLE_OK;
}

struct err
handles_init(struct handles *h, struct multi *m, struct roots *roots, bool allow_plain,
    const struct handle_calls *calls)
{
	*h = (struct handles){ .policy = curl_easy_init(), .multi = m };
	if (h->policy == NULL || !set_policy(h->policy, m, roots, allow_plain, calls))
		return FAIL(SYSTEM, "egress: libcurl refused its settings");
	return OK;
}

struct err
handles_tunnel(struct handles *h, const struct vsock_address *tunnel)
{
	CURL *p = h->policy;

	h->tunnel = *tunnel;
	/* Any address that needs no resolver: nobody connects to it. */
	if (curl_easy_setopt(p, CURLOPT_PROXY, "http://127.0.0.1:1") == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_NOPROXY, "") == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_HTTPPROXYTUNNEL, 1L) == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_OPENSOCKETDATA, h) == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_SOCKOPTFUNCTION, on_tunnel) == CURLE_OK &&
	    curl_easy_setopt(p, CURLOPT_SOCKOPTDATA, h) == CURLE_OK)
		return OK;
	return FAIL(SYSTEM, "egress: libcurl refused its settings");
}

void
handles_fini(struct handles *h)
{
	while (h->spare_n > 0)
		curl_easy_cleanup(h->spare[--h->spare_n]);
	curl_easy_cleanup(h->policy);
	h->policy = NULL;
}

/* To copy and free a handle costs 5 us. */
CURL *
handles_take(struct handles *h)
{
	return h->spare_n > 0 ? h->spare[--h->spare_n] : curl_easy_duphandle(h->policy);
}

/* Nothing of what a transfer set may be pointed at any more. */
static bool
forget(CURL *h)
{
	return curl_easy_setopt(h, CURLOPT_PRIVATE, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_CURLU, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_HTTPHEADER, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_POSTFIELDS, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_PREREQDATA, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_READDATA, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_HEADERDATA, NULL) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_WRITEDATA, NULL) == CURLE_OK;
}

void
handles_give(struct handles *h, CURL *easy, bool again)
{
	if (easy != NULL && again && h->spare_n < HANDLES_SPARE_MAX && forget(easy))
		h->spare[h->spare_n++] = easy;
	else
		curl_easy_cleanup(easy);
}
