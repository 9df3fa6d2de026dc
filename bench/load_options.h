/*
 * load_options.h - what bench/load is asked to do, and how it ends when it cannot.
 */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "core/buf.h"

enum { PIDS_MAX = 16 };
enum { EXIT_NOT_WHOLE = 1, EXIT_USAGE = 2, EXIT_CANNOT = 3 };

struct options {
	uint64_t connections, requests;
	uint64_t rate; /* requests a second; 0: as fast as answers come */
	bool tls;
	const char *keep; /* directory, or NULL */
	uint64_t pid[PIDS_MAX];
	size_t pids;
	struct sockaddr_in address;
	struct buf request; /* head and body */
};

/* Fills `opt` from the command line; ends the program with EXIT_USAGE or EXIT_CANNOT. */
void load_options(struct options *opt, int argc, char **argv);

/* One line on stderr, with errno's words when it is set, and the end. */
noreturn void die(int code, const char *what);

#endif
