/*
 * Random operations against a ledger that is naive: whole numbers in plain arrays, no indexes, no
 * second copies, no states but those a reader would think of. Now and then the worker dies.
 */
#include <stdio.h>
#include <stdlib.h>

#include "permits.h"
#include "payment/ledger_table.h"

enum { KEYS = 12, SESSIONS = 4, HOLDS = 10, OPERATIONS = 10000, SEEDS = 8 };

/* xorshift: the same numbers everywhere, so that a seed is a report. */
static uint32_t dice;

static uint32_t
roll(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 17;
	dice ^= dice << 5;
	return dice % below;
}

enum naive_state { NONE, OPEN, OWING, CLAIMED, WAITING, SPENT };

struct naive {
	enum naive_state state;
	uint64_t charged, reserved; /* of the session */
	unsigned in_flight;
	uint64_t deadline_s, active_s;
	bool closing; /* takes no work any more */
	bool final;   /* what is charged now is not settled any more */
	bool lost;    /* an answer was */
};

struct naive_hold {
	struct ledger_hold h;
	unsigned key;
	uint64_t amount, promised;
	bool live;
};

static struct {
	struct ledger *l;
	struct ledger_session session[KEYS];
	struct naive of[KEYS];
	struct naive_hold hold[HOLDS];
	struct ledger_task task[KEYS];
	uint64_t now, settled, written_off, late;
} m;

static struct ledger_permit
permit_of(unsigned key)
{
	struct ledger_permit p = permit(1 + key / 2, key);

	p.deadline_s = m.of[key].state == NONE ? m.now + 100 + roll(200) : m.of[key].deadline_s;
	return p;
}

static unsigned
live_sessions(void)
{
	unsigned n = 0;

	for (unsigned k = 0; k < KEYS; k++)
		n += (m.of[k].state != NONE && m.of[k].state != SPENT) || m.of[k].in_flight > 0;
	return n;
}

static bool
takes_work(unsigned k)
{
	return (m.of[k].state == OPEN || m.of[k].state == OWING) && !m.of[k].closing &&
	    m.of[k].deadline_s > m.now + SESSION_MARGIN_S;
}

/* What of the model's the ledger may have let go by itself: idle ones that owe nothing. */
static void
note_eviction(void)
{
	for (unsigned k = 0; k < KEYS; k++) {
		const struct ledger_session *s = &m.session[k];

		if (m.of[k].state == OPEN && m.of[k].in_flight == 0 && m.of[k].charged == 0 &&
		    m.of[k].active_s + SESSION_EVICT_S <= m.now &&
		    session_get(m.l, s->slot, s->generation) == NULL)
			m.of[k] = (struct naive){ 0 };
	}
}

static void
do_open(void)
{
	unsigned key = roll(KEYS);
	struct ledger_permit p = permit_of(key);
	struct naive *n = &m.of[key];
	struct ledger_session s;
	enum ledger_verdict v = ledger_open(m.l, &p, m.now, &s);

	if (p.deadline_s <= m.now + SESSION_MARGIN_S) {
		assert_int_equal(v, LEDGER_TOO_LATE);
	} else if (n->state == NONE) {
		if (v == LEDGER_OVERLOADED) {
			assert_int_equal(live_sessions(), SESSIONS);
			return;
		}
		assert_int_equal(v, LEDGER_OK);
		note_eviction();
		assert_true(live_sessions() < SESSIONS);
		*n = (struct naive){ .state = OPEN, .deadline_s = p.deadline_s, .active_s = m.now };
		m.session[key] = s;
	} else if (takes_work(key)) {
		assert_int_equal(v, LEDGER_OK);
		assert_int_equal(s.generation, m.session[key].generation);
	} else {
		assert_int_equal(v, LEDGER_SPENT);
	}
}

static void
do_reserve(void)
{
	struct naive_hold *h = &m.hold[roll(HOLDS)];
	unsigned key = roll(KEYS);
	struct naive *n = &m.of[key];
	uint64_t amount = roll(CAP / 2);
	enum ledger_verdict v;
	struct u256 left;

	if (h->live || n->state == NONE || n->state == SPENT)
		return;
	v = ledger_reserve(m.l, &m.session[key], u256_of(amount), m.now, &h->h, &left);
	if (!takes_work(key)) {
		assert_int_equal(v, LEDGER_GONE);
		return;
	}
	if (n->charged + n->reserved + amount > CAP) {
		assert_int_equal(v, LEDGER_SHORT);
		assert_int_equal(small(left), CAP - n->charged - n->reserved);
		return;
	}
	assert_int_equal(v, LEDGER_OK);
	n->reserved += amount;
	n->in_flight++;
	assert_int_equal(small(left), CAP - n->charged - n->reserved);
	h->live = true;
	h->key = key;
	h->amount = amount;
	h->promised = 0;
}

static uint64_t
promised(unsigned key)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < HOLDS; i++)
		if (m.hold[i].live && m.hold[i].key == key)
			sum += m.hold[i].promised;
	return sum;
}

static void
let_go(struct naive_hold *h)
{
	struct naive *n = &m.of[h->key];

	n->reserved -= h->amount;
	n->in_flight--;
	h->live = false;
}

static void
do_hold(void)
{
	struct naive_hold *h = &m.hold[roll(HOLDS)];
	struct naive *n = &m.of[h->key];
	uint64_t amount = roll(CAP / 2);
	struct u256 charged, total;

	if (!h->live)
		return;
	switch (roll(3)) {
	case 0:
		assert_int_equal(ledger_charge(m.l, &h->h, u256_of(amount), &charged, &total),
		    n->final ? LEDGER_LATE : LEDGER_OK);
		h->promised = amount < h->amount ? amount : h->amount;
		if (n->final)
			h->promised = 0;
		assert_int_equal(small(charged), h->promised);
		assert_int_equal(small(total), n->charged + promised(h->key));
		break;
	case 1:
		if (n->final && h->promised > 0) {
			assert_int_equal(ledger_commit(m.l, &h->h, m.now), LEDGER_LATE);
			m.late += h->promised;
			let_go(h);
			break;
		}
		assert_int_equal(ledger_commit(m.l, &h->h, m.now), LEDGER_OK);
		n->charged += h->promised;
		if (h->promised > 0) {
			n->active_s = m.now;
			if (n->state == OPEN)
				n->state = OWING;
		}
		let_go(h);
		break;
	default:
		ledger_release(m.l, &h->h);
		let_go(h);
	}
}

static unsigned
key_of(const struct ledger_task *t)
{
	return (unsigned)small(t->key.nonce);
}

static bool
is_over(const struct naive *n)
{
	return n->charged * 50 > CAP * 49 || m.now - n->active_s > SESSION_IDLE_S ||
	    n->deadline_s <= m.now + SESSION_MARGIN_S;
}

static void
do_claim(void)
{
	static struct ledger_task t;
	bool any = ledger_claim(m.l, m.now, false, &t);
	struct naive *n;

	for (unsigned k = 0; k < KEYS; k++)
		if (m.of[k].state == OWING && m.of[k].in_flight == 0 && is_over(&m.of[k]))
			m.of[k].closing = true;
	if (!any)
		return;
	n = &m.of[key_of(&t)];
	assert_true(n->state == OWING || n->state == WAITING);
	assert_true(n->in_flight == 0 || n->final || n->deadline_s <= m.now + SESSION_FORCE_S);
	assert_int_equal(small(t.amount), n->charged);
	assert_false(t.action == LEDGER_SETTLE && n->final); /* never blindly again */
	if (t.action == LEDGER_SETTLE)
		assert_true(n->closing || is_over(n) || n->state == WAITING);
	n->state = CLAIMED;
	n->final = true;
	m.task[key_of(&t)] = t;
}

static void
do_report(void)
{
	unsigned key = roll(KEYS);
	struct ledger_task *t;
	struct naive *n;

	for (unsigned i = 0; i < KEYS && m.of[key].state != CLAIMED; i++)
		key = (key + 1) % KEYS;
	n = &m.of[key];
	t = &m.task[key];
	if (n->state != CLAIMED)
		return;
	n->state = WAITING;
	switch (roll(5)) {
	case 0:
		if (t->action == LEDGER_ASK) {
			ledger_unspent(m.l, t, m.now);
			n->final = false;
			break;
		}
		ledger_settled(m.l, t, m.now);
		n->state = SPENT;
		m.settled += n->charged;
		break;
	case 1:
		if (t->action == LEDGER_ASK)
			ledger_unknown(m.l, t, m.now, 0);
		else
			ledger_pending(m.l, t, SPAN_LIT("j"), m.now);
		break;
	case 2:
		ledger_failed(m.l, t, LEDGER_UNAVAILABLE, m.now, 0);
		n->final = t->action != LEDGER_SETTLE;
		break;
	case 3:
		if (t->action == LEDGER_ASK) {
			ledger_unknown(m.l, t, m.now, 0);
			break;
		}
		ledger_failed(m.l, t, LEDGER_REFUSED, m.now, 0);
		n->final = n->lost;
		break;
	default:
		ledger_unknown(m.l, t, m.now, 0);
		n->lost = true;
	}
}

static void
do_time(void)
{
	struct ledger_loss loss;

	m.now += roll(9);
	while (ledger_write_off(m.l, m.now, &loss)) {
		struct naive *n = &m.of[small(loss.key.nonce)];

		assert_true(n->state == OWING || n->state == WAITING);
		assert_int_equal(small(loss.amount), n->charged);
		assert_true(n->deadline_s <= m.now + PERMIT_LAST_S);
		m.written_off += n->charged;
		n->state = SPENT;
		n->final = true;
	}
	/* Those that owe nothing went quietly, and a spent permit is forgotten after its time. */
	for (unsigned k = 0; k < KEYS; k++) {
		struct naive *n = &m.of[k];

		if (n->state == OPEN && n->in_flight == 0 && n->charged == 0 &&
		    n->deadline_s <= m.now + SESSION_MARGIN_S)
			*n = (struct naive){ 0 };
	}
}

/* A spent permit is forgotten after its minute: whoever signs the nonce again is new. */
static void
do_long_time(void)
{
	struct ledger_loss loss;

	m.now += roll(60);
	do_time();
	for (unsigned i = 0; i < SESSIONS * LEDGER_SPENT_PER_SESSION; i++)
		assert_false(ledger_write_off(m.l, m.now, &loss));
	for (unsigned k = 0; k < KEYS; k++)
		if (m.of[k].state == SPENT && m.of[k].in_flight == 0 &&
		    m.of[k].deadline_s + PERMIT_SLACK_S < m.now)
			m.of[k] = (struct naive){ 0 };
}

static void
do_death(void)
{
	struct ledger_repair did;
	unsigned holds = 0;

	for (unsigned i = 0; i < HOLDS; i++)
		if (m.hold[i].live) {
			let_go(&m.hold[i]);
			holds++;
		}
	assert_int_equal(ledger_attach(m.l, &did).code, ERR_OK);
	assert_int_equal(did.holds, holds);
	assert_int_equal(did.dropped, 0);
	for (unsigned k = 0; k < KEYS; k++)
		if (m.of[k].state == CLAIMED) {
			m.of[k].state = WAITING;
			m.of[k].lost = m.of[k].lost || m.task[k].action != LEDGER_POLL;
		}
}

static void
compare(void)
{
	struct ledger_stats now = stats(m.l);
	uint64_t owed = 0, reserved = 0;
	unsigned in_flight = 0;

	for (unsigned k = 0; k < KEYS; k++) {
		in_flight += m.of[k].in_flight;
		reserved += m.of[k].reserved;
		if (m.of[k].state != SPENT)
			owed += m.of[k].charged;
	}
	assert_int_equal(small(now.owed), owed);
	assert_int_equal(small(now.reserved), reserved);
	assert_int_equal(now.in_flight, in_flight);
	assert_int_equal(now.sessions, live_sessions());
	assert_int_equal(small(now.settled), m.settled);
	assert_int_equal(small(now.written_off), m.written_off);
	assert_int_equal(small(now.late), m.late);
}

static void
random_operations(void **state)
{
	uint64_t settled = 0, written_off = 0, late = 0;

	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		memset(&m, 0, sizeof(m));
		m.l = ledger_of(SESSIONS, CAP);
		m.now = T0;
		dice = seed * 2654435761u;
		for (unsigned i = 0; i < OPERATIONS; i++) {
			uint32_t what = roll(100);

			if (what < 15)
				do_open();
			else if (what < 40)
				do_reserve();
			else if (what < 70)
				do_hold();
			else if (what < 80)
				do_claim();
			else if (what < 92)
				do_report();
			else if (what < 98)
				do_time();
			else if (what < 99)
				do_long_time();
			else
				do_death();
			compare();
		}
		settled += m.settled;
		written_off += m.written_off;
		late += m.late;
		ledger_unmap(m.l);
	}
	/* It went everywhere. */
	assert_true(settled > 5 * CAP);
	assert_true(written_off > 5 * CAP);
	assert_true(late > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
