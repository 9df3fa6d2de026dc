#include "core/wipe.h"

#include <string.h>

void
wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}
