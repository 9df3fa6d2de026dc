/*
 * memory.h - HTTP/1.1 without a socket: a link of memory with a clock that the test moves, and a
 * handler that the test scripts.
 */
#ifndef TEST_HTTP_MEMORY_H
#define TEST_HTTP_MEMORY_H

#include "core/buf.h"
#include "http/h1.h"

struct memory {
	struct link link;
	struct wire_host host;
	struct h1 h1;
	struct buf out;	     /* what the kernel would have been given */
	struct buf queue;    /* what waits */
	size_t kernel_takes; /* of the queue in one flush */
	uint64_t now_ms, deadline_ms;
	bool kicked, reading, finished, linger, cut, reset;

	/* The handler: one exchange at a time. */
	struct exchange *x;
	const struct http_head *head;
	struct buf log; /* "method path?query|body;" of each request */
	uint64_t want_max;
	bool wants, silent; /* want the body; do not answer by yourself */
	bool answer_early;  /* in on_head, whatever the body */
	unsigned heads, bodies, gone, delivered, rooms, hangups, errors;
	unsigned error_status;
	struct buf error_path;
};

static inline size_t
memory_queued(const struct link *l)
{
	return ((const struct memory *)l)->queue.n;
}

static inline void
memory_kick(struct link *l)
{
	((struct memory *)l)->kicked = true;
}

static inline void
memory_reading(struct link *l, bool on)
{
	((struct memory *)l)->reading = on;
}

static inline uint64_t
memory_now_ms(const struct link *l)
{
	return ((const struct memory *)l)->now_ms;
}

static inline void
memory_deadline(struct link *l, uint64_t at_ms)
{
	((struct memory *)l)->deadline_ms = at_ms;
}

static inline void
memory_finish(struct link *l, bool linger)
{
	struct memory *m = (struct memory *)l;

	m->finished = true;
	m->linger = linger;
	m->kicked = true;
}

static inline void
memory_cut(struct link *l, bool reset)
{
	struct memory *m = (struct memory *)l;

	m->cut = true;
	m->reset = reset;
}

static const struct link_ops memory_ops = {
	.queued = memory_queued,
	.kick = memory_kick,
	.reading = memory_reading,
	.now_ms = memory_now_ms,
	.deadline = memory_deadline,
	.finish = memory_finish,
	.cut = memory_cut,
};

static inline void
memory_answer(struct memory *m, struct span body)
{
	const struct http_field type = { SPAN_LIT("Content-Type"), SPAN_LIT("text/plain") };

	exchange_head(m->x, 200, &type, 1, body.n);
	exchange_write(m->x, body);
	exchange_end(m->x);
}

static inline void *
memory_on_head(void *server, struct exchange *x, const struct http_head *head)
{
	struct memory *m = server;

	m->heads++;
	m->x = x;
	m->head = head;
	buf_put(&m->log, head->method);
	buf_put_byte(&m->log, ' ');
	buf_put(&m->log, head->path);
	if (head->query.p != NULL) {
		buf_put_byte(&m->log, '?');
		buf_put(&m->log, head->query);
	}
	buf_put_byte(&m->log, '|');
	if (m->answer_early)
		memory_answer(m, SPAN_LIT("early"));
	else if (m->wants)
		exchange_want_body(x, m->want_max);
	return m;
}

static inline void
memory_on_body(void *handler, struct span body)
{
	struct memory *m = handler;

	m->bodies++;
	buf_put(&m->log, body);
	buf_put_byte(&m->log, ';');
	if (!m->silent)
		memory_answer(m, body);
}

static inline void
memory_on_room(void *handler)
{
	((struct memory *)handler)->rooms++;
}

static inline void
memory_on_hangup(void *handler)
{
	((struct memory *)handler)->hangups++;
}

static inline void
memory_on_gone(void *handler, bool delivered)
{
	struct memory *m = handler;

	m->gone++;
	m->delivered += delivered;
	m->x = NULL;
}

static inline void
memory_wire_error(void *server, void *handler, struct exchange *x, const struct http_head *head,
    unsigned status, const char *what)
{
	struct memory *m = server;

	m->errors++;
	m->error_status = status;
	buf_put(&m->error_path, head->path);
	exchange_head(x, status, NULL, 0, strlen(what));
	exchange_write(x, span_str(what));
	exchange_end(x);
}

static const struct exchange_ops memory_exchange_ops = {
	.on_head = memory_on_head,
	.on_body = memory_on_body,
	.on_room = memory_on_room,
	.on_hangup = memory_on_hangup,
	.on_gone = memory_on_gone,
	.wire_error = memory_wire_error,
};

static inline void
memory_init(struct memory *m)
{
	*m = (struct memory){ .link = { &memory_ops, NULL },
		.now_ms = 1000,
		.wants = true,
		.want_max = BODY_MAX_BYTES,
		.kernel_takes = SIZE_MAX };
	m->link.out = &m->queue;
	buf_init(&m->out, 1 << 30);
	buf_init(&m->queue, 1 << 30);
	buf_init(&m->log, 1 << 30);
	buf_init(&m->error_path, TARGET_MAX_BYTES);
	wire_host_init(&m->host, &memory_exchange_ops, m);
	h1_init(&m->h1, &m->host, &m->link, false);
}

static inline void
memory_fini(struct memory *m)
{
	h1_lost(&m->h1);
	wire_host_fini(&m->host);
	buf_fini(&m->out);
	buf_fini(&m->queue);
	buf_fini(&m->log);
	buf_fini(&m->error_path);
}

/* One flush of the loop. */
static inline void
memory_flush(struct memory *m)
{
	size_t n = m->queue.n < m->kernel_takes ? m->queue.n : m->kernel_takes;

	m->kicked = false;
	if (m->cut)
		return;
	if (n > 0)
		buf_put(&m->out, span_cut(buf_span(&m->queue), 0, n));
	buf_drop(&m->queue, n);
	if (!m->finished)
		h1_flushed(&m->h1);
}

/* Bytes from the peer, then as many turns of the loop as it wants. */
static inline void
memory_bytes(struct memory *m, struct span bytes)
{
	if (!m->cut && !m->finished)
		h1_bytes(&m->h1, bytes);
	while (m->kicked && !m->cut)
		memory_flush(m);
}

/* The clock goes to at_ms; what was due by then happens. */
static inline void
memory_time(struct memory *m, uint64_t at_ms)
{
	while (m->deadline_ms != 0 && m->deadline_ms <= at_ms && !m->cut && !m->finished) {
		m->now_ms = m->deadline_ms;
		m->deadline_ms = 0;
		h1_deadline(&m->h1);
	}
	m->now_ms = at_ms;
	while (m->kicked && !m->cut)
		memory_flush(m);
}

#endif
