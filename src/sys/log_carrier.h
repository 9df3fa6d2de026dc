/*
 * log_carrier.h - a process that carries the log's lines to the host, so that nobody else waits for
 * it. Bounded and lossy: what does not fit while the host is absent or slow is lost, and counted by
 * the writer. Source: interfaces.md F3.
 */
#ifndef SYS_LOG_CARRIER_H
#define SYS_LOG_CARRIER_H

#include "core/err.h"
#include "sys/vsock.h"

enum {
	LOG_CARRIER_PIPE_BYTES = 256 << 10, /* lines that wait, beside one buffer of the carrier */
	LOG_CARRIER_CONNECT_MS = 5000,
	LOG_CARRIER_AGAIN_MS = 1000, /* between two attempts */
	LOG_CARRIER_END_MS = 1000,   /* for the last lines */
};

/*
 * Starts the process. *fd takes whole lines of up to PIPE_BUF bytes, each in one write(2), which
 * does not wait: EAGAIN when the line is lost. As root it becomes a user of its own; it ends when
 * nobody has *fd open any more. Call while there is one thread. The process has a copy of all that is
 * in memory: forget(ctx), unless NULL, is called in it and wipes what is secret. Errors: SYSTEM.
 */
MUST_USE struct err
log_carrier_start(int *fd, const struct vsock_address *host, void (*forget)(void *ctx), void *ctx);
/* After *fd was closed everywhere, by who started it: waits until the last lines are gone, or it is late. */
void log_carrier_end(void);

#endif
