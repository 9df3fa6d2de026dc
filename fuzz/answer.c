/*
 * What a server answers to tee-verify's fetch: a body comes only out of a whole answer, so nothing
 * that was accepted is accepted with a byte less or more.
 */
#include "cmd/answer.h"

#include <stdint.h>
#include <stdlib.h>

enum { BODY_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
accepted(struct span s)
{
	struct buf body;
	unsigned status;
	bool good;

	buf_init(&body, BODY_MAX);
	good = !failed(answer_parse(s, &status, &body));
	if (good && (body.n > s.n || status < 100 || status > 599))
		abort();
	buf_fini(&body);
	return good;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *longer;

	if (!accepted(span_of(data, size)))
		return 0;
	if (accepted(span_of(data, size - 1)))
		abort();
	if ((longer = malloc(size + 1)) == NULL)
		return 0;
	memcpy(longer, data, size);
	longer[size] = '\n';
	if (accepted(span_of(longer, size + 1)))
		abort();
	free(longer);
	return 0;
}
