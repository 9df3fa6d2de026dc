#include "enclave/entropy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/wipe.h"

struct err
entropy_feed(const struct nsm_port *p, const struct entropy_sink *sink)
{
	uint8_t bytes[NSM_RANDOM_MAX_BYTES];
	struct err e = OK;
	size_t n;

	for (size_t fed = 0; fed < ENTROPY_BYTES && !failed(e); fed += n) {
		if (failed(e = nsm_random(p, bytes, &n)))
			break;
		if (n > ENTROPY_BYTES - fed)
			n = ENTROPY_BYTES - fed;
		e = sink->take(sink->ctx, span_of(bytes, n));
	}
	wipe(bytes, sizeof(bytes));
	return e;
}

struct pool {
	int fd;
	bool credited;
};

/* Data and credit in one step. */
static struct err
into_pool(void *ctx, struct span bytes)
{
	union {
		struct rand_pool_info info;
		uint8_t room[sizeof(struct rand_pool_info) + NSM_RANDOM_MAX_BYTES];
	} u = { 0 };
	struct pool *pool = ctx;
	int status;

	u.info.entropy_count = (int)(8 * bytes.n);
	u.info.buf_size = (int)bytes.n;
	memcpy(u.room + sizeof(u.info), bytes.p, bytes.n);
	status = ioctl(pool->fd, RNDADDENTROPY, &u);
	wipe(&u, sizeof(u));
	if (status == 0)
		return OK;
	if (errno != EPERM)
		return FAIL(SYSTEM, "K2: the kernel takes no entropy");
	pool->credited = false;
	return write(pool->fd, bytes.p, bytes.n) == (ssize_t)bytes.n
	    ? OK
	    : FAIL(SYSTEM, "K2: /dev/random takes no bytes");
}

struct err
entropy_seed(const struct nsm_port *p, bool *credited)
{
	struct pool pool = { .fd = open("/dev/random", O_WRONLY | O_CLOEXEC), .credited = true };
	struct err e;

	if (pool.fd < 0)
		return FAIL(SYSTEM, "K2: /dev/random cannot be opened");
	e = entropy_feed(p, &(struct entropy_sink){ into_pool, &pool });
	close(pool.fd);
	*credited = pool.credited;
	return e;
}
