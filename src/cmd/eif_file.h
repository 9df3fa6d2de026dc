/*
 * eif_file.h - files for tee-eif: read at an offset, written whole or not at all.
 */
#ifndef CMD_EIF_FILE_H
#define CMD_EIF_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "eif/eif.h"

enum { EIF_PATH_MAX_BYTES = 4096 };

/* A regular file, open for reading: its size is known and stays what it was. */
struct eif_file {
	const char *path; /* borrowed */
	int fd;
	int error; /* errno of what failed last; 0: the file was shorter than it had been */
	struct eif_source source;
};

/*
 * Errors: SYSTEM (f->error), REFUSED (not a regular file). The caller closes in either case.
 * The source's context is `f`, which must stay where it is.
 */
MUST_USE struct err eif_file_open(struct eif_file *f, const char *path);
/* Safe twice. */
void eif_file_close(struct eif_file *f);
/* The whole file, appended. Errors: TOO_LARGE (past the buffer's bound), SYSTEM */
MUST_USE struct err eif_file_read(struct eif_file *f, struct buf *out);

/*
 * A file that is being written beside its place, and takes it when it is complete: who looks for
 * it finds what was there before, or all of it.
 */
struct eif_output {
	const char *path; /* borrowed */
	char partial[EIF_PATH_MAX_BYTES];
	int fd;
	int error;
};

/* Errors: SYSTEM (out->error), REFUSED (the place is taken by something that is no file). */
MUST_USE struct err eif_output_open(struct eif_output *out, const char *path);
MUST_USE struct err eif_output_write(struct eif_output *out, struct span s);
/* Writes over the file's first bytes. */
MUST_USE struct err eif_output_write_first(struct eif_output *out, struct span s);
/* Puts the file into its place. */
MUST_USE struct err eif_output_commit(struct eif_output *out);
/* Drops what was not committed; safe twice. */
void eif_output_close(struct eif_output *out);

#endif
