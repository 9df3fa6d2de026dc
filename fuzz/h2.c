/*
 * h2.c - HTTP/2 over memory with any frames, in pieces of any size, and any clock.
 *
 * What must hold: every handler that began hears of its end once; no handler hears of a body twice;
 * all memory comes back, whatever was under way; what waits for a client stays bounded. The input
 * is a mode byte and then bytes behind the client's preface: with mode bit 0 they are the frames
 * themselves, else a shorter spelling from which requests with sound heads are made, so that
 * mutations reach the streams.
 */
#include <assert.h>

#include "../tests/unit/http/h2_memory.h"
#include "http/budget.h"
#include "http/h2_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = { "/a", "/hang", "/stream", "/early", "/abort", "/part", "/x?y",
	"*" };

/* Four bytes a frame: what, which stream, and two numbers. */
static void
spell(struct buf *out, struct span in)
{
	static const uint8_t zeros[1024];

	for (; in.n >= 4; in = span_cut(in, 4, in.n)) {
		uint8_t what = in.p[0], a = in.p[2], b = in.p[3];
		uint32_t id = 1 + 2 * (uint32_t)(in.p[1] % 32);

		switch (what % 8) {
		case 0:
			put_request(out, id, "GET", paths[a % 8], true);
			break;
		case 1:
			put_request(
			    out, id, a % 2 == 0 ? "POST" : "HEAD", paths[a / 2 % 8], b % 2 == 0);
			break;
		case 2:
			put_frame(out, NGHTTP2_DATA, b & NGHTTP2_FLAG_END_STREAM, id,
			    span_of(zeros, 4 * (size_t)a));
			break;
		case 3:
			put_frame_u32(out, NGHTTP2_RST_STREAM, id, a);
			break;
		case 4:
			put_frame_u32(out, NGHTTP2_WINDOW_UPDATE, b % 2 == 0 ? id : 0,
			    (uint32_t)a << (b % 24));
			break;
		case 5:
			put_setting(out, b % 10, (uint32_t)a << (b % 17));
			break;
		case 6:
			put_frame(out, a, b, in.p[1] % 2 == 0 ? 0 : id, span_of(zeros, b % 16));
			break;
		default:
			put_frame(out, NGHTTP2_PING, b & NGHTTP2_FLAG_ACK, 0, span_of(zeros, 8));
			break;
		}
	}
}

/* Modes beyond the bytes: slow kernels, a clock that runs, a drain on the way. */
static void
feed(struct h2_memory *m, struct span in, uint8_t mode)
{
	static const size_t steps[] = { SIZE_MAX, 1, 9, 100 };
	const size_t step = steps[mode >> 1 & 3];
	size_t fed = 0;

	while (in.n > 0 && !m->finished && !m->cut) {
		size_t n = in.n < step ? in.n : step;

		hm_bytes(m, span_cut(in, 0, n));
		in = span_cut(in, n, in.n);
		fed += n;
		assert(m->queue.n < 1 << 20);
		if ((mode & 16) != 0)
			hm_time(m, m->now_ms + 997);
		if ((mode & 32) != 0 && fed > 200 && !m->host.draining) {
			m->host.draining = true;
			h2_drain(&m->h2);
			hm_turn(m);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct h2_memory m;
	struct buf in;
	uint8_t mode;

	if (size < 1 || size > 1 << 16)
		return 0;
	mode = data[0];
	buf_init(&in, 64 << 20);
	put_preface(&in);
	if ((mode & 1) != 0)
		buf_put(&in, span_of(data + 1, size - 1));
	else
		spell(&in, span_of(data + 1, size - 1));
	hm_init_ops(&m, &hm_exchange_ops);
	m.want_max = (mode & 64) != 0 ? 64 : BODY_MAX_BYTES;
	m.blocks = 300;
	m.kernel_takes = (mode & 8) != 0 ? 5 : SIZE_MAX;
	feed(&m, buf_span(&in), mode);
	assert(m.heads >= m.bodies);
	assert(m.host.exchanges <= m.heads - m.gone);
	if ((mode & 128) != 0 && !m.finished)
		hm_time(&m, m.now_ms + 100000);
	/* Answers that come late, to whoever still waits. */
	for (unsigned i = 0; i < MEMORY_IDS; i++)
		if (m.call[i].live && m.call[i].part)
			exchange_end(m.call[i].x);
	hm_turn(&m);
	hm_fini(&m);
	assert(m.gone == m.heads && m.host.exchanges == 0);
	assert(budget_used() == 0);
	buf_fini(&in);
	return 0;
}
