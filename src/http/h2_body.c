/*
 * h2_body.c - the body of a request: bounded, paid for, and not too slow.
 */
#include "http/h2_stream.h"

#include "http/budget.h"

bool
h2_charge(struct h2_stream *x)
{
	/* All of it: a connection has many streams, so nothing is small. */
	size_t holds = sizeof(*x) + x->pseudo.cap + x->text.cap + x->body.cap;

	if (holds > x->charged) {
		if (!budget_take(holds - x->charged))
			return false;
		x->charged = holds;
	}
	return true;
}

uint64_t
h2_body_late_ms(const struct h2_stream *x)
{
	const struct http_limits *l = &x->h2->host->limits;
	uint64_t total = x->body_start_ms + l->body_ms;
	uint64_t paid = x->body.n * 1000 / l->body_min_rate_bps;
	uint64_t rate = x->body_start_ms + (paid > l->body_grace_ms ? paid : l->body_grace_ms);

	return rate < total ? rate : total;
}

void
h2_body_start(struct h2_stream *x)
{
	const uint64_t length = x->request.head.content_length;
	const nghttp2_nv status = { (uint8_t *)":status", (uint8_t *)"100", 7, 3,
		NGHTTP2_NV_FLAG_NONE };

	if (length != UINT64_MAX && length > x->body_max) {
		h2_refuse(x, HTTP_FAULT(413, "body above this route's limit"));
		return;
	}
	if (x->body_max > SIZE_MAX / 2)
		x->body_max = SIZE_MAX / 2;
	buf_init(&x->body, (size_t)(length < x->body_max ? length : x->body_max));
	x->body_start_ms = h2_now_ms(x->h2);
	x->due_ms = h2_body_late_ms(x);
	h2_due(x->h2, x->due_ms);
	if (x->request.expects_continue)
		nghttp2_submit_headers(
		    x->h2->session, NGHTTP2_FLAG_NONE, x->id, NULL, &status, 1, NULL);
}

void
h2_body_data(struct h2_stream *x, struct span data)
{
	/* Answered already, or asked for by nobody: the window moves on, the bytes are dropped. */
	if (!x->began || !x->wants_body || x->headed || x->aborted)
		return;
	if (data.n > x->body_max - x->body.n) {
		h2_refuse(x, HTTP_FAULT(413, "body above this route's limit"));
		return;
	}
	buf_put(&x->body, data);
	if (failed(buf_check(&x->body)) || !h2_charge(x))
		h2_refuse(x, HTTP_FAULT(503, "out of memory for bodies"));
}

void
h2_body_whole(struct h2_stream *x)
{
	x->whole = true;
	if (!x->began || !x->wants_body || x->headed || x->aborted)
		return;
	x->due_ms = 0;
	x->h2->host->ops->on_body(x->handler, buf_span(&x->body));
}
