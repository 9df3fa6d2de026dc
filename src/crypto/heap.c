#include "crypto/heap.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

enum { HEAP_SMALLEST = 32, HEAP_LOCKED = 1 };

struct err
heap_open(void)
{
	/* 0: no heap; 2: a heap that could not be locked, still better than the common one. */
	if (CRYPTO_secure_malloc_init(HEAP_BYTES, HEAP_SMALLEST) == HEAP_LOCKED)
		return OK;
	ERR_clear_error();
	return FAIL(SYSTEM, "K4: no locked memory for keys (RLIMIT_MEMLOCK)");
}

void
heap_close(void)
{
	CRYPTO_secure_malloc_done();
}
