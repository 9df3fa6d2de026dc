#include "enclave/device.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MISC_MAJOR = 10, DEVICE_MODE = 0600 };

/* As the driver reads it: native byte order, no padding. */
struct message {
	uint64_t request_addr, request_len;
	uint64_t answer_addr, answer_len; /* in: room; out: bytes written */
};
_Static_assert(sizeof(struct message) == 32, "nitro-attestation.md 1.1: 32 bytes");
_Static_assert(_IOWR(0x0A, 0, struct message) == NSM_IOCTL, "nitro-attestation.md 1.1: the ioctl");

struct err
nsm_device_open(struct nsm_device *d, const char *path)
{
	struct stat st;

	/* Looked at first: opening some other device can do things, or wait for ever. */
	d->fd = -1;
	if (stat(path, &st) != 0)
		return FAIL(SYSTEM, "no such device");
	errno = 0;
	if (!S_ISCHR(st.st_mode) || major(st.st_rdev) != MISC_MAJOR)
		return FAIL(SYSTEM, "not the device of a security module");
	if ((d->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)) < 0)
		return FAIL(SYSTEM, "cannot be opened");
	if (fstat(d->fd, &st) != 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) != MISC_MAJOR) {
		nsm_device_close(d);
		errno = 0;
		return FAIL(SYSTEM, "not the device of a security module");
	}
	return OK;
}

struct err
nsm_device_restrict(const struct nsm_device *d)
{
	return fchmod(d->fd, DEVICE_MODE) == 0 ? OK : FAIL(SYSTEM, "K2: mode of the device");
}

void
nsm_device_close(struct nsm_device *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static struct err
exchange(void *ctx, struct span request, uint8_t *answer, size_t *n)
{
	const struct nsm_device *d = ctx;
	struct message m = { .request_addr = (uintptr_t)request.p,
		.request_len = request.n,
		.answer_addr = (uintptr_t)answer,
		.answer_len = NSM_ANSWER_MAX_BYTES };

	if (request.n > NSM_REQUEST_MAX_BYTES)
		return FAIL(TOO_LARGE, "NSM: InputTooLarge");
	if (ioctl(d->fd, (unsigned long)NSM_IOCTL, &m) != 0)
		return errno == EMSGSIZE ? FAIL(TOO_LARGE, "NSM: InputTooLarge")
					 : FAIL(SYSTEM, "NSM: the device failed");
	if (m.answer_len > NSM_ANSWER_MAX_BYTES)
		return FAIL(SYSTEM, "NSM: the device wrote too much");
	*n = (size_t)m.answer_len;
	return OK;
}

struct nsm_port
nsm_device_port(struct nsm_device *d)
{
	return (struct nsm_port){ exchange, d };
}
