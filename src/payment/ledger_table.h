/*
 * ledger_table.h - how the ledger lies in memory, and the only ways to change it. Internal to
 * src/payment/ledger*.c and its tests. docs/ledger.md is the long form.
 *
 * What counts (session, spent, barred, totals) is written so that it is whole at every instruction:
 * an entry exists from the store of its commit word on, and what changes in a session is written to
 * the copy that is not in use before one store makes it the one in use. Everything else (indexes,
 * lists of free slots, sums) follows from that, and is made anew by whoever takes over.
 *
 * There are no addresses in the mapping, and no length that is believed: a worker under a stranger's
 * control may have written anything there.
 */
#ifndef PAYMENT_LEDGER_TABLE_H
#define PAYMENT_LEDGER_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "payment/ledger.h"

/* The order matters to nobody but session_takes_work() and session_claimed(). */
enum state {
	STATE_OPEN,    /* takes new work */
	STATE_CLOSING, /* takes none; settled when nothing is in flight and next_try_s has come */
	STATE_PENDING, /* settled by a job of the facilitator's, which is to be asked for */
	STATE_UNKNOWN, /* an answer was lost: to be asked for */
	/* claimed by the settler */
	STATE_SETTLING,
	STATE_POLLING,
	STATE_ASKING,
	/* settled or written off: the nonce is remembered; gone when nothing is in flight */
	STATE_DONE,
	STATES
};

/* What changes in a session. */
struct account {
	struct u256 accumulated; /* committed: owed until it is settled */
	struct u256 reserved;	 /* by requests in flight, their promises included */
	struct u256 promised;	 /* charged and not committed; <= reserved */
	uint64_t active_s;	 /* opened, or last commit */
	uint64_t next_try_s;	 /* no settlement, poll or question before */
	uint32_t in_flight;
	uint32_t refusals; /* of /settle */
	uint32_t waits;	   /* in a row; for the back-off */
	uint8_t state, why;
	/* Yes or no; of memory that anything may stand in, where a bool may hold two values alone. */
	uint8_t lost;	 /* an answer to /settle was lost at least once */
	uint8_t asked;	 /* since then we have heard that the permit does not verify any more */
	uint8_t barred;	 /* its payer was barred because of it */
	uint8_t settled; /* STATE_DONE: settled, else written off */
	uint8_t counted; /* STATE_DONE: in the totals */
	char job[LEDGER_JOB_MAX_BYTES + 1];
};

struct session {
	_Atomic uint64_t generation; /* commit word: 0: the slot is free */
	_Atomic uint32_t turn;	     /* commit word: account[turn & 1] is in use */
	struct account account[2];
	/* from here on constant while the generation is */
	struct permit_key key;
	struct payment_terms terms;
	uint64_t deadline_s;
	uint32_t payload_n;
	uint8_t route;
	uint8_t eager;
	uint8_t secret[LEDGER_SECRET_LEN];
};

/* A permit that must not be used again. */
struct spent {
	_Atomic uint64_t until_s; /* commit word: 0: free */
	struct permit_key key;
};

struct barred {
	_Atomic uint64_t until_s; /* commit word: 0: free; constant but for being made longer */
	uint64_t chain_id;
	uint8_t payer[EVM_ADDRESS_LEN];
};

struct totals {
	struct u256 settled, written_off, late;
	uint64_t n_settled, n_written_off, n_late;
	uint64_t last; /* generation of the session that was counted last */
};

/* Follows from the entries. */
struct sums {
	struct u256 owed, reserved;
	uint32_t sessions, owing, in_flight, spent, barred;
	uint32_t high;	   /* no session at or above it */
	uint32_t sweep_at; /* where ledger_write_off() goes on */
	uint32_t spent_at; /* where expired spent permits are looked for next */
};

struct shared {
	pthread_mutex_t mutex;
	_Atomic uint64_t generation; /* the last one that was given out */
	_Atomic uint32_t turn;	     /* commit word of totals */
	struct totals totals[2];
	/* derived */
	uint8_t seed[16]; /* of the hashes: strangers choose nonces */
	struct sums sums;
	uint32_t free_session, free_spent, free_barred;
};

/* Chains of slots by hash; slots count from 1 in it, 0 ends. */
struct index {
	uint32_t *bucket, *next;
	uint32_t mask;
};

/* Free slots, as a stack. */
struct pool {
	uint32_t *head, *next;
	uint32_t n;
};

/* Each process's own view: addresses and sizes, from the options alone. */
struct ledger {
	struct ledger_options opt;
	struct u256 value_max, payer_max;
	uint32_t n_spent;
	size_t bytes;
	struct shared *shared;
	struct session *session;
	uint8_t *payload; /* LEDGER_PAYLOAD_MAX_BYTES for each session */
	struct spent *spent;
	struct barred *barred;
	struct index by_key, by_secret, by_payer, spent_by_key, barred_by_payer;
	struct pool free_session, free_spent, free_barred;
};

/* --- ledger_map.c --- */

/* The view of a mapping at `base`; NULL: only l->bytes is right. */
void ledger_lay_out(struct ledger *l, const struct ledger_options *opt, void *base);
/* Takes the mutex; when its owner died, what follows from the entries is made anew first. */
void ledger_lock(struct ledger *l);
void ledger_unlock(struct ledger *l);

/* --- ledger_table.c; all with the mutex held --- */

/* a + b, a - b, where the table's invariants say that it fits: asserted. */
struct u256 plus(struct u256 a, struct u256 b);
struct u256 minus(struct u256 a, struct u256 b);

bool permit_key_eq(const struct permit_key *a, const struct permit_key *b);

/* NULL when that session is gone. */
struct session *session_get(struct ledger *l, uint32_t slot, uint64_t generation);
struct session *session_find(struct ledger *l, const struct permit_key *key);
struct session *session_find_secret(struct ledger *l, const uint8_t secret[LEDGER_SECRET_LEN]);
/* What all sessions of a payer owe and have reserved. */
struct u256 payer_exposure(struct ledger *l, const struct permit_key *key);
uint32_t session_slot(const struct ledger *l, const struct session *s);
uint8_t *session_payload(const struct ledger *l, const struct session *s);
const struct account *session_account(const struct session *s);
/* The account becomes *a: whole, or not at all. */
void session_commit(struct ledger *l, struct session *s, const struct account *a);
/* A new session, open, with a secret of its own; there must be a free slot. */
struct session *session_make(struct ledger *l, const struct ledger_permit *p, uint64_t now_s);
void session_free(struct ledger *l, struct session *s);
/*
 * The end of a session that owed something: counts it, remembers its nonce, and frees it when
 * nothing is in flight. Goes on where a dead worker stopped.
 */
void session_finish(struct ledger *l, struct session *s, bool settled);
void session_bury(struct ledger *l, struct session *s);
/* Moves an index of live sessions; what attach does for each entry it keeps. */
void session_link(struct ledger *l, struct session *s);

bool spent_has(struct ledger *l, const struct permit_key *key);
void spent_put(struct ledger *l, const struct permit_key *key, uint64_t until_s);
void spent_link(struct ledger *l, struct spent *e);
/* Looks at n entries for expired ones, going round. */
void spent_sweep(struct ledger *l, uint64_t now_s, uint32_t n);

bool payer_is_barred(struct ledger *l, const struct permit_key *key, uint64_t now_s);
void payer_bar(struct ledger *l, const struct permit_key *key, uint64_t until_s);
void payer_unbar(struct ledger *l, const struct permit_key *key);
void barred_link(struct ledger *l, struct barred *e);

const struct totals *totals_get(const struct ledger *l);
void totals_commit(struct ledger *l, const struct totals *t);

/* Empties indexes and sums, and fills the lists of free slots with what has no commit word. */
void derived_clear(struct ledger *l);

static inline bool
session_takes_work(const struct session *s, uint64_t now_s)
{
	return session_account(s)->state == STATE_OPEN && s->deadline_s > now_s &&
	    s->deadline_s - now_s > SESSION_MARGIN_S;
}

static inline bool
account_claimed(const struct account *a)
{
	return a->state == STATE_SETTLING || a->state == STATE_POLLING || a->state == STATE_ASKING;
}

#endif
