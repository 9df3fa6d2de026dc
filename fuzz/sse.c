/* Events do not depend on how the bytes arrive: whole, byte by byte, or cut anywhere. */
#include <stdlib.h>

#include "codec/sse.h"

enum { EVENT_MAX_BYTES = 4096, LOG_MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that was read, in a form in which no event can pass for two. */
static bool
feed(struct sse *s, struct span in, struct buf *log)
{
	struct span event;

	do {
		size_t before = in.n;

		if (failed(sse_next(s, &in, &event)))
			return false;
		if (in.n > before || (event.p == NULL && in.n != 0))
			abort();
		if (event.p != NULL) {
			buf_put_u64(log, event.n);
			buf_put_byte(log, ':');
			buf_put(log, event);
		}
	} while (event.p != NULL);
	return true;
}

/* Reads `in` in pieces of `step` bytes, the first one shorter. */
static void
read_all(struct span in, size_t first, size_t step, struct buf *log)
{
	struct span event;
	struct sse s;
	bool ok = true;

	sse_init(&s, EVENT_MAX_BYTES);
	for (size_t at = 0; ok && at < in.n;) {
		size_t n = at == 0 ? first : step;

		n = n < in.n - at ? n : in.n - at;
		ok = feed(&s, span_cut(in, at, at + n), log);
		at += n;
	}
	if (ok && !failed(sse_end(&s, &event)) && event.p != NULL)
		buf_put(log, event);
	buf_put_str(log, ok ? "end" : "error");
	sse_fini(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct buf whole, pieces;

	if (size == 0 || size > LOG_MAX_BYTES / 16)
		return 0;
	buf_init(&whole, LOG_MAX_BYTES);
	buf_init(&pieces, LOG_MAX_BYTES);
	read_all(in, size, size, &whole);
	for (size_t step = 1; step <= 3; step++) {
		read_all(in, 1 + data[0] % size, step, &pieces);
		if (!span_eq(buf_span(&whole), buf_span(&pieces)))
			abort();
		buf_clear(&pieces);
	}
	buf_fini(&pieces);
	buf_fini(&whole);
	return 0;
}
