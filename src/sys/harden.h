/*
 * harden.h - rights a process gives up for good, and memory that must not leave it. Source: K4.
 */
#ifndef SYS_HARDEN_H
#define SYS_HARDEN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

/*
 * no_new_privs, no core files, not dumpable (sanitizer builds stay dumpable: LeakSanitizer
 * attaches as a debugger would). Errors: SYSTEM.
 */
MUST_USE struct err harden_process(void);
/*
 * Locks n bytes at p into memory and keeps them out of dumps and forks. p must start a page, as
 * mmap(2) gives it: neighbours on a shared page would go missing in a child. Errors: SYSTEM.
 */
MUST_USE struct err harden_lock(void *p, size_t n);
/*
 * n zeroed bytes on pages of their own; *locked tells whether harden_lock() could have them. NULL
 * without memory.
 */
void *harden_map(size_t n, bool *locked);
/* Wipes and unmaps; p may be NULL. */
void harden_unmap(void *p, size_t n);
/*
 * Locks everything that is mapped now, later mappings not. FALSE when RLIMIT_MEMLOCK is too low
 * for it, which is usual outside an enclave: then only what was locked piece by piece stays.
 */
bool harden_lock_all(void);

#endif
