/*
 * vsock.h - streams between an enclave and its host (vsock(7)). Source: nitro-attestation.md 6.1.
 *
 * vsock.c is the one place that knows the address family. The programs of the tests are linked with
 * tests/host/vsock.c in its place, because few machines have a host to talk to: the same calls, over
 * Unix sockets. No option, variable or file makes a program choose: it has the one or the other in it.
 */
#ifndef SYS_VSOCK_H
#define SYS_VSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/span.h"

enum { VSOCK_CID_HOST = 3 }; /* whoever started the enclave */

struct vsock_address {
	uint32_t cid, port; /* port 0: no address */
};

/* AF_VSOCK; what the lists of system calls allow (sandbox.h). */
extern const int vsock_family;

/* For connect(2): its length. At most as long as a struct sockaddr, which libcurl has room for. */
socklen_t vsock_sockaddr(struct sockaddr_storage *to, const struct vsock_address *a);
/*
 * A listening, non-blocking, close-on-exec socket. There is no SO_REUSEPORT here: loops share it.
 * Errors: SYSTEM (what names the call; errno is kept)
 */
MUST_USE struct err vsock_listen(int *fd, uint32_t port);

/* --- vsock_peer.c: what is the same in both --- */

/* Reads "vsock:CID:PORT"; neither is 0 or 2^32-1, which have meanings of their own. */
bool vsock_read(struct vsock_address *a, struct span text);
/* Reads "vsock:PORT". */
bool vsock_read_port(uint32_t *port, struct span text);
/*
 * A non-blocking, close-on-exec stream to the host, which stands within timeout_ms. Blocks so long.
 * Errors: TIMEOUT, SYSTEM
 */
MUST_USE struct err vsock_connect(int *fd, const struct vsock_address *a, uint32_t timeout_ms);

#endif
