/*
 * load.c - a load generator for one fixed request, so that the gateway and other proxies can be
 * measured alike, in one run and with the CPU time that the server spent.
 *
 * load [--connections C] [--requests R] [--rate N] [--tls] [--pid N]... [--keep DIR]
 *      ADDRESS:PORT FILE
 *
 * FILE holds one whole HTTP/1.1 request, head and body. C connections are opened first; then time
 * and CPU time count. Each connection sends its next request when the answer before is whole; with
 * --rate, requests are due N a second, and a late one counts from when it was due. Certificates are
 * not verified: speed is measured here, nothing else. --keep writes the first bodies to DIR/0 to
 * DIR/7.
 *
 * Prints "name value" lines; times in milliseconds unless the name says so. The steady_ lines are of
 * the time in which every connection was in the middle of an answer: what a chunk costs, without
 * handshakes, heads and ends. Exit 0: every answer was whole and 2xx; 1: some were not; 2: usage;
 * 3: cannot run.
 */
#include <errno.h>
#include <fcntl.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/span.h"
#include "cpu.h"
#include "load_options.h"

enum { OPENING_MAX = 64, KEEP_MAX = 8 };

enum link_state {
	LINK_CLOSED,
	LINK_CONNECTING,
	LINK_HANDSHAKE,
	LINK_READY, /* open, and nothing is due */
	LINK_SENDING,
	LINK_RECEIVING,
};

/* What is counted in bodies. No first character comes again but as the last, so that a mark can be
 * looked for byte by byte, however the body is cut into pieces. */
enum { MARK_EVENT, MARK_RECEIPT, MARK_DONE, MARKS };
static const char *const marks[MARKS] = { "data:", "tee_receipt", "[DONE]" };

struct link {
	uv_poll_t poll;
	int fd, watched;
	SSL *ssl;
	enum link_state state;
	size_t sent;
	uint64_t began_ns, first_ns;
	bool whole; /* the answer's last byte was parsed */
	bool keep;  /* and the connection takes another request */
	uint8_t matched[MARKS];
	int keep_fd; /* -1: this body is not kept */
	llhttp_t parser;
};

struct sample {
	uint32_t total_us, first_us;
};

static struct {
	struct options opt;
	uv_loop_t loop;
	SSL_CTX *tls;
	llhttp_settings_t parse;
	struct link *link;
	struct sample *sample;
	bool going;
	uint64_t began_ns, cpu_began_us;
	uint64_t ready, opening, receiving;
	uint64_t opened, started, whole, not_2xx, broken, body_bytes;
	uint64_t count[MARKS];
	int due_fd; /* timerfd: the next request is due */
	uv_poll_t due;
	struct steady {
		enum { STEADY_NOT_YET, STEADY_NOW, STEADY_OVER } state;
		uint64_t ns, cpu_us, events;
	} steady;
} run;

static uint64_t
cpu_now_us(void)
{
	uint64_t us = 0;

	if (!cpu_spent_us(run.opt.pid, run.opt.pids, &us))
		die(EXIT_CANNOT, "a process of --pid is gone");
	return us;
}

/* --- answers ----------------------------------------------------------------------------- */

/* Turns the counters of `steady` into differences, or back into what to subtract. */
static void
steady_mark(struct steady *s)
{
	s->ns = uv_hrtime() - s->ns;
	s->cpu_us = cpu_now_us() - s->cpu_us;
	s->events = run.count[MARK_EVENT] - s->events;
}

static struct link *
link_of(llhttp_t *p)
{
	return p->data;
}

static void
keep_end(struct link *l)
{
	if (l->keep_fd >= 0)
		close(l->keep_fd);
	l->keep_fd = -1;
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct link *l = link_of(p);

	run.body_bytes += n;
	if (l->keep_fd >= 0 && write(l->keep_fd, at, n) != (ssize_t)n)
		die(EXIT_CANNOT, "a body cannot be kept");
	for (size_t i = 0; i < n; i++)
		for (int m = 0; m < MARKS; m++) {
			uint8_t k = l->matched[m];

			k = at[i] == marks[m][k] ? (uint8_t)(k + 1) : at[i] == marks[m][0];
			if (marks[m][k] == '\0') {
				run.count[m]++;
				k = 0;
			}
			l->matched[m] = k;
		}
	return 0;
}

static int
on_complete(llhttp_t *p)
{
	struct link *l = link_of(p);
	struct sample *s = &run.sample[run.whole++];
	uint64_t now = uv_hrtime();

	if (run.steady.state == STEADY_NOW) {
		run.steady.state = STEADY_OVER;
		steady_mark(&run.steady);
	}
	s->total_us = (uint32_t)((now - l->began_ns) / 1000);
	s->first_us = (uint32_t)((l->first_ns - l->began_ns) / 1000);
	if (p->status_code < 200 || p->status_code > 299)
		run.not_2xx++;
	l->whole = true;
	l->keep = llhttp_should_keep_alive(p) == 1; /* afterwards the parser has forgotten */
	return 0;
}

/* --- connections ------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *p, int status, int events);

static void
watch(struct link *l, int events)
{
	if (l->watched == events)
		return;
	l->watched = events;
	uv_poll_start(&l->poll, events, on_poll);
}

/* --- what is due ------------------------------------------------------------------------- */

static uint64_t
due_ns(uint64_t request)
{
	return run.began_ns + request * 1000000000 / run.opt.rate;
}

/* Starts the next request here, if one is due. */
static bool
next_request(struct link *l)
{
	uint64_t now = uv_hrtime();

	l->state = LINK_READY;
	watch(l, UV_READABLE);
	if (!run.going || run.started == run.opt.requests ||
	    (run.opt.rate > 0 && due_ns(run.started) > now))
		return false;
	l->began_ns = run.opt.rate > 0 ? due_ns(run.started) : now;
	if (run.opt.keep != NULL && run.started < KEEP_MAX) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%d", run.opt.keep, (int)run.started);
		l->keep_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (l->keep_fd < 0)
			die(EXIT_CANNOT, path);
	}
	run.started++;
	l->state = LINK_SENDING;
	l->sent = 0;
	l->whole = false;
	l->first_ns = 0;
	memset(l->matched, 0, sizeof(l->matched));
	llhttp_init(&l->parser, HTTP_RESPONSE, &run.parse);
	l->parser.data = l;
	return true;
}

static void
sleep_until_due(void)
{
	uint64_t at = due_ns(run.started);
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / 1000000000),
				       .tv_nsec = (long)(at % 1000000000) } };

	if (timerfd_settime(run.due_fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
		die(EXIT_CANNOT, "timer");
}

/* A loop's timers count milliseconds: too coarse for latencies of tenths. */
static void
on_due(uv_poll_t *p, int status, int events)
{
	static size_t turn; /* goes round, so that every connection is used */
	uint64_t expired;

	(void)p, (void)status, (void)events;
	(void)!read(run.due_fd, &expired, sizeof(expired));
	for (size_t i = 0; i < run.opt.connections; i++) {
		struct link *l = &run.link[turn++ % run.opt.connections];

		if (run.started == run.opt.requests || due_ns(run.started) > uv_hrtime())
			break;
		if (l->state == LINK_READY && next_request(l))
			on_poll(&l->poll, 0, 0);
	}
	/* With every connection busy, the one that is free next takes what is late. */
	if (run.started < run.opt.requests)
		sleep_until_due();
}

/* Every connection is open: from here on it counts. */
static void
go(void)
{
	run.going = true;
	run.cpu_began_us = cpu_now_us();
	run.began_ns = uv_hrtime();
	if (run.opt.rate > 0) {
		run.due_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
		if (run.due_fd < 0 || uv_poll_init(&run.loop, &run.due, run.due_fd) != 0)
			die(EXIT_CANNOT, "timer");
		uv_poll_start(&run.due, UV_READABLE, on_due);
		sleep_until_due();
		return;
	}
	for (size_t i = 0; i < run.opt.connections; i++)
		if (run.link[i].state == LINK_READY && next_request(&run.link[i]))
			on_poll(&run.link[i].poll, 0, 0);
}

static bool
all_done(void)
{
	return run.whole + run.broken >= run.opt.requests;
}

/* --- connections ------------------------------------------------------------------------- */

static void
link_open(struct link *l)
{
	int one = 1;

	if ((l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		die(EXIT_CANNOT, "socket");
	run.opened++;
	run.opening++;
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(l->fd, (struct sockaddr *)&run.opt.address, sizeof(run.opt.address)) != 0 &&
	    errno != EINPROGRESS)
		die(EXIT_CANNOT, "connect");
	if (uv_poll_init(&run.loop, &l->poll, l->fd) != 0)
		die(EXIT_CANNOT, "poll");
	l->poll.data = l;
	l->state = LINK_CONNECTING;
	watch(l, UV_WRITABLE);
}

/* A few handshakes at a time: the server has a deadline for each. */
static void
open_some(void)
{
	for (size_t i = 0; i < run.opt.connections && run.opening < OPENING_MAX; i++)
		if (run.link[i].fd < 0)
			link_open(&run.link[i]);
}

static void
link_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	SSL_free(l->ssl);
	close(l->fd);
	*l = (struct link){ .fd = -1, .keep_fd = -1 };
	if (!all_done())
		open_some();
}

/* Opens it again while there is work. */
static void
link_close(struct link *l)
{
	keep_end(l);
	l->state = LINK_CLOSED;
	uv_close((uv_handle_t *)&l->poll, link_closed);
}

/* Idle connections would keep the loop alive. */
static void
end_if_done(void)
{
	if (!all_done())
		return;
	for (size_t i = 0; i < run.opt.connections; i++)
		if (run.link[i].state != LINK_CLOSED)
			link_close(&run.link[i]);
	if (run.opt.rate > 0 && !uv_is_closing((uv_handle_t *)&run.due))
		uv_close((uv_handle_t *)&run.due, NULL);
}

static void
link_broken(struct link *l)
{
	if (l->state == LINK_CONNECTING || l->state == LINK_HANDSHAKE)
		die(EXIT_CANNOT, "cannot connect");
	if (l->state == LINK_SENDING || l->state == LINK_RECEIVING)
		run.broken++;
	run.receiving -= l->state == LINK_RECEIVING && l->first_ns != 0;
	link_close(l);
	end_if_done();
}

/* Connected, and with TLS where it is wanted. */
static bool
link_ready(struct link *l)
{
	run.opening--;
	run.ready++;
	l->state = LINK_READY;
	open_some();
	if (run.ready == run.opt.connections)
		go();
	return run.going && l->state == LINK_READY && next_request(l);
}

/* What libc or OpenSSL answered: bytes; 0 at the end; -1 not yet (watched); -2 broken. */
static ssize_t
result(struct link *l, ssize_t n, int would_watch)
{
	if (n > 0)
		return n;
	if (l->ssl == NULL) {
		if (n == 0)
			return 0;
		if (errno != EAGAIN)
			return -2;
		watch(l, would_watch);
		return -1;
	}
	n = SSL_get_error(l->ssl, (int)n);
	ERR_clear_error(); /* of this connection; the next must not read it as its own */
	switch (n) {
	case SSL_ERROR_WANT_READ:
		watch(l, UV_READABLE);
		return -1;
	case SSL_ERROR_WANT_WRITE:
		watch(l, UV_WRITABLE);
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -2;
	}
}

static bool
step_connect(struct link *l)
{
	int bad = 0;
	socklen_t n = sizeof(bad);

	getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &bad, &n);
	if (bad != 0) {
		errno = bad;
		link_broken(l);
		return false;
	}
	if (!run.opt.tls)
		return link_ready(l);
	if ((l->ssl = SSL_new(run.tls)) == NULL || SSL_set_fd(l->ssl, l->fd) != 1)
		die(EXIT_CANNOT, "TLS");
	SSL_set_connect_state(l->ssl);
	l->state = LINK_HANDSHAKE;
	return true;
}

static bool
step_handshake(struct link *l)
{
	ssize_t n = result(l, SSL_do_handshake(l->ssl), 0);

	if (n == -1)
		return false;
	if (n <= 0) {
		link_broken(l);
		return false;
	}
	return link_ready(l);
}

static bool
step_send(struct link *l)
{
	struct span left = span_cut(buf_span(&run.opt.request), l->sent, run.opt.request.n);
	ssize_t n = result(l,
	    l->ssl != NULL ? SSL_write(l->ssl, left.p, (int)left.n)
			   : send(l->fd, left.p, left.n, MSG_NOSIGNAL),
	    UV_WRITABLE);

	if (n == -1)
		return false;
	if (n <= 0) {
		link_broken(l);
		return false;
	}
	l->sent += (size_t)n;
	if (l->sent == run.opt.request.n)
		l->state = LINK_RECEIVING;
	return true;
}

static void
first_byte(struct link *l)
{
	l->first_ns = uv_hrtime();
	if (++run.receiving == run.opt.connections && run.steady.state == STEADY_NOT_YET) {
		run.steady.state = STEADY_NOW;
		steady_mark(&run.steady);
	}
}

/* The answer is whole; true when the next request was started. */
static bool
answered(struct link *l, bool closed)
{
	run.receiving--;
	keep_end(l);
	if (all_done()) {
		l->state = LINK_READY;
		end_if_done();
		return false;
	}
	if (closed || !l->keep) {
		link_close(l);
		return false;
	}
	return next_request(l);
}

static bool
step_receive(struct link *l)
{
	static char piece[65536];
	ssize_t n = result(l,
	    l->ssl != NULL ? SSL_read(l->ssl, piece, sizeof(piece))
			   : recv(l->fd, piece, sizeof(piece), 0),
	    UV_READABLE);

	if (n == -1)
		return false;
	if (l->state == LINK_READY) { /* the server closes, as it may */
		link_close(l);
		return false;
	}
	if (n > 0 && l->first_ns == 0)
		first_byte(l);
	if (n < 0 || (n > 0 && llhttp_execute(&l->parser, piece, (size_t)n) != HPE_OK) ||
	    (n == 0 && (llhttp_finish(&l->parser) != HPE_OK || !l->whole))) {
		link_broken(l);
		return false;
	}
	return !l->whole || answered(l, n == 0);
}

static void
on_poll(uv_poll_t *p, int status, int events)
{
	struct link *l = p->data;
	bool more = true;

	(void)status, (void)events; /* the calls themselves tell what is wrong */
	while (more)
		switch (l->state) {
		case LINK_CONNECTING:
			more = step_connect(l);
			break;
		case LINK_HANDSHAKE:
			more = step_handshake(l);
			break;
		case LINK_SENDING:
			more = step_send(l);
			break;
		case LINK_READY:
		case LINK_RECEIVING:
			more = step_receive(l);
			break;
		case LINK_CLOSED:
			more = false;
			break;
		}
}

/* --- the run ----------------------------------------------------------------------------- */

static int
by_total(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->total_us > y->total_us) - (x->total_us < y->total_us);
}

static int
by_first(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->first_us > y->first_us) - (x->first_us < y->first_us);
}

static void
print_per(const char *name, double total, uint64_t n)
{
	if (n > 0)
		printf("%s %.2f\n", name, total / (double)n);
}

static void
report(uint64_t elapsed_ns, uint64_t cpu)
{
	struct sample *s = run.sample;
	size_t n = run.whole, mid = n / 2, late = n * 99 / 100;

	printf("requests %zu\nbroken %llu\nnot_2xx %llu\nconnections_opened %llu\n", n,
	    (unsigned long long)run.broken, (unsigned long long)run.not_2xx,
	    (unsigned long long)run.opened);
	printf("seconds %.3f\nbody_bytes %llu\nevents %llu\nreceipts %llu\ndone %llu\n",
	    (double)elapsed_ns / 1e9, (unsigned long long)run.body_bytes,
	    (unsigned long long)run.count[MARK_EVENT], (unsigned long long)run.count[MARK_RECEIPT],
	    (unsigned long long)run.count[MARK_DONE]);
	printf("requests_per_s %.1f\n", (double)n * 1e9 / (double)elapsed_ns);
	if (n > 0) {
		qsort(s, n, sizeof(*s), by_first);
		printf("first_byte_p50 %.3f\nfirst_byte_p99 %.3f\n", s[mid].first_us / 1e3,
		    s[late].first_us / 1e3);
		qsort(s, n, sizeof(*s), by_total);
		printf("total_p50 %.3f\ntotal_p99 %.3f\ntotal_max %.3f\n", s[mid].total_us / 1e3,
		    s[late].total_us / 1e3, s[n - 1].total_us / 1e3);
	}
	if (run.opt.pids > 0) {
		print_per("server_cpu_us_per_request", (double)cpu, n);
		print_per("server_cpu_us_per_event", (double)cpu, run.count[MARK_EVENT]);
	}
	if (run.steady.state == STEADY_OVER && run.steady.events > 0) {
		printf("steady_seconds %.3f\nsteady_events %llu\n", (double)run.steady.ns / 1e9,
		    (unsigned long long)run.steady.events);
		printf("steady_cpu_us_per_event %.2f\n",
		    (double)run.steady.cpu_us / (double)run.steady.events);
	}
}

int
main(int argc, char **argv)
{
	load_options(&run.opt, argc, argv);
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	run.link = calloc(run.opt.connections, sizeof(*run.link));
	run.sample = calloc(run.opt.requests, sizeof(*run.sample));
	run.tls = SSL_CTX_new(TLS_client_method());
	if (run.link == NULL || run.sample == NULL || run.tls == NULL ||
	    uv_loop_init(&run.loop) != 0)
		die(EXIT_CANNOT, "set-up");
	llhttp_settings_init(&run.parse);
	run.parse.on_body = on_body;
	run.parse.on_message_complete = on_complete;
	for (size_t i = 0; i < run.opt.connections; i++) {
		run.link[i].fd = run.link[i].keep_fd = -1;
		run.link[i].poll.data = &run.link[i];
	}
	open_some();
	uv_run(&run.loop, UV_RUN_DEFAULT);
	report(uv_hrtime() - run.began_ns, cpu_now_us() - run.cpu_began_us);
	uv_loop_close(&run.loop);
	SSL_CTX_free(run.tls);
	buf_fini(&run.opt.request);
	free(run.link);
	free(run.sample);
	return run.whole == run.opt.requests && run.not_2xx == 0 ? 0 : EXIT_NOT_WHOLE;
}
