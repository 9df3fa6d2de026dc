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
	uint64_t streams; /* at once on a connection, over HTTP/2; 0: HTTP/1.1 */
	uint64_t rate;	  /* requests a second; 0: as fast as answers come */
	bool tls;
	const char *judge; /* file with a key set, or NULL */
	uint64_t pid[PIDS_MAX];
	size_t pids;
	struct sockaddr_in address;
	struct buf request; /* head and body */
	size_t body_at;
};

/* Fills `opt` from the command line; ends the program with EXIT_USAGE or EXIT_CANNOT. */
void load_options(struct options *opt, int argc, char **argv);

/* Answers that can be on their way at once. */
uint64_t options_places(const struct options *opt);
/* The content of a file: at most 32 MiB. The caller frees it. */
void options_read(struct buf *b, const char *path);

/* One line on stderr, with errno's words when it is set, and the end. */
noreturn void die(int code, const char *what);

#endif
