/*
 * landlock.h - which files, ports and processes each process may still reach, by Landlock (Linux
 * 5.13; linux/landlock.h). The list of calls (sandbox.h) says what may be done, this says to what.
 * What is refused gets EACCES or EPERM, as from file modes; nobody dies of it.
 */
#ifndef SYS_LANDLOCK_H
#define SYS_LANDLOCK_H

#include "core/err.h"
#include "sys/sandbox.h"

/*
 * What the kernel offers: 1 closes files, 4 TCP ports as well, 6 signals to processes outside and
 * abstract sockets. 0: nothing, or this is a sanitizer's build.
 */
int landlock_version(void);
/*
 * For good, for the calling thread and those that it starts: call while there is one. Does nothing
 * where landlock_version() is 0, and for the supervisor. Descriptors that are open stay usable.
 * Needs no_new_privs (harden.h). Errors: SYSTEM.
 */
MUST_USE struct err landlock_enter(enum sandbox_role who);

#endif
