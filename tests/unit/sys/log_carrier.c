/*
 * log_carrier.c - lines that leave for the host: whole, in order, bounded, and what was lost is said.
 * The host is a Unix socket (tests/host/vsock.c).
 */
#include "sys/log_carrier.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/buf.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { CID = 3, PORT = 514, WAIT_MS = 20000 };

static const struct vsock_address address = { CID, PORT };
static char directory[] = "/tmp/tee-gateway-carrier-XXXXXX";
static int listener;

static int
setup(void **state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "vsock.3.514" };
	const struct log_options opt = { .level = LOG_INFO, .host = address };

	unlink(to.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(chmod(to.sun_path, 0777), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(log_open(&opt).code, ERR_OK);
	return 0;
}

static int
teardown(void **state)
{
	log_close();
	close(listener);
	return 0;
}

static int
take_stream(void)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int fd;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

/* The next line without its end, or "" at the end of the stream. One byte at a time: nothing more. */
static const char *
next_line(int fd)
{
	static char line[8192];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	while (n < sizeof(line) - 1) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		if (read(fd, line + n, 1) != 1 || line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return line;
}

/* "2026-11-22T20:29:54.123Z info msg=\"line 17 ...\"" */
static unsigned
number_of(const char *line)
{
	unsigned number = 0;

	assert_true(strlen(line) > CLOCK_RFC3339_LEN);
	assert_int_equal(line[CLOCK_RFC3339_LEN - 1], 'Z');
	assert_int_equal(sscanf(line + CLOCK_RFC3339_LEN, " info msg=\"line %u of\"", &number), 1);
	return number;
}

static void
say(unsigned number)
{
	log_msg(LOG_INFO, "line %u of", number);
}

static void
in_order(void **state)
{
	int fd = take_stream();

	for (unsigned i = 0; i < 500; i++)
		say(i);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(number_of(next_line(fd)), i);
	close(fd);
}

/* Nobody listens at first: what fits waits for the host. */
static void
before_the_host(void **state)
{
	int fd;

	for (unsigned i = 0; i < 100; i++)
		say(i);
	fd = take_stream();
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(number_of(next_line(fd)), i);
	close(fd);
}

/* A host that takes the stream and reads nothing: writers do not wait, and lose what is too much. */
static void
lossy(void **state)
{
	enum { MANY = 50000 };
	int fd = take_stream();
	uint64_t began_us = clock_monotonic_us();
	unsigned said = 0, got = 0, last = 0, lost = 0;
	const char *line;

	while (said < MANY)
		say(++said);
	assert_true(clock_monotonic_us() - began_us < UINT64_C(10000000));
	/* Once there is room again, the next line says what became of the others. */
	do {
		line = next_line(fd);
		if (strstr(line, "lines were lost") != NULL)
			break;
		assert_true(number_of(line) > last);
		last = number_of(line);
		got++;
		if (got % 100 == 0)
			say(++said);
	} while (got < MANY);
	assert_true(got < MANY);
	assert_int_equal(sscanf(strstr(line, "log: "), "log: %u lines", &lost), 1);
	assert_true(lost > 0);
	assert_int_equal(number_of(next_line(fd)), last + lost + 1);
	close(fd);
}

/* The stream breaks in the middle of a line: on the next one no line begins in its middle. */
static void
another_stream(void **state)
{
	char part[10];
	int fd = take_stream();

	say(1);
	assert_int_equal(recv(fd, part, sizeof(part), MSG_WAITALL), sizeof(part));
	close(fd);
	fd = take_stream();
	for (unsigned i = 2; i < 2000; i++)
		say(i);
	for (unsigned i = 0, last = 0; last != 1999; i++) {
		unsigned number = number_of(next_line(fd));

		assert_true(number > last);
		last = number;
	}
	close(fd);
}

/* As a program that only listens may do. */
static void
a_host_that_says_no_more(void **state)
{
	int fd = take_stream();

	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (unsigned i = 0; i < 100; i++)
		say(i);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(number_of(next_line(fd)), i);
	close(fd);
	say(100);
	fd = take_stream();
	assert_int_equal(number_of(next_line(fd)), 100);
	close(fd);
}

static void
the_last_line(void **state)
{
	int fd = take_stream();

	say(7);
	log_close();
	assert_int_equal(number_of(next_line(fd)), 7);
	assert_string_equal(next_line(fd), "");
	close(fd);
}

/* A host that never reads holds the end up for a moment only. */
static void
the_end_is_bounded(void **state)
{
	int fd = take_stream();
	uint64_t began_us;

	for (unsigned i = 0; i < 20000; i++)
		say(i);
	began_us = clock_monotonic_us();
	log_close();
	assert_true(clock_monotonic_us() - began_us < UINT64_C(5000000));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(before_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(lossy, setup, teardown),
		cmocka_unit_test_setup_teardown(another_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_says_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_line, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_bounded, setup, teardown),
	};
	int failed_tests;

	if (mkdtemp(directory) == NULL || chmod(directory, 0777) != 0 || chdir(directory) != 0)
		return 1;
	failed_tests = cmocka_run_group_tests(tests, NULL, NULL);
	unlink("vsock.3.514");
	rmdir(directory);
	return failed_tests;
}
