/*
 * sandbox.h - what each process may still ask of the kernel. Source: K1, K4; stack.md "Processes".
 *
 * A call that is not on the list does not happen: one line of the log names it, and the process
 * dies of SIGSYS. The list cannot be left, nor that be prevented: the handler of SIGSYS is fixed by
 * the list itself, and where the signal is blocked the kernel kills without the line.
 */
#ifndef SYS_SANDBOX_H
#define SYS_SANDBOX_H

#include <stdint.h>

#include "core/err.h"

enum sandbox_role {
	/*
	 * All that the two others may do, and what it takes to start them: a child has its parent's
	 * list, and can only take away from it.
	 */
	SANDBOX_SUPERVISOR,
	SANDBOX_KEYHOLDER, /* from the first request on: signs; opens, connects and starts nothing */
	SANDBOX_WORKER,	   /* from the first client on: sockets, and files for reading */
	SANDBOX_WORKER_VSOCK, /* the same with --egress vsock: streams to the host, no Internet */
	SANDBOX_LOG,	      /* the log's carrier: streams to the host */
	SANDBOX_TAP,	      /* enclave-tap: frames, and streams to the host */
};

/* For all threads of the process, and those they start. Nothing in a sanitizer's build. Errors: SYSTEM. */
MUST_USE struct err sandbox_enter(enum sandbox_role who);
/* The same, and ioctl(fd, request, ...) is allowed: this one request of this one descriptor. */
MUST_USE struct err sandbox_enter_asking(enum sandbox_role who, int fd, uint32_t request);

#endif
