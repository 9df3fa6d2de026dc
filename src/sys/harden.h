/*
 * harden.h - rights a process gives up for good, and memory that must not leave it. Source: K4.
 */
#ifndef SYS_HARDEN_H
#define SYS_HARDEN_H

#include <stddef.h>

#include "core/err.h"

/*
 * no_new_privs, no core files, not dumpable (sanitizer builds stay dumpable: LeakSanitizer
 * attaches as a debugger would). Errors: SYSTEM.
 */
MUST_USE struct err harden_process(void);
/* Locks n bytes at p into memory and keeps them out of dumps and forks. Errors: SYSTEM. */
MUST_USE struct err harden_lock(void *p, size_t n);

#endif
