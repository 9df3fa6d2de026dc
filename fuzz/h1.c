/*
 * h1.c - HTTP/1.1 over memory with any bytes, in pieces of any size, and any clock.
 *
 * What must hold: nothing but one answer a request, in order; nothing is parsed behind a refused
 * message; every handler that began hears of its end once; all memory comes back. And whatever we
 * accept, llhttp reads the same way: the first request's body is compared with its reading.
 */
#include <assert.h>
#include <llhttp.h>

#include "../tests/unit/http/memory.h"
#include "http/budget.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- the second opinion -- */

struct opinion {
	struct buf body;
	bool whole;
};

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct opinion *o = p->data;

	buf_put(&o->body, span_of(at, n));
	return 0;
}

static int
on_message_complete(llhttp_t *p)
{
	((struct opinion *)p->data)->whole = true;
	return HPE_PAUSED;
}

/* llhttp behind an Upgrade sees another protocol; we go on with HTTP/1.1 as RFC 9110 7.8 allows. */
static void
compare_body(struct span request, struct span body)
{
	static const llhttp_settings_t settings = {
		.on_body = on_body,
		.on_message_complete = on_message_complete,
	};
	struct opinion o = { .whole = false };
	llhttp_t p;

	buf_init(&o.body, BODY_MAX_BYTES);
	llhttp_init(&p, HTTP_REQUEST, &settings);
	p.data = &o;
	llhttp_execute(&p, (const char *)request.p, request.n);
	/* Chunk extensions and trailers mean nothing to us; llhttp has an opinion on their words. */
	if (!o.whole)
		assert(p.upgrade != 0 || (p.flags & F_TRAILING) != 0 ||
		    span_find(request, SPAN_LIT(";"), 0) != SIZE_MAX);
	else if (p.upgrade == 0)
		assert(span_eq(buf_span(&o.body), body));
	buf_fini(&o.body);
}

/* -- the run -- */

static struct span fuzz_input;
static unsigned fuzz_bodies;

static void
check_on_body(void *handler, struct span body)
{
	if (fuzz_bodies++ == 0)
		compare_body(fuzz_input, body);
	memory_on_body(handler, body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { SIZE_MAX, 1, 7, 100 };
	struct exchange_ops ops = memory_exchange_ops;
	struct memory m;
	struct span in;
	size_t step;
	uint8_t mode;

	if (size < 1)
		return 0;
	mode = data[0];
	in = fuzz_input = span_of(data + 1, size - 1);
	fuzz_bodies = 0;
	ops.on_body = check_on_body;
	step = steps[mode & 3];
	memory_init(&m);
	m.host.ops = &ops;
	m.want_max = (mode & 4) != 0 ? 64 : BODY_MAX_BYTES;
	m.answer_early = (mode & 8) != 0;
	m.silent = (mode & 16) != 0;
	m.kernel_takes = (mode & 32) != 0 ? 5 : SIZE_MAX;
	while (in.n > 0 && !m.finished && !m.cut) {
		size_t n = in.n < step ? in.n : step;

		memory_bytes(&m, span_cut(in, 0, n));
		in = span_cut(in, n, in.n);
		while (m.queue.n > 0 && !m.cut)
			memory_flush(&m);
		if ((mode & 64) != 0)
			memory_time(&m, m.now_ms + 997);
	}
	assert(m.heads >= m.bodies && m.errors <= 1);
	assert(m.heads - m.gone <= 1 && m.host.exchanges == m.heads - m.gone);
	assert(m.errors == 0 || (m.finished && m.out.n > 0) || m.cut);
	if ((mode & 128) != 0 && !m.finished && !m.cut) {
		h1_eof(&m.h1);
		memory_bytes(&m, SPAN_NONE);
	}
	memory_fini(&m);
	assert(m.gone == m.heads);
	assert(budget_used() == 0);
	return 0;
}
