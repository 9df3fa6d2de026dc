#include "sys/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sanitized.h"

/* --- what may be reached --- */

/*
 * What the resolver reads with each name. The rule is for the directory that a file is in, because
 * who writes such a file puts a new one in its place, which a rule for the old one would not cover;
 * and for the one a link leads to, as systemd-resolved's do. The CA bundle is in memory, and the log
 * is open.
 */
static const char *const worker[] = {
	"/etc/gai.conf",
	"/etc/host.conf",
	"/etc/hosts",
	"/etc/nsswitch.conf",
	"/etc/resolv.conf",
	NULL,
};

static const char *const nothing[] = {
	NULL,
};

/* Of TCP: the worker reaches providers, and listens on what it inherited alone. */
enum { BIND_TCP = 1 << 0, CONNECT_TCP = 1 << 1 };

static const struct reach {
	const char *const *files; /* to be read, and their neighbours */
	uint64_t ports_closed;
} reach[] = {
	[SANDBOX_KEYHOLDER] = { nothing, BIND_TCP | CONNECT_TCP },
	[SANDBOX_WORKER] = { worker, BIND_TCP },
	[SANDBOX_WORKER_VSOCK] = { nothing, BIND_TCP | CONNECT_TCP }, /* names are the host's */
	[SANDBOX_LOG] = { nothing, BIND_TCP | CONNECT_TCP },
	[SANDBOX_TAP] = { nothing, BIND_TCP | CONNECT_TCP },
};

/* --- the kernel's side: a later version knows more members, and takes fewer --- */

/* As linux/landlock.h of version 6 has it; an older one is what we may be built with. */
struct ruleset {
	uint64_t files, ports, scoped;
};

static const struct {
	size_t bytes; /* of struct ruleset */
	uint64_t files;
} known[] = {
	[1] = { offsetof(struct ruleset, ports), (1u << 13) - 1 },
	[2] = { offsetof(struct ruleset, ports), (1u << 14) - 1 },  /* to another directory */
	[3] = { offsetof(struct ruleset, ports), (1u << 15) - 1 },  /* truncation */
	[4] = { offsetof(struct ruleset, scoped), (1u << 15) - 1 }, /* TCP */
	[5] = { offsetof(struct ruleset, scoped), (1u << 16) - 1 }, /* ioctl on devices */
	[6] = { sizeof(struct ruleset), (1u << 16) - 1 },	    /* scopes */
};
enum { VERSIONS = sizeof(known) / sizeof(known[0]) };

enum { ABSTRACT_SOCKETS = 1 << 0, SIGNALS = 1 << 1 };

int
landlock_version(void)
{
	long version;

	/* LeakSanitizer reads /proc/self/task when the process ends. */
	if (SANITIZED)
		return 0;
	version = syscall(
	    SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
	return version > 0 ? (int)version : 0;
}

static bool
allow_directory(int rules, const char *path)
{
	struct landlock_path_beneath_attr attr = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE };
	bool good;

	/* What cannot be opened cannot be read either, and needs no rule. */
	if ((attr.parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return true;
	good = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) == 0;
	close(attr.parent_fd);
	return good;
}

/* Where it is, and /etc: what is a link today, or absent, may be a file there tomorrow. */
static bool
allow(int rules, const char *file)
{
	char *real = realpath(file, NULL), *slash = real == NULL ? NULL : strrchr(real, '/');
	bool good = true;

	/* Not what a file in the root would open: everything. */
	if (slash != NULL && slash != real) {
		*slash = '\0';
		good = allow_directory(rules, real);
	}
	free(real);
	return good && allow_directory(rules, "/etc");
}

struct err
landlock_enter(enum sandbox_role who)
{
	int version = landlock_version(), rules;
	struct ruleset r;
	bool good = true;

	if (version == 0 || who == SANDBOX_SUPERVISOR)
		return OK;
	if (version >= VERSIONS)
		version = VERSIONS - 1;
	r = (struct ruleset){ .files = known[version].files,
		.ports = reach[who].ports_closed,
		.scoped = ABSTRACT_SOCKETS | SIGNALS };
	rules = (int)syscall(SYS_landlock_create_ruleset, &r, known[version].bytes, 0);
	if (rules < 0)
		return FAIL(SYSTEM, "K4: Landlock: rules");
	for (const char *const *file = reach[who].files; good && *file != NULL; file++)
		good = allow(rules, *file);
	good = good && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	close(rules);
	return good ? OK : FAIL(SYSTEM, "K4: Landlock: the rules cannot be put in force");
}
