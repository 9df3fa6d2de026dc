#include "payment/ledger.h"

#include <assert.h>

#include "payment/ledger_table.h"

const char *
ledger_verdict_name(enum ledger_verdict v)
{
	static const char *const name[] = {
		[LEDGER_OK] = "ok",
		[LEDGER_FRESH] = "fresh",
		[LEDGER_SHORT] = "insufficient_remainder",
		[LEDGER_GONE] = "session_gone",
		[LEDGER_SPENT] = "permit_spent",
		[LEDGER_OTHER_ROUTE] = "other_route",
		[LEDGER_TOO_LATE] = "deadline_too_soon",
		[LEDGER_TOO_FAR] = "deadline_too_far",
		[LEDGER_BEFORE_BOOT] = "permit_before_start",
		[LEDGER_BARRED] = "payer_barred",
		[LEDGER_OVERLOADED] = "overloaded",
		[LEDGER_LATE] = "late",
	};

	return name[v];
}

/* --- sessions --- */

/* What the permit alone says (M7). */
static enum ledger_verdict
judge_times(const struct ledger *l, const struct ledger_permit *p, uint64_t now_s)
{
	if (p->deadline_s <= now_s || p->deadline_s - now_s <= SESSION_MARGIN_S)
		return LEDGER_TOO_LATE;
	if (p->deadline_s - now_s > (uint64_t)p->terms.max_timeout_s + PERMIT_SLACK_S)
		return LEDGER_TOO_FAR;
	if (p->deadline_s <= l->opt.refuse_until_s)
		return LEDGER_BEFORE_BOOT;
	if (p->payload.n > LEDGER_PAYLOAD_MAX_BYTES ||
	    u256_cmp(p->terms.cap, l->opt.largest_cap) > 0)
		return LEDGER_GONE;
	return LEDGER_OK;
}

static enum ledger_verdict
judge_session(const struct session *s, uint8_t route, uint64_t now_s)
{
	if (!session_takes_work(s, now_s))
		return LEDGER_SPENT;
	return s->route == route ? LEDGER_OK : LEDGER_OTHER_ROUTE;
}

/* A session that owes nothing and serves nobody can go: its permit is as good as new. */
static struct session *
dispensable(struct ledger *l, uint64_t now_s)
{
	struct session *oldest = NULL;

	for (uint32_t i = 0; i < l->shared->sums.high; i++) {
		struct session *s = &l->session[i];
		const struct account *a = session_account(s);

		if (atomic_load(&s->generation) == 0 || a->state != STATE_OPEN ||
		    a->in_flight > 0 || !u256_is_zero(a->accumulated) ||
		    a->active_s + SESSION_EVICT_S > now_s)
			continue;
		if (oldest == NULL || a->active_s < session_account(oldest)->active_s)
			oldest = s;
	}
	return oldest;
}

/* M8; and every session must find a place among the spent permits when it ends. */
static bool
overloaded(struct ledger *l, const struct permit_key *key, uint64_t now_s)
{
	const struct sums *sums = &l->shared->sums;

	if (u256_cmp(plus(sums->owed, sums->reserved), l->value_max) >= 0)
		return true;
	if (u256_cmp(payer_exposure(l, key), l->payer_max) >= 0)
		return true;
	if (sums->sessions + sums->spent >= l->n_spent) {
		spent_sweep(l, now_s, l->n_spent);
		if (sums->sessions + sums->spent >= l->n_spent)
			return true;
	}
	return sums->sessions >= l->opt.sessions && dispensable(l, now_s) == NULL;
}

/* With the mutex held. LEDGER_FRESH: a session can be made. */
static enum ledger_verdict
look(struct ledger *l, const struct ledger_permit *p, uint64_t now_s, struct session **s)
{
	enum ledger_verdict v = judge_times(l, p, now_s);

	*s = NULL;
	if (v != LEDGER_OK)
		return v;
	if ((*s = session_find(l, &p->key)) != NULL &&
	    (v = judge_session(*s, p->route, now_s)) != LEDGER_OK)
		return v;
	if (*s == NULL && spent_has(l, &p->key))
		return LEDGER_SPENT;
	if (payer_is_barred(l, &p->key, now_s))
		return LEDGER_BARRED;
	if (*s != NULL)
		return LEDGER_OK;
	return overloaded(l, &p->key, now_s) ? LEDGER_OVERLOADED : LEDGER_FRESH;
}

static void
describe(const struct ledger *l, const struct session *s, struct ledger_session *out)
{
	*out = (struct ledger_session){ .slot = session_slot(l, s),
		.generation = atomic_load(&s->generation),
		.key = s->key,
		.terms = s->terms,
		.deadline_s = s->deadline_s };
	memcpy(out->secret, s->secret, LEDGER_SECRET_LEN);
}

enum ledger_verdict
ledger_look(struct ledger *l, const struct ledger_permit *p, uint64_t now_s)
{
	enum ledger_verdict v;
	struct session *s;

	ledger_lock(l);
	v = look(l, p, now_s, &s);
	ledger_unlock(l);
	return v;
}

enum ledger_verdict
ledger_open(
    struct ledger *l, const struct ledger_permit *p, uint64_t now_s, struct ledger_session *out)
{
	enum ledger_verdict v;
	struct session *s;

	assert(p->route != 0);
	ledger_lock(l);
	v = look(l, p, now_s, &s);
	if (v == LEDGER_FRESH) {
		if (l->shared->sums.sessions >= l->opt.sessions)
			session_free(l, dispensable(l, now_s)); /* look() saw it */
		s = session_make(l, p, now_s);
		v = LEDGER_OK;
	}
	if (v == LEDGER_OK)
		describe(l, s, out);
	ledger_unlock(l);
	return v;
}

enum ledger_verdict
ledger_join(struct ledger *l, const uint8_t secret[static LEDGER_SECRET_LEN], uint8_t route,
    uint64_t now_s, struct ledger_session *out)
{
	enum ledger_verdict v = LEDGER_GONE;
	struct session *s;

	ledger_lock(l);
	if ((s = session_find_secret(l, secret)) != NULL && session_takes_work(s, now_s))
		v = s->route == route ? LEDGER_OK : LEDGER_OTHER_ROUTE;
	if (v == LEDGER_OK)
		describe(l, s, out);
	ledger_unlock(l);
	return v;
}

/* --- one request's money --- */

static struct u256
what_remains(const struct session *s, const struct account *a)
{
	return minus(s->terms.cap, plus(a->accumulated, a->reserved));
}

static void
tell(struct u256 *to, struct u256 v)
{
	if (to != NULL)
		*to = v;
}

static enum ledger_verdict
reserve(struct ledger *l, const struct ledger_session *at, struct u256 amount, uint64_t now_s,
    struct ledger_hold *h, struct u256 *remaining)
{
	struct session *s = session_get(l, at->slot, at->generation);
	struct account a;

	if (s == NULL || !session_takes_work(s, now_s))
		return LEDGER_GONE;
	if (payer_is_barred(l, &s->key, now_s))
		return LEDGER_BARRED;
	a = *session_account(s);
	tell(remaining, what_remains(s, &a));
	if (u256_cmp(amount, what_remains(s, &a)) > 0)
		return LEDGER_SHORT;
	/* PAY-12: sessions that were opened while each was empty add up to no more than that. */
	if (u256_cmp(plus(payer_exposure(l, &s->key), amount), l->payer_max) > 0)
		return LEDGER_OVERLOADED;
	a.reserved = plus(a.reserved, amount);
	a.in_flight++;
	session_commit(l, s, &a);
	tell(remaining, what_remains(s, &a));
	*h = (struct ledger_hold){ .slot = at->slot,
		.generation = at->generation,
		.amount = amount,
		.until_s = s->deadline_s - SESSION_FORCE_S };
	return LEDGER_OK;
}

enum ledger_verdict
ledger_reserve(struct ledger *l, const struct ledger_session *s, struct u256 amount, uint64_t now_s,
    struct ledger_hold *h, struct u256 *remaining)
{
	enum ledger_verdict v;

	*h = (struct ledger_hold){ 0 };
	tell(remaining, U256_ZERO);
	ledger_lock(l);
	v = reserve(l, s, amount, now_s, h, remaining);
	ledger_unlock(l);
	return v;
}

/* A session with something in flight does not go away. */
static struct session *
held(struct ledger *l, const struct ledger_hold *h)
{
	struct session *s = session_get(l, h->slot, h->generation);

	assert(s != NULL && session_account(s)->in_flight > 0);
	return s;
}

static bool
too_late(const struct account *a)
{
	return a->state != STATE_OPEN && a->state != STATE_CLOSING;
}

enum ledger_verdict
ledger_charge(struct ledger *l, struct ledger_hold *h, struct u256 cost, struct u256 *charged,
    struct u256 *session_total)
{
	struct session *s;
	struct account a;
	bool late;

	*charged = *session_total = U256_ZERO;
	if (h->generation == 0)
		return LEDGER_GONE;
	ledger_lock(l);
	s = held(l, h);
	a = *session_account(s);
	late = too_late(&a);
	a.promised = minus(a.promised, h->charged);
	h->charged = late ? U256_ZERO : u256_min(cost, h->amount);
	a.promised = plus(a.promised, h->charged);
	session_commit(l, s, &a);
	*charged = h->charged;
	*session_total = plus(a.accumulated, a.promised);
	ledger_unlock(l);
	return late ? LEDGER_LATE : LEDGER_OK;
}

/* Ends a hold; `charge` of it goes from reserved to accumulated. */
static void
let_go(
    struct ledger *l, struct session *s, struct ledger_hold *h, struct u256 charge, uint64_t now_s)
{
	struct account a = *session_account(s);

	a.reserved = minus(a.reserved, h->amount);
	a.promised = minus(a.promised, h->charged);
	a.accumulated = plus(a.accumulated, charge);
	a.in_flight--;
	if (!u256_is_zero(charge) && now_s > a.active_s)
		a.active_s = now_s;
	session_commit(l, s, &a);
	if (a.state == STATE_DONE)
		session_bury(l, s);
	*h = (struct ledger_hold){ 0 };
}

static void
count_late(struct ledger *l, struct u256 amount)
{
	struct totals t = *totals_get(l);
	struct u256 sum;

	t.late = u256_add(&sum, t.late, amount) ? sum : U256_MAX;
	t.n_late++;
	totals_commit(l, &t);
}

enum ledger_verdict
ledger_commit(struct ledger *l, struct ledger_hold *h, uint64_t now_s)
{
	struct session *s;
	bool late;

	if (h->generation == 0)
		return LEDGER_GONE;
	ledger_lock(l);
	s = held(l, h);
	late = too_late(session_account(s)) && !u256_is_zero(h->charged);
	if (late)
		count_late(l, h->charged);
	let_go(l, s, h, late ? U256_ZERO : h->charged, now_s);
	ledger_unlock(l);
	return late ? LEDGER_LATE : LEDGER_OK;
}

void
ledger_release(struct ledger *l, struct ledger_hold *h)
{
	if (h->generation == 0)
		return;
	ledger_lock(l);
	let_go(l, held(l, h), h, U256_ZERO, 0);
	ledger_unlock(l);
}

/* --- numbers --- */

void
ledger_stats(struct ledger *l, struct ledger_stats *out)
{
	const struct totals *t;
	const struct sums *s;

	ledger_lock(l);
	t = totals_get(l);
	s = &l->shared->sums;
	*out = (struct ledger_stats){ .sessions = s->sessions,
		.owing = s->owing,
		.in_flight = s->in_flight,
		.spent = s->spent,
		.barred = s->barred,
		.owed = s->owed,
		.reserved = s->reserved,
		.settled = t->settled,
		.written_off = t->written_off,
		.late = t->late,
		.n_settled = t->n_settled,
		.n_written_off = t->n_written_off,
		.n_late = t->n_late };
	ledger_unlock(l);
}
