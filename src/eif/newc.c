#include "eif/newc.h"

#include <stdio.h>

enum { HEAD_LEN = 110, N_FIELDS = 13, TRAILER_LEN = 124 };

static void
put_head(struct buf *b, const struct newc_entry *e, uint32_t links)
{
	/* ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize
	 * check */
	uint32_t field[N_FIELDS] = { e->ino, e->mode, 0, 0, links, 0, e->size, 0, 0, e->rdev_major,
		e->rdev_minor, (uint32_t)e->name.n + 1, 0 };
	char text[16];

	buf_put_str(b, "070701");
	for (int i = 0; i < N_FIELDS; i++) {
		snprintf(text, sizeof(text), "%08X", (unsigned)field[i]);
		buf_put_str(b, text);
	}
	buf_put(b, e->name);
	for (unsigned i = 1 + newc_padding(HEAD_LEN + e->name.n + 1); i > 0; i--)
		buf_put_byte(b, 0);
}

unsigned
newc_padding(uint64_t size)
{
	return (unsigned)(-size & (NEWC_ALIGN - 1));
}

void
newc_put_entry(struct buf *b, const struct newc_entry *e)
{
	put_head(b, e, (e->mode & NEWC_TYPE) == NEWC_DIRECTORY ? 2 : 1);
}

void
newc_put_trailer(struct buf *b, uint64_t size)
{
	struct newc_entry e = { .name = SPAN_LIT("TRAILER!!!") };

	put_head(b, &e, 1);
	size += TRAILER_LEN;
	for (unsigned i = (unsigned)(-size & (NEWC_BLOCK - 1)); i > 0; i--)
		buf_put_byte(b, 0);
}
