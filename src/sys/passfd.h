/*
 * passfd.h - descriptors handed from process to process over an AF_UNIX SOCK_SEQPACKET socket.
 */
#ifndef SYS_PASSFD_H
#define SYS_PASSFD_H

#include <stddef.h>

#include "core/err.h"

enum { PASSFD_MAX = 64 }; /* of one message; the kernel's own bound is 253 */

/*
 * Sends n descriptors (1 to PASSFD_MAX) in one message, without waiting; they stay the caller's.
 * Errors: SYSTEM (the other side is gone or does not read).
 */
MUST_USE struct err passfd_send(int sock, const int *fd, size_t n);
/*
 * Receives a message of exactly n descriptors, without waiting; they are the caller's, and close on
 * exec. On error none is left open.
 * Errors: SYSTEM (the other side is gone, or nothing came); MALFORMED (not n descriptors).
 */
MUST_USE struct err passfd_receive(int sock, int *fd, size_t n);

#endif
