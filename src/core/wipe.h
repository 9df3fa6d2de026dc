/*
 * wipe.h - clear memory that held something private, in a way no compiler may drop. Pure.
 */
#ifndef CORE_WIPE_H
#define CORE_WIPE_H

#include <stddef.h>

/* Sets n bytes at p to zero; p may be NULL when n is 0. */
void wipe(void *p, size_t n);

#endif
