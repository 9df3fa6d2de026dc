/*
 * newc.h - headers of a cpio archive in the newc form, such that the same entries give the same
 * bytes anywhere. Pure; the data of files is put between by the caller.
 * Source: eif.md 5.1; Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
 */
#ifndef EIF_NEWC_H
#define EIF_NEWC_H

#include <stdint.h>

#include "core/buf.h"
#include "core/span.h"

enum { NEWC_ALIGN = 4, NEWC_BLOCK = 512, NEWC_NAME_MAX_BYTES = 4095 };
/* Sizes have eight hexadecimal digits. */
#define NEWC_FILE_MAX_BYTES 0xffffffffu

struct newc_entry {
	struct span name;
	uint32_t ino;
	uint32_t mode; /* with the type's bits */
	uint32_t size; /* of the data that follows */
	uint32_t rdev_major, rdev_minor;
};

enum { NEWC_TYPE = 0170000 }; /* the type's bits of a mode */
enum { NEWC_DIRECTORY = 0040000, NEWC_FILE = 0100000, NEWC_LINK = 0120000 };
enum { NEWC_CHAR = 0020000, NEWC_BLOCK_DEVICE = 0060000 };

/* Header, name and the padding after them; owner 0:0, time 0. Appended. */
void newc_put_entry(struct buf *b, const struct newc_entry *e);
/* How many zero bytes follow `size` bytes of data. */
unsigned newc_padding(uint64_t size);
/* The end of an archive of `size` bytes: trailer, and zeros up to the next block. Appended. */
void newc_put_trailer(struct buf *b, uint64_t size);

#endif
