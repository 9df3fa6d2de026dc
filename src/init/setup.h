/*
 * setup.h - what PID 1 makes of a bare kernel before it starts anything: file systems, descriptors,
 * the loopback. Nothing that is not needed: no /sys, no /tmp, no terminals.
 */
#ifndef INIT_SETUP_H
#define INIT_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* /dev, /proc and /run; the root becomes read-only. Errors: SYSTEM (what names the place). */
MUST_USE struct err setup_mounts(void);
/* Descriptors 0 to 2 are open: those that the kernel did not give us are /dev/console. */
MUST_USE struct err setup_console(void);
/* Open files, and no core files; for us and for all that we start. Errors: SYSTEM. */
MUST_USE struct err setup_limits(uint32_t files);
/* lo up; the kernel gives it 127.0.0.1/8. Errors: SYSTEM. */
MUST_USE struct err setup_loopback(void);
/* Reads a whole file of at most max bytes. Errors: SYSTEM, TOO_LARGE. */
MUST_USE struct err setup_read(const char *path, char *to, size_t max, size_t *n);

#endif
