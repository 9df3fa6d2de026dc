/*
 * heap.h - where OpenSSL keeps private numbers: memory that is locked, fenced by guard pages, left
 * out of dumps and wiped when freed. One for the process. Hides OpenSSL.
 */
#ifndef CRYPTO_HEAP_H
#define CRYPTO_HEAP_H

#include "core/err.h"

/*
 * Call before the first key is made, while there is one thread. Errors: SYSTEM (no memory, or
 * RLIMIT_MEMLOCK is below HEAP_BYTES: keys can then be made, but may be paged out).
 */
enum { HEAP_BYTES = 128 * 1024 }; /* a few kilobytes of keys, and each thread's generator */
MUST_USE struct err heap_open(void);
/* After the last key was freed; keeps the heap if something still lives in it. Safe twice. */
void heap_close(void);

#endif
