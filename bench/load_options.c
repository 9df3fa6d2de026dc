#include "load_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/span.h"

enum {
	CONNECTIONS_LIMIT = 10000,
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
	fputs("usage: load [--connections C] [--requests R] [--rate N] [--tls] [--pid N]...\n"
	      "            [--keep DIR] ADDRESS:PORT FILE\n",
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

void
load_options(struct options *opt, int argc, char **argv)
{
	static const struct option known[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "requests", required_argument, NULL, 'r' },
		{ "rate", required_argument, NULL, 'n' },
		{ "keep", required_argument, NULL, 'k' },
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
		case 'k':
			opt->keep = optarg;
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
