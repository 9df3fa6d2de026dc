#include "sys/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool
rights_separate(void)
{
	return geteuid() == 0;
}

/* Exactly the capabilities of the mask, the first 32 of which are all that we know by name. */
static struct err
keep(uint32_t mask)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = mask, .permitted = mask },
	};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return FAIL(SYSTEM, "K4: ambient capabilities");
	if (syscall(SYS_capset, &head, data) != 0)
		return FAIL(SYSTEM, "K4: capabilities");
	return OK;
}

struct err
rights_keep_few(void)
{
	if (!rights_separate())
		return keep(0);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		/* Without CAP_SETPCAP the set stays; no_new_privs makes it useless then, too. */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EPERM)
			return FAIL(SYSTEM, "K4: bounding set");
	return keep(1u << CAP_KILL | 1u << CAP_SETUID | 1u << CAP_SETGID);
}

struct err
rights_become(unsigned id)
{
	if (rights_separate()) {
		if (setgroups(0, NULL) != 0)
			return FAIL(SYSTEM, "K1: setgroups");
		if (setresgid(id, id, id) != 0 || getegid() != id)
			return FAIL(SYSTEM, "K1: no group of its own for a process");
		if (setresuid(id, id, id) != 0 || geteuid() != id || setuid(0) == 0)
			return FAIL(SYSTEM, "K1: no user of its own for a process");
	}
	return keep(0);
}
