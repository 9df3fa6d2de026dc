#include <assert.h>
#include <string.h>

#include "payment/ledger_table.h"

const char *
ledger_why_name(enum ledger_why why)
{
	static const char *const name[LEDGER_WHYS] = {
		[LEDGER_WHY_IDLE] = "idle",
		[LEDGER_WHY_DEADLINE] = "deadline",
		[LEDGER_WHY_USED_UP] = "used_up",
		[LEDGER_WHY_EAGER] = "eager",
		[LEDGER_WHY_SHUTDOWN] = "shutdown",
	};

	return name[why];
}

/* --- what is due --- */

static bool
past(uint64_t now_s, uint64_t deadline_s, uint64_t before_s)
{
	return now_s + before_s >= deadline_s;
}

/* Less than a fiftieth of the cap is left. */
static bool
nearly_used_up(const struct session *s, const struct account *a)
{
	struct u256 fifty;

	return u256_mul(&fifty, minus(s->terms.cap, a->accumulated), u256_of(50)) &&
	    u256_cmp(fifty, s->terms.cap) < 0;
}

/* Whether an open session is to take no more work, and why. */
static bool
should_close(const struct ledger *l, const struct session *s, const struct account *a,
    uint64_t now_s, bool draining, uint8_t *why)
{
	uint64_t idle_s = l->opt.idle_s != 0 ? l->opt.idle_s : SESSION_IDLE_S;
	bool owes = !u256_is_zero(a->accumulated);

	if (draining)
		*why = LEDGER_WHY_SHUTDOWN;
	else if (past(now_s, s->deadline_s, SESSION_MARGIN_S))
		*why = LEDGER_WHY_DEADLINE;
	else if (!owes || a->in_flight > 0)
		return false;
	else if (s->eager)
		*why = LEDGER_WHY_EAGER;
	else if (nearly_used_up(s, a))
		*why = LEDGER_WHY_USED_UP;
	else if (now_s > a->active_s && now_s - a->active_s > idle_s)
		*why = LEDGER_WHY_IDLE;
	else
		return false;
	return true;
}

/* An open session is closed here when its time has come. */
static bool
is_due(struct ledger *l, struct session *s, uint64_t now_s, bool draining)
{
	struct account a = *session_account(s);

	if (a.state == STATE_OPEN && should_close(l, s, &a, now_s, draining, &a.why)) {
		a.state = STATE_CLOSING;
		session_commit(l, s, &a);
	}
	if (now_s < a.next_try_s || u256_is_zero(a.accumulated))
		return false;
	switch (a.state) {
	case STATE_CLOSING:
		return a.refusals < SETTLE_REFUSALS_MAX &&
		    !past(now_s, s->deadline_s, PERMIT_LAST_S) &&
		    (a.in_flight == 0 || draining || past(now_s, s->deadline_s, SESSION_FORCE_S));
	case STATE_PENDING:
		return true;
	case STATE_UNKNOWN:
		/* Later, or with no attempt left, the answer would change nothing. */
		return a.refusals < SETTLE_REFUSALS_MAX &&
		    !past(now_s, s->deadline_s, PERMIT_LAST_S);
	default:
		return false;
	}
}

static void
claim(struct ledger *l, struct session *s, bool draining, struct ledger_task *t)
{
	static const struct {
		uint8_t next;
		enum ledger_action action;
	} step[STATES] = {
		[STATE_CLOSING] = { STATE_SETTLING, LEDGER_SETTLE },
		[STATE_PENDING] = { STATE_POLLING, LEDGER_POLL },
		[STATE_UNKNOWN] = { STATE_ASKING, LEDGER_ASK },
	};
	struct account a = *session_account(s);

	t->slot = session_slot(l, s);
	t->generation = atomic_load(&s->generation);
	t->action = step[a.state].action;
	t->why = a.why;
	t->key = s->key;
	t->terms = s->terms;
	t->amount = a.accumulated;
	t->deadline_s = s->deadline_s;
	t->refusals = a.refusals;
	t->draining = draining;
	memcpy(t->job, a.job, sizeof(t->job));
	t->payload_n = s->payload_n;
	memcpy(t->payload, session_payload(l, s), s->payload_n);
	a.state = step[a.state].next;
	session_commit(l, s, &a);
}

bool
ledger_claim(struct ledger *l, uint64_t now_s, bool draining, struct ledger_task *t)
{
	struct session *first = NULL;

	ledger_lock(l);
	for (uint32_t i = 0; i < l->shared->sums.high; i++) {
		struct session *s = &l->session[i];

		if (atomic_load(&s->generation) == 0 || !is_due(l, s, now_s, draining))
			continue;
		if (first == NULL || s->deadline_s < first->deadline_s)
			first = s;
	}
	if (first != NULL)
		claim(l, first, draining, t);
	ledger_unlock(l);
	return first != NULL;
}

/* --- what became of it --- */

static struct session *
claimed(struct ledger *l, const struct ledger_task *t, struct account *a)
{
	struct session *s = session_get(l, t->slot, t->generation);

	assert(s != NULL && account_claimed(session_account(s)));
	*a = *session_account(s);
	return s;
}

/* 1, 2, 4, ... seconds; longer when the facilitator asks for it. */
static void
back_off(struct account *a, uint64_t now_s, uint32_t retry_after_s)
{
	uint32_t s = a->waits < 5 ? 1u << a->waits : SETTLE_BACKOFF_MAX_S;

	if (s > SETTLE_BACKOFF_MAX_S)
		s = SETTLE_BACKOFF_MAX_S;
	if (retry_after_s > 2 * SETTLE_BACKOFF_MAX_S)
		retry_after_s = 2 * SETTLE_BACKOFF_MAX_S;
	if (a->waits < UINT32_MAX)
		a->waits++;
	a->next_try_s = now_s + (retry_after_s > s ? retry_after_s : s);
}

/*
 * A no may have been the facilitator's own trouble, which passes, or an empty wallet, which may be
 * filled: the attempts are spread, and the last is in time even for who began at the margin.
 */
static void
back_off_refused(struct account *a, uint64_t now_s, bool draining)
{
	static const uint8_t gap_s[2][SETTLE_REFUSALS_MAX] = { { 5, 15, 30 }, { 1, 2, 4 } };

	assert(a->refusals >= 1);
	if (a->refusals <= SETTLE_REFUSALS_MAX)
		a->next_try_s = now_s + gap_s[draining][a->refusals - 1];
	a->waits = 0;
}

void
ledger_settled(struct ledger *l, const struct ledger_task *t, uint64_t now_s)
{
	struct session *s;
	struct account a;

	ledger_lock(l);
	s = claimed(l, t, &a);
	if (a.barred)
		payer_unbar(l, &s->key);
	session_finish(l, s, true);
	ledger_unlock(l);
}

void
ledger_pending(struct ledger *l, const struct ledger_task *t, struct span job, uint64_t now_s)
{
	struct session *s;
	struct account a;

	assert(job.n <= LEDGER_JOB_MAX_BYTES);
	ledger_lock(l);
	s = claimed(l, t, &a);
	if (a.state != STATE_POLLING)
		a.waits = 0;
	if (job.n > 0) {
		memset(a.job, 0, sizeof(a.job));
		memcpy(a.job, job.p, job.n);
	}
	a.state = STATE_PENDING;
	back_off(&a, now_s, 0);
	session_commit(l, s, &a);
	ledger_unlock(l);
}

/* The state that the same task is claimed from. */
static uint8_t
unclaimed(const struct account *a)
{
	if (a->state == STATE_SETTLING)
		return STATE_CLOSING;
	return a->state == STATE_POLLING ? STATE_PENDING : STATE_UNKNOWN;
}

void
ledger_failed(struct ledger *l, const struct ledger_task *t, enum ledger_fault fault,
    uint64_t now_s, uint32_t retry_after_s)
{
	struct session *s;
	struct account a;

	ledger_lock(l);
	s = claimed(l, t, &a);
	if (fault == LEDGER_UNAVAILABLE) {
		a.state = unclaimed(&a);
	} else {
		a.refusals++;
		/* After a lost answer a no may only mean that the lost one was a yes. */
		a.state = a.lost ? STATE_UNKNOWN : STATE_CLOSING;
		/* Nor is a used nonce his fault when an earlier no may have been a yes. */
		if (fault == LEDGER_PAYER && !a.lost && a.refusals == 1) {
			payer_bar(l, &s->key, now_s + PAYER_BARRED_S);
			a.barred = true;
		}
	}
	if (fault == LEDGER_UNAVAILABLE)
		back_off(&a, now_s, retry_after_s);
	else
		back_off_refused(&a, now_s, t->draining);
	session_commit(l, s, &a);
	ledger_unlock(l);
}

void
ledger_unknown(
    struct ledger *l, const struct ledger_task *t, uint64_t now_s, uint32_t retry_after_s)
{
	struct session *s;
	struct account a;

	ledger_lock(l);
	s = claimed(l, t, &a);
	a.asked = a.state == STATE_ASKING;
	a.lost = true;
	a.state = STATE_UNKNOWN;
	back_off(&a, now_s, retry_after_s > SETTLE_ASK_S ? retry_after_s : SETTLE_ASK_S);
	session_commit(l, s, &a);
	ledger_unlock(l);
}

void
ledger_unspent(struct ledger *l, const struct ledger_task *t, uint64_t now_s)
{
	struct session *s;
	struct account a;

	ledger_lock(l);
	s = claimed(l, t, &a);
	assert(a.state == STATE_ASKING);
	a.state = STATE_CLOSING;
	a.next_try_s = now_s;
	session_commit(l, s, &a);
	ledger_unlock(l);
}

/* --- what will never be settled --- */

/* No settlement will come of it any more, as far as we can tell. */
static bool
is_hopeless(const struct session *s, const struct account *a, uint64_t now_s)
{
	return (a->state == STATE_CLOSING || a->state == STATE_UNKNOWN) &&
	    (a->refusals >= SETTLE_REFUSALS_MAX || past(now_s, s->deadline_s, PERMIT_LAST_S) ||
		(a->state == STATE_UNKNOWN && a->asked));
}

static void
describe_loss(const struct session *s, uint64_t now_s, struct ledger_loss *loss)
{
	const struct account *a = session_account(s);

	*loss = (struct ledger_loss){ .key = s->key,
		.amount = a->accumulated,
		.deadline_s = s->deadline_s,
		.unknown = a->lost || a->state == STATE_PENDING || account_claimed(a),
		.hopeless = is_hopeless(s, a, now_s) };
}

/* Owes nothing, serves nobody, and its time is over. */
static bool
is_empty(const struct session *s, const struct account *a, uint64_t now_s)
{
	return u256_is_zero(a->accumulated) && a->in_flight == 0 &&
	    (a->state == STATE_CLOSING || past(now_s, s->deadline_s, SESSION_MARGIN_S));
}

static bool
is_lost(const struct session *s, const struct account *a, uint64_t now_s)
{
	if (a->state == STATE_PENDING) /* a job may still say what became of it */
		return now_s >= s->deadline_s + PERMIT_SLACK_S;
	return a->in_flight == 0 &&
	    ((a->state == STATE_CLOSING && past(now_s, s->deadline_s, PERMIT_LAST_S)) ||
		(a->state == STATE_UNKNOWN && now_s >= s->deadline_s));
}

static bool
sweep(struct ledger *l, uint64_t now_s, struct ledger_loss *loss)
{
	uint32_t *at = &l->shared->sums.sweep_at;

	for (; *at < l->shared->sums.high; (*at)++) {
		struct session *s = &l->session[*at];
		const struct account *a = session_account(s);

		if (atomic_load(&s->generation) == 0)
			continue;
		if (is_empty(s, a, now_s)) {
			session_free(l, s);
		} else if (!u256_is_zero(a->accumulated) && is_lost(s, a, now_s)) {
			describe_loss(s, now_s, loss);
			session_finish(l, s, false);
			return true;
		}
	}
	*at = 0;
	spent_sweep(l, now_s, l->n_spent / 64 + 1);
	return false;
}

bool
ledger_write_off(struct ledger *l, uint64_t now_s, struct ledger_loss *loss)
{
	bool found;

	ledger_lock(l);
	found = sweep(l, now_s, loss);
	ledger_unlock(l);
	return found;
}

bool
ledger_unsettled(struct ledger *l, uint32_t *cursor, uint64_t now_s, struct ledger_loss *loss)
{
	bool found = false;

	ledger_lock(l);
	while (!found && *cursor < l->shared->sums.high) {
		struct session *s = &l->session[(*cursor)++];
		const struct account *a = session_account(s);

		if (atomic_load(&s->generation) == 0 || a->state == STATE_DONE ||
		    u256_is_zero(a->accumulated))
			continue;
		describe_loss(s, now_s, loss);
		found = true;
	}
	ledger_unlock(l);
	return found;
}
