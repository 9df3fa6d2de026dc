/*
 * abi.h - a contract call as Solidity's ABI encodes it. Written only; tests read it with viem. Pure.
 * Source: Solidity documentation, "Contract ABI Specification".
 */
#ifndef CODEC_ABI_H
#define CODEC_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/span.h"

enum { ABI_WORD_LEN = 32, ABI_SELECTOR_LEN = 4, ABI_ADDRESS_LEN = 20 };

enum abi_type {
	ABI_UINT,    /* uint8 to uint256; `number` */
	ABI_ADDRESS, /* ABI_ADDRESS_LEN of `bytes` */
	ABI_BYTES,   /* `bytes` or `string`, of any length; `bytes` */
};

struct abi_value {
	enum abi_type type;
	uint64_t number;
	struct span bytes;
};

/*
 * The call's input: the selector, which is the beginning of keccak-256 over the function's name and
 * types, and n arguments. Whether it fitted, buf_check() says.
 */
void abi_put_call(struct buf *b, const uint8_t selector[static ABI_SELECTOR_LEN],
    const struct abi_value *argument, size_t n);

#endif
