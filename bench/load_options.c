#include "load_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/span.h"

enum {
	CONNECTIONS_LIMIT = 10000,
	STREAMS_LIMIT = 1000,
	REQUESTS_LIMIT = 10000000,
	FILE_MAX = 32 << 20,
	RATE_LIMIT = 100000
};

noreturn void
die(int code, const char *what)
{
	fprintf(stderr, "load: %s%s%s\n", what, errno != 0 ? ": " : "",
	    errno != 0 ? strerror(errno) : "");
	exit(code);
}

static noreturn void
usage(void)
{
	fputs("usage: load [--connections C] [--requests R] [--rate N] [--tls] [--streams M]\n"
	      "            [--pid N]... [--judge JWKS] ADDRESS:PORT FILE\n",
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

uint64_t
options_places(const struct options *opt)
{
	return opt->connections * (opt->streams > 0 ? opt->streams : 1);
}

void
options_read(struct buf *b, const char *path)
{
	uint8_t piece[4096];
	size_t n;
	FILE *f;

	buf_init(b, FILE_MAX);
	if ((f = fopen(path, "re")) == NULL)
		die(EXIT_CANNOT, path);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(b, span_of(piece, n));
	fclose(f);
	if (failed(buf_check(b)) || b->n == 0)
		die(EXIT_CANNOT, "a file is empty or too large");
}

static void
take_target(struct options *opt, char *address, const char *path)
{
	char *colon = strrchr(address, ':');

	if (colon == NULL)
		usage();
	opt->address.sin_family = AF_INET;
	opt->address.sin_port = htons((uint16_t)number(colon + 1, 65535));
	*colon = '\0';
	if (inet_pton(AF_INET, address, &opt->address.sin_addr) != 1)
		usage();
	options_read(&opt->request, path);
	opt->body_at = span_find(buf_span(&opt->request), SPAN_LIT("\r\n\r\n"), 0);
	if (opt->body_at == SIZE_MAX)
		die(EXIT_CANNOT, "the request's head has no end");
	opt->body_at += 4;
}

void
load_options(struct options *opt, int argc, char **argv)
{
	static const struct option known[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "requests", required_argument, NULL, 'r' },
		{ "rate", required_argument, NULL, 'n' },
		{ "streams", required_argument, NULL, 's' },
		{ "judge", required_argument, NULL, 'j' },
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
		case 'n':
			opt->rate = number(optarg, RATE_LIMIT);
			break;
		case 's':
			opt->streams = number(optarg, STREAMS_LIMIT);
			break;
		case 'j':
			opt->judge = optarg;
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
	if (argc - optind != 2 || (opt->streams > 0 && !opt->tls)) /* chosen by ALPN */
		usage();
	take_target(opt, argv[optind], argv[optind + 1]);
}
