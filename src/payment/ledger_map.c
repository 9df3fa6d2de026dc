#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/wipe.h"
#include "crypto/rng.h"
#include "payment/ledger_table.h"

/* --- layout --- */

enum { PAGE = 4096 };

/* Hands out room one after the other, or only adds it up. */
struct room {
	uint8_t *base;
	size_t used;
};

static void *
take(struct room *r, size_t n, size_t each)
{
	size_t at = r->used;

	r->used += (n * each + PAGE - 1) / PAGE * PAGE;
	return r->base == NULL ? NULL : r->base + at;
}

static uint32_t
power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n *= 2;
	return n;
}

static struct index
take_index(struct room *r, uint32_t n)
{
	uint32_t buckets = power_of_two(n);
	struct index ix = { .mask = buckets - 1 };

	ix.bucket = take(r, buckets, sizeof(*ix.bucket));
	ix.next = take(r, n, sizeof(*ix.next));
	return ix;
}

static struct pool
take_pool(struct room *r, uint32_t *head, uint32_t n)
{
	return (struct pool){ .head = head, .next = take(r, n, sizeof(uint32_t)), .n = n };
}

void
ledger_lay_out(struct ledger *l, const struct ledger_options *opt, void *base)
{
	struct room r = { .base = base };
	uint32_t n = opt->sessions, spent = n * LEDGER_SPENT_PER_SESSION;

	*l = (struct ledger){ .opt = *opt, .n_spent = spent };
	if (!u256_mul(&l->value_max, opt->largest_cap, u256_of(LEDGER_VALUE_CAPS)))
		l->value_max = U256_MAX;
	if (!u256_mul(&l->payer_max, opt->largest_cap, u256_of(LEDGER_PAYER_CAPS)))
		l->payer_max = U256_MAX;
	l->shared = take(&r, 1, sizeof(*l->shared));
	l->session = take(&r, n, sizeof(*l->session));
	l->payload = take(&r, n, LEDGER_PAYLOAD_MAX_BYTES);
	l->spent = take(&r, spent, sizeof(*l->spent));
	l->barred = take(&r, LEDGER_BARRED_MAX, sizeof(*l->barred));
	l->by_key = take_index(&r, n);
	l->by_secret = take_index(&r, n);
	l->by_payer = take_index(&r, n);
	l->spent_by_key = take_index(&r, spent);
	l->barred_by_payer = take_index(&r, LEDGER_BARRED_MAX);
	if (base != NULL) {
		l->free_session = take_pool(&r, &l->shared->free_session, n);
		l->free_spent = take_pool(&r, &l->shared->free_spent, spent);
		l->free_barred = take_pool(&r, &l->shared->free_barred, LEDGER_BARRED_MAX);
	} else {
		(void)take_pool(&r, NULL, n);
		(void)take_pool(&r, NULL, spent);
		(void)take_pool(&r, NULL, LEDGER_BARRED_MAX);
	}
	l->bytes = r.used;
}

struct err
ledger_map(struct ledger **out, const struct ledger_options *opt)
{
	struct u256 all;
	struct ledger *l;
	void *base;

	*out = NULL;
	if (opt->sessions == 0 || opt->sessions > LEDGER_SESSIONS_MAX)
		return FAIL(TOO_LARGE, "M8: policy: open_sessions is not in 1..10000");
	/* Then no sum over the table can overflow. */
	if (!u256_mul(&all, opt->largest_cap, u256_of(4 * LEDGER_SESSIONS_MAX)))
		return FAIL(TOO_LARGE, "M8: policy: the largest cap is beyond all money");
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return FAIL(NOMEM, "ledger");
	ledger_lay_out(l, opt, NULL);
	base = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		free(l);
		return FAIL(SYSTEM, "ledger: mmap");
	}
	/* Bearer secrets and payment objects: in no core file. */
	(void)madvise(base, l->bytes, MADV_DONTDUMP);
	ledger_lay_out(l, opt, base);
	*out = l;
	return OK;
}

void
ledger_unmap(struct ledger *l)
{
	if (l == NULL)
		return;
	munmap(l->shared, l->bytes);
	free(l);
}

size_t
ledger_bytes(const struct ledger *l)
{
	return l->bytes;
}

/* --- taking over --- */

/* Far beyond what any worker gives out; the next ones can still count up. */
#define GENERATION_MAX (UINT64_MAX / 2)

/* What a worker of ours can have written. The rest of the entry is of no danger to us. */
static bool
session_makes_sense(const struct ledger *l, const struct session *s)
{
	const struct account *a = session_account(s);
	struct u256 used;

	return atomic_load(&s->generation) <= atomic_load(&l->shared->generation) &&
	    s->route != 0 && s->payload_n <= LEDGER_PAYLOAD_MAX_BYTES &&
	    u256_cmp(s->terms.cap, l->opt.largest_cap) <= 0 &&
	    u256_add(&used, a->accumulated, a->reserved) && u256_cmp(used, s->terms.cap) <= 0 &&
	    u256_cmp(a->promised, a->reserved) <= 0 && a->state < STATES && a->why < LEDGER_WHYS &&
	    a->job[LEDGER_JOB_MAX_BYTES] == '\0' &&
	    (a->state == STATE_OPEN || a->state == STATE_CLOSING || !u256_is_zero(a->accumulated));
}

/*
 * No request of the dead worker is under way any more, and no call. What was on the wire may have
 * been done.
 */
static void
disown(struct ledger *l, struct session *s, struct ledger_repair *did)
{
	struct account a = *session_account(s);
	const uint8_t state = session_account(s)->state;

	did->holds += a.in_flight;
	a.in_flight = 0;
	a.reserved = a.promised = U256_ZERO;
	if (state == STATE_SETTLING || state == STATE_ASKING) {
		did->unknown++;
		a.state = STATE_UNKNOWN;
		a.lost = true;
		a.next_try_s = 0;
	} else if (state == STATE_POLLING) {
		a.state = STATE_PENDING;
		a.next_try_s = 0;
	}
	session_commit(l, s, &a);
}

/* Indexes, lists and sums from the entries, whatever they were; and ends what was half ended. */
static void
rebuild(struct ledger *l, struct ledger_repair *did)
{
	if (atomic_load(&l->shared->generation) > GENERATION_MAX)
		atomic_store(&l->shared->generation, GENERATION_MAX);
	for (uint32_t i = 0; i < l->opt.sessions; i++) {
		struct session *s = &l->session[i];

		if (atomic_load(&s->generation) != 0 && !session_makes_sense(l, s)) {
			atomic_store(&s->generation, 0);
			did->dropped++;
		}
	}
	rng_bytes(l->shared->seed, sizeof(l->shared->seed));
	derived_clear(l);
	for (uint32_t i = 0; i < l->n_spent; i++)
		if (atomic_load(&l->spent[i].until_s) != 0)
			spent_link(l, &l->spent[i]);
	for (uint32_t i = 0; i < LEDGER_BARRED_MAX; i++)
		if (atomic_load(&l->barred[i].until_s) != 0)
			barred_link(l, &l->barred[i]);
	for (uint32_t i = 0; i < l->opt.sessions; i++) {
		struct session *s = &l->session[i];
		bool twice;

		if (atomic_load(&s->generation) == 0)
			continue;
		twice = session_find(l, &s->key) != NULL ||
		    session_find_secret(l, s->secret) != NULL;
		session_link(l, s);
		if (twice)
			session_free(l, s);
		did->dropped += twice;
		did->sessions += !twice;
	}
}

/* Goes over `high`, which burying may lower. */
static void
bury_the_done(struct ledger *l)
{
	for (uint32_t i = 0; i < l->opt.sessions; i++) {
		struct session *s = &l->session[i];

		if (atomic_load(&s->generation) != 0 && session_account(s)->state == STATE_DONE)
			session_bury(l, s);
	}
}

/* A free slot may hold what its last session left, when the worker died before it was cleared. */
static void
clear_the_free(struct ledger *l)
{
	for (uint32_t i = 0; i < l->opt.sessions; i++) {
		struct session *s = &l->session[i];

		if (atomic_load(&s->generation) == 0 && s->payload_n != 0) {
			wipe(session_payload(l, s), LEDGER_PAYLOAD_MAX_BYTES);
			wipe(s->account, sizeof(*s) - offsetof(struct session, account));
		}
	}
}

static bool
mutex_make(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	bool good;

	memset(mutex, 0, sizeof(*mutex));
	if (pthread_mutexattr_init(&attr) != 0)
		return false;
	good = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0 &&
	    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0 &&
	    pthread_mutex_init(mutex, &attr) == 0;
	pthread_mutexattr_destroy(&attr);
	return good;
}

struct err
ledger_attach(struct ledger *l, struct ledger_repair *did)
{
	*did = (struct ledger_repair){ 0 };
	/* Whoever held it is dead, and may have left anything in it. */
	if (!mutex_make(&l->shared->mutex))
		return FAIL(SYSTEM, "ledger: mutex");
	ledger_lock(l);
	clear_the_free(l);
	rebuild(l, did);
	for (uint32_t i = 0; i < l->shared->sums.high; i++)
		if (atomic_load(&l->session[i].generation) != 0)
			disown(l, &l->session[i], did);
	bury_the_done(l);
	ledger_unlock(l);
	return OK;
}

void
ledger_lock(struct ledger *l)
{
	int status = pthread_mutex_lock(&l->shared->mutex);

	if (status == EOWNERDEAD) {
		struct ledger_repair did = { 0 };

		rebuild(l, &did);
		bury_the_done(l);
		status = pthread_mutex_consistent(&l->shared->mutex);
	}
	assert(status == 0);
}

void
ledger_unlock(struct ledger *l)
{
	int status = pthread_mutex_unlock(&l->shared->mutex);

	assert(status == 0);
}

/* --- invariants --- */

static void
check_session(struct ledger *l, struct session *s)
{
	const struct account *a = session_account(s);

	assert(session_makes_sense(l, s));
	assert(session_find(l, &s->key) == s);
	assert(session_find_secret(l, s->secret) == s);
	assert(a->in_flight > 0 || u256_is_zero(a->reserved));
	assert(a->state != STATE_DONE || a->in_flight > 0);
	assert(a->state != STATE_DONE || (a->counted && spent_has(l, &s->key)));
}

static uint32_t
pool_count(const struct pool *p)
{
	uint32_t n = 0;

	for (uint32_t at = *p->head; at != 0; at = p->next[at - 1])
		n++;
	return n;
}

void
ledger_check(struct ledger *l)
{
	const struct sums *sums = &l->shared->sums;
	struct u256 owed = U256_ZERO, reserved = U256_ZERO;
	uint32_t sessions = 0, owing = 0, in_flight = 0, spent = 0, barred = 0;

	ledger_lock(l);
	for (uint32_t i = 0; i < l->opt.sessions; i++) {
		struct session *s = &l->session[i];
		const struct account *a = session_account(s);

		if (atomic_load(&s->generation) == 0)
			continue;
		assert(i < sums->high);
		check_session(l, s);
		sessions++;
		in_flight += a->in_flight;
		reserved = plus(reserved, a->reserved);
		if (a->state == STATE_DONE)
			continue;
		owed = plus(owed, a->accumulated);
		owing += !u256_is_zero(a->accumulated);
	}
	for (uint32_t i = 0; i < l->n_spent; i++)
		if (atomic_load(&l->spent[i].until_s) != 0) {
			assert(spent_has(l, &l->spent[i].key));
			spent++;
		}
	for (uint32_t i = 0; i < LEDGER_BARRED_MAX; i++)
		barred += atomic_load(&l->barred[i].until_s) != 0;
	assert(u256_cmp(owed, sums->owed) == 0 && u256_cmp(reserved, sums->reserved) == 0);
	assert(sessions == sums->sessions && owing == sums->owing && in_flight == sums->in_flight);
	assert(spent == sums->spent && barred == sums->barred);
	assert(pool_count(&l->free_session) == l->opt.sessions - sessions);
	assert(pool_count(&l->free_spent) == l->n_spent - spent);
	assert(pool_count(&l->free_barred) == LEDGER_BARRED_MAX - barred);
	ledger_unlock(l);
}
