#include "sys/log_carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/harden.h"
#include "sys/landlock.h"
#include "sys/rights.h"
#include "sys/sandbox.h"

/* What was read, and not sent yet: p[from, to). */
struct carried {
	int lines, stream;  /* the pipe's end; the host, or -1 */
	bool over;	    /* the pipe is empty, and nobody writes any more */
	bool half;	    /* the host will say no more, and may have gone: only send(2) tells */
	bool cut;	    /* the host has the beginning of the line at `from` */
	bool skipping;	    /* that was another stream: no line begins in its middle */
	uint64_t end_by_us; /* monotonic, once nobody writes; else 0 */
	size_t from, to;
	char p[64 << 10];
};

static void
sleep_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static void
skip_cut_line(struct carried *c)
{
	char *end;

	if (!c->skipping)
		return;
	end = memchr(c->p + c->from, '\n', c->to - c->from);
	c->from = end == NULL ? c->to : (size_t)(end - c->p) + 1;
	c->skipping = end == NULL;
}

static void
drop_stream(struct carried *c)
{
	close(c->stream);
	c->stream = -1;
	c->skipping = c->skipping || c->cut;
	c->cut = c->half = false;
	skip_cut_line(c);
}

/* What the host takes now. */
static void
send_some(struct carried *c)
{
	ssize_t n = send(c->stream, c->p + c->from, c->to - c->from, MSG_NOSIGNAL);

	if (n > 0) {
		c->from += (size_t)n;
		c->cut = c->p[c->from - 1] != '\n';
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop_stream(c);
	}
}

static void
read_some(struct carried *c)
{
	ssize_t n;

	if (c->from == c->to)
		c->from = c->to = 0;
	if ((n = read(c->lines, c->p + c->to, sizeof(c->p) - c->to)) > 0) {
		c->to += (size_t)n;
		skip_cut_line(c);
	} else if (n == 0) {
		c->over = true;
	}
}

/* Nobody writes any more: what is left has so much time. */
static void
begin_end(struct carried *c)
{
	if (c->end_by_us == 0)
		c->end_by_us = clock_monotonic_us() + LOG_CARRIER_END_MS * UINT64_C(1000);
}

static bool
is_done(const struct carried *c)
{
	return (c->over && c->from == c->to) ||
	    (c->end_by_us != 0 && clock_monotonic_us() >= c->end_by_us);
}

/* Until the stream breaks, or all is said. A host that takes nothing makes us wait, and writers lose. */
static void
carry(struct carried *c)
{
	while (c->stream >= 0 && !is_done(c)) {
		bool is_empty = c->from == c->to;
		struct pollfd p[] = { { .fd = c->stream,
					  .events = (short)((is_empty ? 0 : POLLOUT) |
					      (c->half ? 0 : POLLRDHUP)) },
			/* With events 0 it tells of its end only, once. */
			{ .fd = is_empty || c->end_by_us == 0 ? c->lines : -1,
			    .events = (short)(is_empty ? POLLIN : 0) } };

		if (poll(p, 2, LOG_CARRIER_END_MS / 4) < 0 && errno != EINTR)
			return;
		if ((p[0].revents & POLLRDHUP) != 0)
			c->half = true;
		if ((p[0].revents & (POLLHUP | POLLERR)) != 0)
			drop_stream(c);
		else if (!is_empty && (c->half || (p[0].revents & POLLOUT) != 0))
			send_some(c);
		if ((p[1].revents & POLLHUP) != 0)
			begin_end(c);
		if (is_empty && p[1].revents != 0)
			read_some(c);
	}
}

static _Noreturn void
run(int lines, const struct vsock_address *host)
{
	static struct carried c;

	c.lines = lines;
	c.stream = -1;
	while (!is_done(&c)) {
		if (!failed(vsock_connect(&c.stream, host, LOG_CARRIER_CONNECT_MS))) {
			carry(&c);
		} else {
			struct pollfd p = { .fd = lines };

			c.stream = -1; /* what is in the pipe waits there */
			if (poll(&p, 1, 0) > 0)
				begin_end(&c);
		}
		if (!is_done(&c))
			sleep_ms(LOG_CARRIER_AGAIN_MS);
	}
	_exit(0);
}

/* In the child: no signal of a terminal or of a stop ends it before the last line. */
static _Noreturn void
begin(int lines, const struct vsock_address *host)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	setpgid(0, 0);
	if (failed(harden_process()) || failed(rights_become(LOG_ID)) ||
	    failed(landlock_enter(SANDBOX_LOG)) || failed(sandbox_enter(SANDBOX_LOG)))
		_exit(1);
	run(lines, host);
}

static pid_t carrier, starter;

struct err
log_carrier_start(int *fd, const struct vsock_address *host, void (*forget)(void *ctx), void *ctx)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) != 0)
		return FAIL(SYSTEM, "log: pipe");
	/* A smaller one works as well. */
	(void)fcntl(pair[1], F_SETPIPE_SZ, LOG_CARRIER_PIPE_BYTES);
	starter = getpid();
	if (fcntl(pair[1], F_SETFL, O_NONBLOCK) != 0 || (carrier = fork()) < 0) {
		close(pair[0]);
		close(pair[1]);
		return FAIL(SYSTEM, "log: fork");
	}
	if (carrier == 0) {
		close(pair[1]);
		if (forget != NULL)
			forget(ctx);
		begin(pair[0], host);
	}
	close(pair[0]);
	*fd = pair[1];
	return OK;
}

void
log_carrier_end(void)
{
	uint64_t by_us = clock_monotonic_us() + 2 * LOG_CARRIER_END_MS * UINT64_C(1000);

	if (carrier <= 0 || starter != getpid())
		return;
	while (waitpid(carrier, NULL, WNOHANG) == 0 && clock_monotonic_us() < by_us)
		sleep_ms(5);
	carrier = 0;
}
