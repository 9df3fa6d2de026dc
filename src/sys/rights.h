/*
 * rights.h - which user each process becomes, and the capabilities it keeps. Source: K1, K4.
 */
#ifndef SYS_RIGHTS_H
#define SYS_RIGHTS_H

#include <stdbool.h>

#include "core/err.h"

/*
 * User and group of the same number, without an entry in /etc/passwd: from the range that systemd's
 * documentation (UIDs and GIDs) lists as unused, and below 65536, so that containers map them.
 */
enum { KEYHOLDER_ID = 61100, WORKER_ID = 61101, TAP_ID = 61102, LOG_ID = 61103 };

/* TRUE when we are root: then processes get users of their own. Else they share ours. */
bool rights_separate(void);
/*
 * The supervisor, once its listeners are open. As root it keeps CAP_KILL, CAP_SETUID and CAP_SETGID,
 * to stop and start its children; nothing can be regained by execve(2). Errors: SYSTEM.
 */
MUST_USE struct err rights_keep_few(void);
/*
 * A child, before it has threads: as root becomes user and group `id` without further groups; no
 * capability stays in any case. The kernel forgets PR_SET_PDEATHSIG with it. Errors: SYSTEM.
 */
MUST_USE struct err rights_become(unsigned id);

#endif
