/*
 * listen.h - opens listening sockets. Called by the supervisor before anything else runs.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

/*
 * A listening, non-blocking, close-on-exec TCP socket with SO_REUSEPORT (each loop has its own).
 * `address` is a literal IPv4 or [IPv6] address, no name is looked up. *port 0: the kernel chooses,
 * and *port is set, so that further sockets can share it.
 * Errors: MALFORMED (address), SYSTEM (what names the call; errno is kept)
 */
MUST_USE struct err listen_tcp(int *fd, struct span address, uint16_t *port);

/* A literal address, as above, that packets do not leave the machine for. */
bool listen_is_loopback(struct span address);

/*
 * Nobody listens there yet. listen_tcp() alone would join whoever does with SO_REUSEPORT, as a
 * second gateway, and the kernel would deal clients out between the two.
 * Errors: MALFORMED (address), SYSTEM (errno is kept)
 */
MUST_USE struct err listen_is_free(struct span address, uint16_t port);

#endif
