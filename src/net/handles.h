/*
 * handles.h - libcurl's easy handles, set to what holds for every request: what is verified, what
 * of the environment counts (nothing), what is told to whom. Used by egress.c only.
 */
#ifndef NET_HANDLES_H
#define NET_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <curl/curl.h>

#include "core/err.h"
#include "net/multi.h"
#include "net/peer.h"
#include "sys/vsock.h"

enum { HANDLES_SPARE_MAX = 64 };

/* The callbacks that every transfer has; their data is set for each. */
struct handle_calls {
	curl_prereq_callback connected;
	curl_read_callback read;
	curl_write_callback header, write;
};

struct handles {
	CURL *policy;			/* copied for each new one */
	CURL *spare[HANDLES_SPARE_MAX]; /* of transfers that ended well, for the next ones */
	size_t spare_n;
	struct multi *multi;
	struct vsock_address tunnel;   /* port 0: none */
	struct curl_sockaddr *address; /* from on_open() to on_tunnel(), which follows at once */
};

/*
 * m and roots outlive the handles, and the connections that they make. Errors: SYSTEM (a libcurl
 * that cannot do what we ask of it); handles_fini() is due after it too.
 */
MUST_USE struct err handles_init(struct handles *h, struct multi *m, struct roots *roots,
    bool allow_plain, const struct handle_calls *calls);
/*
 * From now on every request goes to its upstream by HTTP CONNECT through a proxy that listens on a
 * vsock port of the host: names are resolved there, TLS ends where it did. h stays where it is.
 * Before the first handles_take(). Errors: as above.
 */
MUST_USE struct err handles_tunnel(struct handles *h, const struct vsock_address *tunnel);
/* Those that were taken have been given back. Safe on zeroes. */
void handles_fini(struct handles *h);

/* A handle for one transfer, now the caller's; NULL without memory. */
CURL *handles_take(struct handles *h);
/*
 * Takes it back, out of its multi; nothing that the transfer set is looked at any more. again: it
 * went through a whole exchange and may serve for another. NULL is fine.
 */
void handles_give(struct handles *h, CURL *easy, bool again);

#endif
