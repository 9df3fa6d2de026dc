/* The rules of the ledger, one by one. Source: K5, M2-M8, x402.md 5.1, docs/ledger.md. */
#include "payment/ledger.h"

#include <inttypes.h>
#include <stdio.h>

#include "permits.h"

/* --- sessions --- */

static void
one_permit_is_one_session(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 7);
	struct ledger_session a, b, c;

	assert_int_equal(ledger_look(l, &p, T0), LEDGER_FRESH);
	a = open_at(l, &p, T0);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_OK);
	p.payload = SPAN_LIT("{ \"x402Version\" : 2 }"); /* x402.md 5.1: the bytes do not count */
	b = open_at(l, &p, T0 + 1);
	assert_int_equal(ledger_join(l, a.secret, ROUTE, T0 + 2, &c), LEDGER_OK);
	assert_int_equal(a.generation, b.generation);
	assert_int_equal(a.generation, c.generation);
	assert_memory_equal(a.secret, b.secret, LEDGER_SECRET_LEN);
	assert_int_equal(small(c.key.nonce), 7);
	assert_int_equal(small(c.terms.cap), CAP);
	assert_int_equal(stats(l).sessions, 1);

	p.key.nonce = u256_of(8);
	b = open_at(l, &p, T0);
	p.key.chain_id = 84532;
	c = open_at(l, &p, T0);
	assert_int_equal(stats(l).sessions, 3);
	assert_memory_not_equal(a.secret, b.secret, LEDGER_SECRET_LEN);
	assert_memory_not_equal(b.secret, c.secret, LEDGER_SECRET_LEN);
	ledger_unmap(l);
}

static void
a_session_is_bound_to_its_route(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session a = open_at(l, &p, T0), b;

	p.route = OTHER;
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_OTHER_ROUTE);
	assert_int_equal(ledger_open(l, &p, T0, &b), LEDGER_OTHER_ROUTE);
	assert_int_equal(ledger_join(l, a.secret, OTHER, T0, &b), LEDGER_OTHER_ROUTE);
	a.secret[15] ^= 1;
	assert_int_equal(ledger_join(l, a.secret, ROUTE, T0, &b), LEDGER_GONE);
	ledger_unmap(l);
}

static const struct {
	const char *rule;
	int64_t deadline; /* from T0 */
	enum ledger_verdict want;
} times[] = {
	{ "in the past", -1, LEDGER_TOO_LATE },
	{ "now", 0, LEDGER_TOO_LATE },
	{ "the margin itself is too late", SESSION_MARGIN_S, LEDGER_TOO_LATE },
	{ "M7: before the start", SESSION_MARGIN_S + 1, LEDGER_BEFORE_BOOT },
	{ "M7: not later than the start's limit", 70, LEDGER_BEFORE_BOOT },
	{ "M7: later than it", 71, LEDGER_FRESH },
	{ "M7: the latest", LIFE_S + 60, LEDGER_FRESH },
	{ "M7: too far", LIFE_S + 61, LEDGER_TOO_FAR },
	{ "milliseconds", 1000 * (int64_t)T0, LEDGER_TOO_FAR },
};

static void
deadlines(void **state)
{
	struct ledger_options opt = {
		.sessions = 4, .largest_cap = u256_of(CAP), .refuse_until_s = T0 + 70
	};
	struct ledger_repair did;
	struct ledger *l;

	assert_int_equal(ledger_map(&l, &opt).code, ERR_OK);
	assert_int_equal(ledger_attach(l, &did).code, ERR_OK);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct ledger_permit p = permit(1, 1);
		enum ledger_verdict v;

		p.deadline_s = (uint64_t)(T0 + times[i].deadline);
		if ((v = ledger_look(l, &p, T0)) != times[i].want)
			fail_msg("%s: %s", times[i].rule, ledger_verdict_name(v));
	}
	assert_int_equal(stats(l).sessions, 0);
	ledger_unmap(l);
}

static void
what_does_not_fit_is_refused(void **state)
{
	static uint8_t big[LEDGER_PAYLOAD_MAX_BYTES + 1];
	struct ledger_options opt = { .sessions = 0, .largest_cap = u256_of(CAP) };
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s;

	p.payload = span_of(big, sizeof(big));
	assert_int_equal(ledger_open(l, &p, T0, &s), LEDGER_GONE);
	p.payload.n--;
	assert_int_equal(ledger_open(l, &p, T0, &s), LEDGER_OK);
	p = permit(1, 2);
	p.terms.cap = u256_of(CAP + 1);
	assert_int_equal(ledger_open(l, &p, T0, &s), LEDGER_GONE);
	ledger_unmap(l);

	assert_int_equal(ledger_map(&l, &opt).code, ERR_TOO_LARGE);
	opt.sessions = LEDGER_SESSIONS_MAX + 1;
	assert_int_equal(ledger_map(&l, &opt).code, ERR_TOO_LARGE);
	opt.sessions = 1;
	opt.largest_cap = U256_MAX;
	assert_int_equal(ledger_map(&l, &opt).code, ERR_TOO_LARGE);
	assert_null(l);
}

/* --- one request's money --- */

static void
reservations_add_up(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s = open_at(l, &p, T0);
	struct ledger_hold a, b;
	struct u256 rest;

	assert_int_equal(ledger_reserve(l, &s, u256_of(600), T0, &a, &rest), LEDGER_OK);
	assert_int_equal(small(rest), 400);
	assert_int_equal(ledger_reserve(l, &s, u256_of(401), T0, &b, &rest), LEDGER_SHORT);
	assert_int_equal(small(rest), 400);
	assert_int_equal(b.generation, 0);
	assert_int_equal(ledger_reserve(l, &s, u256_of(400), T0, &b, &rest), LEDGER_OK);
	assert_int_equal(small(rest), 0);

	assert_int_equal(a.until_s, T0 + LIFE_S - SESSION_FORCE_S);

	ledger_release(l, &a);
	ledger_release(l, &a); /* safe twice */
	assert_int_equal(stats(l).in_flight, 1);
	assert_int_equal(small(stats(l).reserved), 400);
	ledger_release(l, &b);
	assert_int_equal(stats(l).in_flight, 0);
	assert_int_equal(small(stats(l).reserved), 0);
	ledger_unmap(l);
}

static void
a_charge_is_at_most_what_was_reserved(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s = open_at(l, &p, T0);
	struct u256 charged, total, rest;
	struct ledger_hold a, b;

	assert_int_equal(ledger_reserve(l, &s, u256_of(300), T0, &a, NULL), LEDGER_OK);
	assert_int_equal(ledger_reserve(l, &s, u256_of(300), T0, &b, NULL), LEDGER_OK);
	/* M4 */
	assert_int_equal(ledger_charge(l, &a, U256_MAX, &charged, &total), LEDGER_OK);
	assert_int_equal(small(charged), 300);
	assert_int_equal(small(total), 300);
	/* A promise of another counts, and may be made anew. */
	assert_int_equal(ledger_charge(l, &b, u256_of(200), &charged, &total), LEDGER_OK);
	assert_int_equal(small(total), 500);
	assert_int_equal(ledger_charge(l, &b, u256_of(50), &charged, &total), LEDGER_OK);
	assert_int_equal(small(charged), 50);
	assert_int_equal(small(total), 350);
	assert_int_equal(small(stats(l).owed), 0);
	assert_int_equal(small(stats(l).reserved), 600);
	assert_int_equal(ledger_commit(l, &b, T0 + 1), LEDGER_OK);
	assert_int_equal(small(stats(l).owed), 50);
	assert_int_equal(small(stats(l).reserved), 300);
	/* The receipt of `a` could not be signed. */
	ledger_release(l, &a);
	assert_int_equal(small(stats(l).owed), 50);
	assert_int_equal(ledger_reserve(l, &s, u256_of(950), T0, &a, &rest), LEDGER_OK);
	assert_int_equal(ledger_commit(l, &a, T0), LEDGER_OK); /* without a charge: free */
	assert_int_equal(small(stats(l).owed), 50);
	assert_int_equal(ledger_commit(l, &a, T0), LEDGER_GONE);
	assert_int_equal(ledger_charge(l, &a, u256_of(1), &charged, &total), LEDGER_GONE);
	assert_int_equal(small(charged), 0);
	ledger_unmap(l);
}

static void
sums_beyond_64_bits(void **state)
{
	struct u256 cap = u256_ten_to(40), charged, total;
	struct ledger_options opt = { .sessions = 2, .largest_cap = cap };
	struct ledger_permit p = permit(1, 1);
	struct ledger_repair did;
	struct ledger_session s;
	struct ledger_hold h;
	struct ledger *l;

	assert_int_equal(ledger_map(&l, &opt).code, ERR_OK);
	assert_int_equal(ledger_attach(l, &did).code, ERR_OK);
	p.terms.cap = cap;
	s = open_at(l, &p, T0);
	assert_int_equal(ledger_reserve(l, &s, cap, T0, &h, NULL), LEDGER_OK);
	assert_int_equal(ledger_charge(l, &h, U256_MAX, &charged, &total), LEDGER_OK);
	assert_int_equal(u256_cmp(charged, cap), 0);
	assert_int_equal(ledger_commit(l, &h, T0), LEDGER_OK);
	assert_int_equal(u256_cmp(stats(l).owed, cap), 0);
	ledger_unmap(l);
}

/* --- what is due --- */

static struct ledger_task task; /* 13 KiB */

static void
idle_sessions_are_settled(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s = open_at(l, &p, T0);

	spend(l, &s, 10, T0 + 5);
	spend(l, &s, 0, T0 + 50); /* only a charge counts as activity */
	assert_false(ledger_claim(l, T0 + 5 + SESSION_IDLE_S, false, &task));
	assert_true(ledger_claim(l, T0 + 6 + SESSION_IDLE_S, false, &task));
	assert_int_equal(task.action, LEDGER_SETTLE);
	assert_int_equal(task.why, LEDGER_WHY_IDLE);
	assert_int_equal(small(task.amount), 10);
	assert_int_equal(task.payload_n, p.payload.n);
	assert_memory_equal(task.payload, p.payload.p, p.payload.n);
	assert_memory_equal(task.terms.pay_to, p.terms.pay_to, EVM_ADDRESS_LEN);
	/* Claimed once; takes no work; is spent for whoever shows the permit. */
	assert_false(ledger_claim(l, T0 + 200, false, &task));
	assert_int_equal(ledger_look(l, &p, T0 + 150), LEDGER_SPENT);
	assert_int_equal(ledger_join(l, s.secret, ROUTE, T0 + 150, &s), LEDGER_GONE);
	ledger_unmap(l);
}

static void
deadlines_are_settled_nearest_first(void **state)
{
	struct ledger *l = ledger_of(8, CAP);
	static const unsigned order[] = { 2, 3, 1 };
	struct ledger_session s;
	struct ledger_hold h;

	for (unsigned i = 1; i <= 3; i++) {
		struct ledger_permit p = permit(i, i);

		p.deadline_s = T0 + (i == 1 ? 200 : i == 2 ? 180 : 190);
		s = open_at(l, &p, T0);
		spend(l, &s, i, T0 + 100);
	}
	assert_false(ledger_claim(l, T0 + 119, false, &task));
	for (size_t i = 0; i < 3; i++) {
		assert_true(ledger_claim(l, T0 + 140, false, &task));
		assert_int_equal(small(task.amount), order[i]);
		assert_int_equal(task.why, LEDGER_WHY_DEADLINE);
	}
	assert_int_equal(ledger_reserve(l, &s, u256_of(1), T0 + 100, &h, NULL), LEDGER_GONE);
	ledger_unmap(l);
}

static void
used_up_and_eager_sessions_are_settled(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s = open_at(l, &p, T0);
	struct ledger_hold h;

	spend(l, &s, 980, T0);
	assert_false(ledger_claim(l, T0, false, &task));
	spend(l, &s, 1, T0);
	assert_true(ledger_claim(l, T0, false, &task));
	assert_int_equal(task.why, LEDGER_WHY_USED_UP);

	p = permit(2, 1);
	p.eager = true;
	s = open_at(l, &p, T0);
	assert_false(ledger_claim(l, T0, false, &task));
	spend(l, &s, 1, T0);
	assert_int_equal(ledger_reserve(l, &s, u256_of(1), T0, &h, NULL), LEDGER_OK);
	assert_false(ledger_claim(l, T0, false, &task));
	ledger_release(l, &h);
	assert_true(ledger_claim(l, T0, false, &task));
	assert_int_equal(task.why, LEDGER_WHY_EAGER);
	ledger_unmap(l);
}

static void
a_shutdown_settles_all_and_takes_no_work(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1), q = permit(2, 2);
	struct ledger_session s = open_at(l, &p, T0);
	struct u256 charged, total;
	struct ledger_loss loss;
	struct ledger_hold h;

	open_at(l, &q, T0);
	spend(l, &s, 10, T0);
	assert_int_equal(ledger_reserve(l, &s, u256_of(5), T0, &h, NULL), LEDGER_OK);
	/* Whoever is in flight now was given up. */
	assert_true(ledger_claim(l, T0, true, &task));
	assert_int_equal(task.why, LEDGER_WHY_SHUTDOWN);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_SPENT);
	assert_int_equal(ledger_charge(l, &h, u256_of(5), &charged, &total), LEDGER_LATE);
	ledger_release(l, &h);
	assert_false(ledger_claim(l, T0, true, &task));
	ledger_settled(l, &task, T0);
	assert_false(ledger_write_off(l, T0, &loss)); /* the one that owed nothing goes quietly */
	assert_int_equal(stats(l).sessions, 0);
	assert_int_equal(small(stats(l).settled), 10);
	ledger_unmap(l);
}

static void
what_is_in_flight_is_waited_for_until_it_is_late(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s = open_at(l, &p, T0);
	const uint64_t end = T0 + LIFE_S;
	struct ledger_hold a, b, c, none;
	struct u256 charged, total;

	spend(l, &s, 10, T0 + 200);
	assert_int_equal(ledger_reserve(l, &s, u256_of(100), T0 + 200, &a, NULL), LEDGER_OK);
	assert_int_equal(ledger_reserve(l, &s, u256_of(100), T0 + 200, &b, NULL), LEDGER_OK);
	assert_int_equal(ledger_reserve(l, &s, u256_of(100), T0 + 200, &c, NULL), LEDGER_OK);
	assert_false(ledger_claim(l, end - 60, false, &task)); /* closing */
	assert_int_equal(ledger_reserve(l, &s, u256_of(1), end - 61, &none, NULL), LEDGER_GONE);
	/* Still in time. */
	assert_int_equal(ledger_charge(l, &a, u256_of(7), &charged, &total), LEDGER_OK);
	assert_int_equal(ledger_commit(l, &a, end - 30), LEDGER_OK);
	assert_int_equal(ledger_charge(l, &b, u256_of(8), &charged, &total), LEDGER_OK);
	assert_false(ledger_claim(l, end - 21, false, &task));
	assert_true(ledger_claim(l, end - 20, false, &task));
	assert_int_equal(small(task.amount), 17);
	/* A promise that came too late is lost, a charge is none. */
	assert_int_equal(ledger_commit(l, &b, end - 19), LEDGER_LATE);
	assert_int_equal(ledger_charge(l, &c, u256_of(9), &charged, &total), LEDGER_LATE);
	assert_int_equal(small(charged), 0);
	assert_int_equal(small(total), 17);
	ledger_settled(l, &task, end - 18);
	assert_int_equal(stats(l).sessions, 1); /* until nothing is in flight */
	assert_int_equal(ledger_charge(l, &c, u256_of(9), &charged, &total), LEDGER_LATE);
	assert_int_equal(ledger_commit(l, &c, end - 10), LEDGER_OK);
	assert_int_equal(stats(l).sessions, 0);
	assert_int_equal(small(stats(l).settled), 17);
	assert_int_equal(small(stats(l).late), 8);
	assert_int_equal(stats(l).n_late, 1);
	ledger_unmap(l);
}

/* --- what becomes of it --- */

static struct ledger_session
owing(struct ledger *l, const struct ledger_permit *p, uint64_t amount)
{
	struct ledger_session s = open_at(l, p, T0);

	spend(l, &s, amount, T0);
	return s;
}

static void
claim_at(struct ledger *l, uint64_t now_s, enum ledger_action want)
{
	assert_true(ledger_claim(l, now_s, false, &task));
	assert_int_equal(task.action, want);
}

static void
a_spent_permit_is_remembered(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_loss loss;

	owing(l, &p, 10);
	claim_at(l, T0 + 101, LEDGER_SETTLE);
	ledger_settled(l, &task, T0 + 102);
	assert_int_equal(stats(l).sessions, 0);
	assert_int_equal(stats(l).spent, 1);
	assert_int_equal(small(stats(l).owed), 0);
	assert_int_equal(ledger_look(l, &p, T0 + 103), LEDGER_SPENT);
	/* As long as the same nonce could be signed for a later deadline, and verify. */
	p.deadline_s = T0 + LIFE_S + 60 + 200;
	for (unsigned i = 0; i < 100; i++)
		assert_false(ledger_write_off(l, T0 + LIFE_S + 60, &loss));
	assert_int_equal(ledger_look(l, &p, T0 + LIFE_S + 60), LEDGER_SPENT);
	for (unsigned i = 0; i < 100; i++)
		assert_false(ledger_write_off(l, T0 + LIFE_S + 61, &loss));
	assert_int_equal(stats(l).spent, 0);
	ledger_unmap(l);
}

static void
payers_who_do_not_pay_are_barred(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1), next = permit(1, 2), other = permit(2, 1);
	struct ledger_session running = open_at(l, &next, T0), s;
	struct ledger_hold h;

	owing(l, &p, 10);
	claim_at(l, T0 + 101, LEDGER_SETTLE);
	ledger_failed(l, &task, LEDGER_PAYER, T0 + 101, 0);
	assert_int_equal(stats(l).barred, 1);
	assert_int_equal(small(stats(l).owed), 10); /* until it is written off (PAY-01) */
	assert_int_equal(ledger_look(l, &next, T0 + 102), LEDGER_BARRED);
	assert_int_equal(
	    ledger_reserve(l, &running, u256_of(1), T0 + 102, &h, NULL), LEDGER_BARRED);
	next.key.nonce = u256_of(3);
	assert_int_equal(ledger_open(l, &next, T0 + 102, &s), LEDGER_BARRED);
	assert_int_equal(ledger_look(l, &other, T0 + 102), LEDGER_FRESH);
	/* He filled his wallet: the debt is paid, and so is he welcome. */
	claim_at(l, T0 + 110, LEDGER_SETTLE);
	ledger_settled(l, &task, T0 + 110);
	assert_int_equal(ledger_look(l, &next, T0 + 110), LEDGER_FRESH);

	p = permit(1, 9);
	owing(l, &p, 10);
	claim_at(l, T0 + 115, LEDGER_SETTLE);
	ledger_failed(l, &task, LEDGER_PAYER, T0 + 115, 0);
	next.deadline_s = T0 + 115 + PAYER_BARRED_S + 100;
	assert_int_equal(ledger_look(l, &next, T0 + 114 + PAYER_BARRED_S), LEDGER_BARRED);
	assert_int_equal(ledger_look(l, &next, T0 + 115 + PAYER_BARRED_S), LEDGER_FRESH);
	assert_int_equal(stats(l).barred, 0);
	ledger_unmap(l);
}

/* Its first no was the facilitator's own; the second says the nonce is used, perhaps by the first. */
static void
a_second_refusal_bars_nobody(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1), next = permit(1, 2);

	owing(l, &p, 10);
	claim_at(l, T0 + 101, LEDGER_SETTLE);
	ledger_failed(l, &task, LEDGER_REFUSED, T0 + 101, 0);
	claim_at(l, T0 + 106, LEDGER_SETTLE);
	ledger_failed(l, &task, LEDGER_PAYER, T0 + 106, 0);
	assert_int_equal(ledger_look(l, &next, T0 + 106), LEDGER_FRESH);
	ledger_unmap(l);
}

static void
barred_payers_are_bounded(void **state)
{
	struct ledger *l = ledger_of(1, CAP);

	for (unsigned i = 0; i < LEDGER_BARRED_MAX + 10; i++) {
		struct ledger_permit p = permit(i, 1), q = permit(i, 2);
		struct ledger_loss loss;

		p.deadline_s = q.deadline_s = T0 + i + LIFE_S;
		struct ledger_session s = open_at(l, &p, T0 + i);
		spend(l, &s, 1, T0 + i);
		claim_at(l, T0 + i + 101, LEDGER_SETTLE);
		ledger_failed(l, &task, LEDGER_PAYER, T0 + i + 101, 0);
		assert_int_equal(ledger_look(l, &q, T0 + i + 101), LEDGER_BARRED);
		assert_true(ledger_write_off(l, T0 + i + LIFE_S + 61, &loss));
		while (ledger_write_off(l, T0 + i + LIFE_S + 500, &loss))
			;
	}
	assert_int_equal(stats(l).barred, LEDGER_BARRED_MAX);
	ledger_unmap(l);
}

static void
outages_bar_nobody(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1), next = permit(1, 2);
	uint64_t now = T0 + 101, gap[] = { 1, 2, 4, 8, 16, 30, 30, 30 };
	struct ledger_loss loss;

	owing(l, &p, 10);
	for (size_t i = 0; i < sizeof(gap) / sizeof(gap[0]); i++) {
		claim_at(l, now, LEDGER_SETTLE);
		ledger_failed(l, &task, LEDGER_UNAVAILABLE, now, 0);
		assert_false(ledger_claim(l, now + gap[i] - 1, false, &task));
		now += gap[i];
	}
	claim_at(l, now, LEDGER_SETTLE);
	ledger_failed(l, &task, LEDGER_UNAVAILABLE, now, 45); /* Retry-After */
	assert_false(ledger_claim(l, now + 44, false, &task));
	claim_at(l, now + 45, LEDGER_SETTLE);
	ledger_failed(l, &task, LEDGER_UNAVAILABLE, now + 45, 86400); /* within reason */
	assert_int_equal(ledger_look(l, &next, T0 + 101), LEDGER_FRESH);
	/* The deadline is near: no call can succeed any more. */
	assert_false(ledger_claim(l, T0 + LIFE_S - PERMIT_LAST_S, false, &task));
	assert_false(ledger_write_off(l, T0 + LIFE_S - PERMIT_LAST_S - 1, &loss));
	assert_true(ledger_write_off(l, T0 + LIFE_S - PERMIT_LAST_S, &loss));
	assert_int_equal(small(loss.amount), 10);
	assert_false(loss.unknown);
	assert_false(ledger_write_off(l, T0 + LIFE_S, &loss));
	assert_int_equal(small(stats(l).written_off), 10);
	assert_int_equal(small(stats(l).owed), 0);
	ledger_unmap(l);
}

static void
refusals_are_bounded(void **state)
{
	static const uint64_t due[SETTLE_REFUSALS_MAX] = { 101, 106, 121, 151 };
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1);
	struct ledger_loss loss;
	uint32_t cursor = 0;

	owing(l, &p, 10);
	for (size_t i = 0; i < SETTLE_REFUSALS_MAX; i++) {
		assert_false(ledger_claim(l, T0 + due[i] - 1, false, &task));
		claim_at(l, T0 + due[i], LEDGER_SETTLE);
		assert_int_equal(task.refusals, i);
		ledger_failed(l, &task, LEDGER_REFUSED, T0 + due[i], 0);
	}
	assert_false(ledger_claim(l, T0 + 200, false, &task));
	assert_int_equal(small(stats(l).owed), 10); /* it stays in the gauge */
	assert_int_equal(stats(l).barred, 0);
	assert_true(ledger_unsettled(l, &cursor, T0 + 200, &loss));
	assert_true(loss.hopeless);
	assert_false(ledger_unsettled(l, &cursor, T0 + 200, &loss));
	assert_int_equal(ledger_look(l, &p, T0 + 200), LEDGER_SPENT);
	ledger_unmap(l);
}

static void
a_lost_answer_is_neither(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1), next = permit(1, 2);
	struct ledger_loss loss;

	owing(l, &p, 10);
	claim_at(l, T0 + 101, LEDGER_SETTLE);
	ledger_unknown(l, &task, T0 + 131, 0);
	assert_false(ledger_claim(l, T0 + 140, false, &task));
	claim_at(l, T0 + 141, LEDGER_ASK);
	/* The facilitator is down: ask again. */
	ledger_failed(l, &task, LEDGER_UNAVAILABLE, T0 + 141, 0);
	claim_at(l, T0 + 145, LEDGER_ASK);
	/* The permit still verifies: nothing was settled, and it is settled now. */
	ledger_unspent(l, &task, T0 + 145);
	claim_at(l, T0 + 145, LEDGER_SETTLE);
	assert_int_equal(small(task.amount), 10);
	/* The nonce is used: by our own lost call, it may be; so it is nobody's fault (PAY-02). */
	ledger_failed(l, &task, LEDGER_PAYER, T0 + 146, 0);
	assert_int_equal(ledger_look(l, &next, T0 + 146), LEDGER_FRESH);
	claim_at(l, T0 + 160, LEDGER_ASK);
	ledger_unknown(l, &task, T0 + 160, 0);
	assert_false(ledger_write_off(l, T0 + LIFE_S - 1, &loss));
	assert_true(ledger_write_off(l, T0 + LIFE_S, &loss));
	assert_true(loss.unknown);
	assert_int_equal(small(stats(l).written_off), 10);
	assert_int_equal(small(stats(l).settled), 0);
	ledger_unmap(l);
}

static void
a_job_is_polled_until_it_is_final(void **state)
{
	struct ledger *l = ledger_of(4, CAP);
	struct ledger_permit p = permit(1, 1), q = permit(2, 2);
	struct ledger_loss loss;
	uint64_t now = T0 + 101;

	owing(l, &p, 10);
	claim_at(l, now, LEDGER_SETTLE);
	ledger_pending(l, &task, SPAN_LIT("payment-1"), now);
	assert_int_equal(ledger_look(l, &p, now), LEDGER_SPENT); /* the 202 window */
	claim_at(l, now + 1, LEDGER_POLL);
	assert_string_equal(task.job, "payment-1");
	ledger_pending(l, &task, SPAN_NONE, now + 1);
	claim_at(l, now + 3, LEDGER_POLL);
	assert_string_equal(task.job, "payment-1");
	/* The job failed: once more, as a settlement. */
	ledger_failed(l, &task, LEDGER_REFUSED, now + 3, 0);
	claim_at(l, now + 10, LEDGER_SETTLE);
	ledger_pending(l, &task, SPAN_LIT("payment-2"), now + 10);
	claim_at(l, now + 11, LEDGER_POLL);
	assert_string_equal(task.job, "payment-2");
	ledger_failed(l, &task, LEDGER_UNAVAILABLE, now + 11, 0);
	claim_at(l, now + 15, LEDGER_POLL);
	ledger_settled(l, &task, now + 15);
	assert_int_equal(small(stats(l).settled), 10);

	/* For ever: written off a minute after the deadline, and nobody knows. */
	owing(l, &q, 20);
	claim_at(l, now, LEDGER_SETTLE);
	ledger_pending(l, &task, SPAN_LIT("payment-3"), now);
	assert_false(ledger_write_off(l, T0 + LIFE_S + 59, &loss));
	claim_at(l, T0 + LIFE_S + 59, LEDGER_POLL);
	ledger_pending(l, &task, SPAN_NONE, T0 + LIFE_S + 59);
	assert_true(ledger_write_off(l, T0 + LIFE_S + 60, &loss));
	assert_true(loss.unknown);
	assert_int_equal(small(loss.amount), 20);
	assert_int_equal(small(stats(l).written_off), 20);
	ledger_unmap(l);
}

/* --- bounds --- */

static void
the_table_is_bounded(void **state)
{
	struct ledger *l = ledger_of(3, CAP);
	struct ledger_session s[3], late;
	struct ledger_permit p;
	struct ledger_hold h;

	for (unsigned i = 0; i < 3; i++) {
		p = permit(i, 1);
		s[i] = open_at(l, &p, T0 + i);
	}
	/* M8: one that owes nothing and serves nobody makes room, but not a fresh one. */
	p = permit(9, 1);
	assert_int_equal(ledger_look(l, &p, T0 + 4), LEDGER_OVERLOADED);
	assert_int_equal(ledger_reserve(l, &s[0], u256_of(1), T0 + 4, &h, NULL), LEDGER_OK);
	spend(l, &s[1], 5, T0 + 4);
	assert_int_equal(ledger_look(l, &p, T0 + 6), LEDGER_OVERLOADED);
	late = open_at(l, &p, T0 + 7);
	assert_int_equal(ledger_join(l, s[2].secret, ROUTE, T0 + 7, &s[2]), LEDGER_GONE);
	assert_int_equal(stats(l).sessions, 3);
	spend(l, &late, 1, T0 + 7);
	/* Its permit was not spent: when there is room, it opens a session again. */
	p = permit(2, 1);
	assert_int_equal(ledger_look(l, &p, T0 + 90), LEDGER_OVERLOADED);
	ledger_release(l, &h);
	assert_int_equal(ledger_open(l, &p, T0 + 90, &s[2]), LEDGER_OK);
	/* Those that are there go on. */
	spend(l, &late, 1, T0 + 90);
	ledger_unmap(l);
}

static void
the_value_is_bounded(void **state)
{
	struct ledger *l = ledger_of(500, CAP);
	struct ledger_hold h, more;
	struct ledger_session s;
	struct ledger_permit p;

	/* PAY-12: what one payer may owe at a time. */
	for (unsigned i = 1; i < LEDGER_PAYER_CAPS; i++) {
		p = permit(1, i);
		s = open_at(l, &p, T0);
		spend(l, &s, CAP, T0);
	}
	p = permit(1, 98);
	s = open_at(l, &p, T0);
	assert_int_equal(ledger_reserve(l, &s, u256_of(CAP), T0, &h, NULL), LEDGER_OK);
	p = permit(1, 99);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_OVERLOADED);
	ledger_release(l, &h);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_FRESH);
	/* Also when the sessions were opened first, and are used then. */
	open_at(l, &p, T0);
	assert_int_equal(ledger_reserve(l, &s, u256_of(300), T0, &h, NULL), LEDGER_OK);
	s = open_at(l, &p, T0);
	assert_int_equal(
	    ledger_reserve(l, &s, u256_of(CAP - 299), T0, &more, NULL), LEDGER_OVERLOADED);
	assert_int_equal(more.generation, 0);
	assert_int_equal(ledger_reserve(l, &s, u256_of(CAP - 300), T0, &more, NULL), LEDGER_OK);
	ledger_release(l, &more);
	ledger_release(l, &h);
	/* M8: of all together a hundred caps. */
	for (unsigned i = LEDGER_PAYER_CAPS - 1; i < LEDGER_VALUE_CAPS; i++) {
		p = permit(100 + i, 1);
		assert_int_equal(ledger_look(l, &p, T0), LEDGER_FRESH);
		s = open_at(l, &p, T0);
		spend(l, &s, CAP, T0);
	}
	p = permit(2, 1);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_OVERLOADED);
	assert_true(ledger_claim(l, T0, false, &task));
	ledger_settled(l, &task, T0);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_FRESH);
	ledger_unmap(l);
}

/* What of shared memory is really there: the ledger's, here. */
static uint64_t
resident_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	uint64_t kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "RssShmem:", 9) == 0)
			assert_int_equal(sscanf(line + 9, "%" SCNu64, &kib), 1);
	fclose(f);
	return kib;
}

/* A thousand at a time, half of them used; settled or expired, and forgotten. */
static void
a_hundred_thousand_sessions(void **state)
{
	enum { BATCH = 1000, BATCHES = 100, LIVE_S = 40, PAYLOAD = 4000 };
	struct ledger *l = ledger_of(BATCH, CAP);
	static uint8_t payload[PAYLOAD];
	uint64_t now = T0, n = 0, empty = 0, full = 0;
	struct ledger_loss loss;

	memset(payload, 'p', sizeof(payload));
	for (unsigned i = 0; i < BATCHES; i++, now += 500) {
		for (unsigned k = 0; k < BATCH; k++) {
			struct ledger_permit p = permit(k, i);
			struct ledger_session s;

			p.deadline_s = now + SESSION_MARGIN_S + LIVE_S;
			p.payload = span_of(payload, sizeof(payload));
			s = open_at(l, &p, now);
			if (k % 2 == 0)
				spend(l, &s, 1, now);
		}
		full = resident_kib();
		while (ledger_claim(l, now + LIVE_S, false, &task)) {
			n++;
			ledger_settled(l, &task, now + LIVE_S);
		}
		for (unsigned k = 0; k < 64; k++) /* a round over the spent permits, too */
			assert_false(ledger_write_off(l, now + 499, &loss));
		assert_int_equal(stats(l).sessions, 0);
		assert_int_equal(stats(l).spent, 0);
		if (i == 0)
			empty = resident_kib();
	}
	assert_int_equal(n, BATCHES * BATCH / 2);
	assert_int_equal(stats(l).n_settled, n);
	assert_true(full > empty + BATCH * PAYLOAD / 1024);
	assert_true(resident_kib() <= empty + empty / 20);
	ledger_unmap(l);
}

/* Nothing is forgotten early: when the memory of spent permits is full, new ones are refused. */
static void
spent_permits_are_never_dropped_for_others(void **state)
{
	struct ledger *l = ledger_of(2, CAP);
	unsigned opened = 0;
	struct ledger_permit p;

	for (;; opened++) {
		struct ledger_session s;

		p = permit(1 + opened, 1);
		if (ledger_look(l, &p, T0) != LEDGER_FRESH)
			break;
		s = open_at(l, &p, T0);
		spend(l, &s, CAP, T0);
		assert_true(ledger_claim(l, T0, false, &task));
		ledger_settled(l, &task, T0);
	}
	assert_int_equal(opened, 2 * LEDGER_SPENT_PER_SESSION);
	assert_int_equal(ledger_look(l, &p, T0), LEDGER_OVERLOADED);
	for (unsigned i = 0; i < opened; i++) {
		p = permit(1 + i, 1);
		assert_int_equal(ledger_look(l, &p, T0), LEDGER_SPENT);
	}
	p = permit(99, 1);
	p.deadline_s = T0 + 2 * LIFE_S + 61;
	assert_int_equal(ledger_look(l, &p, T0 + LIFE_S + 61), LEDGER_FRESH);
	ledger_unmap(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_permit_is_one_session),
		cmocka_unit_test(a_session_is_bound_to_its_route),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(reservations_add_up),
		cmocka_unit_test(a_charge_is_at_most_what_was_reserved),
		cmocka_unit_test(sums_beyond_64_bits),
		cmocka_unit_test(idle_sessions_are_settled),
		cmocka_unit_test(deadlines_are_settled_nearest_first),
		cmocka_unit_test(used_up_and_eager_sessions_are_settled),
		cmocka_unit_test(a_shutdown_settles_all_and_takes_no_work),
		cmocka_unit_test(what_is_in_flight_is_waited_for_until_it_is_late),
		cmocka_unit_test(a_spent_permit_is_remembered),
		cmocka_unit_test(payers_who_do_not_pay_are_barred),
		cmocka_unit_test(a_second_refusal_bars_nobody),
		cmocka_unit_test(barred_payers_are_bounded),
		cmocka_unit_test(outages_bar_nobody),
		cmocka_unit_test(refusals_are_bounded),
		cmocka_unit_test(a_lost_answer_is_neither),
		cmocka_unit_test(a_job_is_polled_until_it_is_final),
		cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(the_value_is_bounded),
		cmocka_unit_test(a_hundred_thousand_sessions),
		cmocka_unit_test(spent_permits_are_never_dropped_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
