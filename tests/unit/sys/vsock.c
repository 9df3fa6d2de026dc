/* vsock.c - addresses as flags name them, and as the kernel takes them. */
#include "sys/vsock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <linux/vm_sockets.h>

static const struct {
	const char *text;
	uint32_t cid, port; /* cid 0: no address */
} rows[] = {
	{ "vsock:3:9000", 3, 9000 },
	{ "vsock:1:1", 1, 1 },
	{ "vsock:4294967294:4294967294", 4294967294, 4294967294 },
	{ "vsock:0:1", 0, 0 },
	{ "vsock:3:0", 0, 0 },
	{ "vsock:4294967295:1", 0, 0 }, /* VMADDR_CID_ANY */
	{ "vsock:3:4294967295", 0, 0 }, /* VMADDR_PORT_ANY */
	{ "vsock:4294967296:1", 0, 0 },
	{ "vsock:3:", 0, 0 },
	{ "vsock::1", 0, 0 },
	{ "vsock:3", 0, 0 },
	{ "vsock:", 0, 0 },
	{ "vsock:3:1:2", 0, 0 },
	{ "vsock:+3:1", 0, 0 },
	{ "vsock:03:1", 0, 0 },
	{ "vsock: 3:1", 0, 0 },
	{ "VSOCK:3:1", 0, 0 },
	{ "unix:3:1", 0, 0 },
	{ "", 0, 0 },
};

static void
as_flags_name_them(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vsock_address a = { 0 };

		if (vsock_read(&a, span_str(rows[i].text)) != (rows[i].cid != 0) ||
		    (rows[i].cid != 0 && (a.cid != rows[i].cid || a.port != rows[i].port)))
			fail_msg("\"%s\"", rows[i].text);
	}
}

static void
listeners(void **state)
{
	uint32_t port = 0;

	assert_true(vsock_read_port(&port, SPAN_LIT("vsock:443")));
	assert_int_equal(port, 443);
	assert_false(vsock_read_port(&port, SPAN_LIT("vsock:0")));
	assert_false(vsock_read_port(&port, SPAN_LIT("vsock:4294967295")));
	assert_false(vsock_read_port(&port, SPAN_LIT("vsock:3:443")));
	assert_false(vsock_read_port(&port, SPAN_LIT("443")));
}

static void
as_the_kernel_takes_them(void **state)
{
	const struct vsock_address a = { 3, 9000 };
	struct sockaddr_storage to;
	struct sockaddr_vm vm;

	assert_int_equal(vsock_sockaddr(&to, &a), sizeof(vm));
	memcpy(&vm, &to, sizeof(vm));
	assert_int_equal(vm.svm_family, AF_VSOCK);
	assert_int_equal(vm.svm_cid, 3);
	assert_int_equal(vm.svm_port, 9000);
	assert_int_equal(vsock_family, AF_VSOCK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_flags_name_them),
		cmocka_unit_test(listeners),
		cmocka_unit_test(as_the_kernel_takes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
