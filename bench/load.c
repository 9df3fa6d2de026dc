/*
 * load.c - a load generator for one fixed request, so that the gateway and other proxies can be
 * measured alike, in one run and with the CPU time that the server spent.
 *
 * load [--connections C] [--requests R] [--rate N] [--tls] [--streams M] [--pid N]...
 *      [--judge JWKS] ADDRESS:PORT FILE
 *
 * FILE holds one whole HTTP/1.1 request, head and body. C connections are opened first; then time
 * and CPU time count. Each connection sends its next request when the answer before is whole; with
 * --rate, requests are due N a second, and a late one counts from when it was due. --streams speaks
 * HTTP/2 (with --tls), M requests at once on each connection. --judge keeps all bodies, which
 * must be event streams, and judges the receipt of each when the clock has stopped, as tee-verify
 * does, under the key of the file JWKS.
 *
 * Prints "name value" lines; times in milliseconds unless the name says so. The steady_ lines are of
 * the time in which every connection (with --streams every stream) was in the middle of an answer:
 * what a chunk costs, without handshakes, heads and ends. Exit 0: every answer was whole and 2xx, and
 * its receipt, when judged, verifies; 1: something does not; 2: usage; 3: cannot run.
 *
 * One idea a file: load_due (when), load_link (connections), load_h1 and load_h2 (what is spoken on
 * them), load_answer (what comes), load_judge (whether it verifies), load_report (what is said of it).
 */
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#include "load_answer.h"
#include "load_due.h"
#include "load_h1.h"
#include "load_h2.h"
#include "load_judge.h"
#include "load_link.h"
#include "load_options.h"
#include "load_report.h"

enum { OPENING_MAX = 64 };

static struct {
	struct options opt;
	uv_loop_t loop;
	const struct link_ops *ops;
	struct link *link;
	bool *wanted; /* by connection: it is to be opened */
	uint64_t opening, opened;
	struct spent spent;
	struct judged judged;
} run;

/* Sends what is due. Goes round, so that every connection is used. */
static void
offer(void)
{
	static size_t turn;

	for (size_t i = 0; i < run.opt.connections && due_now(); i++) {
		struct link *l = &run.link[turn++ % run.opt.connections];

		if (l->state != LINK_OPEN)
			continue;
		run.ops->next(l);
		link_run(l);
	}
}

/* A few handshakes at a time: the server has a deadline for each. */
static void
open_some(void)
{
	for (size_t i = 0; i < run.opt.connections && run.opening < OPENING_MAX; i++) {
		if (!run.wanted[i])
			continue;
		run.wanted[i] = false;
		run.opening++;
		run.spent.connections_opened++;
		link_open(&run.link[i]);
	}
}

/* Once every connection is open it counts. */
static void
on_opened(struct link *l)
{
	run.opening--;
	open_some();
	if (++run.opened == run.opt.connections) {
		run.spent.server_cpu_us = server_cpu_us(&run.opt);
		due_start(&run.opt, &run.loop, offer);
		offer();
	} else {
		run.ops->next(l);
	}
}

/* Opened again while there is work. */
static void
on_closed(struct link *l)
{
	run.wanted[l - run.link] = true;
	if (!due_none_left())
		open_some();
}

/* Idle connections and the clock would keep the loop alive. */
static void
on_turn(uv_check_t *check)
{
	if (!answers_done())
		return;
	for (size_t i = 0; i < run.opt.connections; i++)
		link_close(&run.link[i]);
	due_stop();
	uv_check_stop(check);
}

int
main(int argc, char **argv)
{
	const struct totals *t = answers_totals();
	uv_check_t check;

	load_options(&run.opt, argc, argv);
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	run.link = calloc(run.opt.connections, sizeof(*run.link));
	run.wanted = calloc(run.opt.connections, sizeof(*run.wanted));
	if (run.link == NULL || run.wanted == NULL || uv_loop_init(&run.loop) != 0)
		die(EXIT_CANNOT, "set-up");
	run.ops = run.opt.streams > 0 ? h2_ops(&run.opt) : h1_ops(&run.opt);
	answers_init(&run.opt);
	judge_init(&run.opt);
	links_init(&run.opt, &run.loop, run.ops, on_opened, on_closed);
	uv_check_init(&run.loop, &check);
	uv_check_start(&check, on_turn);
	for (size_t i = 0; i < run.opt.connections; i++)
		run.wanted[i] = true;
	open_some();
	uv_run(&run.loop, UV_RUN_DEFAULT);
	run.spent.elapsed_ns = uv_hrtime() - due_began_ns();
	run.spent.server_cpu_us = server_cpu_us(&run.opt) - run.spent.server_cpu_us;
	judge_all(&run.judged);
	load_report(&run.opt, t, &run.spent);
	if (run.opt.judge != NULL)
		load_report_judged(&run.judged);
	uv_close((uv_handle_t *)&check, NULL);
	uv_run(&run.loop, UV_RUN_DEFAULT);
	uv_loop_close(&run.loop);
	links_fini();
	answers_fini();
	judge_fini();
	buf_fini(&run.opt.request);
	free(run.link);
	free(run.wanted);
	return t->whole == run.opt.requests && t->not_2xx == 0 && run.judged.refused == 0
	    ? 0
	    : EXIT_NOT_WHOLE;
}
