/*
 * A mapping that a worker under a stranger's control has written to is taken over: the table is
 * consistent then, and stays so whatever comes next.
 *
 * Input: a count, so many writes (where: 3 bytes, what: 1), then operations.
 */
#include <stdlib.h>
#include <string.h>

#include "payment/ledger_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSIONS = 3, NOW = 1000, CAP = 1000 };

static struct ledger *l;
static struct ledger_task task;

static enum ledger_verdict
open_one(unsigned n, struct ledger_session *s)
{
	struct ledger_permit p = { .key = { .chain_id = 1, .nonce = u256_of(n) },
		.terms = { .cap = u256_of(CAP), .max_timeout_s = 300 },
		.deadline_s = NOW + 300,
		.route = 1,
		.payload = SPAN_LIT("{}") };

	return ledger_open(l, &p, NOW, s);
}

static void
request(unsigned n, uint64_t cost)
{
	struct u256 charged, total;
	struct ledger_session s;
	struct ledger_hold h;

	if (open_one(n, &s) != LEDGER_OK ||
	    ledger_reserve(l, &s, u256_of(cost), NOW, &h, NULL) != LEDGER_OK)
		return;
	(void)ledger_charge(l, &h, u256_of(cost), &charged, &total);
	if (u256_cmp(total, u256_of(CAP)) > 0)
		abort();
	(void)ledger_commit(l, &h, NOW);
}

/* Two sessions that owe, one of them claimed; a spent permit; a barred payer; one in flight. */
static void
set_up(void)
{
	struct ledger_repair did;
	struct ledger_session s;
	struct ledger_hold h;

	memset(l->shared, 0, l->bytes);
	if (failed(ledger_attach(l, &did)))
		abort();
	for (unsigned i = 0; i < SESSIONS; i++)
		request(i, 10);
	if (!ledger_claim(l, NOW + 150, false, &task))
		abort();
	ledger_settled(l, &task, NOW + 150);
	if (!ledger_claim(l, NOW + 150, false, &task))
		abort();
	ledger_failed(l, &task, LEDGER_PAYER, NOW + 150, 0);
	payer_unbar(l, &task.key); /* all have one payer here */
	payer_bar(l, &(struct permit_key){ .chain_id = 2 }, NOW + 1000);
	if (open_one(SESSIONS, &s) != LEDGER_OK)
		abort();
	(void)ledger_reserve(l, &s, u256_of(5), NOW, &h, NULL);
}

static void
damage(const uint8_t write[static 4])
{
	const struct span where[] = {
		{ (uint8_t *)l->shared, sizeof(struct shared) },
		{ (uint8_t *)l->session, SESSIONS * sizeof(struct session) },
		{ (uint8_t *)l->spent, l->n_spent * sizeof(struct spent) },
		{ (uint8_t *)l->barred, 4 * sizeof(struct barred) },
		{ (uint8_t *)l->by_key.bucket, 16 },
	};
	struct span s = where[write[0] % (sizeof(where) / sizeof(where[0]))];
	size_t at = ((size_t)write[1] << 8 | write[2]) % s.n;

	*((uint8_t *)(uintptr_t)s.p + at) = write[3];
}

static void
operate(uint8_t what)
{
	struct ledger_loss loss;

	switch (what % 8) {
	case 0:
	case 1:
		request(what / 8, 7);
		break;
	case 2:
		if (ledger_claim(l, NOW + 150, what & 64, &task))
			ledger_settled(l, &task, NOW + 150);
		break;
	case 3:
		if (ledger_claim(l, NOW + 200, false, &task))
			ledger_failed(l, &task, LEDGER_PAYER, NOW + 200, 0);
		break;
	case 4:
		if (ledger_claim(l, NOW + 200, false, &task))
			ledger_unknown(l, &task, NOW + 200, 0);
		break;
	case 5:
		while (ledger_write_off(l, NOW + 290, &loss))
			;
		break;
	default:
		while (ledger_write_off(l, NOW + 400, &loss))
			;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ledger_options opt = { .sessions = SESSIONS, .largest_cap = u256_of(CAP) };
	struct ledger_repair did;
	size_t at = 1, end;

	if (size == 0)
		return 0;
	if (l == NULL && failed(ledger_map(&l, &opt)))
		abort();
	set_up();
	for (end = 1 + 4 * (size_t)data[0]; at < end && at + 4 <= size; at += 4)
		damage(data + at);
	if (failed(ledger_attach(l, &did)))
		abort();
	ledger_check(l);
	for (size_t n = 0; at < size && n < 64; at++, n++)
		operate(data[at]);
	ledger_check(l);
	return 0;
}
