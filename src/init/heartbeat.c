#include "init/heartbeat.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/vsock.h"

static struct err
exchange(int fd, uint32_t timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t byte = HEARTBEAT_BYTE;

	if (write(fd, &byte, 1) != 1)
		return FAIL(SYSTEM, "heartbeat: the host takes nothing");
	if (poll(&p, 1, (int)timeout_ms) == 0)
		return FAIL(TIMEOUT, "heartbeat: the host does not answer");
	if (read(fd, &byte, 1) != 1)
		return FAIL(SYSTEM, "heartbeat: the host closed");
	return byte == HEARTBEAT_BYTE ? OK : FAIL(MALFORMED, "heartbeat: another byte came back");
}

struct err
heartbeat(uint32_t timeout_ms)
{
	const struct vsock_address host = { VSOCK_CID_HOST, HEARTBEAT_PORT };
	uint64_t from_us = clock_monotonic_us(), spent_ms;
	struct err e;
	int fd, why;

	TRY(vsock_connect(&fd, &host, timeout_ms));
	spent_ms = (clock_monotonic_us() - from_us) / 1000;
	e = exchange(fd, spent_ms < timeout_ms ? timeout_ms - (uint32_t)spent_ms : 0);
	why = errno;
	close(fd);
	errno = why;
	return e;
}
