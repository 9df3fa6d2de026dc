/* K4, as the kernel reports it. In a child: what was given up does not come back. */
#include "sys/harden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/span.h"

static int
harden_and_look(void)
{
	struct rlimit core;

	if (failed(harden_process()))
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
		return 3;
#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 4;
#endif
#endif
	return 0;
}

static void
process(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(harden_and_look());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The line of /proc/self/smaps with the flags of the mapping at p. */
static void
flags_of(const void *p, char *out, size_t max)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], start[32];
	bool here = false;

	assert_non_null(f);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)p);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, start, strlen(start)) == 0)
			here = true;
		else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			snprintf(out, max, "%s", line);
			break;
		}
	}
	fclose(f);
}

static void
pages(void **state)
{
	enum { BYTES = 5000 };
	char flags[512];
	bool locked;
	uint8_t *p = harden_map(BYTES, &locked);

	assert_non_null(p);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(p[i], 0);
	memset(p, 1, BYTES);
	if (locked) {
		flags_of(p, flags, sizeof(flags));
		if (flags[0] != '\0') {			       /* some kernels do not tell */
			assert_non_null(strstr(flags, " dd")); /* no dump */
			assert_non_null(strstr(flags, " dc")); /* no copy on fork */
		}
	}
	harden_unmap(p, BYTES);
	harden_unmap(NULL, 0);
}

static void
neighbours(void **state)
{
	uint8_t some[64];

	/* Half a page cannot be kept from a fork without taking its neighbours along. */
	assert_int_equal(harden_lock(some + 1, 8).code, ERR_SYSTEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process),
		cmocka_unit_test(pages),
		cmocka_unit_test(neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
