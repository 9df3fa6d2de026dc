/*
 * device.h - the security module of an enclave: /dev/nsm. Source: nitro-attestation.md 1.1, 1.4.
 */
#ifndef ENCLAVE_DEVICE_H
#define ENCLAVE_DEVICE_H

#include <stdint.h>

#include "core/err.h"
#include "enclave/nsm.h"

#define NSM_DEVICE_PATH "/dev/nsm"

/* The device's only request: _IOWR(0x0A, 0, 32 bytes). */
#define NSM_IOCTL UINT32_C(0xC0200A00)

struct nsm_device {
	int fd;
};

/*
 * Opens the device. What stands at `path` must be a character device of the misc driver (major 10),
 * which the module's is: a file, a pipe or a terminal somebody put there is not talked to. Whether a
 * module answers, nsm_describe() says.
 * Errors: SYSTEM (errno says more, 0 where the rule was ours)
 */
MUST_USE struct err nsm_device_open(struct nsm_device *d, const char *path);
/* From now on only root opens it (K2). Errors: SYSTEM. */
MUST_USE struct err nsm_device_restrict(const struct nsm_device *d);
void nsm_device_close(struct nsm_device *d);
struct nsm_port nsm_device_port(struct nsm_device *d);

#endif
