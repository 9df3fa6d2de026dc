/*
 * pages.h - memory for large buffers: pages of their own. They grow by being moved, not copied, and
 * go back to the kernel, which clears what it gives to anybody. Pure.
 */
#ifndef CORE_PAGES_H
#define CORE_PAGES_H

#include <stddef.h>
#include <stdint.h>

/*
 * From here on a buffer is worth pages of its own. A sanitized build has none: its red zones are
 * worth more.
 */
#ifdef __SANITIZE_ADDRESS__
#define PAGES_MIN_BYTES SIZE_MAX
#else
#define PAGES_MIN_BYTES ((size_t)1 << 20)
#endif

/*
 * n bytes in place of the `old` ones at p, whose content moves; p NULL: n new ones. NULL: no memory,
 * and p is as it was. Both sizes are those the caller asks for.
 */
uint8_t *pages_move(uint8_t *p, size_t old, size_t n);
void pages_free(uint8_t *p, size_t n);

#endif
