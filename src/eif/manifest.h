/*
 * manifest.h - what a ramdisk holds: every path, its type, its mode, and where its bytes are.
 * Nothing else goes in, and nothing about the machine that packs it. Pure.
 * Source: eif.md 5.1; docs/image-format.md.
 *
 *	dir PATH MODE
 *	file PATH MODE SOURCE
 *	link PATH TARGET			(symbolic)
 *	node PATH MODE c|b MAJOR MINOR
 *
 * Fields are parted by blanks or tabs. In a field \ooo is the byte of these three octal digits
 * and \\ a backslash. Empty lines, and lines that start with #, say nothing.
 */
#ifndef EIF_MANIFEST_H
#define EIF_MANIFEST_H

#include <stddef.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/span.h"
#include "eif/newc.h"

struct manifest_entry {
	struct newc_entry head; /* size is 0 for files: the caller knows it */
	struct span source;	/* of a file, NUL-terminated: a path; of a link: its target */
	size_t line;
};

struct manifest {
	struct arena arena;	      /* owns all bytes */
	struct manifest_entry *entry; /* sorted bytewise by name, so parents come first */
	size_t n;
	size_t line; /* of an error: the line that breaks the rule, from 1 on */
};

/*
 * Reads and checks a manifest. Paths are relative, in one spelling (no leading /, no empty, `.` or
 * `..` part); each is there once; its parent is there and a directory.
 * On success and on error alike the caller owns what is in *m: manifest_fini().
 * Errors: MALFORMED, REFUSED (both with m->line), NOMEM, TOO_LARGE
 */
MUST_USE struct err manifest_parse(struct manifest *m, struct span text);
/* Safe twice. */
void manifest_fini(struct manifest *m);

#endif
