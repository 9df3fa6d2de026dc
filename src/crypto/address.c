#include "crypto/address.h"

#include <stdbool.h>

#include "codec/hex.h"
#include "crypto/keccak.h"

enum { DIGITS = 2 * ADDRESS_BYTES };

/* A letter is upper case where the hash of the lower-case digits is 8 or more. */
static void
put_case(char digits[static DIGITS])
{
	uint8_t hash[KECCAK_LEN];

	keccak_256(span_of(digits, DIGITS), hash);
	for (size_t i = 0; i < DIGITS; i++) {
		uint8_t nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15;

		if (nibble >= 8 && digits[i] >= 'a')
			digits[i] = (char)(digits[i] - 'a' + 'A');
	}
}

void
address_put(const uint8_t address[static ADDRESS_BYTES], char out[static ADDRESS_LEN])
{
	static const char digits[] = "0123456789abcdef";

	out[0] = '0';
	out[1] = 'x';
	for (size_t i = 0; i < ADDRESS_BYTES; i++) {
		out[2 + 2 * i] = digits[address[i] >> 4];
		out[3 + 2 * i] = digits[address[i] & 15];
	}
	put_case(out + 2);
}

struct err
address_parse(uint8_t out[static ADDRESS_BYTES], struct span text)
{
	bool lower = false, upper = false;
	char spelling[ADDRESS_LEN];

	if (text.n != ADDRESS_LEN || !span_starts(text, SPAN_LIT("0x")) ||
	    failed(hex_parse(out, ADDRESS_BYTES, span_cut(text, 2, text.n))))
		return FAIL(MALFORMED, "an address is 0x and 40 hexadecimal digits");
	for (size_t i = 2; i < text.n; i++) {
		lower = lower || (text.p[i] >= 'a' && text.p[i] <= 'f');
		upper = upper || (text.p[i] >= 'A' && text.p[i] <= 'F');
	}
	address_put(out, spelling);
	if (lower && upper && !span_eq(text, span_of(spelling, ADDRESS_LEN)))
		return FAIL(REFUSED, "EIP-55: the address's checksum does not fit");
	return OK;
}
