/*
 * h1_body.c - the body of a request: counted or chunked, bounded, paid for, and not too slow.
 */
#include "http/h1_exchange.h"

#include "http/budget.h"

enum {
	BODY_FIRST_BYTES = 64 << 10,	/* believed of a Content-Length before bytes come */
	BODY_UNCHARGED_BYTES = 4 << 10, /* the number of connections bounds those */
};

uint64_t
h1_body_late_ms(const struct h1_exchange *x)
{
	const struct http_limits *l = &x->h1->host->limits;
	uint64_t total = x->body_start_ms + l->body_ms;
	uint64_t paid = x->body.n * 1000 / l->body_min_rate_bps;
	uint64_t rate = x->body_start_ms + (paid > l->body_grace_ms ? paid : l->body_grace_ms);

	return rate < total ? rate : total;
}

/* Room for n more bytes, paid for. */
static bool
body_reserve(struct h1_exchange *x, size_t n)
{
	const size_t have = x->body.n;

	if (buf_grow(&x->body, n) == NULL)
		return false;
	buf_truncate(&x->body, have);
	if (x->body.cap > x->body_charged && x->body.cap > BODY_UNCHARGED_BYTES) {
		if (!budget_take(x->body.cap - x->body_charged))
			return false;
		x->body_charged = x->body.cap;
	}
	return true;
}

static struct http_fault
body_put(struct h1_exchange *x, struct span data)
{
	if (data.n > x->body_max - x->body.n)
		return HTTP_FAULT(413, "body above this route's limit");
	if (data.n > 0 && !body_reserve(x, data.n))
		return HTTP_FAULT(503, "out of memory for bodies");
	buf_put(&x->body, data);
	return HTTP_FINE;
}

bool
h1_body_start(struct h1 *h, bool more_came)
{
	struct h1_exchange *x = h->x;
	const uint64_t length = x->request.head.content_length;
	size_t first = length < BODY_FIRST_BYTES ? (size_t)length : BODY_FIRST_BYTES;

	if (length != UINT64_MAX && length > x->body_max) {
		h1_refuse(h, HTTP_FAULT(413, "body above this route's limit"));
		return false;
	}
	if (x->body_max > SIZE_MAX / 2)
		x->body_max = SIZE_MAX / 2;
	x->body_left = length;
	buf_init(&x->body, (size_t)(length < x->body_max ? length : x->body_max));
	/* In one piece where the length is known; a promise of more is believed as it comes true. */
	if (length != UINT64_MAX && !body_reserve(x, first)) {
		h1_refuse(h, HTTP_FAULT(503, "out of memory for bodies"));
		return false;
	}
	x->body_start_ms = h1_now_ms(h);
	h->state = H1_BODY;
	h1_set_deadline(h, h1_body_late_ms(x));
	if (x->request.expects_continue && !more_came) {
		buf_put(h->link->out, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
		h->link->ops->kick(h->link);
	}
	return true;
}

void
h1_body_whole(struct h1 *h)
{
	struct h1_exchange *x = h->x;

	x->whole = true;
	h1_stop_reading(h);
	h->host->ops->on_body(x->handler, buf_span(&x->body));
}

size_t
h1_body_read(struct h1 *h, struct span in)
{
	struct h1_exchange *x = h->x;
	struct http_fault fault = HTTP_FINE;
	struct span left = in, data = SPAN_NONE;
	bool whole = false;

	if (x->request.head.content_length != UINT64_MAX) {
		data = span_cut(in, 0, in.n < x->body_left ? in.n : (size_t)x->body_left);
		left = span_cut(in, data.n, in.n);
		x->body_left -= data.n;
		fault = body_put(x, data);
		whole = x->body_left == 0;
	} else {
		switch (chunked_read(&x->chunked, &left, &data, &fault)) {
		case CHUNKED_MORE:
		case CHUNKED_BAD:
			break;
		case CHUNKED_DATA:
			fault = body_put(x, data);
			break;
		case CHUNKED_DONE:
			whole = true;
			break;
		}
	}
	if (fault.status != 0)
		h1_refuse(h, fault);
	else if (whole)
		h1_body_whole(h);
	return in.n - left.n;
}
