/* What is at the device's path and is none. Source: A5; nitro-attestation.md 1.4. */
#include "enclave/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *rule, *path;
} rows[] = {
	{ "nothing", "/nonexistent/nsm" },
	{ "a file", "/etc/passwd" },
	{ "a directory", "/dev" },
	{ "a character device of another driver", "/dev/null" },
	{ "another one, that answers to reads", "/dev/zero" },
};

static void
refused(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nsm_device d = { .fd = 77 };

		if (nsm_device_open(&d, rows[i].path).code != ERR_SYSTEM || d.fd != -1)
			fail_msg("%s", rows[i].rule);
		nsm_device_close(&d);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
