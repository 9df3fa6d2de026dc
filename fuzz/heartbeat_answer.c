/*
 * A facilitator's answer to a heartbeat: what is read of it is a text of 1 to 128 bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/heartbeat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char tx[HEARTBEAT_TX_MAX + 1];
	size_t n;

	memset(tx, 'x', sizeof(tx));
	if (failed(heartbeat_read_answer(tx, span_of(data, size))))
		return 0;
	n = strnlen(tx, sizeof(tx));
	if (n == 0 || n > HEARTBEAT_TX_MAX)
		abort();
	return 0;
}
