/*
 * upstream_head.c - the input as the lines of answers' heads. Whatever comes, the memory stays
 * within its bound, and a field that is found is a trimmed piece of the last head.
 */
#include "net/upstream_head.h"

#include <assert.h>

#include "core/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_field(const struct upstream_head *h, const char *name)
{
	struct span value = upstream_head_field(h, name), all = buf_span(&h->lines);

	if (value.p == NULL)
		return;
	assert(value.p >= all.p && value.p + value.n <= all.p + all.n);
	assert(value.n == span_trim(value).n);
	assert(span_find(value, SPAN_LIT("\n"), 0) == SIZE_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size);
	struct upstream_head h;
	enum upstream_head_next next = HEAD_MORE;

	upstream_head_init(&h);
	/* libcurl tells whole lines, each with its line feed; the last one may lack it. */
	while (rest.n > 0 && next != HEAD_TOO_LARGE) {
		size_t end = span_find(rest, SPAN_LIT("\n"), 0);
		size_t n = end == SIZE_MAX ? rest.n : end + 1;

		next = upstream_head_line(&h, span_cut(rest, 0, n));
		rest = span_cut(rest, n, rest.n);
		assert(h.lines.n <= HEAD_MAX_BYTES);
		assert((next == HEAD_WHOLE) == (!h.open && next != HEAD_TOO_LARGE));
		check_field(&h, "retry-after");
		check_field(&h, "a");
		check_field(&h, "");
	}
	upstream_head_fini(&h);
	return 0;
}
