/*
 * enclave-init - PID 1 of an enclave: checks that it is the image that was measured, tells the host,
 * starts what the image's plan says, and ends the enclave with it. What the kernel hands it as
 * arguments and environment are words of the command line: it looks at neither. Linked statically.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "init/heartbeat.h"
#include "init/plan.h"
#include "init/setup.h"
#include "init/watch.h"

#define PLAN "/etc/boot.plan"

enum { CMDLINE_MAX_BYTES = 4096 };

/* errno is that of what failed, for those errors that have one. */
static bool
complain(const char *where, struct err e)
{
	dprintf(STDERR_FILENO, "enclave-init: %s%s%s%s\n", where, e.what,
	    e.code == ERR_SYSTEM ? ": " : "", e.code == ERR_SYSTEM ? strerror(errno) : "");
	return false;
}

static bool
read_plan(struct plan *p)
{
	static char text[PLAN_MAX_BYTES];
	size_t n;
	struct err e;

	if (failed(e = setup_read(PLAN, text, sizeof(text), &n)))
		return complain("", e);
	if (failed(e = plan_parse(p, text, n))) {
		dprintf(STDERR_FILENO, "enclave-init: " PLAN ": line %zu: %s\n", p->line, e.what);
		return false;
	}
	return true;
}

static bool
booted_as_measured(const struct plan *p)
{
	char cmdline[CMDLINE_MAX_BYTES];
	size_t n;
	struct err e;

	if (failed(e = setup_read("/proc/cmdline", cmdline, sizeof(cmdline), &n)))
		return complain("", e);
	if (plan_fits(p, span_of(cmdline, n)))
		return true;
	dprintf(
	    STDERR_FILENO, "enclave-init: /proc/cmdline does not begin with \"%s\"\n", p->cmdline);
	return false;
}

static bool
tell_host(const struct plan *p)
{
	struct err e = heartbeat(p->heartbeat_ms);

	if (!failed(e))
		return true;
	complain("", e);
	return !p->heartbeat_required;
}

static bool
prepare(struct plan *p)
{
	struct err e;

	if (failed(e = setup_mounts()) || failed(e = setup_console()))
		return complain("", e);
	if (!read_plan(p) || !booted_as_measured(p))
		return false;
	if (failed(e = setup_limits(p->files)) || failed(e = setup_loopback()))
		return complain("", e);
	return tell_host(p);
}

int
main(void)
{
	static struct plan plan;
	sigset_t all;

	if (getpid() != 1) {
		dprintf(STDERR_FILENO, "enclave-init: it is the first process of an enclave\n");
		return 2;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (prepare(&plan))
		watch(&plan);
	/*
	 * Reset, not power off: without ACPI the latter only halts, and the enclave would stay. The
	 * hypervisor ends an enclave that resets.
	 */
	dprintf(STDERR_FILENO, "enclave-init: the enclave ends\n");
	reboot(RB_AUTOBOOT);
	return 1; /* the kernel panics, and resets as well */
}
