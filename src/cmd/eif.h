/*
 * eif.h - the commands of tee-eif and what they share: options, files, one way to say no.
 * Source: interfaces.md section 11.
 */
#ifndef CMD_EIF_H
#define CMD_EIF_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/eif_file.h"
#include "core/err.h"
#include "eif/eif.h"

/* Bad image, unreadable file: 1. */
enum { EIF_EXIT_OK = 0, EIF_EXIT_BAD = 1, EIF_EXIT_USAGE = 2 };
/* One section stays free for a signature: a built image can always be signed. */
enum { EIF_MAX_RAMDISKS = EIF_MAX_SECTIONS - 4 };

#define EIF_OPTIONS(OPTION)                                         \
	OPTION(KERNEL, "--kernel", FOR_BUILD, true)                 \
	OPTION(CMDLINE, "--cmdline", FOR_BUILD, true)               \
	OPTION(INIT_RAMDISK, "--init-ramdisk", FOR_BUILD, true)     \
	OPTION(RAMDISK, "--ramdisk", FOR_BUILD, true)               \
	OPTION(NAME, "--name", FOR_BUILD, true)                     \
	OPTION(VERSION, "--version", FOR_BUILD, true)               \
	OPTION(OUT, "-o", FOR_BUILD | FOR_RAMDISK | FOR_SIGN, true) \
	OPTION(JSON, "--json", FOR_DESCRIBE, false)                 \
	OPTION(DIRECTORY, "-d", FOR_EXTRACT, true)                  \
	OPTION(MANIFEST, "--manifest", FOR_RAMDISK, true)           \
	OPTION(KEY, "--key", FOR_SIGN, true)                        \
	OPTION(CERT, "--cert", FOR_SIGN, true)                      \
	OPTION(HELP, "--help", FOR_ALL, false)

enum {
	FOR_BUILD = 1,
	FOR_MEASURE = 2,
	FOR_DESCRIBE = 4,
	FOR_EXTRACT = 8,
	FOR_RAMDISK = 16,
	FOR_SIGN = 32,
	FOR_ALL = 63,
};

enum eif_option {
#define OPTION_ENUM(id, name, mask, value) EIF_OPTION_##id,
	EIF_OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
	    EIF_N_OPTIONS
};

struct eif_options {
	const char *value[EIF_N_OPTIONS];      /* NULL: not given; "" for those without a value */
	const char *ramdisk[EIF_MAX_RAMDISKS]; /* --ramdisk, which may be given again */
	size_t n_ramdisks;
	const char *image; /* the word that is no option; NULL: none */
};

/* Each returns the exit status, having said on standard error what was wrong. */
int eif_run_build(const struct eif_options *o);
int eif_run_measure(const struct eif_options *o);
int eif_run_describe(const struct eif_options *o);
int eif_run_extract(const struct eif_options *o);
int eif_run_ramdisk(const struct eif_options *o);
int eif_run_sign(const struct eif_options *o);

/* One line: `tee-eif: NAME PROBLEM`. Returns EIF_EXIT_USAGE. */
int eif_usage(const char *name, const char *problem);
/* One line: `tee-eif: PATH: RULE`, without the path when it is NULL. Returns EIF_EXIT_BAD. */
int eif_bad(const char *path, struct err e);
/* The same, with the text of errno's value when that is not 0. */
int eif_bad_errno(const char *path, struct err e, int error);
/*
 * Opens, reads and measures an image. On failure it was said why, with the class and the offset
 * when the image is bad. The caller closes: eif_image_close(), in either case.
 */
struct eif_image {
	struct eif_file file;
	struct eif img;
};
bool eif_image_open(struct eif_image *image, const char *path);
void eif_image_close(struct eif_image *image);

/* One section of an image to be written: bytes in memory, or a part of a file. */
struct eif_piece {
	enum eif_type type;
	uint64_t size;
	struct span bytes;		 /* when source is NULL */
	const struct eif_source *source; /* NULL: bytes */
	uint64_t at;			 /* where the part begins in the source */
};
/*
 * Writes an image, reads it back, puts it into its place and prints its measurements. `head` says
 * what the pieces do not (architecture, version); its table and CRC are filled in here.
 * Returns the exit status.
 */
int eif_write_image(
    const char *path, uint8_t head[static EIF_HEAD_LEN], const struct eif_piece *pieces, size_t n);

/* Prints what was put into the buffer; EIF_EXIT_BAD when it cannot. */
int eif_print(const struct buf *b);

#endif
