#include "http/head.h"

#include <llhttp.h>

/* RFC 9110 5.6.2 */
static const bool tchar[256] = {
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
	['!'] = true,
	['#' ... '\''] = true,
	['*'] = true,
	['+'] = true,
	['-'] = true,
	['.'] = true,
	['^' ... '`'] = true,
	['|'] = true,
	['~'] = true,
};
/* RFC 9110 5.5: visible, obs-text, space and tab. */
static const bool value_char[256] = {
	['\t'] = true,
	[' ' ... '~'] = true,
	[0x80 ... 0xff] = true,
};
/* RFC 3986: what may stand in a request target; a fragment never does. */
static const bool target_char[256] = { ['!'] = true, ['"'] = true, ['$' ... '~'] = true };
/* RFC 3986 3.2.2 without userinfo: a list or an address with a name in front is not one host. */
static const bool host_char[256] = {
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
	['!'] = true,
	['$' ... '+'] = true,
	['-'] = true,
	['.'] = true,
	[':'] = true,
	[';'] = true,
	['='] = true,
	['_'] = true,
	['~'] = true,
	['['] = true,
	[']'] = true,
};

static bool
all_of(const bool table[static 256], struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!table[s.p[i]])
			return false;
	return true;
}

enum head_state
head_scan(struct head_scan *s, struct span bytes, size_t *end, struct http_fault *fault)
{
	const uint8_t *p = bytes.p, *lf;
	size_t at;

	while (s->line < bytes.n) {
		/* A TLS hello or other noise is refused at its first byte, not after 10 s. */
		if (s->line == s->start && p[s->line] != '\r' && !tchar[p[s->line]]) {
			*fault = HTTP_FAULT(400, "RFC 9112 3: not a request line");
			return HEAD_BAD;
		}
		if (s->line > s->start && (p[s->line] == ' ' || p[s->line] == '\t')) {
			*fault = HTTP_FAULT(400, "RFC 9112 5.2: folded line");
			return HEAD_BAD;
		}
		if ((lf = memchr(p + s->line, '\n', bytes.n - s->line)) == NULL)
			return HEAD_MORE;
		at = (size_t)(lf - p);
		if (memchr(p + s->line, '\r', at - s->line) != lf - 1) {
			*fault = HTTP_FAULT(400, "RFC 9112 2.2: line end other than CRLF");
			return HEAD_BAD;
		}
		if (at - s->line == 1 && s->line > s->start) {
			*end = at + 1;
			return HEAD_WHOLE;
		}
		if (at - s->line == 1)
			s->start = at + 1;
		s->line = at + 1;
	}
	return HEAD_MORE;
}

/* What llhttp's callbacks fill. */
struct reader {
	struct head_request *r;
	struct span target;
	struct http_fault fault;
	bool done;
};

/* A piece of a text that llhttp hands over; pieces are next to each other (no folded lines). */
static int
extend(struct span *s, const char *at, size_t n)
{
	if (s->p == NULL)
		*s = span_of(at, n);
	else if (s->p + s->n == (const uint8_t *)at)
		s->n += n;
	else
		return HPE_USER;
	return 0;
}

static int
on_method(llhttp_t *p, const char *at, size_t n)
{
	struct reader *rd = p->data;

	return extend(&rd->r->head.method, at, n);
}

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	struct reader *rd = p->data;

	return extend(&rd->target, at, n);
}

static int
on_name(llhttp_t *p, const char *at, size_t n)
{
	struct reader *rd = p->data;
	struct http_head *head = &rd->r->head;

	if (head->n_fields == HEAD_MAX_FIELDS) {
		rd->fault = HTTP_FAULT(431, "too many header fields");
		return HPE_USER;
	}
	return extend(&rd->r->field[head->n_fields].name, at, n);
}

static int
on_name_end(llhttp_t *p)
{
	struct reader *rd = p->data;
	struct http_head *head = &rd->r->head;

	rd->r->field[head->n_fields].value = SPAN_NONE;
	head->n_fields++;
	if (head->n_fields < HEAD_MAX_FIELDS)
		rd->r->field[head->n_fields].name = SPAN_NONE;
	return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t n)
{
	struct reader *rd = p->data;

	return extend(&rd->r->field[rd->r->head.n_fields - 1].value, at, n);
}

static int
on_head_end(llhttp_t *p)
{
	struct reader *rd = p->data;

	rd->done = true;
	return HPE_PAUSED; /* bodies are read elsewhere */
}

static const llhttp_settings_t settings = {
	.on_method = on_method,
	.on_url = on_url,
	.on_header_field = on_name,
	.on_header_field_complete = on_name_end,
	.on_header_value = on_value,
	.on_headers_complete = on_head_end,
};

/* What the fields say about the message as a whole. */
struct meaning {
	struct span host, length, coding, expect;
	unsigned n_host, n_length, n_coding, n_expect;
	bool close;
};

static void
once(struct span *s, unsigned *count, struct span value)
{
	*s = value;
	++*count;
}

/* RFC 9110 7.6.1: a list of tokens; only "close" matters to us, 1.1 keeps alive by itself. */
static bool
says_close(struct span list)
{
	size_t from = 0;

	while (from <= list.n) {
		size_t comma = span_find(list, SPAN_LIT(","), from);

		if (comma == SIZE_MAX)
			comma = list.n;
		if (span_eq_nocase(span_trim(span_cut(list, from, comma)), SPAN_LIT("close")))
			return true;
		from = comma + 1;
	}
	return false;
}

static struct http_fault
read_fields(struct head_request *r, struct meaning *m)
{
	for (size_t i = 0; i < r->head.n_fields; i++) {
		struct http_field *f = &r->field[i];

		/* Present but empty must differ from absent. */
		if (f->value.p == NULL)
			f->value = span_of(f->name.p + f->name.n, 0);
		f->value = span_trim(f->value);
		if (f->name.n == 0 || !all_of(tchar, f->name))
			return HTTP_FAULT(400, "RFC 9110 5.1: field name");
		if (!all_of(value_char, f->value))
			return HTTP_FAULT(400, "RFC 9110 5.5: control byte in a field");
		switch (f->name.n) { /* most fields fall through without a comparison */
		case 4:
			if (span_eq_nocase(f->name, SPAN_LIT("host")))
				once(&m->host, &m->n_host, f->value);
			break;
		case 6:
			if (span_eq_nocase(f->name, SPAN_LIT("expect")))
				once(&m->expect, &m->n_expect, f->value);
			break;
		case 10:
			if (span_eq_nocase(f->name, SPAN_LIT("connection")))
				m->close |= says_close(f->value);
			break;
		case 14:
			if (span_eq_nocase(f->name, SPAN_LIT("content-length")))
				once(&m->length, &m->n_length, f->value);
			break;
		case 17:
			if (span_eq_nocase(f->name, SPAN_LIT("transfer-encoding")))
				once(&m->coding, &m->n_coding, f->value);
			break;
		default:
			break;
		}
	}
	return HTTP_FINE;
}

/* RFC 9112 6: how long the body is. One field, one value, one meaning. */
static struct http_fault
read_framing(struct head_request *r, const struct meaning *m)
{
	uint64_t n = 0;

	if (m->n_length > 1)
		return HTTP_FAULT(400, "RFC 9112 6.3: two content-lengths");
	if (m->n_length > 0 && m->n_coding > 0)
		return HTTP_FAULT(400, "RFC 9112 6.1: content-length and transfer-encoding");
	if (m->n_coding > 1)
		return HTTP_FAULT(400, "RFC 9112 6.1: two transfer-encodings");
	if (m->n_coding == 1 && r->http10)
		return HTTP_FAULT(400, "RFC 9112 6.1: transfer-encoding on HTTP/1.0");
	if (m->n_coding == 1 && !span_eq_nocase(m->coding, SPAN_LIT("chunked")))
		return HTTP_FAULT(501, "RFC 9112 6.1: transfer-encoding other than chunked");
	if (m->n_length == 1 && m->length.n == 0)
		return HTTP_FAULT(400, "RFC 9110 8.6: content-length");
	for (size_t i = 0; i < m->length.n; i++) {
		uint8_t c = m->length.p[i];

		if (c < '0' || c > '9' || n > (UINT64_MAX / 2 - 9) / 10)
			return HTTP_FAULT(400, "RFC 9110 8.6: content-length");
		n = n * 10 + (c - '0');
	}
	r->head.content_length = m->n_coding == 1 ? UINT64_MAX : n;
	r->head.has_body = r->head.content_length > 0;
	return HTTP_FINE;
}

static void
set_path(struct http_head *head, struct span target)
{
	size_t mark = span_find(target, SPAN_LIT("?"), 0);

	head->path = mark == SIZE_MAX ? target : span_cut(target, 0, mark);
	head->query = mark == SIZE_MAX ? SPAN_NONE : span_cut(target, mark + 1, target.n);
}

/* RFC 9112 3.2: origin-form; "*" for OPTIONS; absolute-form when it names our Host. */
static struct http_fault
read_target(struct head_request *r, const struct meaning *m, struct span t)
{
	struct span method = r->head.method;
	size_t mark;

	if (span_eq(method, SPAN_LIT("CONNECT")))
		return HTTP_FAULT(400, "RFC 9110 9.3.6: CONNECT is not served here");
	if (span_eq(t, SPAN_LIT("*")) && span_eq(method, SPAN_LIT("OPTIONS"))) {
		r->head.path = t;
		return HTTP_FINE;
	}
	if (t.n > 7 && span_eq_nocase(span_cut(t, 0, 7), SPAN_LIT("http://")))
		mark = 7;
	else if (t.n > 8 && span_eq_nocase(span_cut(t, 0, 8), SPAN_LIT("https://")))
		mark = 8;
	else
		mark = 0;
	if (mark > 0) {
		size_t slash = span_find(t, SPAN_LIT("/"), mark);

		if (slash == SIZE_MAX || !span_eq_nocase(span_cut(t, mark, slash), m->host))
			return HTTP_FAULT(400, "RFC 9112 3.2.2: target names another host");
		t = span_cut(t, slash, t.n);
	}
	if (t.n == 0 || t.p[0] != '/')
		return HTTP_FAULT(400, "RFC 9112 3.2: request target");
	set_path(&r->head, t);
	return HTTP_FINE;
}

/* The spelling of a well-formed request line whose method llhttp has never heard of. */
static bool
is_unknown_method(struct span bytes)
{
	size_t first = span_find(bytes, SPAN_LIT(" "), 0);
	size_t second = first == SIZE_MAX ? SIZE_MAX : span_find(bytes, SPAN_LIT(" "), first + 1);

	return second != SIZE_MAX && first > 0 && all_of(tchar, span_cut(bytes, 0, first)) &&
	    all_of(target_char, span_cut(bytes, first + 1, second)) &&
	    span_starts(span_cut(bytes, second, bytes.n), SPAN_LIT(" HTTP/1.1\r\n"));
}

/* llhttp stopped early. It judges a coding as soon as it reads one: more fields may stand before. */
static struct http_fault
llhttp_fault(const llhttp_t *p, struct reader *rd, struct span bytes)
{
	struct meaning m = { .n_host = 0 };

	if (rd->fault.status != 0)
		return rd->fault;
	switch (llhttp_get_errno(p)) {
	case HPE_INVALID_METHOD:
		if (is_unknown_method(bytes))
			return HTTP_FAULT(501, "RFC 9110 9.1: method not known");
		return HTTP_FAULT(400, "RFC 9112 3.1: method");
	case HPE_INVALID_VERSION:
		return HTTP_FAULT(400, "RFC 9112 2.3: HTTP version");
	case HPE_INVALID_URL:
		return HTTP_FAULT(400, "RFC 9112 3.2: request target");
	case HPE_INVALID_TRANSFER_ENCODING:
		if (read_fields(rd->r, &m).status == 0 && m.n_length == 0 && m.n_coding < 2)
			return HTTP_FAULT(
			    501, "RFC 9112 6.1: transfer-encoding other than chunked");
		return HTTP_FAULT(400, "RFC 9112 6.1: transfer-encoding");
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH:
		return HTTP_FAULT(400, "RFC 9112 6.3: content-length");
	default:
		return HTTP_FAULT(400, "RFC 9112 2.2: malformed head");
	}
}

static struct http_fault
check(struct head_request *r, struct span target)
{
	struct meaning m = { .n_host = 0 };
	struct http_fault f;

	if (target.n > TARGET_MAX_BYTES)
		return HTTP_FAULT(414, "request target too long");
	if (!all_of(target_char, target))
		return HTTP_FAULT(400, "RFC 9112 3.2: byte in the request target");
	if ((f = read_fields(r, &m)).status != 0)
		return f;
	if (m.n_host > 1 || (m.n_host == 0 && !r->http10))
		return HTTP_FAULT(400, "RFC 9112 3.2: exactly one host field");
	if (!all_of(host_char, m.host))
		return HTTP_FAULT(400, "RFC 9110 7.2: host");
	if ((f = read_target(r, &m, target)).status != 0)
		return f;
	if ((f = read_framing(r, &m)).status != 0)
		return f;
	r->keep_alive = !r->http10 && !m.close;
	if (m.n_expect > 0 && !r->http10) {
		if (m.n_expect > 1 || !span_eq_nocase(m.expect, SPAN_LIT("100-continue")))
			return HTTP_FAULT(417, "RFC 9110 10.1.1: expectation");
		r->expects_continue = r->head.has_body;
	}
	return HTTP_FINE;
}

struct span
head_path(struct span bytes)
{
	size_t from = 0, to;

	while (from < bytes.n && tchar[bytes.p[from]])
		from++;
	if (from == 0 || bytes.n - from < 2 || bytes.p[from] != ' ' || bytes.p[from + 1] != '/')
		return SPAN_NONE;
	for (to = ++from; to < bytes.n && target_char[bytes.p[to]] && bytes.p[to] != '?'; to++)
		continue;
	return span_cut(bytes, from, to);
}

struct http_fault
head_parse(struct head_request *r, struct span bytes)
{
	struct reader rd = { .r = r };
	struct span version;
	llhttp_t p;

	r->head = (struct http_head){ .path = head_path(bytes), .field = r->field };
	r->field[0].name = SPAN_NONE;
	r->http10 = r->keep_alive = r->expects_continue = false;
	llhttp_init(&p, HTTP_REQUEST, &settings);
	p.data = &rd;
	llhttp_execute(&p, (const char *)bytes.p, bytes.n);
	if (!rd.done)
		return llhttp_fault(&p, &rd, bytes);
	/* Paused right behind the blank line, or the two of us disagree about where it is. */
	if ((const uint8_t *)llhttp_get_error_pos(&p) < bytes.p + bytes.n - 1)
		return HTTP_FAULT(400, "RFC 9112 2.2: malformed head");
	/* One space each; llhttp takes more. */
	if (rd.target.n == 0 || rd.target.p != bytes.p + r->head.method.n + 1)
		return HTTP_FAULT(400, "RFC 9112 3: request line");
	/* llhttp serves RTSP, ICE and HTTP/0.9, too. */
	version = span_cut(bytes, (size_t)(rd.target.p - bytes.p) + rd.target.n, bytes.n);
	r->http10 = span_starts(version, SPAN_LIT(" HTTP/1.0\r\n"));
	if (!r->http10 && !span_starts(version, SPAN_LIT(" HTTP/1.1\r\n")))
		return HTTP_FAULT(400, "RFC 9112 2.3: HTTP version");
	return check(r, rd.target);
}
