#include "codec/b64.h"

struct form {
	const char *alphabet;
	bool padded;
};

static const struct form standard = {
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	true,
};
static const struct form urlsafe = {
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
	false,
};

static void
encode(const struct form *f, struct buf *b, struct span in)
{
	size_t tail = in.n % 3, length;
	uint8_t *to;
	size_t i;

	if (in.n > SIZE_MAX / 4) {
		b->over = true;
		return;
	}
	length = in.n / 3 * 4 + (tail == 0 ? 0 : f->padded ? 4 : tail + 1);
	if (length == 0 || (to = buf_grow(b, length)) == NULL)
		return;
	for (i = 0; i + 3 <= in.n; i += 3) {
		uint32_t bits = (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];

		*to++ = (uint8_t)f->alphabet[bits >> 18];
		*to++ = (uint8_t)f->alphabet[bits >> 12 & 63];
		*to++ = (uint8_t)f->alphabet[bits >> 6 & 63];
		*to++ = (uint8_t)f->alphabet[bits & 63];
	}
	if (tail > 0) {
		uint32_t bits = (uint32_t)in.p[i] << 16;

		if (tail == 2)
			bits |= (uint32_t)in.p[i + 1] << 8;
		*to++ = (uint8_t)f->alphabet[bits >> 18];
		*to++ = (uint8_t)f->alphabet[bits >> 12 & 63];
		if (tail == 2)
			*to++ = (uint8_t)f->alphabet[bits >> 6 & 63];
		for (size_t pad = f->padded ? 3 - tail : 0; pad > 0; pad--)
			*to++ = '=';
	}
}

/* 64 for a byte outside the alphabet. */
static uint32_t
sextet(const struct form *f, uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0' + 52);
	if (c == (uint8_t)f->alphabet[62])
		return 62;
	return c == (uint8_t)f->alphabet[63] ? 63 : 64;
}

/* Digits without padding into `to`, which has room for n * 3 / 4 bytes. */
static struct err
decode_digits(const struct form *f, uint8_t *to, struct span digits)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < digits.n; i++) {
		uint32_t v = sextet(f, digits.p[i]);

		if (v > 63)
			return FAIL(MALFORMED, "RFC 4648 3.3: byte outside the base64 alphabet");
		bits = bits << 6 | v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (uint8_t)(bits >> have);
			bits &= (1u << have) - 1;
		}
	}
	/* Otherwise one value would have several spellings, and a signed text could be changed. */
	if (bits != 0)
		return FAIL(MALFORMED, "RFC 4648 3.5: base64 spare bits are not zero");
	return OK;
}

static struct err
decode(const struct form *f, struct buf *b, struct span text)
{
	size_t before = b->n;
	struct err e;
	uint8_t *to;

	if (f->padded) {
		if (text.n % 4 != 0)
			return FAIL(MALFORMED, "RFC 4648 4: base64 without its padding");
		for (int pad = 0; pad < 2 && text.n > 0 && text.p[text.n - 1] == '='; pad++)
			text.n--;
	}
	if (text.n % 4 == 1)
		return FAIL(MALFORMED, "RFC 4648 4: base64 of an impossible length");
	if (text.n == 0)
		return buf_check(b);
	if (b->over || text.n / 4 * 3 + text.n % 4 * 3 / 4 > b->max - b->n)
		return FAIL(TOO_LARGE, "base64: past the bound");
	if ((to = buf_grow(b, text.n / 4 * 3 + text.n % 4 * 3 / 4)) == NULL)
		return FAIL(TOO_LARGE, "base64: memory refused");
	if (failed(e = decode_digits(f, to, text)))
		buf_truncate(b, before);
	return e;
}

void
b64_put(struct buf *b, struct span bytes)
{
	encode(&standard, b, bytes);
}

void
b64url_put(struct buf *b, struct span bytes)
{
	encode(&urlsafe, b, bytes);
}

struct err
b64_parse(struct buf *b, struct span text)
{
	return decode(&standard, b, text);
}

struct err
b64url_parse(struct buf *b, struct span text)
{
	return decode(&urlsafe, b, text);
}
