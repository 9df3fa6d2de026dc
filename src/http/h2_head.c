/*
 * h2_head.c - the head of an HTTP/2 request, rewritten as one of HTTP/1.1 and judged by its rules.
 *
 * nghttp2 has refused what RFC 9113 8 forbids: unknown or late pseudo fields, upper case,
 * Connection and its kin, a second Content-Length. What is left means the same in both forms.
 */
#include "http/h2_stream.h"

#include "http/chunked.h"

/* Room for the request line and for ": " and CRLF of each field, which the peer did not send. */
enum { TEXT_MAX_BYTES = 2 * HEAD_MAX_BYTES };

/* No byte that could end a line or, `word`, a part of the request line. */
static bool
keeps_line(struct span s, bool word)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0' ||
		    (word && (s.p[i] <= ' ' || s.p[i] == 0x7f)))
			return false;
	return true;
}

static struct span
pseudo(const struct h2_stream *x, struct span_at at)
{
	return span_cut(buf_span(&x->pseudo), at.from, at.from + at.n);
}

static struct http_fault
put_pseudo(struct h2_stream *x, struct span name, struct span value)
{
	struct span_at *at;

	if (span_eq(name, SPAN_LIT(":method")))
		at = &x->method;
	else if (span_eq(name, SPAN_LIT(":path")))
		at = &x->target;
	else if (span_eq(name, SPAN_LIT(":authority")))
		at = &x->authority;
	else
		return HTTP_FINE; /* :scheme; what TLS says counts */
	if (value.n == 0 || !keeps_line(value, true))
		return HTTP_FAULT(400, "RFC 9113 8.3.1: pseudo field");
	*at = (struct span_at){ .from = x->pseudo.n, .n = value.n, .is = true };
	buf_put(&x->pseudo, value);
	return HTTP_FINE;
}

/* The request line, and Host as RFC 9113 8.3.1 has an intermediary write it. */
static void
put_line(struct h2_stream *x)
{
	x->lined = true;
	buf_init(&x->text, TEXT_MAX_BYTES);
	buf_put(&x->text, pseudo(x, x->method));
	buf_put(&x->text, SPAN_LIT(" "));
	buf_put(&x->text, pseudo(x, x->target));
	buf_put(&x->text, SPAN_LIT(" HTTP/1.1\r\n"));
	if (x->authority.is) {
		buf_put(&x->text, SPAN_LIT("host: "));
		buf_put(&x->text, pseudo(x, x->authority));
		buf_put(&x->text, SPAN_LIT("\r\n"));
	}
}

static struct http_fault
put_field(struct h2_stream *x, struct span name, struct span value)
{
	if (!keeps_line(name, true) || !keeps_line(value, false))
		return HTTP_FAULT(400, "RFC 9113 8.2.1: control byte in a field");
	if (!x->lined)
		put_line(x);
	/* Said twice is fine once; another host is the second one, which head_parse() refuses. */
	if (span_eq(name, SPAN_LIT("host")) && x->authority.is && !x->host_seen &&
	    span_eq_nocase(value, pseudo(x, x->authority))) {
		x->host_seen = true;
		return HTTP_FINE;
	}
	buf_put(&x->text, name);
	buf_put(&x->text, SPAN_LIT(": "));
	buf_put(&x->text, value);
	buf_put(&x->text, SPAN_LIT("\r\n"));
	return HTTP_FINE;
}

int
h2_head_field(struct h2_stream *x, struct span name, struct span value, bool sound)
{
	const size_t most = x->parsed ? TRAILER_MAX_BYTES : HEAD_MAX_BYTES;

	/* RFC 9113 6.5.2: what a field costs a recipient, however few bytes HPACK made of it. */
	x->list_bytes += name.n + value.n + 32;
	x->n_list++;
	if (x->list_bytes > 2 * most || x->n_list > 2 * HEAD_MAX_FIELDS)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (x->parsed || x->fault.status != 0)
		return 0; /* trailers are read and ignored */
	if (x->list_bytes > most)
		x->fault = HTTP_FAULT(431, "head too large");
	else if (!sound)
		x->fault = HTTP_FAULT(400, "RFC 9113 8.2.1: malformed field");
	else if (name.n > 0 && name.p[0] == ':')
		x->fault = put_pseudo(x, name, value);
	else
		x->fault = put_field(x, name, value);
	return 0;
}

struct http_fault
h2_head_whole(struct h2_stream *x, bool has_body)
{
	struct http_head *head = &x->request.head;
	struct http_fault fault;

	if (!x->method.is || !x->target.is)
		return x->fault.status != 0
		    ? x->fault
		    : HTTP_FAULT(400, "RFC 9113 8.3.1: no :method or no :path");
	if (!x->lined)
		put_line(x);
	if (x->fault.status != 0)
		return x->fault;
	buf_put(&x->text, SPAN_LIT("\r\n"));
	buf_fini(&x->pseudo);
	if (failed(buf_check(&x->text)) || !h2_charge(x))
		return HTTP_FAULT(503, "out of memory for heads");
	x->parsed = true;
	fault = head_parse(&x->request, buf_span(&x->text));
	if (fault.status != 0)
		return fault;
	/* The end of the stream is the end of the body; the length is nghttp2's to compare. */
	if (!has_body)
		head->content_length = 0;
	else if (http_field_get(head, "content-length", NULL).p == NULL)
		head->content_length = UINT64_MAX;
	head->has_body = head->content_length > 0;
	x->request.expects_continue = has_body && http_field_get(head, "expect", NULL).p != NULL;
	return HTTP_FINE;
}
