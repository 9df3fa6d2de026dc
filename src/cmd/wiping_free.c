/*
 * wiping_free.c - memory that is given back is wiped first, whoever gives it back: ours, libcurl, its
 * nghttp2, OpenSSL, libc. Requests to providers, with their keys in it, and prompts are copied by
 * all of them.
 *
 * The libraries' own hooks would not do: libcurl makes its nghttp2 sessions with the common
 * allocator, whatever curl_global_init_mem(3) was told. A program's free(3) takes the place of
 * glibc's for every library (glibc manual, "Replacing malloc"); it still is glibc's that does the
 * work. Not with a sanitizer, which has an allocator of its own (meson.build).
 * Source: K4.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/wipe.h"

#define INSTEAD_OF_GLIBC __attribute__((visibility("default"), used))

/* glibc's own, under the names that it keeps for those who replace the others. */
void __libc_free(void *p);

INSTEAD_OF_GLIBC void
free(void *p)
{
	int saved = errno;

	if (p == NULL)
		return;
	wipe(p, malloc_usable_size(p));
	__libc_free(p);
	errno = saved;
}

/* Never glibc's: where it moves a block, it gives the old one back as it is. */
INSTEAD_OF_GLIBC void *
realloc(void *p, size_t n)
{
	size_t have;
	void *q;

	if (p == NULL)
		return malloc(n);
	if (n == 0) {
		free(p);
		return NULL;
	}
	have = malloc_usable_size(p);
	if (n <= have && n >= have / 2) {
		wipe((char *)p + n, have - n);
		return p;
	}
	if ((q = malloc(n)) == NULL)
		return NULL;
	memcpy(q, p, n < have ? n : have);
	free(p);
	return q;
}
