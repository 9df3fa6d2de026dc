#include "http/chunked.h"

#include "core/limits.h"

/* The grammar, a state a place: size [;ext] CR LF data CR LF ... 0 CR LF *(line CR LF) CR LF */
enum {
	AT_SIZE = 0,
	AT_EXT,
	AT_SIZE_LF,
	AT_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_TRAILER, /* first byte of a line */
	AT_TRAILER_LINE,
	AT_TRAILER_LF,
	AT_LAST_LF,
	AT_END,
};

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
is_control(uint8_t c)
{
	return (c < ' ' && c != '\t') || c == 0x7f;
}

static struct http_fault
size_byte(struct chunked *c, uint8_t byte)
{
	int v = hex_value(byte);

	if (v >= 0) {
		/* 15 digits cannot overflow, nor can any sum of them that fits a limit. */
		if (++c->digits > 15)
			return HTTP_FAULT(400, "RFC 9112 7.1: chunk size too large");
		c->left = c->left << 4 | (unsigned)v;
		return HTTP_FINE;
	}
	if (c->digits == 0 || (byte != '\r' && byte != ';'))
		return HTTP_FAULT(400, "RFC 9112 7.1: chunk size");
	c->at = byte == ';' ? AT_EXT : AT_SIZE_LF;
	return HTTP_FINE;
}

static struct http_fault
ext_byte(struct chunked *c, uint8_t byte)
{
	if (byte == '\r')
		c->at = AT_SIZE_LF;
	else if (is_control(byte) || byte > 0x7f)
		return HTTP_FAULT(400, "RFC 9112 7.1.1: byte in a chunk extension");
	if (++c->ext_bytes > CHUNK_EXT_MAX_BYTES)
		return HTTP_FAULT(400, "RFC 9112 7.1.1: chunk extensions too long");
	return HTTP_FINE;
}

static struct http_fault
trailer_byte(struct chunked *c, uint8_t byte)
{
	if (++c->trailer_bytes > TRAILER_MAX_BYTES)
		return HTTP_FAULT(431, "trailers too long");
	if (byte == '\r')
		c->at = c->at == AT_TRAILER ? AT_LAST_LF : AT_TRAILER_LF;
	else if (is_control(byte) || (c->at == AT_TRAILER && (byte == ' ' || byte == '\t')))
		return HTTP_FAULT(400, "RFC 9112 7.1.2: trailer");
	else
		c->at = AT_TRAILER_LINE;
	return HTTP_FINE;
}

/* The one byte that may stand here. */
static struct http_fault
expect(struct chunked *c, uint8_t byte, uint8_t want, unsigned next)
{
	if (byte != want)
		return HTTP_FAULT(400, "RFC 9112 7.1: CRLF of a chunk");
	c->at = next;
	return HTTP_FINE;
}

static struct http_fault
framing_byte(struct chunked *c, uint8_t byte)
{
	switch (c->at) {
	case AT_SIZE:
		return size_byte(c, byte);
	case AT_EXT:
		return ext_byte(c, byte);
	case AT_SIZE_LF:
		return expect(c, byte, '\n', c->left > 0 ? AT_DATA : AT_TRAILER);
	case AT_DATA_CR:
		return expect(c, byte, '\r', AT_DATA_LF);
	case AT_DATA_LF:
		c->digits = 0;
		return expect(c, byte, '\n', AT_SIZE);
	case AT_TRAILER:
	case AT_TRAILER_LINE:
		return trailer_byte(c, byte);
	case AT_TRAILER_LF:
		return expect(c, byte, '\n', AT_TRAILER);
	default:
		return expect(c, byte, '\n', AT_END);
	}
}

enum chunked_event
chunked_read(struct chunked *c, struct span *in, struct span *data, struct http_fault *fault)
{
	while (in->n > 0) {
		if (c->at == AT_DATA) {
			size_t n = in->n < c->left ? in->n : (size_t)c->left;

			*data = span_cut(*in, 0, n);
			*in = span_cut(*in, n, in->n);
			if ((c->left -= n) == 0)
				c->at = AT_DATA_CR;
			return CHUNKED_DATA;
		}
		*fault = framing_byte(c, in->p[0]);
		if (fault->status != 0)
			return CHUNKED_BAD;
		*in = span_cut(*in, 1, in->n);
		if (c->at == AT_END)
			return CHUNKED_DONE;
	}
	return CHUNKED_MORE;
}
