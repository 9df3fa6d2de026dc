/*
 * verify_files.h - what a client kept, read whole.
 */
#ifndef CMD_VERIFY_FILES_H
#define CMD_VERIFY_FILES_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/span.h"

enum { FILE_MAX_BYTES = 64 << 20 };

/* The whole file into an empty buffer of FILE_MAX_BYTES; false after having said why not. */
bool file_read(const char *path, struct buf *out);
/* The same; "-" is standard input. */
bool file_read_or_stdin(const char *path, struct buf *out);
/* The content: a span that is there even when the file is empty. Borrowed. */
struct span file_bytes(const struct buf *b);

#endif
