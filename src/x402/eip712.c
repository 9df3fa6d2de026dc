#include "x402/eip712.h"

#include <assert.h>

const struct address x402_permit2 = { { 0x00, 0x00, 0x00, 0x00, 0x00, 0x22, 0xd4, 0x73, 0x03, 0x0f,
    0x11, 0x6d, 0xde, 0xe9, 0xf6, 0xb4, 0x3a, 0xc7, 0x8b, 0xa3 } };
const struct address x402_upto_proxy = { { 0x40, 0x20, 0xa4, 0xf3, 0xb7, 0xb9, 0x0c, 0xca, 0x42,
    0x3b, 0x9f, 0xab, 0xcc, 0x0c, 0xe5, 0x7c, 0x6c, 0x24, 0x00, 0x02 } };
const struct address x402_exact_proxy = { { 0x40, 0x20, 0x85, 0xc2, 0x48, 0xee, 0xa2, 0x7d, 0x92,
    0xe8, 0xb3, 0x0b, 0x2c, 0x58, 0xed, 0x07, 0xf9, 0xe2, 0x00, 0x01 } };

/* The types, as EIP-712 writes them: a struct's own first, those it names after it, sorted. */
#define TOKEN_PERMISSIONS "TokenPermissions(address token,uint256 amount)"
#define UPTO_WITNESS	  "Witness(address to,address facilitator,uint256 validAfter)"
#define EXACT_WITNESS	  "Witness(address to,uint256 validAfter)"
#define PERMIT                                                                                \
	"PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce," \
	"uint256 deadline,Witness witness)"
#define TRANSFER                                                                              \
	"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter," \
	"uint256 validBefore,bytes32 nonce)"
#define PERMIT2_DOMAIN "EIP712Domain(string name,uint256 chainId,address verifyingContract)"
#define TOKEN_DOMAIN \
	"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

/* hashStruct: the type's hash, then one word a member. */
static void
begin(struct keccak *k, const char *type)
{
	uint8_t hash[KECCAK_LEN];

	keccak_256(span_str(type), hash);
	keccak_init(k);
	keccak_update(k, span_of(hash, KECCAK_LEN));
}

static void
add_number(struct keccak *k, struct u256 v)
{
	uint8_t word[U256_BYTES];

	u256_store(v, word);
	keccak_update(k, span_of(word, U256_BYTES));
}

static void
add_address(struct keccak *k, const struct address *a)
{
	static const uint8_t zeros[U256_BYTES - ADDRESS_BYTES];

	keccak_update(k, span_of(zeros, sizeof(zeros)));
	keccak_update(k, span_of(a->b, ADDRESS_BYTES));
}

static void
add_string(struct keccak *k, struct span text)
{
	uint8_t hash[KECCAK_LEN];

	keccak_256(text, hash);
	keccak_update(k, span_of(hash, KECCAK_LEN));
}

static void
permit2_domain(const struct x402_terms *t, uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	begin(&k, PERMIT2_DOMAIN);
	add_string(&k, SPAN_LIT("Permit2"));
	add_number(&k, u256_of(t->chain_id));
	add_address(&k, &x402_permit2);
	keccak_final(&k, out);
}

static void
permit(const struct x402_terms *t, const struct x402_payment *p, uint8_t out[static KECCAK_LEN])
{
	bool upto = t->scheme == X402_UPTO;
	uint8_t part[KECCAK_LEN];
	struct keccak outer, inner;

	begin(&outer,
	    upto ? PERMIT TOKEN_PERMISSIONS UPTO_WITNESS : PERMIT TOKEN_PERMISSIONS EXACT_WITNESS);
	begin(&inner, TOKEN_PERMISSIONS);
	add_address(&inner, &p->token);
	add_number(&inner, p->amount);
	keccak_final(&inner, part);
	keccak_update(&outer, span_of(part, KECCAK_LEN));
	add_address(&outer, &p->spender);
	add_number(&outer, p->nonce);
	add_number(&outer, p->deadline);
	begin(&inner, upto ? UPTO_WITNESS : EXACT_WITNESS);
	add_address(&inner, &p->to);
	if (upto)
		add_address(&inner, &p->facilitator);
	add_number(&inner, p->valid_after);
	keccak_final(&inner, part);
	keccak_update(&outer, span_of(part, KECCAK_LEN));
	keccak_final(&outer, out);
}

static void
token_domain(const struct x402_terms *t, uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	begin(&k, TOKEN_DOMAIN);
	add_string(&k, t->asset_name);
	add_string(&k, t->asset_version);
	add_number(&k, u256_of(t->chain_id));
	add_address(&k, &t->asset);
	keccak_final(&k, out);
}

static void
transfer(const struct x402_payment *p, uint8_t out[static KECCAK_LEN])
{
	struct keccak k;

	begin(&k, TRANSFER);
	add_address(&k, &p->payer);
	add_address(&k, &p->to);
	add_number(&k, p->amount);
	add_number(&k, p->valid_after);
	add_number(&k, p->deadline);
	add_number(&k, p->nonce);
	keccak_final(&k, out);
}

void
eip712_of(struct eip712 *e, const struct x402_terms *t, const struct x402_payment *p)
{
	struct keccak k;

	if (t->scheme == X402_EXACT_EIP3009) {
		assert(p->form == X402_EIP3009);
		token_domain(t, e->domain);
		transfer(p, e->message);
	} else {
		assert(p->form == X402_PERMIT2);
		permit2_domain(t, e->domain);
		permit(t, p, e->message);
	}
	keccak_init(&k);
	keccak_update(&k, SPAN_LIT("\x19\x01"));
	keccak_update(&k, span_of(e->domain, KECCAK_LEN));
	keccak_update(&k, span_of(e->message, KECCAK_LEN));
	keccak_final(&k, e->digest);
}
