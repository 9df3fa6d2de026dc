#include "load_due.h"

#include <sys/timerfd.h>
#include <unistd.h>

static struct {
	const struct options *opt;
	uint64_t began_ns, taken;
	void (*due)(void);
	bool armed;
	int fd; /* timerfd: a loop's timers count milliseconds, too coarse for latencies of tenths */
	uv_poll_t poll;
} run;

static uint64_t
due_ns(uint64_t request)
{
	return run.began_ns + request * 1000000000 / run.opt->rate;
}

static void
sleep_until_due(void)
{
	uint64_t at = due_ns(run.taken);
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / 1000000000),
				       .tv_nsec = (long)(at % 1000000000) } };

	if (timerfd_settime(run.fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
		die(EXIT_CANNOT, "timer");
}

static void
on_due(uv_poll_t *p, int status, int events)
{
	uint64_t expired;

	(void)p, (void)status, (void)events;
	(void)!read(run.fd, &expired, sizeof(expired));
	run.due();
	/* With every connection busy, the one that is free next takes what is late. */
	if (run.taken < run.opt->requests)
		sleep_until_due();
}

void
due_start(const struct options *opt, uv_loop_t *loop, void (*due)(void))
{
	run.opt = opt;
	run.due = due;
	run.began_ns = uv_hrtime();
	if (opt->rate == 0)
		return;
	run.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (run.fd < 0 || uv_poll_init(loop, &run.poll, run.fd) != 0)
		die(EXIT_CANNOT, "timer");
	run.armed = true;
	uv_poll_start(&run.poll, UV_READABLE, on_due);
	sleep_until_due();
}

bool
due_now(void)
{
	return run.opt != NULL && run.taken < run.opt->requests &&
	    (run.opt->rate == 0 || due_ns(run.taken) <= uv_hrtime());
}

bool
due_take(uint64_t *began_ns)
{
	if (!due_now())
		return false;
	*began_ns = run.opt->rate > 0 ? due_ns(run.taken) : uv_hrtime();
	run.taken++;
	return true;
}

bool
due_none_left(void)
{
	return run.opt != NULL && run.taken == run.opt->requests;
}

uint64_t
due_began_ns(void)
{
	return run.began_ns;
}

void
due_stop(void)
{
	if (run.armed)
		uv_close((uv_handle_t *)&run.poll, NULL);
	run.armed = false;
}
