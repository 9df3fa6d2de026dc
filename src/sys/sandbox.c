#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/log.h"
#include "sys/sanitized.h"
#include "sys/vsock.h"

/* --- the lists --- */

/* A call, under conditions on at most two of its arguments. */
struct entry {
	const char *name;
	int call;
	int refusal; /* 0: allowed; else the errno that it gets, where libraries can go on without */
	unsigned n;
	struct scmp_arg_cmp arg[2];
};

/* clang-format off */
#define CALL(name)		{ #name, SCMP_SYS(name), 0, 0, { { 0 } } }
#define CALL_IF(name, a)	{ #name, SCMP_SYS(name), 0, 1, { a } }
#define CALL_IF2(name, a, b)	{ #name, SCMP_SYS(name), 0, 2, { a, b } }
#define REFUSED(name, e)	{ #name, SCMP_SYS(name), e, 0, { { 0 } } }
#define REFUSED_IF(name, e, a)	{ #name, SCMP_SYS(name), e, 1, { a } }
#define END			{ NULL, 0, 0, 0, { { 0 } } }

/* Arguments count from 0. */
#define IS(i, value)		{ (i), SCMP_CMP_EQ, (value), 0 }
#define BELOW(i, value)		{ (i), SCMP_CMP_LT, (value), 0 }
#define WITHOUT(i, mask)	{ (i), SCMP_CMP_MASKED_EQ, (mask), 0 }
#define WITH(i, mask)		{ (i), SCMP_CMP_MASKED_EQ, (mask), (mask) }
/* clang-format on */

/* What any of our processes does with what it has. */
static const struct entry common[] = {
	/* memory; never to be executed: no code but what is mapped already */
	CALL(brk),
	CALL(madvise),
	CALL_IF(mmap, WITHOUT(2, PROT_EXEC)),
	CALL_IF(mprotect, WITHOUT(2, PROT_EXEC)),
	CALL(mremap),
	CALL(munmap),
	/* threads, time, randomness */
	REFUSED(clone3, ENOSYS), /* it hides its flags from us; glibc then takes clone */
	CALL(clock_gettime),
	CALL(clock_nanosleep),
	CALL(exit),
	CALL(exit_group),
	CALL(futex),
	CALL(getpid),
	CALL(getrandom),
	CALL(gettid),
	CALL(gettimeofday),
	CALL(restart_syscall),
	CALL(sched_getaffinity), /* glibc: how many arenas */
	CALL(sched_yield),
	CALL(rseq), /* a thread's first two calls, which may come after the list */
	CALL(set_robust_list),
	/* signals; the handler of SIGSYS stays */
	CALL_IF(rt_sigaction, BELOW(0, SIGSYS)),
	CALL_IF(rt_sigaction, IS(0, __SIGRTMIN)), /* glibc's own two, with the first thread */
	CALL_IF(rt_sigaction, IS(0, __SIGRTMIN + 1)),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	/* descriptors that are open */
	CALL(close),
	CALL(poll),
	CALL(ppoll),
	CALL(read),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(shutdown),
	CALL(write),
	END,
};

/* The key holder is content with the above: no new descriptor but those the supervisor sends. */
static const struct entry keyholder[] = {
	END,
};

static const struct entry worker[] = {
	/* clients and providers */
	CALL(accept4),
	CALL(connect),
	CALL(getpeername),
	CALL(getsockname),
	CALL(getsockopt),
	CALL(sendmsg),
	CALL(setsockopt),
	CALL_IF(socketpair, IS(0, AF_UNIX)), /* libcurl: wakes a loop up */
	CALL(readv),
	CALL(writev),
	/* the loop */
	CALL(epoll_ctl),
	CALL(epoll_pwait),
	CALL(epoll_wait),
	CALL(eventfd2),
	/* not F_SETOWN and F_SETSIG: by these a descriptor signals another process of our user */
	CALL_IF(fcntl, IS(1, F_DUPFD_CLOEXEC)),
	CALL_IF(fcntl, IS(1, F_GETFD)),
	CALL_IF(fcntl, IS(1, F_GETFL)),
	CALL_IF(fcntl, IS(1, F_SETFD)),
	CALL_IF(fcntl, IS(1, F_SETFL)),
	CALL_IF(ioctl, IS(1, FIONBIO)),
	CALL_IF(ioctl, IS(1, FIONREAD)),
	CALL_IF(ioctl, IS(1, FIOCLEX)),
	CALL(pipe2),
	/* threads: loops, and libcurl's that resolve names */
	CALL_IF(clone, WITH(0, CLONE_THREAD)),
	/* files: CA bundle, resolv.conf and hosts, to be read */
	CALL(fstat),
	CALL(lseek),
	CALL(newfstatat),
	CALL_IF(openat, WITHOUT(2, O_ACCMODE | O_CREAT | O_TRUNC)),
	/* a name service beyond files and DNS is passed over: its library may not be loaded */
	REFUSED_IF(mmap, EPERM, WITH(2, PROT_EXEC)),
	/* what libraries ask about us */
	CALL(getegid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getuid),
	CALL_IF(prlimit64, IS(2, 0)),
	CALL(sysinfo),
	CALL(uname),
	END,
};

/* Beside all of the above: to start, stop and watch; and what children do before they narrow it. */
static const struct entry supervisor[] = {
	CALL(clone),
	CALL(getppid),
	CALL(kill),
	CALL(rt_sigtimedwait),
	CALL(setpgid),
	CALL(wait4),
	/* a child: its rights, and the next list */
	CALL(capset),
	CALL(getgroups),
	CALL(landlock_add_rule),
	CALL(landlock_create_ruleset),
	CALL(landlock_restrict_self),
	CALL(prctl),
	CALL(prlimit64),
	CALL(seccomp),
	CALL(setgroups),
	CALL(setresgid),
	CALL(setresuid),
	CALL(setuid), /* rights.c tries whether it is refused */
	/* a key holder: locked memory */
	CALL(mlock),
	CALL(mlock2),
	CALL(mlockall),
	CALL(munlock),
	CALL(signalfd4),
	/* a worker: loops and listeners */
	CALL(epoll_create1),
	CALL(ioctl),
	CALL(listen),
	CALL(openat),
	CALL(readlink),
	CALL(readlinkat),
	CALL(tgkill), /* of the two: abort(3), before they have lists of their own */
	END,
};

/* --- what becomes of a call that is not there --- */

/* Known before the list is in force: resolving a name allocates memory. */
enum { CALLS_MAX = 512, NAME_MAX_BYTES = 32 };
static struct {
	char name[CALLS_MAX][NAME_MAX_BYTES];
	const char *who;
	bool handled;
} violation;

/* The log's functions allocate nothing, and hold no lock while they ask the kernel for anything. */
static void
on_violation(int sig, siginfo_t *info, void *context)
{
	int call = info->si_syscall;

	log_msg(LOG_ERROR, "%s: system call %d (%s) is not on its list", violation.who, call,
	    call >= 0 && call < CALLS_MAX ? violation.name[call] : "?");
	/* SA_RESETHAND: now it kills. */
	syscall(SYS_tgkill, getpid(), gettid(), sig);
	_exit(128 + SIGSYS);
}

static struct err
handle_violations(void)
{
	struct sigaction act = { .sa_sigaction = on_violation,
		.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER) };
	char now[CLOCK_RFC3339_LEN];

	if (violation.handled)
		return OK;
	/* glibc reads the time zone with the first line, which may be too late. */
	clock_rfc3339(clock_unix_ms(), now);
	for (int i = 0; i < CALLS_MAX; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

		snprintf(violation.name[i], NAME_MAX_BYTES, "%s", name == NULL ? "?" : name);
		free(name);
	}
	sigemptyset(&act.sa_mask);
	if (sigaction(SIGSYS, &act, NULL) != 0)
		return FAIL(SYSTEM, "K4: handler of SIGSYS");
	violation.handled = true;
	return OK;
}

/* --- putting a list in force --- */

/* As part of a larger list, what the list refuses is allowed: it is the smaller one's to refuse. */
static bool
add(scmp_filter_ctx ctx, const struct entry *e, bool whole)
{
	for (; e->name != NULL; e++) {
		uint32_t action = SCMP_ACT_ALLOW;
		int status;

		if (e->refusal != 0 && whole)
			action = SCMP_ACT_ERRNO((uint16_t)e->refusal);
		status = seccomp_rule_add_array(ctx, action, e->call, e->n, e->arg);
		if (status != 0 && status != -EEXIST)
			return false;
	}
	return true;
}

/* A worker's way to providers, where it has no proxy on the host. */
static const struct entry internet[] = {
	CALL_IF(socket, IS(0, AF_INET)),
	CALL_IF(socket, IS(0, AF_INET6)),
	/* the resolver: which addresses we have; both questions at once */
	CALL(bind), /* on its netlink socket */
	CALL_IF2(socket, IS(0, AF_NETLINK), IS(2, 0)),
	CALL(sendmmsg),
	REFUSED_IF(socket, EAFNOSUPPORT, IS(0, AF_UNIX)), /* nscd and the like: not our peers */
	END,
};

/* Streams to the host, by the family that this program knows. */
static bool
add_vsock(scmp_filter_ctx ctx)
{
	const struct entry e[] = {
		CALL_IF(socket, IS(0, (scmp_datum_t)vsock_family)),
		CALL(connect),
		CALL(getsockopt),
		END,
	};

	return add(ctx, e, true);
}

static bool
add_lists(scmp_filter_ctx ctx, enum sandbox_role who)
{
	/* Ourselves only: abort(3), and the end of a violation. */
	const struct entry own[] = {
		CALL_IF(tgkill, IS(0, (scmp_datum_t)getpid())),
		END,
	};

	if (!add(ctx, common, true))
		return false;
	switch (who) {
	case SANDBOX_SUPERVISOR:
		return add(ctx, supervisor, true) && add(ctx, worker, false) &&
		    add(ctx, internet, false) && add_vsock(ctx) && add(ctx, keyholder, false);
	case SANDBOX_KEYHOLDER:
		return add(ctx, own, true) && add(ctx, keyholder, true);
	case SANDBOX_WORKER:
		return add(ctx, own, true) && add(ctx, worker, true) && add(ctx, internet, true);
	case SANDBOX_WORKER_VSOCK:
		return add(ctx, own, true) && add(ctx, worker, true) && add_vsock(ctx);
	case SANDBOX_LOG:
	case SANDBOX_TAP:
		return add(ctx, own, true) && add_vsock(ctx);
	}
	return false;
}

/* What one process alone may ask of one descriptor; fd -1: nothing. */
struct asking {
	int fd;
	uint32_t request;
};

static bool
add_asking(scmp_filter_ctx ctx, const struct asking *a)
{
	const struct entry e[] = {
		CALL_IF2(ioctl, IS(0, (scmp_datum_t)a->fd), IS(1, a->request)),
		END,
	};

	return a->fd < 0 || add(ctx, e, true);
}

static struct err
enter(enum sandbox_role who, const struct asking *asking)
{
	static const char *const name[] = {
		[SANDBOX_SUPERVISOR] = "supervisor",
		[SANDBOX_KEYHOLDER] = "key holder",
		[SANDBOX_WORKER] = "worker",
		[SANDBOX_WORKER_VSOCK] = "worker",
		[SANDBOX_LOG] = "log",
		[SANDBOX_TAP] = "tap",
	};
	scmp_filter_ctx ctx;
	bool good;

	/* LeakSanitizer's tracer waits for ever when a call of its own is refused. */
	if (SANITIZED)
		return OK;
	TRY(handle_violations());
	violation.who = name[who];
	if ((ctx = seccomp_init(SCMP_ACT_TRAP)) == NULL)
		return FAIL(SYSTEM, "K4: seccomp: memory");
	good = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && add_lists(ctx, who) &&
	    add_asking(ctx, asking) && seccomp_load(ctx) == 0;
	seccomp_release(ctx);
	return good ? OK : FAIL(SYSTEM, "K4: seccomp: the list cannot be put in force");
}

struct err
sandbox_enter(enum sandbox_role who)
{
	return enter(who, &(struct asking){ .fd = -1 });
}

struct err
sandbox_enter_asking(enum sandbox_role who, int fd, uint32_t request)
{
	return enter(who, &(struct asking){ fd, request });
}
