/*
 * ledger.h - who may still spend how much, and what is owed. Source: K5, M2-M8, x402.md 5.1.
 *
 * A session is one permit: (chain, payer, Permit2 nonce). The table is of fixed size, in memory
 * that the supervisor maps before it forks (and never reads). A worker that dies at any instruction
 * leaves a table that ledger_attach() of the next one makes right; docs/ledger.md says how.
 *
 * One request, from the side of money:
 *
 *	ledger_look()		before /verify: known, spent, barred, overloaded? No call is made then
 *	ledger_open()		after /verify: a new session, or the one that this permit has already
 *	  or ledger_join()	by the secret of X-Upto-Session: no /verify
 *	ledger_reserve()	the worst case (M2); LEDGER_SHORT says what is left, for M3
 *	ledger_charge()		the answer is complete: what the receipt says (min(cost, reserved))
 *	ledger_commit()		the receipt is signed, and the next thing is to hand it to the wire
 *	  or ledger_release()	nothing is charged: no answer, or the receipt could not be signed
 *
 * charge() is a promise that dies with the worker; commit() is what survives, and what is settled.
 * So a request whose worker died was charged nothing, and no receipt of it left; one whose receipt
 * left was charged before. What is settled is never above the largest session_total of the receipts
 * (M6).
 *
 * Every function but map, unmap and attach may be called from any thread. Time is an argument
 * (seconds since 1970). Nothing is logged here. Amounts are atomic units of the asset.
 */
#ifndef PAYMENT_LEDGER_H
#define PAYMENT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"
#include "core/u256.h"
#include "payment/terms.h"

struct ledger;

enum {
	LEDGER_SECRET_LEN = 16, /* X-Upto-Session: 128 random bits (M5) */
	LEDGER_JOB_MAX_BYTES = 96,
};

/* Why not. The caller's table makes statuses of it; 402 unless said otherwise. */
enum ledger_verdict {
	LEDGER_OK,
	LEDGER_FRESH, /* look() only: never seen: verify, then open */
	LEDGER_SHORT, /* the remainder is below what was asked for */
	LEDGER_GONE,  /* no such session (any more), or it takes no new work: expired, used up */
	LEDGER_SPENT, /* this permit is being settled or was settled: for ever */
	LEDGER_OTHER_ROUTE, /* the session was opened at another path */
	LEDGER_TOO_LATE,    /* less than SESSION_MARGIN_S before the deadline */
	LEDGER_TOO_FAR,	    /* M7: deadline later than now + max_timeout_s + 60 */
	LEDGER_BEFORE_BOOT, /* M7: this permit may have been used before we were started: 402 */
	LEDGER_BARRED,	    /* an earlier settlement failed by this payer's fault */
	LEDGER_OVERLOADED,  /* M8: too many sessions or too much unsettled value: 503 */
	LEDGER_LATE,	    /* charge(), commit(): the permit was settled without this request */
};
/* "ok", "session_gone", ...: one word, for logs and metrics. */
const char *ledger_verdict_name(enum ledger_verdict v);

/* --- the mapping --- */

struct ledger_options {
	uint32_t sessions; /* M8: open at once; 1..LEDGER_SESSIONS_MAX */
	/* Of the policy; 100 times it bounds the unsettled value (M8), 10 times it one payer's. */
	struct u256 largest_cap;
	/*
	 * M7: permits whose deadline is not later are refused (in an enclave: boot + max_timeout_s +
	 * 60). 0: no such rule.
	 */
	uint64_t refuse_until_s;
	uint32_t idle_s; /* without a charge for longer, a session is settled; 0: SESSION_IDLE_S */
};

/*
 * In the supervisor, before it forks. The pages are zero and taken from the system when they are
 * first used.
 * Errors: TOO_LARGE (sessions), SYSTEM, NOMEM.
 */
MUST_USE struct err ledger_map(struct ledger **out, const struct ledger_options *opt);
/* In each process that is not to have it (key holder), and at the end. NULL is fine. */
void ledger_unmap(struct ledger *l);
/* What the mapping takes at most. */
size_t ledger_bytes(const struct ledger *l);

struct ledger_repair {
	uint32_t sessions; /* found */
	uint32_t holds;	   /* reservations of the dead worker, freed at charge 0 (K5) */
	uint32_t unknown;  /* settlements that were on the wire: their outcome is to be asked for */
	uint32_t dropped;  /* entries that made no sense */
};
/*
 * In each worker, before its first request and while no other process uses the mapping: takes over
 * what the worker before left, whatever it was doing. The first worker finds nothing.
 * Errors: SYSTEM (mutex).
 */
MUST_USE struct err ledger_attach(struct ledger *l, struct ledger_repair *did);

/* --- sessions --- */

/* A permit that passed the local checks (x402.md 4.5). */
struct ledger_permit {
	struct permit_key key;
	struct payment_terms terms;
	uint64_t valid_after_s, deadline_s;
	uint8_t route; /* the caller's number of a path, not 0 */
	/* Settle as soon as nothing is in flight: the approval can be pulled away (x402.md 4.6). */
	bool eager;
	/* Re-serialised payment payload for /settle: JSON; at most LEDGER_PAYLOAD_MAX_BYTES. */
	struct span payload;
};

/* A place in a session: no claim on its money, and it may be gone when it is used next. */
struct ledger_session {
	uint32_t slot;
	uint64_t generation;
	struct permit_key key;
	struct payment_terms terms;
	uint64_t deadline_s;
	uint8_t secret[LEDGER_SECRET_LEN]; /* for the answer's X-Upto-Session; wipe it */
};

/*
 * Before any network call: LEDGER_FRESH (verify it, then open), LEDGER_OK (a live session has this
 * permit; only when the signature was recovered here is /verify not needed), or why it is refused.
 */
enum ledger_verdict ledger_look(struct ledger *l, const struct ledger_permit *p, uint64_t now_s);

/*
 * After verification: the session of this permit, a new one when there is none. Decides atomically,
 * so that any number of requests with one permit end in one session. When the table is full, a
 * session that owes nothing and serves nobody makes room.
 * Returns LEDGER_OK, and *s; else as ledger_look(), without LEDGER_FRESH, and *s is untouched. A
 * payload that is too long is LEDGER_GONE.
 */
enum ledger_verdict ledger_open(
    struct ledger *l, const struct ledger_permit *p, uint64_t now_s, struct ledger_session *s);

/*
 * By secret, compared in constant time. LEDGER_OK, else LEDGER_GONE (unknown, ended, closing) or
 * LEDGER_OTHER_ROUTE; clients are told one thing for both (PAY-19).
 */
enum ledger_verdict ledger_join(struct ledger *l, const uint8_t secret[static LEDGER_SECRET_LEN],
    uint8_t route, uint64_t now_s, struct ledger_session *s);

/* --- one request's money --- */

/* A reservation. Zeroed: none; the functions below then do nothing. */
struct ledger_hold {
	uint32_t slot;
	uint64_t generation; /* 0: no reservation */
	struct u256 amount;  /* reserved */
	struct u256 charged; /* promised by charge() */
	/*
	 * From here on the permit may be settled without this request, which then is charged
	 * nothing: end the answer, and commit, before.
	 */
	uint64_t until_s;
};

/*
 * Sets `amount` aside. LEDGER_OK, or LEDGER_SHORT and then *remaining, or LEDGER_GONE, LEDGER_BARRED,
 * or LEDGER_OVERLOADED: with this payer's other sessions it is more than he may owe (PAY-12).
 * *remaining is what is left afterwards, too; NULL when nobody asks. An amount of 0 is fine.
 */
enum ledger_verdict ledger_reserve(struct ledger *l, const struct ledger_session *s,
    struct u256 amount, uint64_t now_s, struct ledger_hold *h, struct u256 *remaining);

/*
 * What the answer costs: *charged = min(cost, reserved), *session_total what the session owes with
 * it and with all other promises. May be said anew until the commit.
 * LEDGER_OK; LEDGER_LATE: the session was settled meanwhile, *charged is 0.
 */
enum ledger_verdict ledger_charge(struct ledger *l, struct ledger_hold *h, struct u256 cost,
    struct u256 *charged, struct u256 *session_total);

/*
 * Makes the charge last, frees the rest of the reservation, and ends the hold. Between the signed
 * receipt and its first byte on the wire.
 * LEDGER_OK; LEDGER_LATE: the session was settled meanwhile, the charge is lost (and counted).
 */
enum ledger_verdict ledger_commit(struct ledger *l, struct ledger_hold *h, uint64_t now_s);

/* Charges nothing and ends the hold. */
void ledger_release(struct ledger *l, struct ledger_hold *h);

/* --- settlement: for settle.c alone --- */

enum ledger_action {
	LEDGER_SETTLE, /* send /settle with `amount` */
	LEDGER_POLL,   /* ask for `job` */
	LEDGER_ASK,    /* an answer was lost: /verify tells whether the nonce is still unspent */
};

enum ledger_why {
	LEDGER_WHY_IDLE,     /* no charge for SESSION_IDLE_S */
	LEDGER_WHY_DEADLINE, /* SESSION_MARGIN_S before the permit's */
	LEDGER_WHY_USED_UP,  /* less than a fiftieth of the cap is left */
	LEDGER_WHY_EAGER,
	LEDGER_WHY_SHUTDOWN,
	LEDGER_WHYS
};
const char *ledger_why_name(enum ledger_why why);

/* Work on a session that nobody else does until one of the functions below ends it. */
struct ledger_task {
	uint32_t slot;
	uint64_t generation;
	enum ledger_action action;
	enum ledger_why why;
	struct permit_key key;
	struct payment_terms terms;
	struct u256 amount; /* to be settled: what was committed */
	uint64_t deadline_s;
	uint32_t refusals; /* so far */
	bool draining;	   /* there is little time */
	char job[LEDGER_JOB_MAX_BYTES + 1];
	size_t payload_n;
	uint8_t payload[LEDGER_PAYLOAD_MAX_BYTES];
};

/*
 * The task that is due with the nearest deadline; false: none. `draining`: every session that owes
 * something is due, and none takes new work (A3); what is still in flight is not waited for.
 */
bool ledger_claim(struct ledger *l, uint64_t now_s, bool draining, struct ledger_task *t);

/* The money moved: all of `amount`. A payer who was barred for it is so no more. */
void ledger_settled(struct ledger *l, const struct ledger_task *t, uint64_t now_s);
/* Accepted, not settled: ask for `job` (at most LEDGER_JOB_MAX_BYTES) again later. */
void ledger_pending(struct ledger *l, const struct ledger_task *t, struct span job, uint64_t now_s);

enum ledger_fault {
	LEDGER_UNAVAILABLE, /* the facilitator did nothing: the same task again later */
	LEDGER_REFUSED,	    /* it said no: again, SETTLE_REFUSALS_MAX times at most */
	LEDGER_PAYER, /* it said no, by the payer's fault: the same, and the payer is barred */
};
/*
 * Again after a while: LEDGER_UNAVAILABLE at least `retry_after_s` (0: as we think; at most 60), the
 * others as they were refused: 5, 15 and 30 s, or 1, 2 and 4 s in a shutdown.
 */
void ledger_failed(struct ledger *l, const struct ledger_task *t, enum ledger_fault fault,
    uint64_t now_s, uint32_t retry_after_s);
/* The answer was lost or made no sense, or LEDGER_ASK got no clear one: neither is assumed. */
void ledger_unknown(
    struct ledger *l, const struct ledger_task *t, uint64_t now_s, uint32_t retry_after_s);
/* LEDGER_ASK: the permit still verifies, so nothing was settled: /settle is due again. */
void ledger_unspent(struct ledger *l, const struct ledger_task *t, uint64_t now_s);

/* What was not settled, and will not be. */
struct ledger_loss {
	struct permit_key key;
	struct u256 amount;
	uint64_t deadline_s;
	bool unknown;  /* an answer was lost: it may have been settled after all */
	bool hopeless; /* nothing more is to be expected */
};
/*
 * Ends what is past its time: sessions that owe nothing quietly, those that could not be settled
 * one a call: true, and *loss. Call until it returns false.
 */
bool ledger_write_off(struct ledger *l, uint64_t now_s, struct ledger_loss *loss);
/* Walks over what is unsettled now, from *cursor = 0 on; false at the end. */
bool ledger_unsettled(struct ledger *l, uint32_t *cursor, uint64_t now_s, struct ledger_loss *loss);

/* --- numbers --- */

struct ledger_stats {
	uint32_t sessions;  /* in the table */
	uint32_t owing;	    /* of them with something to settle */
	uint32_t in_flight; /* reservations */
	uint32_t spent;	    /* permits remembered */
	uint32_t barred;    /* payers */
	struct u256 owed;   /* committed and not settled: tee_gateway_unsettled_atomic_units */
	struct u256 reserved;
	/* since the mapping was made */
	struct u256 settled, written_off;
	struct u256 late; /* charges that came after their permit's settlement */
	uint64_t n_settled, n_written_off, n_late;
};
void ledger_stats(struct ledger *l, struct ledger_stats *s);

/*
 * Asserts every invariant of the table (docs/ledger.md): for tests, and cheap enough for debugging.
 */
void ledger_check(struct ledger *l);

#endif
