#include "sys/harden.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/wipe.h"
#include "sys/sanitized.h"

struct err
harden_process(void)
{
	static const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return FAIL(SYSTEM, "K4: no_new_privs");
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return FAIL(SYSTEM, "K4: no core files");
	/* Also keeps others of the same user from attaching or reading /proc/PID/mem. */
	if (prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) != 0)
		return FAIL(SYSTEM, "K4: not dumpable");
	return OK;
}

struct err
harden_lock(void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if ((uintptr_t)p % page != 0)
		return FAIL(SYSTEM, "K4: locked memory starts a page");
	n = (n + page - 1) / page * page;
	if (mlock(p, n) != 0)
		return FAIL(SYSTEM, "K4: mlock (RLIMIT_MEMLOCK)");
	if (madvise(p, n, MADV_DONTDUMP) != 0 || madvise(p, n, MADV_DONTFORK) != 0)
		return FAIL(SYSTEM, "K4: madvise");
	return OK;
}

void *
harden_map(size_t n, bool *locked)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*locked = p != MAP_FAILED && !failed(harden_lock(p, n));
	return p == MAP_FAILED ? NULL : p;
}

void
harden_unmap(void *p, size_t n)
{
	if (p == NULL)
		return;
	wipe(p, n);
	munmap(p, n);
}

bool
harden_lock_all(void)
{
	return mlockall(MCL_CURRENT) == 0;
}
