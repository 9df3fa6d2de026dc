/*
 * pace.c - how late the events of paced streams are, beside whatever else the server does.
 *
 * pace --streams N --chunks C --interval-ms M ADDRESS:PORT FILE
 *
 * FILE holds one whole HTTP/1.1 request for a stream of C words, one each M milliseconds (as
 * bench/upstream paces them). N streams are opened over plain TCP, their beginnings spread over one
 * interval. A stream's own earliest word sets its beat: word i is due i intervals after the beat, and
 * what it comes later than that is its lateness, wherever on the way it was lost.
 *
 * Prints "name value" lines in milliseconds. Exit 0: every stream was whole; 1: some were not; 2:
 * usage; 3: cannot run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/span.h"

enum { STREAMS_MAX = 2000, CHUNKS_MAX = 100000, INTERVAL_MAX_MS = 10000 };
enum { EXIT_NOT_WHOLE = 1, EXIT_USAGE = 2, EXIT_CANNOT = 3 };
enum { FILE_MAX = 1 << 20, PATIENCE_MS = 30000 };

/* Each event has it once; no character of it comes again but as the last. */
static const char mark[] = "data:";

struct stream {
	int fd;
	uint64_t events, *word_ns; /* when the words came */
	unsigned matched;	   /* of the mark */
};

static struct {
	uint64_t streams, chunks, interval_ms;
	struct sockaddr_in address;
	struct buf request;
	struct stream *stream;
	int epoll;
	size_t open, whole;
} pace = { .streams = 100, .chunks = 250, .interval_ms = 20 };

static noreturn void
die(const char *what)
{
	perror(what);
	exit(EXIT_CANNOT);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The first event has no word, and what follows the last word has none either. */
static void
count_events(struct stream *s, struct span bytes, uint64_t at_ns)
{
	for (size_t i = 0; i < bytes.n; i++) {
		s->matched = bytes.p[i] == (uint8_t)mark[s->matched] ? s->matched + 1
								     : bytes.p[i] == 'd';
		if (s->matched < sizeof(mark) - 1)
			continue;
		s->matched = 0;
		if (s->events > 0 && s->events <= pace.chunks)
			s->word_ns[s->events - 1] = at_ns;
		s->events++;
	}
}

static void
end(struct stream *s)
{
	/* After the words: the event that ends it, and [DONE]. */
	pace.whole += s->events >= pace.chunks + 3;
	pace.open--;
	close(s->fd);
}

static void
take(struct stream *s)
{
	uint8_t block[16384];
	ssize_t n = recv(s->fd, block, sizeof(block), MSG_DONTWAIT);

	if (n > 0)
		count_events(s, span_of(block, (size_t)n), now_ns());
	else if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || s->events >= pace.chunks + 3)
		end(s);
}

static void
begin(struct stream *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };

	if ((s->word_ns = calloc(pace.chunks, sizeof(*s->word_ns))) == NULL ||
	    (s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
	    connect(s->fd, (struct sockaddr *)&pace.address, sizeof(pace.address)) != 0 ||
	    send(s->fd, pace.request.p, pace.request.n, MSG_NOSIGNAL) != (ssize_t)pace.request.n ||
	    epoll_ctl(pace.epoll, EPOLL_CTL_ADD, s->fd, &e) != 0)
		die("pace: a stream");
	pace.open++;
}

/* Takes what comes within wait_ms; FALSE when nothing did. */
static bool
turn(int wait_ms)
{
	struct epoll_event e[64];
	int n = epoll_wait(pace.epoll, e, 64, wait_ms);

	if (n < 0 && errno != EINTR)
		die("pace: epoll_wait");
	for (int i = 0; i < n; i++)
		take(e[i].data.ptr);
	return n != 0;
}

static void
run(void)
{
	uint64_t began = now_ns(), spread_ns = pace.interval_ms * 1000000 / pace.streams;

	for (uint64_t i = 0; i < pace.streams; i++) {
		begin(&pace.stream[i]);
		while (now_ns() < began + (i + 1) * spread_ns)
			(void)turn(0);
	}
	while (pace.open > 0)
		if (!turn(PATIENCE_MS)) {
			fprintf(stderr, "pace: nothing came for %d s\n", PATIENCE_MS / 1000);
			exit(EXIT_NOT_WHOLE);
		}
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
report(void)
{
	const uint64_t interval_ns = pace.interval_ms * 1000000;
	static const struct {
		const char *name;
		unsigned per_mille;
	} rows[] = { { "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 } };
	uint64_t n = pace.streams * pace.chunks, *late = calloc(n, sizeof(*late)), at = 0;

	if (late == NULL)
		die("pace: memory");
	for (uint64_t i = 0; i < pace.streams; i++) {
		const uint64_t *word = pace.stream[i].word_ns;
		uint64_t beat = word[0];

		for (uint64_t j = 1; j < pace.chunks; j++)
			if (word[j] - j * interval_ns < beat)
				beat = word[j] - j * interval_ns;
		for (uint64_t j = 0; j < pace.chunks; j++)
			late[at++] = word[j] - j * interval_ns - beat;
	}
	qsort(late, n, sizeof(*late), by_value);
	printf("words %llu\n", (unsigned long long)n);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("%s %.3f\n", rows[i].name,
		    (double)late[(n - 1) * rows[i].per_mille / 1000] / 1e6);
	printf("max %.3f\n", (double)late[n - 1] / 1e6);
	free(late);
}

static noreturn void
usage(void)
{
	fputs("usage: pace --streams N --chunks C --interval-ms M ADDRESS:PORT FILE\n", stderr);
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
take_target(char *address, const char *path)
{
	char *colon = strrchr(address, ':');
	uint8_t piece[4096];
	size_t n;
	FILE *f;

	if (colon == NULL)
		usage();
	pace.address.sin_family = AF_INET;
	pace.address.sin_port = htons((uint16_t)number(colon + 1, 65535));
	*colon = '\0';
	if (inet_pton(AF_INET, address, &pace.address.sin_addr) != 1)
		usage();
	buf_init(&pace.request, FILE_MAX);
	if ((f = fopen(path, "re")) == NULL)
		die(path);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(&pace.request, span_of(piece, n));
	fclose(f);
	if (failed(buf_check(&pace.request)) || pace.request.n == 0)
		usage();
}

int
main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "streams", required_argument, NULL, 's' },
		{ "chunks", required_argument, NULL, 'c' },
		{ "interval-ms", required_argument, NULL, 'i' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
		if (c == 's')
			pace.streams = number(optarg, STREAMS_MAX);
		else if (c == 'c')
			pace.chunks = number(optarg, CHUNKS_MAX);
		else if (c == 'i')
			pace.interval_ms = number(optarg, INTERVAL_MAX_MS);
		else
			usage();
	if (argc - optind != 2)
		usage();
	take_target(argv[optind], argv[optind + 1]);
	if ((pace.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    (pace.stream = calloc(pace.streams, sizeof(*pace.stream))) == NULL)
		die("pace: memory");
	run();
	if (pace.whole != pace.streams) {
		fprintf(stderr, "pace: %zu of %llu streams were whole\n", pace.whole,
		    (unsigned long long)pace.streams);
		return EXIT_NOT_WHOLE;
	}
	report();
	return 0;
}
