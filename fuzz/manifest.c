/*
 * A ramdisk's manifest: what is accepted is sorted, has each path once, below a directory that
 * comes before it, and makes an archive of aligned entries.
 */
#include <stdint.h>
#include <stdlib.h>

#include "eif/manifest.h"

enum { ARCHIVE_MAX_BYTES = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_entry(const struct manifest *m, size_t i)
{
	const struct newc_entry *h = &m->entry[i].head;
	size_t slash = span_rfind(h->name, SPAN_LIT("/"));
	size_t parent = 0;

	if (h->ino != i + 1 || h->name.n == 0 || h->name.p[0] == '/' ||
	    memchr(h->name.p, 0, h->name.n) != NULL ||
	    (i > 0 && span_cmp(m->entry[i - 1].head.name, h->name) >= 0))
		abort();
	if (slash == SIZE_MAX)
		return;
	while (parent < i && !span_eq(m->entry[parent].head.name, span_cut(h->name, 0, slash)))
		parent++;
	if (parent == i || (m->entry[parent].head.mode & NEWC_TYPE) != NEWC_DIRECTORY)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m;
	struct buf b;

	if (failed(manifest_parse(&m, span_of(data, size)))) {
		manifest_fini(&m);
		return 0;
	}
	buf_init(&b, ARCHIVE_MAX_BYTES);
	for (size_t i = 0; i < m.n; i++) {
		check_entry(&m, i);
		newc_put_entry(&b, &m.entry[i].head);
		if (!b.over && b.n % NEWC_ALIGN != 0)
			abort();
	}
	newc_put_trailer(&b, b.n);
	if (!b.over && b.n % NEWC_BLOCK != 0)
		abort();
	buf_fini(&b);
	manifest_fini(&m);
	return 0;
}
