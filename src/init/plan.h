/*
 * plan.h - what PID 1 of an enclave starts, and under which conditions: a measured file of the
 * image, /etc/boot.plan. Pure. Source: eif.md 5, 6; docs/boot.md.
 *
 *	cmdline TEXT		/proc/cmdline begins with TEXT, and then ends or goes on after a blank
 *	heartbeat MS poweroff|continue
 *				how long the host's answer may take, and what is done without it
 *	files N			open files that each process may have
 *	process NAME		starts one; what follows is about it
 *	restarts N		its end is no reason to stop, until more than N within ten minutes
 *	arg TEXT		argv, one at a time; the first one is the program's path
 *	env NAME=VALUE		its whole environment, one at a time
 *
 * A line is a word, one blank, and the rest as it is: printable ASCII, without a blank at its end.
 * Empty lines, and those that begin with #, say nothing. The first three come once each, before the
 * processes, which are started in the order of the file. A process without `restarts` is vital: the
 * enclave ends with it; there is at least one.
 */
#ifndef INIT_PLAN_H
#define INIT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"

enum {
	PLAN_MAX_BYTES = 32 << 10,
	PLAN_PROCESSES_MAX = 4,
	PLAN_WORDS_MAX = 64,	  /* arguments of a process, and as many variables */
	PLAN_RESTARTS_MAX = 1000, /* more is no bound */
	PLAN_HEARTBEAT_MAX_MS = 60000,
	PLAN_FILES_MAX = 1 << 20, /* the kernel's own bound, as it comes */
};

struct plan_process {
	const char *name;
	bool vital;
	uint32_t restarts;		/* of one that is not vital */
	char *argv[PLAN_WORDS_MAX + 1]; /* NULL-terminated, as execve(2) takes them */
	char *envp[PLAN_WORDS_MAX + 1];
	size_t argc, envc;
};

struct plan {
	const char *cmdline;
	uint32_t heartbeat_ms;
	bool heartbeat_required; /* poweroff */
	uint32_t files;
	struct plan_process process[PLAN_PROCESSES_MAX];
	size_t n;
	size_t line; /* of an error: the line that breaks the rule, from 1 on */
};

/*
 * Reads a plan of n bytes at `text`, which is changed and stays the plan's: all strings are in it.
 * Errors: MALFORMED, TOO_LARGE (p->line says where)
 */
MUST_USE struct err plan_parse(struct plan *p, char *text, size_t n);

/* Is it what the image was measured with? `booted` is the content of /proc/cmdline. */
bool plan_fits(const struct plan *p, struct span booted);

#endif
