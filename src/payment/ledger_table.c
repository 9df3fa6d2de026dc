#include "payment/ledger_table.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "core/wipe.h"
#include "crypto/ct.h"
#include "crypto/digest.h"
#include "crypto/rng.h"

struct u256
plus(struct u256 a, struct u256 b)
{
	struct u256 sum;
	bool fits = u256_add(&sum, a, b);

	assert(fits);
	return sum;
}

struct u256
minus(struct u256 a, struct u256 b)
{
	struct u256 rest;
	bool fits = u256_sub(&rest, a, b);

	assert(fits);
	return rest;
}

/* For what only grows, over the life of the program. */
static struct u256
plus_at_most(struct u256 a, struct u256 b)
{
	struct u256 sum;

	return u256_add(&sum, a, b) ? sum : U256_MAX;
}

/* --- hashes, indexes, free slots --- */

enum hashed { HASH_KEY = 1, HASH_SECRET, HASH_PAYER };

static uint32_t
hash(const struct ledger *l, enum hashed what, const void *p, size_t n)
{
	uint8_t in[16 + 1 + 8 + EVM_ADDRESS_LEN + U256_BYTES], out[SHA256_LEN];
	uint32_t h;

	assert(n <= sizeof(in) - 17);
	memcpy(in, l->shared->seed, 16);
	in[16] = (uint8_t)what;
	memcpy(in + 17, p, n);
	sha256_of(span_of(in, 17 + n), out);
	memcpy(&h, out, sizeof(h));
	wipe(in, sizeof(in));
	return h;
}

static uint32_t
hash_secret(const struct ledger *l, const uint8_t secret[LEDGER_SECRET_LEN])
{
	return hash(l, HASH_SECRET, secret, LEDGER_SECRET_LEN);
}

static uint32_t
hash_payer(const struct ledger *l, uint64_t chain_id, const uint8_t payer[EVM_ADDRESS_LEN])
{
	uint8_t in[8 + EVM_ADDRESS_LEN];

	memcpy(in, &chain_id, 8);
	memcpy(in + 8, payer, EVM_ADDRESS_LEN);
	return hash(l, HASH_PAYER, in, sizeof(in));
}

static uint32_t
hash_key(const struct ledger *l, const struct permit_key *key)
{
	uint8_t in[8 + EVM_ADDRESS_LEN + U256_BYTES];

	memcpy(in, &key->chain_id, 8);
	memcpy(in + 8, key->payer, EVM_ADDRESS_LEN);
	u256_store(key->nonce, in + 8 + EVM_ADDRESS_LEN);
	return hash(l, HASH_KEY, in, sizeof(in));
}

static void
index_put(struct index *ix, uint32_t h, uint32_t slot)
{
	uint32_t *bucket = &ix->bucket[h & ix->mask];

	ix->next[slot] = *bucket;
	*bucket = slot + 1;
}

static void
index_drop(struct index *ix, uint32_t h, uint32_t slot)
{
	uint32_t *at = &ix->bucket[h & ix->mask];

	while (*at != slot + 1) {
		assert(*at != 0);
		at = &ix->next[*at - 1];
	}
	*at = ix->next[slot];
}

/* for (at = first; at != 0; at = ix->next[at - 1]): slot at - 1 */
static uint32_t
index_first(const struct index *ix, uint32_t h)
{
	return ix->bucket[h & ix->mask];
}

static void
pool_put(struct pool *p, uint32_t slot)
{
	p->next[slot] = *p->head;
	*p->head = slot + 1;
}

/* False: none is free. */
static bool
pool_take(struct pool *p, uint32_t *slot)
{
	if (*p->head == 0)
		return false;
	*slot = *p->head - 1;
	*p->head = p->next[*slot];
	return true;
}

static void
index_clear(struct index *ix)
{
	memset(ix->bucket, 0, ((size_t)ix->mask + 1) * sizeof(*ix->bucket));
}

/* Low slots are taken first: what is never used is never touched. */
void
derived_clear(struct ledger *l)
{
	struct shared *sh = l->shared;

	index_clear(&l->by_key);
	index_clear(&l->by_secret);
	index_clear(&l->by_payer);
	index_clear(&l->spent_by_key);
	index_clear(&l->barred_by_payer);
	sh->sums = (struct sums){ 0 };
	sh->free_session = sh->free_spent = sh->free_barred = 0;
	for (uint32_t i = l->opt.sessions; i-- > 0;)
		if (atomic_load(&l->session[i].generation) == 0)
			pool_put(&l->free_session, i);
	for (uint32_t i = l->n_spent; i-- > 0;)
		if (atomic_load(&l->spent[i].until_s) == 0)
			pool_put(&l->free_spent, i);
	for (uint32_t i = LEDGER_BARRED_MAX; i-- > 0;)
		if (atomic_load(&l->barred[i].until_s) == 0)
			pool_put(&l->free_barred, i);
}

/* --- totals --- */

const struct totals *
totals_get(const struct ledger *l)
{
	return &l->shared->totals[atomic_load(&l->shared->turn) & 1];
}

void
totals_commit(struct ledger *l, const struct totals *t)
{
	uint32_t turn = atomic_load(&l->shared->turn);

	l->shared->totals[(turn + 1) & 1] = *t;
	atomic_store(&l->shared->turn, turn + 1);
}

/* --- sessions --- */

bool
permit_key_eq(const struct permit_key *a, const struct permit_key *b)
{
	return a->chain_id == b->chain_id &&
	    span_eq(span_of(a->payer, EVM_ADDRESS_LEN), span_of(b->payer, EVM_ADDRESS_LEN)) &&
	    u256_cmp(a->nonce, b->nonce) == 0;
}

static bool
same_payer(const struct permit_key *a, const struct permit_key *b)
{
	return a->chain_id == b->chain_id &&
	    span_eq(span_of(a->payer, EVM_ADDRESS_LEN), span_of(b->payer, EVM_ADDRESS_LEN));
}

uint32_t
session_slot(const struct ledger *l, const struct session *s)
{
	return (uint32_t)(s - l->session);
}

uint8_t *
session_payload(const struct ledger *l, const struct session *s)
{
	return l->payload + (size_t)session_slot(l, s) * LEDGER_PAYLOAD_MAX_BYTES;
}

const struct account *
session_account(const struct session *s)
{
	return &s->account[atomic_load(&s->turn) & 1];
}

struct session *
session_get(struct ledger *l, uint32_t slot, uint64_t generation)
{
	if (slot >= l->opt.sessions || generation == 0 ||
	    atomic_load(&l->session[slot].generation) != generation)
		return NULL;
	return &l->session[slot];
}

struct session *
session_find(struct ledger *l, const struct permit_key *key)
{
	for (uint32_t at = index_first(&l->by_key, hash_key(l, key)); at != 0;
	     at = l->by_key.next[at - 1])
		if (permit_key_eq(&l->session[at - 1].key, key))
			return &l->session[at - 1];
	return NULL;
}

/* Which bucket it is depends on a hash that nobody outside can compute. */
struct session *
session_find_secret(struct ledger *l, const uint8_t secret[LEDGER_SECRET_LEN])
{
	struct session *found = NULL;

	for (uint32_t at = index_first(&l->by_secret, hash_secret(l, secret)); at != 0;
	     at = l->by_secret.next[at - 1])
		if (ct_equal(span_of(l->session[at - 1].secret, LEDGER_SECRET_LEN),
			span_of(secret, LEDGER_SECRET_LEN)))
			found = &l->session[at - 1];
	return found;
}

struct u256
payer_exposure(struct ledger *l, const struct permit_key *key)
{
	struct u256 sum = U256_ZERO;

	for (uint32_t at = index_first(&l->by_payer, hash_payer(l, key->chain_id, key->payer));
	     at != 0; at = l->by_payer.next[at - 1]) {
		const struct session *s = &l->session[at - 1];
		const struct account *a = session_account(s);

		if (!same_payer(&s->key, key) || a->state == STATE_DONE)
			continue;
		sum = plus(sum, plus(a->accumulated, a->reserved));
	}
	return sum;
}

/* What an account adds to the sums; taken away when it changes. */
static void
sums_add(struct sums *sums, const struct account *a)
{
	sums->in_flight += a->in_flight;
	sums->reserved = plus(sums->reserved, a->reserved);
	if (a->state == STATE_DONE)
		return;
	sums->owed = plus(sums->owed, a->accumulated);
	sums->owing += !u256_is_zero(a->accumulated);
}

static void
sums_take(struct sums *sums, const struct account *a)
{
	sums->in_flight -= a->in_flight;
	sums->reserved = minus(sums->reserved, a->reserved);
	if (a->state == STATE_DONE)
		return;
	sums->owed = minus(sums->owed, a->accumulated);
	sums->owing -= !u256_is_zero(a->accumulated);
}

void
session_commit(struct ledger *l, struct session *s, const struct account *a)
{
	uint32_t turn = atomic_load(&s->turn);

	sums_take(&l->shared->sums, &s->account[turn & 1]);
	sums_add(&l->shared->sums, a);
	s->account[(turn + 1) & 1] = *a;
	atomic_store(&s->turn, turn + 1);
}

void
session_link(struct ledger *l, struct session *s)
{
	uint32_t slot = session_slot(l, s);
	struct sums *sums = &l->shared->sums;

	index_put(&l->by_key, hash_key(l, &s->key), slot);
	index_put(&l->by_secret, hash_secret(l, s->secret), slot);
	index_put(&l->by_payer, hash_payer(l, s->key.chain_id, s->key.payer), slot);
	sums_add(sums, session_account(s));
	sums->sessions++;
	if (slot >= sums->high)
		sums->high = slot + 1;
}

struct session *
session_make(struct ledger *l, const struct ledger_permit *p, uint64_t now_s)
{
	struct session *s;
	uint64_t generation;
	uint32_t slot;
	bool room = pool_take(&l->free_session, &slot);

	assert(room);
	s = &l->session[slot];
	s->key = p->key;
	s->terms = p->terms;
	s->deadline_s = p->deadline_s;
	s->route = p->route;
	s->eager = p->eager;
	s->payload_n = (uint32_t)p->payload.n;
	if (p->payload.n > 0)
		memcpy(session_payload(l, s), p->payload.p, p->payload.n);
	rng_bytes(s->secret, LEDGER_SECRET_LEN);
	s->account[0] = (struct account){ .state = STATE_OPEN, .active_s = now_s };
	atomic_store(&s->turn, 0);
	generation = atomic_load(&l->shared->generation) + 1;
	atomic_store(&l->shared->generation, generation);
	atomic_store(&s->generation, generation);
	session_link(l, s);
	return s;
}

/* The payment object goes back to the system, as zeros. */
static void
payload_drop(struct ledger *l, struct session *s)
{
	uint8_t *payload = session_payload(l, s);

	if (madvise(payload, LEDGER_PAYLOAD_MAX_BYTES, MADV_REMOVE) != 0)
		wipe(payload, LEDGER_PAYLOAD_MAX_BYTES);
}

void
session_free(struct ledger *l, struct session *s)
{
	uint32_t slot = session_slot(l, s);
	struct sums *sums = &l->shared->sums;

	index_drop(&l->by_key, hash_key(l, &s->key), slot);
	index_drop(&l->by_secret, hash_secret(l, s->secret), slot);
	index_drop(&l->by_payer, hash_payer(l, s->key.chain_id, s->key.payer), slot);
	sums_take(sums, session_account(s));
	sums->sessions--;
	atomic_store(&s->generation, 0);
	atomic_thread_fence(memory_order_seq_cst); /* nothing of it is cleared before it is gone */
	payload_drop(l, s);
	wipe(s->account, sizeof(*s) - offsetof(struct session, account));
	pool_put(&l->free_session, slot);
	while (sums->high > 0 && atomic_load(&l->session[sums->high - 1].generation) == 0)
		sums->high--;
}

/*
 * Three entries change, one after the other, and the order makes that one change: done (nothing is
 * owed any more), counted (`last` says so even if the account does not yet), remembered, gone.
 */
void
session_bury(struct ledger *l, struct session *s)
{
	uint64_t generation = atomic_load(&s->generation);
	struct account a = *session_account(s);

	assert(a.state == STATE_DONE);
	if (!a.counted && totals_get(l)->last != generation) {
		struct totals t = *totals_get(l);

		if (a.settled) {
			t.settled = plus_at_most(t.settled, a.accumulated);
			t.n_settled++;
		} else {
			t.written_off = plus_at_most(t.written_off, a.accumulated);
			t.n_written_off++;
		}
		t.last = generation;
		totals_commit(l, &t);
	}
	if (!a.counted) {
		a.counted = true;
		session_commit(l, s, &a);
	}
	spent_put(l, &s->key, s->deadline_s + PERMIT_SLACK_S);
	if (a.in_flight == 0)
		session_free(l, s);
}

void
session_finish(struct ledger *l, struct session *s, bool settled)
{
	struct account a = *session_account(s);

	assert(a.state != STATE_DONE && !u256_is_zero(a.accumulated));
	a.state = STATE_DONE;
	a.settled = settled;
	session_commit(l, s, &a);
	session_bury(l, s);
}

/* --- spent permits --- */

static struct spent *
spent_find(struct ledger *l, const struct permit_key *key)
{
	for (uint32_t at = index_first(&l->spent_by_key, hash_key(l, key)); at != 0;
	     at = l->spent_by_key.next[at - 1])
		if (permit_key_eq(&l->spent[at - 1].key, key))
			return &l->spent[at - 1];
	return NULL;
}

bool
spent_has(struct ledger *l, const struct permit_key *key)
{
	return spent_find(l, key) != NULL;
}

void
spent_link(struct ledger *l, struct spent *e)
{
	index_put(&l->spent_by_key, hash_key(l, &e->key), (uint32_t)(e - l->spent));
	l->shared->sums.spent++;
}

static void
spent_drop(struct ledger *l, struct spent *e)
{
	uint32_t slot = (uint32_t)(e - l->spent);

	index_drop(&l->spent_by_key, hash_key(l, &e->key), slot);
	atomic_store(&e->until_s, 0);
	l->shared->sums.spent--;
	pool_put(&l->free_spent, slot);
}

/*
 * ledger_open() leaves room for every session, so that there is a free one but after a worker that
 * wrote nonsense: then the one that is forgotten soonest makes room.
 */
void
spent_put(struct ledger *l, const struct permit_key *key, uint64_t until_s)
{
	struct spent *e;
	uint32_t slot;

	if (spent_has(l, key))
		return;
	if (!pool_take(&l->free_spent, &slot)) {
		slot = 0;
		for (uint32_t i = 1; i < l->n_spent; i++)
			if (atomic_load(&l->spent[i].until_s) <
			    atomic_load(&l->spent[slot].until_s))
				slot = i;
		spent_drop(l, &l->spent[slot]);
		(void)pool_take(&l->free_spent, &slot);
	}
	e = &l->spent[slot];
	e->key = *key;
	atomic_store(&e->until_s, until_s);
	spent_link(l, e);
}

void
spent_sweep(struct ledger *l, uint64_t now_s, uint32_t n)
{
	uint32_t *at = &l->shared->sums.spent_at;

	for (; n > 0 && l->shared->sums.spent > 0; n--) {
		struct spent *e = &l->spent[*at];
		uint64_t until_s = atomic_load(&e->until_s);

		if (until_s != 0 && until_s < now_s)
			spent_drop(l, e);
		*at = (*at + 1) % l->n_spent;
	}
}

/* --- payers who are barred --- */

static struct barred *
barred_find(struct ledger *l, const struct permit_key *key)
{
	for (uint32_t at =
		 index_first(&l->barred_by_payer, hash_payer(l, key->chain_id, key->payer));
	     at != 0; at = l->barred_by_payer.next[at - 1]) {
		struct barred *e = &l->barred[at - 1];

		if (e->chain_id == key->chain_id &&
		    span_eq(
			span_of(e->payer, EVM_ADDRESS_LEN), span_of(key->payer, EVM_ADDRESS_LEN)))
			return e;
	}
	return NULL;
}

void
barred_link(struct ledger *l, struct barred *e)
{
	index_put(
	    &l->barred_by_payer, hash_payer(l, e->chain_id, e->payer), (uint32_t)(e - l->barred));
	l->shared->sums.barred++;
}

static void
barred_drop(struct ledger *l, struct barred *e)
{
	uint32_t slot = (uint32_t)(e - l->barred);

	index_drop(&l->barred_by_payer, hash_payer(l, e->chain_id, e->payer), slot);
	atomic_store(&e->until_s, 0);
	l->shared->sums.barred--;
	pool_put(&l->free_barred, slot);
}

bool
payer_is_barred(struct ledger *l, const struct permit_key *key, uint64_t now_s)
{
	struct barred *e;

	if (l->shared->sums.barred == 0 || (e = barred_find(l, key)) == NULL)
		return false;
	if (atomic_load(&e->until_s) > now_s)
		return true;
	barred_drop(l, e);
	return false;
}

void
payer_bar(struct ledger *l, const struct permit_key *key, uint64_t until_s)
{
	struct barred *e = barred_find(l, key);
	uint32_t slot;

	if (e != NULL) {
		atomic_store(&e->until_s, until_s);
		return;
	}
	if (!pool_take(&l->free_barred, &slot)) {
		slot = 0; /* all are taken: the first to be free again makes room */
		for (uint32_t i = 1; i < LEDGER_BARRED_MAX; i++)
			if (atomic_load(&l->barred[i].until_s) <
			    atomic_load(&l->barred[slot].until_s))
				slot = i;
		barred_drop(l, &l->barred[slot]);
		(void)pool_take(&l->free_barred, &slot);
	}
	e = &l->barred[slot];
	e->chain_id = key->chain_id;
	memcpy(e->payer, key->payer, EVM_ADDRESS_LEN);
	atomic_store(&e->until_s, until_s);
	barred_link(l, e);
}

void
payer_unbar(struct ledger *l, const struct permit_key *key)
{
	struct barred *e = barred_find(l, key);

	if (e != NULL)
		barred_drop(l, e);
}
