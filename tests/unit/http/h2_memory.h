/*
 * h2_memory.h - HTTP/2 without a socket: a link of memory with a clock that the test moves, a
 * handler that does what the path says, and a client that makes its frames by hand.
 */
#ifndef TEST_HTTP_H2_MEMORY_H
#define TEST_HTTP_H2_MEMORY_H

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "core/buf.h"
#include "http/h2.h"

enum { MEMORY_IDS = 1024 };

struct h2_memory;

/* One request, as its handler sees it. */
struct call {
	struct h2_memory *m;
	struct exchange *x;
	struct span path;
	bool stream, part, live;
};

/* What the client got on a stream. */
struct seen {
	unsigned status, interim;
	size_t body;
	uint32_t reset; /* code + 1; 0: none */
	bool ended;
};

struct h2_memory {
	struct link link;
	struct wire_host host;
	struct h2 h2;
	struct buf queue;    /* what waits for the kernel */
	struct buf in;	     /* what the client has not parsed yet */
	size_t kernel_takes; /* of the queue in one flush */
	uint64_t now_ms, deadline_ms;
	bool kicked, finished, cut, linger;

	struct call call[MEMORY_IDS];
	unsigned next_call;
	unsigned heads, bodies, gone, delivered, rooms, errors;
	unsigned error_status;
	uint64_t want_max;
	size_t blocks;	/* that all streams may write before they end */
	struct buf log; /* "method path|body;" of each request */
	bool has_host;	/* of the last head */

	nghttp2_hd_inflater *inflater;
	struct seen seen[MEMORY_IDS]; /* by stream id */
	unsigned goaways, pongs, pings, settings;
	uint32_t goaway_code, goaway_last, first_goaway_last;
};

/* -- the link -- */

static inline size_t
hm_queued(const struct link *l)
{
	return ((const struct h2_memory *)l)->queue.n;
}

static inline void
hm_kick(struct link *l)
{
	((struct h2_memory *)l)->kicked = true;
}

static inline void
hm_reading(struct link *l, bool on)
{
}

static inline uint64_t
hm_now_ms(const struct link *l)
{
	return ((const struct h2_memory *)l)->now_ms;
}

static inline void
hm_deadline(struct link *l, uint64_t at_ms)
{
	((struct h2_memory *)l)->deadline_ms = at_ms;
}

static inline void
hm_finish(struct link *l, bool linger)
{
	struct h2_memory *m = (struct h2_memory *)l;

	assert(!m->finished);
	m->finished = m->kicked = true;
	m->linger = linger;
}

static inline void
hm_cut(struct link *l, bool reset)
{
	((struct h2_memory *)l)->cut = true;
}

static const struct link_ops hm_ops = {
	.queued = hm_queued,
	.kick = hm_kick,
	.reading = hm_reading,
	.now_ms = hm_now_ms,
	.deadline = hm_deadline,
	.finish = hm_finish,
	.cut = hm_cut,
};

/* -- the handler: /stream writes for ever, /hang never answers, /abort breaks off, others echo -- */

static inline void
hm_answer(struct exchange *x, struct span body)
{
	const struct http_field type = { SPAN_LIT("Content-Type"), SPAN_LIT("text/plain") };

	exchange_head(x, 200, &type, 1, body.n);
	exchange_write(x, body);
	exchange_end(x);
}

static inline void
hm_stream(struct call *c)
{
	static const uint8_t block[4096];

	for (; exchange_room(c->x) > 0 && c->m->blocks > 0; c->m->blocks--)
		exchange_write(c->x, span_of(block, sizeof(block)));
	if (c->m->blocks == 0) {
		c->stream = false;
		exchange_end(c->x);
	}
}

static inline void *
hm_on_head(void *server, struct exchange *x, const struct http_head *head)
{
	struct h2_memory *m = server;
	struct call *c;

	do
		c = &m->call[m->next_call++ % MEMORY_IDS];
	while (c->live);
	m->heads++;
	*c = (struct call){ .m = m, .x = x, .path = head->path, .live = true };
	m->has_host = http_field_get(head, "host", NULL).p != NULL;
	buf_put(&m->log, head->method);
	buf_put_byte(&m->log, ' ');
	buf_put(&m->log, head->path);
	buf_put_byte(&m->log, '|');
	if (span_eq(head->path, SPAN_LIT("/early")))
		hm_answer(x, SPAN_LIT("early"));
	else
		exchange_want_body(x, m->want_max);
	return c;
}

static inline void
hm_on_body(void *handler, struct span body)
{
	struct call *c = handler;

	c->m->bodies++;
	buf_put(&c->m->log, body);
	buf_put_byte(&c->m->log, ';');
	if (span_eq(c->path, SPAN_LIT("/stream"))) {
		c->stream = true;
		exchange_head(c->x, 200, NULL, 0, EXCHANGE_STREAM);
		hm_stream(c);
	} else if (span_eq(c->path, SPAN_LIT("/part"))) {
		c->part = true;
		exchange_head(c->x, 200, NULL, 0, EXCHANGE_STREAM);
		exchange_write(c->x, SPAN_LIT("part"));
	} else if (span_eq(c->path, SPAN_LIT("/abort"))) {
		exchange_head(c->x, 200, NULL, 0, EXCHANGE_STREAM);
		exchange_write(c->x, SPAN_LIT("part"));
		exchange_abort(c->x);
	} else if (!span_eq(c->path, SPAN_LIT("/hang"))) {
		hm_answer(c->x, body);
	}
}

static inline void
hm_on_room(void *handler)
{
	struct call *c = handler;

	c->m->rooms++;
	if (c->stream)
		hm_stream(c);
}

static inline void
hm_on_gone(void *handler, bool delivered)
{
	struct call *c = handler;

	assert(c->live);
	c->live = false;
	c->m->gone++;
	c->m->delivered += delivered;
}

static inline void
hm_wire_error(void *server, void *handler, struct exchange *x, const struct http_head *head,
    unsigned status, const char *what)
{
	struct h2_memory *m = server;

	m->errors++;
	m->error_status = status;
	exchange_head(x, status, NULL, 0, strlen(what));
	exchange_write(x, span_str(what));
	exchange_end(x);
}

static const struct exchange_ops hm_exchange_ops = {
	.on_head = hm_on_head,
	.on_body = hm_on_body,
	.on_room = hm_on_room,
	.on_gone = hm_on_gone,
	.wire_error = hm_wire_error,
};

/* -- the client's eyes -- */

static inline void
hm_see_head(struct h2_memory *m, struct seen *s, struct span block)
{
	while (block.n > 0) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(m->inflater, &nv, &flags, block.p, block.n, 1);
		uint64_t status = 0;

		assert(n >= 0);
		block = span_cut(block, (size_t)n, block.n);
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 &&
		    span_eq(span_of(nv.name, nv.namelen), SPAN_LIT(":status"))) {
			assert(span_u64(span_of(nv.value, nv.valuelen), 999, &status));
			if (status < 200)
				s->interim = (unsigned)status;
			else
				s->status = (unsigned)status;
		}
	}
	nghttp2_hd_inflate_end_headers(m->inflater);
}

static inline uint32_t
hm_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
hm_see(struct h2_memory *m)
{
	size_t at = 0;

	while (m->in.n - at >= 9) {
		const uint8_t *p = m->in.p + at;
		size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
		uint8_t type = p[3], flags = p[4];
		uint32_t id = hm_u32(p + 5);
		struct seen *s = &m->seen[id % MEMORY_IDS];

		if (m->in.n - at < 9 + n)
			break;
		p += 9;
		if (type == NGHTTP2_HEADERS)
			hm_see_head(m, s, span_of(p, n));
		if (type == NGHTTP2_DATA)
			s->body += n;
		if ((type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) &&
		    (flags & NGHTTP2_FLAG_END_STREAM) != 0)
			s->ended = true;
		if (type == NGHTTP2_RST_STREAM)
			s->reset = hm_u32(p) + 1;
		if (type == NGHTTP2_SETTINGS)
			m->settings++;
		if (type == NGHTTP2_PING && (flags & NGHTTP2_FLAG_ACK) != 0)
			m->pongs++;
		else if (type == NGHTTP2_PING)
			m->pings++;
		if (type == NGHTTP2_GOAWAY) {
			if (m->goaways++ == 0)
				m->first_goaway_last = hm_u32(p);
			m->goaway_last = hm_u32(p);
			m->goaway_code = hm_u32(p + 4);
		}
		at += 9 + n;
	}
	buf_drop(&m->in, at);
}

/* -- turns of the loop -- */

static inline void
hm_flush(struct h2_memory *m)
{
	size_t n = m->queue.n < m->kernel_takes ? m->queue.n : m->kernel_takes;

	m->kicked = false;
	if (m->cut)
		return;
	if (n > 0)
		buf_put(&m->in, span_cut(buf_span(&m->queue), 0, n));
	buf_drop(&m->queue, n);
	hm_see(m);
	if (!m->finished)
		h2_flushed(&m->h2);
}

static inline void
hm_turn(struct h2_memory *m)
{
	/* What the kernel does not take now it does not take in this turn. */
	while (m->kicked && !m->cut) {
		hm_flush(m);
		if (m->kernel_takes != SIZE_MAX)
			break;
	}
}

/* Bytes from the peer, then as many turns as it wants. */
static inline void
hm_bytes(struct h2_memory *m, struct span bytes)
{
	if (!m->finished && !m->cut)
		h2_bytes(&m->h2, bytes);
	hm_turn(m);
}

/* The clock goes to at_ms; what was due by then happens. */
static inline void
hm_time(struct h2_memory *m, uint64_t at_ms)
{
	while (m->deadline_ms != 0 && m->deadline_ms <= at_ms && !m->cut && !m->finished) {
		if (m->deadline_ms > m->now_ms)
			m->now_ms = m->deadline_ms;
		m->deadline_ms = 0;
		h2_deadline(&m->h2);
		hm_turn(m);
	}
	m->now_ms = at_ms;
	hm_turn(m);
}

static inline void
hm_init_ops(struct h2_memory *m, const struct exchange_ops *ops)
{
	memset(m, 0, sizeof(*m));
	m->link = (struct link){ &hm_ops, &m->queue };
	m->now_ms = 1000;
	m->want_max = BODY_MAX_BYTES;
	m->blocks = SIZE_MAX;
	m->kernel_takes = SIZE_MAX;
	buf_init(&m->queue, 1 << 30);
	buf_init(&m->in, 1 << 30);
	buf_init(&m->log, 1 << 30);
	assert(nghttp2_hd_inflate_new(&m->inflater) == 0);
	wire_host_init(&m->host, ops, m);
	assert(!failed(h2_init(&m->h2, &m->host, &m->link)));
}

static inline void
hm_fini(struct h2_memory *m)
{
	h2_lost(&m->h2);
	wire_host_fini(&m->host);
	nghttp2_hd_inflate_del(m->inflater);
	buf_fini(&m->queue);
	buf_fini(&m->in);
	buf_fini(&m->log);
}

/* -- the client's hand -- */

static inline void
put_u32(struct buf *b, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_put_byte(b, (uint8_t)(v >> shift));
}

static inline void
put_frame(struct buf *b, uint8_t type, uint8_t flags, uint32_t id, struct span payload)
{
	buf_put_byte(b, (uint8_t)(payload.n >> 16));
	buf_put_byte(b, (uint8_t)(payload.n >> 8));
	buf_put_byte(b, (uint8_t)payload.n);
	buf_put_byte(b, type);
	buf_put_byte(b, flags);
	put_u32(b, id);
	buf_put(b, payload);
}

static inline void
put_frame_u32(struct buf *b, uint8_t type, uint32_t id, uint32_t v)
{
	struct buf p;

	buf_init(&p, 4);
	put_u32(&p, v);
	put_frame(b, type, 0, id, buf_span(&p));
	buf_fini(&p);
}

/* RFC 7541 5.2, never Huffman. */
static inline void
put_string(struct buf *b, struct span s)
{
	size_t n = s.n;

	if (n < 127) {
		buf_put_byte(b, (uint8_t)n);
	} else {
		buf_put_byte(b, 127);
		for (n -= 127; n >= 128; n /= 128)
			buf_put_byte(b, (uint8_t)(n % 128 + 128));
		buf_put_byte(b, (uint8_t)n);
	}
	buf_put(b, s);
}

/* RFC 7541 6.2.2: a literal that the table does not keep. */
static inline void
put_field(struct buf *b, struct span name, struct span value)
{
	buf_put_byte(b, 0);
	put_string(b, name);
	put_string(b, value);
}

/* HEADERS and as many CONTINUATIONs as it takes. */
static inline void
put_block(struct buf *b, uint32_t id, uint8_t flags, struct span block)
{
	enum { PIECE = 16384 };
	uint8_t type = NGHTTP2_HEADERS;

	do {
		size_t n = block.n < PIECE ? block.n : PIECE;
		bool last = n == block.n;

		put_frame(b, type,
		    (uint8_t)((type == NGHTTP2_HEADERS ? flags : 0) |
			(last ? NGHTTP2_FLAG_END_HEADERS : 0)),
		    id, span_cut(block, 0, n));
		block = span_cut(block, n, block.n);
		type = NGHTTP2_CONTINUATION;
	} while (block.n > 0);
}

static inline void
put_pseudo(struct buf *b, const char *method, const char *path)
{
	put_field(b, SPAN_LIT(":method"), span_str(method));
	put_field(b, SPAN_LIT(":scheme"), SPAN_LIT("https"));
	put_field(b, SPAN_LIT(":path"), span_str(path));
	put_field(b, SPAN_LIT(":authority"), SPAN_LIT("h"));
}

/* A request without extra fields; end: it has no body. */
static inline void
put_request(struct buf *b, uint32_t id, const char *method, const char *path, bool end)
{
	struct buf block;

	buf_init(&block, 1 << 20);
	put_pseudo(&block, method, path);
	put_block(b, id, end ? NGHTTP2_FLAG_END_STREAM : 0, buf_span(&block));
	buf_fini(&block);
}

static inline void
put_preface(struct buf *b)
{
	buf_put_str(b, NGHTTP2_CLIENT_MAGIC);
	put_frame(b, NGHTTP2_SETTINGS, 0, 0, SPAN_NONE);
	put_frame(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SPAN_NONE);
}

/* SETTINGS with one entry. */
static inline void
put_setting(struct buf *b, uint16_t id, uint32_t v)
{
	struct buf p;

	buf_init(&p, 6);
	buf_put_byte(&p, (uint8_t)(id >> 8));
	buf_put_byte(&p, (uint8_t)id);
	put_u32(&p, v);
	put_frame(b, NGHTTP2_SETTINGS, 0, 0, buf_span(&p));
	buf_fini(&p);
}

#endif
