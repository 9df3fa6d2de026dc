#include "load_h2.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "load_answer.h"
#include "load_due.h"

enum { FIELDS_MAX = 32, WINDOW_BYTES = 16 << 20 };

struct stream {
	TAILQ_ENTRY(stream) all;
	struct answer answer;
	size_t sent; /* of the request's body */
	uint64_t status;
	bool whole; /* END_STREAM was seen */
};

struct h2 {
	nghttp2_session *session;
	TAILQ_HEAD(, stream) streams;
	size_t n;
};

static struct {
	const struct options *opt;
	struct span body;
	struct buf names; /* field names in lower case, as HTTP/2 wants them */
	nghttp2_nv nv[FIELDS_MAX];
	size_t n_nv;
	nghttp2_session_callbacks *cb;
} run;

/* --- the request, once ------------------------------------------------------------------- */

static void
put_field(struct span name, struct span value)
{
	if (run.n_nv == FIELDS_MAX)
		die(EXIT_CANNOT, "too many fields in the request");
	run.nv[run.n_nv++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
		(uint8_t *)(uintptr_t)value.p, name.n, value.n, NGHTTP2_NV_FLAG_NONE };
}

/* Up to `mark`, which *s is moved past. */
static struct span
cut_at(struct span *s, struct span mark)
{
	size_t at = span_find(*s, mark, 0);
	struct span before;

	if (at == SIZE_MAX)
		die(EXIT_CANNOT, "the request's head is no HTTP/1.1");
	before = span_cut(*s, 0, at);
	*s = span_cut(*s, at + mark.n, s->n);
	return before;
}

static struct span
lower(struct span name)
{
	size_t from = run.names.n;

	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		buf_put_byte(&run.names, c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c);
	}
	return span_of(run.names.p + from, name.n);
}

static void
read_request(void)
{
	struct span head = span_cut(buf_span(&run.opt->request), 0, run.opt->body_at - 2), line;

	run.body = span_cut(buf_span(&run.opt->request), run.opt->body_at, run.opt->request.n);
	/* Never longer than the head: what was put in stays where it is. */
	buf_init(&run.names, head.n);
	if (buf_grow(&run.names, head.n) == NULL)
		die(EXIT_CANNOT, "memory");
	buf_truncate(&run.names, 0);
	line = cut_at(&head, SPAN_LIT("\r\n"));
	put_field(SPAN_LIT(":method"), cut_at(&line, SPAN_LIT(" ")));
	put_field(SPAN_LIT(":scheme"), SPAN_LIT("https"));
	put_field(SPAN_LIT(":path"), cut_at(&line, SPAN_LIT(" ")));
	while (head.n > 0) {
		struct span name, value = cut_at(&head, SPAN_LIT("\r\n"));

		name = lower(cut_at(&value, SPAN_LIT(":")));
		if (span_eq(name, SPAN_LIT("host")))
			name = SPAN_LIT(":authority");
		if (!span_eq(name, SPAN_LIT("connection")))
			put_field(name, span_trim(value));
	}
}

/* --- what the session tells -------------------------------------------------------------- */

static ssize_t
on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *ctx)
{
	struct stream *x = source->ptr;
	size_t left = run.body.n - x->sent, n = left < max ? left : max;

	memcpy(to, run.body.p + x->sent, n);
	x->sent += n;
	if (x->sent == run.body.n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
    const uint8_t *value, size_t value_n, uint8_t flags, void *ctx)
{
	struct stream *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (x != NULL && span_eq(span_of(name, name_n), SPAN_LIT(":status")))
		(void)span_u64(span_of(value, value_n), 999, &x->status);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct stream *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (x == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
		answer_came(&x->answer);
		x->whole |= (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	}
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *ctx)
{
	struct stream *x = nghttp2_session_get_stream_user_data(session, id);

	if (x != NULL)
		answer_body(&x->answer, span_of(p, n));
	return 0;
}

static void
stream_over(struct h2 *h, struct stream *x)
{
	TAILQ_REMOVE(&h->streams, x, all);
	h->n--;
	if (x->whole)
		answer_whole(&x->answer, (unsigned)x->status);
	else
		answer_broken(&x->answer);
	free(x);
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
	struct stream *x = nghttp2_session_get_stream_user_data(session, id);

	if (x != NULL)
		stream_over(ctx, x);
	return 0;
}

/* --- the link ---------------------------------------------------------------------------- */

/* Puts what the session has to say in line. False when it is broken, or has nothing more to do. */
static bool
pump(struct link *l)
{
	struct h2 *h = l->wire;
	const uint8_t *p;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(h->session, &p)) > 0)
		buf_put(&l->out, span_of(p, (size_t)n));
	return n == 0 &&
	    (nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session));
}

static void
h2_next(struct link *l)
{
	struct h2 *h = l->wire;
	nghttp2_data_provider body = { .read_callback = on_read };
	uint64_t began_ns;

	while (h->n < run.opt->streams && nghttp2_session_check_request_allowed(h->session) == 1 &&
	    due_take(&began_ns)) {
		struct stream *x = calloc(1, sizeof(*x));

		if (x == NULL)
			die(EXIT_CANNOT, "memory");
		answer_begin(&x->answer, began_ns);
		body.source.ptr = x;
		if (nghttp2_submit_request(h->session, NULL, run.nv, run.n_nv, &body, x) < 0)
			die(EXIT_CANNOT, "a request cannot be submitted");
		TAILQ_INSERT_TAIL(&h->streams, x, all);
		h->n++;
	}
	(void)pump(l); /* a session that is broken is found when bytes come, or none do */
}

static bool
h2_bytes(struct link *l, struct span in)
{
	struct h2 *h = l->wire;

	if (nghttp2_session_mem_recv(h->session, in.p, in.n) < 0)
		return false;
	h2_next(l);
	return pump(l);
}

static void
h2_opened(struct link *l)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES },
	};
	struct h2 *h = calloc(1, sizeof(*h));

	if (h == NULL || nghttp2_session_client_new(&h->session, run.cb, h) != 0)
		die(EXIT_CANNOT, "memory");
	TAILQ_INIT(&h->streams);
	if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
	    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) !=
		0)
		die(EXIT_CANNOT, "settings");
	l->wire = h;
	(void)pump(l);
}

static void
h2_over(struct link *l, bool in_order)
{
	struct h2 *h = l->wire;

	(void)in_order; /* each stream says itself whether it is whole */
	while (!TAILQ_EMPTY(&h->streams))
		stream_over(h, TAILQ_FIRST(&h->streams));
	nghttp2_session_del(h->session);
	free(h);
	l->wire = NULL;
}

const struct link_ops *
h2_ops(const struct options *opt)
{
	static const struct link_ops ops = { h2_opened, h2_next, h2_bytes, h2_over };

	run.opt = opt;
	read_request();
	if (nghttp2_session_callbacks_new(&run.cb) != 0)
		die(EXIT_CANNOT, "memory");
	nghttp2_session_callbacks_set_on_header_callback(run.cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(run.cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(run.cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(run.cb, on_close);
	return &ops;
}
