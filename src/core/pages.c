#include "core/pages.h"

#include <sys/mman.h>

/* Of a small page and of a huge one alike. */
static size_t
rounded(size_t n)
{
	return (n + 4095) & ~(size_t)4095;
}

uint8_t *
pages_move(uint8_t *p, size_t old, size_t n)
{
	void *to = p == NULL
	    ? mmap(NULL, rounded(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
	    : mremap(p, rounded(old), rounded(n), MREMAP_MAYMOVE);

	return to == MAP_FAILED ? NULL : to;
}

void
pages_free(uint8_t *p, size_t n)
{
	(void)munmap(p, rounded(n));
}
