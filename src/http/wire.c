#include "http/wire.h"

void
wire_host_init(struct wire_host *w, const struct exchange_ops *ops, void *ctx)
{
	*w = (struct wire_host){ .ops = ops, .ctx = ctx, .limits = HTTP_LIMITS_DEFAULT };
}

struct span
wire_date(struct wire_host *w)
{
	uint64_t now = clock_unix_s();

	if (now != w->date_unix_s) {
		clock_http(now, w->date);
		w->date_unix_s = now;
	}
	return span_of(w->date, sizeof(w->date));
}

struct span
wire_status(unsigned status, char scratch[static 4])
{
	switch (status) {
#define PHRASE(code, text) \
	case code:         \
		return SPAN_LIT(#code " " text)
		PHRASE(200, "OK");
		PHRASE(202, "Accepted");
		PHRASE(204, "No Content");
		PHRASE(400, "Bad Request");
		PHRASE(402, "Payment Required");
		PHRASE(403, "Forbidden");
		PHRASE(404, "Not Found");
		PHRASE(405, "Method Not Allowed");
		PHRASE(408, "Request Timeout");
		PHRASE(409, "Conflict");
		PHRASE(413, "Content Too Large");
		PHRASE(414, "URI Too Long");
		PHRASE(415, "Unsupported Media Type");
		PHRASE(417, "Expectation Failed");
		PHRASE(429, "Too Many Requests");
		PHRASE(431, "Request Header Fields Too Large");
		PHRASE(500, "Internal Server Error");
		PHRASE(501, "Not Implemented");
		PHRASE(502, "Bad Gateway");
		PHRASE(503, "Service Unavailable");
		PHRASE(504, "Gateway Timeout");
#undef PHRASE
	default:
		scratch[0] = (char)('0' + status / 100 % 10);
		scratch[1] = (char)('0' + status / 10 % 10);
		scratch[2] = (char)('0' + status % 10);
		scratch[3] = ' '; /* RFC 9112 4: the space stays when the phrase is empty */
		return span_of(scratch, 4);
	}
}

enum { BLOCK_BYTES = 16 };

static uint8_t
is_control(uint8_t c)
{
	return (uint8_t)((c < ' ' && c != '\t') || c == 0x7f);
}

bool
wire_field_is_sound(const struct http_field *f)
{
	const uint8_t *p = f->value.p;
	size_t n = f->value.n;
	uint8_t controls = 0;

	/* In blocks of a fixed size, which take a few instructions each: a receipt has 2,000 bytes. */
	for (; n >= BLOCK_BYTES; p += BLOCK_BYTES, n -= BLOCK_BYTES)
		for (size_t i = 0; i < BLOCK_BYTES; i++)
			controls |= is_control(p[i]);
	for (size_t i = 0; i < n; i++)
		controls |= is_control(p[i]);
	return f->name.n > 0 && controls == 0;
}
