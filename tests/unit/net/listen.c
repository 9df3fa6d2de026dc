/* listen.c - what is an address, and that several loops can share a port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/listen.h"

static void
test_addresses(void **state)
{
	static const struct {
		const char *rule, *address;
		enum err_code want;
	} rows[] = {
		{ "IPv4", "127.0.0.1", ERR_OK },
		{ "every IPv4 address", "0.0.0.0", ERR_OK },
		{ "a name is not looked up", "localhost", ERR_MALFORMED },
		{ "empty", "", ERR_MALFORMED },
		{ "IPv6 needs brackets", "::1", ERR_MALFORMED },
		{ "empty brackets", "[]", ERR_MALFORMED },
		{ "one bracket", "[", ERR_MALFORMED },
		{ "IPv4 in brackets", "[127.0.0.1]", ERR_MALFORMED },
		{ "three numbers", "127.0.1", ERR_MALFORMED },
		{ "a number too large", "127.0.0.256", ERR_MALFORMED },
		{ "something behind", "127.0.0.1 ", ERR_MALFORMED },
		{ "longer than any address", "1111111111111111111111111111111111111111111111111111",
		    ERR_MALFORMED },
		{ "an address that is not ours", "192.0.2.1", ERR_SYSTEM },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t port = 0;
		int fd = -1;
		struct err e = listen_tcp(&fd, span_str(rows[i].address), &port);

		if (e.code != rows[i].want || (fd >= 0) != (e.code == ERR_OK) ||
		    (port != 0) != (e.code == ERR_OK))
			fail_msg("%s: %s", rows[i].rule, e.what == NULL ? "accepted" : e.what);
		if (rows[i].want == ERR_SYSTEM)
			assert_int_equal(errno, EADDRNOTAVAIL);
		if (fd >= 0)
			close(fd);
	}
}

static void
test_ipv6(void **state)
{
	struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int probe = socket(AF_INET6, SOCK_STREAM, 0), fd = -1;
	uint16_t port = 0;

	/* A machine without IPv6 cannot say more about it. */
	if (probe < 0 || bind(probe, (struct sockaddr *)&loopback, sizeof(loopback)) != 0) {
		if (probe >= 0)
			close(probe);
		skip();
	}
	close(probe);
	assert_int_equal(listen_tcp(&fd, SPAN_LIT("[::1]"), &port).code, ERR_OK);
	assert_true(port != 0);
	close(fd);
}

static void
test_shared_port(void **state)
{
	uint16_t port = 0, same;
	int a, b, c, on = 0;
	socklen_t n = sizeof(on);

	assert_int_equal(listen_tcp(&a, SPAN_LIT("127.0.0.1"), &port).code, ERR_OK);
	same = port;
	assert_int_equal(listen_tcp(&b, SPAN_LIT("127.0.0.1"), &same).code, ERR_OK);
	assert_int_equal(same, port);
	assert_true((fcntl(a, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(a, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(getsockopt(a, SOL_SOCKET, SO_ACCEPTCONN, &on, &n), 0);
	assert_int_equal(on, 1);
	close(a);
	close(b);

	/* One that somebody else holds is not shared with us. */
	c = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(c, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(c, 1), 0);
	n = sizeof(to);
	assert_int_equal(getsockname(c, (struct sockaddr *)&to, &n), 0);
	port = ntohs(to.sin_port);
	assert_int_equal(listen_tcp(&a, SPAN_LIT("127.0.0.1"), &port).code, ERR_SYSTEM);
	assert_int_equal(errno, EADDRINUSE);
	close(c);
}

/* A second gateway must be told, though SO_REUSEPORT would let it in. */
static void
a_port_that_is_served_is_not_free(void **state)
{
	uint16_t port = 0;
	int fd;

	assert_false(failed(listen_tcp(&fd, SPAN_LIT("127.0.0.1"), &port)));
	assert_int_equal(listen_is_free(SPAN_LIT("127.0.0.1"), port).code, ERR_SYSTEM);
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
	assert_int_equal(listen_is_free(SPAN_LIT("127.0.0.1"), port).code, ERR_OK);
	assert_int_equal(listen_is_free(SPAN_LIT("localhost"), port).code, ERR_MALFORMED);
}

static void
test_loopback(void **state)
{
	static const struct {
		const char *address;
		bool is;
	} rows[] = {
		{ "127.0.0.1", true },
		{ "127.255.255.254", true },
		{ "[::1]", true },
		{ "[0:0:0:0:0:0:0:1]", true },
		{ "126.255.255.255", false },
		{ "128.0.0.1", false },
		{ "0.0.0.0", false },
		{ "[::]", false },
		{ "[::2]", false },
		{ "[::ffff:127.0.0.1]", false },
		{ "::1", false },
		{ "localhost", false },
		{ "127.0.0.1.example.com", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (listen_is_loopback(span_str(rows[i].address)) != rows[i].is)
			fail_msg("%s", rows[i].address);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_shared_port),
		cmocka_unit_test(a_port_that_is_served_is_not_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
