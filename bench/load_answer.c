#include "load_answer.h"

#include <stdlib.h>
#include <uv.h>

#include "cpu.h"
#include "load_judge.h"

enum { BODY_MAX_BYTES = 64 << 20 };

/* No first character comes again but as the last, so that a mark can be looked for byte by byte,
 * however the body is cut into pieces. */
static const char *const marks[MARKS] = { "data:", "tee_receipt", "[DONE]" };

static struct {
	const struct options *opt;
	uint64_t receiving; /* answers that have begun and not ended */
	struct totals sum;
} run;

uint64_t
server_cpu_us(const struct options *opt)
{
	uint64_t us = 0;

	if (!cpu_spent_us(opt->pid, opt->pids, &us))
		die(EXIT_CANNOT, "a process of --pid is gone");
	return us;
}

/* Turns the counters of `steady` into differences, or back into what to subtract. */
static void
steady_mark(struct steady *s)
{
	s->ns = uv_hrtime() - s->ns;
	s->cpu_us = server_cpu_us(run.opt) - s->cpu_us;
	s->events = run.sum.count[MARK_EVENT] - s->events;
}

void
answer_begin(struct answer *a, uint64_t began_ns)
{
	*a = (struct answer){ .began_ns = began_ns };
	buf_init(&a->body, BODY_MAX_BYTES);
}

void
answer_came(struct answer *a)
{
	if (a->first_ns != 0)
		return;
	a->first_ns = uv_hrtime();
	if (++run.receiving == options_places(run.opt) && run.sum.steady.state == STEADY_NOT_YET) {
		run.sum.steady.state = STEADY_NOW;
		steady_mark(&run.sum.steady);
	}
}

void
answer_body(struct answer *a, struct span bytes)
{
	run.sum.body_bytes += bytes.n;
	if (run.opt->judge != NULL)
		buf_put(&a->body, bytes);
	for (size_t i = 0; i < bytes.n; i++)
		for (int m = 0; m < MARKS; m++) {
			uint8_t k = a->matched[m], c = bytes.p[i];

			k = c == marks[m][k] ? (uint8_t)(k + 1) : c == marks[m][0];
			if (marks[m][k] == '\0') {
				run.sum.count[m]++;
				k = 0;
			}
			a->matched[m] = k;
		}
}

static void
answer_end(struct answer *a)
{
	run.receiving -= a->first_ns != 0;
	buf_fini(&a->body);
}

void
answer_whole(struct answer *a, unsigned status)
{
	struct sample *s = &run.sum.sample[run.sum.whole++];
	uint64_t now = uv_hrtime();

	if (run.sum.steady.state == STEADY_NOW) {
		run.sum.steady.state = STEADY_OVER;
		steady_mark(&run.sum.steady);
	}
	s->total_us = (uint32_t)((now - a->began_ns) / 1000);
	s->first_us = (uint32_t)((a->first_ns - a->began_ns) / 1000);
	if (status < 200 || status > 299)
		run.sum.not_2xx++;
	if (run.opt->judge != NULL)
		judge_later(&a->body);
	answer_end(a);
}

void
answer_broken(struct answer *a)
{
	run.sum.broken++;
	answer_end(a);
}

void
answers_init(const struct options *opt)
{
	run.opt = opt;
	if ((run.sum.sample = calloc(opt->requests, sizeof(*run.sum.sample))) == NULL)
		die(EXIT_CANNOT, "memory for times");
}

void
answers_fini(void)
{
	free(run.sum.sample);
	run.sum.sample = NULL;
}

bool
answers_done(void)
{
	return run.sum.whole + run.sum.broken >= run.opt->requests;
}

const struct totals *
answers_totals(void)
{
	return &run.sum;
}
