/*
 * load.c - a load generator for one fixed request, so that the gateway and other proxies can be
 * measured alike, in one run and with the CPU time that the server spent.
 *
 * load [--connections C] [--requests R] [--tls] [--pid N]... ADDRESS:PORT FILE
 *
 * FILE holds one whole HTTP/1.1 request, head and body. C connections stay open; each sends its
 * next request when the answer before is whole. Certificates are not verified: speed is measured
 * here, nothing else. Prints "name value" lines; times in milliseconds unless the name says so.
 * Exit 0: every answer was whole and 2xx; 1: some were not; 2: usage; 3: cannot run.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/span.h"

enum { PIDS_MAX = 16, CONNECTIONS_LIMIT = 10000, REQUESTS_LIMIT = 10000000, FILE_MAX = 32 << 20 };
enum { EXIT_NOT_WHOLE = 1, EXIT_USAGE = 2, EXIT_CANNOT = 3 };

struct options {
	uint64_t connections, requests;
	bool tls;
	uint64_t pid[PIDS_MAX];
	size_t pids;
	struct sockaddr_in address;
	struct buf request;
};

enum link_state { LINK_CONNECTING, LINK_HANDSHAKE, LINK_SENDING, LINK_RECEIVING, LINK_IDLE };

struct link {
	uv_poll_t poll;
	int fd, watched;
	SSL *ssl;
	enum link_state state;
	size_t sent;
	uint64_t began_ns, first_ns;
	bool whole;	 /* the answer's last byte was parsed */
	bool keep;	 /* and the connection takes another request */
	uint8_t last[5]; /* the last bytes of the body: events end in them */
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
	uint64_t opened, started, whole, not_2xx, broken, events, body_bytes;
} run;

static void
die(int code, const char *what)
{
	fprintf(stderr, "load: %s%s%s\n", what, errno != 0 ? ": " : "",
	    errno != 0 ? strerror(errno) : "");
	exit(code);
}

/* --- answers ----------------------------------------------------------------------------- */

static struct link *
link_of(llhttp_t *p)
{
	return p->data;
}

/* Events are counted by their "data:" line; no event of a model's stream has two. */
static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	static const uint8_t mark[5] = "data:";
	struct link *l = link_of(p);

	run.body_bytes += n;
	/* The marks that reach over the edge of two pieces, then those within one. */
	for (size_t i = 0; i < n && i < sizeof(mark) - 1; i++) {
		for (size_t k = 1; k < sizeof(mark); k++)
			l->last[k - 1] = l->last[k];
		l->last[4] = (uint8_t)at[i];
		run.events += span_eq(span_of(l->last, 5), span_of(mark, 5));
	}
	for (size_t hit = span_find(span_of(at, n), span_of(mark, 5), 0); hit != SIZE_MAX;
	     hit = span_find(span_of(at, n), span_of(mark, 5), hit + 5))
		run.events++;
	if (n >= sizeof(mark))
		for (size_t k = 0; k < sizeof(mark); k++)
			l->last[k] = (uint8_t)at[n - sizeof(mark) + k];
	return 0;
}

static int
on_complete(llhttp_t *p)
{
	struct link *l = link_of(p);
	struct sample *s = &run.sample[run.whole++];
	uint64_t now = uv_hrtime();

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

static void
link_closed(uv_handle_t *h)
{
	struct link *l = h->data;
	int one = 1;

	SSL_free(l->ssl);
	if (l->fd >= 0)
		close(l->fd);
	*l = (struct link){ .fd = -1, .state = LINK_IDLE };
	if (run.started == run.opt.requests)
		return;
	if ((l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		die(EXIT_CANNOT, "socket");
	run.opened++;
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

/* Opens it again while there is work. */
static void
link_close(struct link *l)
{
	l->state = LINK_IDLE;
	uv_close((uv_handle_t *)&l->poll, link_closed);
}

static void
link_broken(struct link *l)
{
	if (l->state == LINK_CONNECTING || l->state == LINK_HANDSHAKE)
		die(EXIT_CANNOT, "cannot connect");
	run.broken++;
	link_close(l);
}

static void
next_request(struct link *l)
{
	if (run.started == run.opt.requests) {
		link_close(l);
		return;
	}
	run.started++;
	l->state = LINK_SENDING;
	l->sent = 0;
	l->whole = false;
	l->first_ns = 0;
	memset(l->last, 0, sizeof(l->last));
	llhttp_init(&l->parser, HTTP_RESPONSE, &run.parse);
	l->parser.data = l;
	l->began_ns = uv_hrtime();
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
	switch (SSL_get_error(l->ssl, (int)n)) {
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
	if (!run.opt.tls) {
		next_request(l);
		return l->state == LINK_SENDING;
	}
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
	next_request(l);
	return l->state == LINK_SENDING;
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
	if (n > 0 && l->first_ns == 0)
		l->first_ns = uv_hrtime();
	if (n < 0 || (n > 0 && llhttp_execute(&l->parser, piece, (size_t)n) != HPE_OK) ||
	    (n == 0 && (llhttp_finish(&l->parser) != HPE_OK || !l->whole))) {
		link_broken(l);
		return false;
	}
	if (!l->whole)
		return true;
	if (n == 0 || !l->keep)
		link_close(l);
	else
		next_request(l);
	return l->state == LINK_SENDING;
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
		case LINK_RECEIVING:
			more = step_receive(l);
			break;
		case LINK_IDLE:
			more = false;
			break;
		}
}

/* --- CPU time ---------------------------------------------------------------------------- */

/* User and system time of the processes so far, threads included, in microseconds. */
static uint64_t
cpu_us(const struct options *opt)
{
	uint64_t ticks = 0, hz = (uint64_t)sysconf(_SC_CLK_TCK);

	for (size_t i = 0; i < opt->pids; i++) {
		char path[64], text[1024];
		struct span rest;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)opt->pid[i]);
		if ((f = fopen(path, "re")) == NULL)
			die(EXIT_CANNOT, path);
		rest = span_of(text, fread(text, 1, sizeof(text), f));
		fclose(f);
		/* proc(5): the name in parentheses may hold anything; utime is the 14th field. */
		rest = span_cut(rest, span_rfind(rest, SPAN_LIT(")")) + 2, rest.n);
		for (int field = 3; field <= 15; field++) {
			size_t end = span_find(rest, SPAN_LIT(" "), 0);
			uint64_t v = 0;

			if (field >= 14 && span_u64(span_cut(rest, 0, end), UINT64_MAX, &v))
				ticks += v;
			rest = span_cut(rest, end + 1, rest.n);
		}
	}
	return ticks * 1000000 / hz;
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
	printf("seconds %.3f\nbody_bytes %llu\nevents %llu\n", (double)elapsed_ns / 1e9,
	    (unsigned long long)run.body_bytes, (unsigned long long)run.events);
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
		print_per("server_cpu_us_per_event", (double)cpu, run.events);
	}
}

static void
usage(void)
{
	fputs(
	    "usage: load [--connections C] [--requests R] [--tls] [--pid N]... ADDRESS:PORT FILE\n",
	    stderr);
	exit(EXIT_USAGE);
}

static uint64_t
number(const char *text, uint64_t max)
{
	uint64_t v;

	if (!span_u64(span_str(text), max, &v) || v == 0)
		usage();
	return v;
}

static void
take_target(struct options *opt, char *address, const char *path)
{
	char *colon = strrchr(address, ':');
	uint8_t piece[4096];
	size_t n;
	FILE *f;

	if (colon == NULL)
		usage();
	opt->address.sin_family = AF_INET;
	opt->address.sin_port = htons((uint16_t)number(colon + 1, 65535));
	*colon = '\0';
	if (inet_pton(AF_INET, address, &opt->address.sin_addr) != 1)
		usage();
	buf_init(&opt->request, FILE_MAX);
	if ((f = fopen(path, "re")) == NULL)
		die(EXIT_CANNOT, path);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(&opt->request, span_of(piece, n));
	fclose(f);
	if (failed(buf_check(&opt->request)) || opt->request.n == 0)
		die(EXIT_CANNOT, "request file: empty or too large");
}

static void
take_options(struct options *opt, int argc, char **argv)
{
	static const struct option known[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "requests", required_argument, NULL, 'r' },
		{ "pid", required_argument, NULL, 'p' },
		{ "tls", no_argument, NULL, 't' },
		{ 0 },
	};
	int c;

	*opt = (struct options){ .connections = 16, .requests = 1000 };
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (c) {
		case 'c':
			opt->connections = number(optarg, CONNECTIONS_LIMIT);
			break;
		case 'r':
			opt->requests = number(optarg, REQUESTS_LIMIT);
			break;
		case 'p':
			if (opt->pids == PIDS_MAX)
				usage();
			opt->pid[opt->pids++] = number(optarg, INT32_MAX);
			break;
		case 't':
			opt->tls = true;
			break;
		default:
			usage();
		}
	if (argc - optind != 2)
		usage();
	take_target(opt, argv[optind], argv[optind + 1]);
}

int
main(int argc, char **argv)
{
	uint64_t began, cpu;

	take_options(&run.opt, argc, argv);
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
	cpu = cpu_us(&run.opt);
	began = uv_hrtime();
	for (size_t i = 0; i < run.opt.connections; i++) {
		run.link[i].fd = -1;
		run.link[i].poll.data = &run.link[i];
		link_closed((uv_handle_t *)&run.link[i].poll);
	}
	uv_run(&run.loop, UV_RUN_DEFAULT);
	began = uv_hrtime() - began;
	cpu = cpu_us(&run.opt) - cpu;
	report(began, cpu);
	uv_loop_close(&run.loop);
	SSL_CTX_free(run.tls);
	buf_fini(&run.opt.request);
	free(run.link);
	free(run.sample);
	return run.whole == run.opt.requests && run.not_2xx == 0 ? 0 : EXIT_NOT_WHOLE;
}
