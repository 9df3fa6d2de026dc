/* Permits for the tests of the ledger: payer and nonce are small numbers, times count from T0. */
#ifndef TEST_PERMITS_H
#define TEST_PERMITS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "payment/ledger.h"

enum { T0 = 1800000000, CAP = 1000, LIFE_S = 300, ROUTE = 1, OTHER = 2 };

static inline struct ledger_permit
permit(unsigned payer, unsigned nonce)
{
	struct ledger_permit p = {
		.key = { .chain_id = 8453, .nonce = u256_of(nonce) },
		.terms = { .cap = u256_of(CAP), .max_timeout_s = LIFE_S },
		.deadline_s = T0 + LIFE_S,
		.route = ROUTE,
		.payload = SPAN_LIT("{\"x402Version\":2}"),
	};

	memcpy(p.key.payer, &payer, sizeof(payer));
	memset(p.terms.pay_to, 0xbb, EVM_ADDRESS_LEN);
	return p;
}

static inline struct ledger *
ledger_of(uint32_t sessions, uint64_t largest_cap)
{
	struct ledger_options opt = { .sessions = sessions, .largest_cap = u256_of(largest_cap) };
	struct ledger_repair did;
	struct ledger *l;

	assert_int_equal(ledger_map(&l, &opt).code, ERR_OK);
	assert_int_equal(ledger_attach(l, &did).code, ERR_OK);
	assert_int_equal(did.sessions + did.holds + did.unknown + did.dropped, 0);
	return l;
}

static inline struct ledger_stats
stats(struct ledger *l)
{
	struct ledger_stats s;

	ledger_check(l);
	ledger_stats(l, &s);
	return s;
}

static inline uint64_t
small(struct u256 v)
{
	uint64_t n = UINT64_MAX;

	assert_true(u256_u64(v, &n));
	return n;
}

static inline struct ledger_session
open_at(struct ledger *l, const struct ledger_permit *p, uint64_t now_s)
{
	struct ledger_session s = { 0 };

	assert_int_equal(ledger_open(l, p, now_s, &s), LEDGER_OK);
	return s;
}

/* One request that costs `cost`, from beginning to end. */
static inline void
spend(struct ledger *l, const struct ledger_session *s, uint64_t cost, uint64_t now_s)
{
	struct u256 charged, total;
	struct ledger_hold h;

	assert_int_equal(ledger_reserve(l, s, u256_of(cost), now_s, &h, NULL), LEDGER_OK);
	assert_int_equal(ledger_charge(l, &h, u256_of(cost), &charged, &total), LEDGER_OK);
	assert_int_equal(small(charged), cost);
	assert_int_equal(ledger_commit(l, &h, now_s), LEDGER_OK);
}

#endif
