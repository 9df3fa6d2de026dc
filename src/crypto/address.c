#include "crypto/address.h"

#include "codec/hex.h"
#include "crypto/keccak.h"

bool
address_eq(const struct address *a, const struct address *b)
{
	return span_eq(span_of(a->b, ADDRESS_BYTES), span_of(b->b, ADDRESS_BYTES));
}

bool
address_parse(struct address *a, struct span text)
{
	struct address read = { { 0 } };

	if (text.n != ADDRESS_LEN || text.p[0] != '0' || text.p[1] != 'x' ||
	    failed(hex_parse(read.b, ADDRESS_BYTES, span_cut(text, 2, text.n))))
		return false;
	*a = read;
	return true;
}

void
address_text(const struct address *a, char out[static ADDRESS_LEN])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t hash[KECCAK_LEN];

	out[0] = '0';
	out[1] = 'x';
	for (size_t i = 0; i < ADDRESS_BYTES; i++) {
		out[2 + 2 * i] = digits[a->b[i] >> 4];
		out[3 + 2 * i] = digits[a->b[i] & 15];
	}
	/* EIP-55: a letter is upper case where the hash of the lower-case digits is 8 or more. */
	keccak_256(span_of(out + 2, ADDRESS_LEN - 2), hash);
	for (size_t i = 0; i < ADDRESS_LEN - 2; i++) {
		uint8_t nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15;

		if (nibble >= 8 && out[2 + i] >= 'a')
			out[2 + i] = (char)(out[2 + i] - 'a' + 'A');
	}
}

void
address_put(struct buf *b, const struct address *a)
{
	char text[ADDRESS_LEN];

	address_text(a, text);
	buf_put(b, span_of(text, ADDRESS_LEN));
}

void
address_of_point(struct address *a, const uint8_t point[static 64])
{
	uint8_t hash[KECCAK_LEN];

	keccak_256(span_of(point, 64), hash);
	for (size_t i = 0; i < ADDRESS_BYTES; i++)
		a->b[i] = hash[KECCAK_LEN - ADDRESS_BYTES + i];
}
