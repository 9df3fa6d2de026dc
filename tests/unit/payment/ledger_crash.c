/*
 * A worker that dies at any instruction (K5). While an operation runs, the mapping is read-only: each
 * instruction that writes to it faults, is let through alone, and what it changed is noted. Then the
 * memory after each of them, which is all that survives a SIGKILL, is taken over as the next worker
 * would, checked, and judged. Source: docs/ledger.md.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "permits.h"
#include "crypto/rng.h"
#include "payment/ledger_table.h"

enum { SESSIONS = 4 };

struct world {
	struct ledger *l;
	struct ledger_session s;
	struct ledger_hold h;
};

static struct ledger_task task;

/* --- what the child does --- */

static void
act_open(struct world *w)
{
	struct ledger_permit p = permit(7, 7);

	ledger_open(w->l, &p, T0 + 10, &w->s);
}

static void
act_reserve(struct world *w)
{
	ledger_reserve(w->l, &w->s, u256_of(50), T0, &w->h, NULL);
}

static void
act_charge(struct world *w)
{
	struct u256 charged, total;

	ledger_charge(w->l, &w->h, u256_of(7), &charged, &total);
}

static void
act_commit(struct world *w)
{
	ledger_commit(w->l, &w->h, T0);
}

static void
act_release(struct world *w)
{
	ledger_release(w->l, &w->h);
}

static void
act_claim(struct world *w)
{
	ledger_claim(w->l, T0 + 101, false, &task);
}

static void
act_settled(struct world *w)
{
	ledger_settled(w->l, &task, T0 + 101);
}

static void
act_failed(struct world *w)
{
	ledger_failed(w->l, &task, LEDGER_PAYER, T0 + 101, 0);
}

static void
act_pending(struct world *w)
{
	ledger_pending(w->l, &task, SPAN_LIT("payment-1"), T0 + 101);
}

static void
act_write_off(struct world *w)
{
	struct ledger_loss loss;

	while (ledger_write_off(w->l, T0 + LIFE_S, &loss))
		;
}

static void
act_forget(struct world *w)
{
	struct ledger_loss loss;

	for (unsigned i = 0; i < SESSIONS * LEDGER_SPENT_PER_SESSION; i++)
		ledger_write_off(w->l, T0 + LIFE_S + 61, &loss);
}

static void
act_attach(struct world *w)
{
	struct ledger_repair did;

	if (failed(ledger_attach(w->l, &did)))
		_exit(3);
}

/* --- what was before --- */

/* Sets the table up in this process; the child finds it. */
static void
with_nothing(struct world *w)
{
}

static void
with_ten_owed(struct world *w)
{
	struct ledger_permit p = permit(1, 1);

	w->s = open_at(w->l, &p, T0);
	spend(w->l, &w->s, 10, T0);
}

static void
with_a_hold(struct world *w)
{
	with_ten_owed(w);
	act_reserve(w);
}

static void
with_a_promise(struct world *w)
{
	with_a_hold(w);
	act_charge(w);
}

static void
with_a_claim(struct world *w)
{
	with_ten_owed(w);
	act_claim(w);
}

static void
with_a_debtor(struct world *w)
{
	with_a_claim(w);
	act_failed(w);
	assert_true(ledger_claim(w->l, T0 + 110, false, &task));
}

static void
with_a_refusal(struct world *w)
{
	with_a_claim(w);
	act_failed(w);
}

static void
with_a_full_table(struct world *w)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct ledger_permit p = permit(20 + i, 1);

		w->s = open_at(w->l, &p, T0);
	}
}

static void
with_a_spent_permit(struct world *w)
{
	with_a_claim(w);
	act_settled(w);
}

/* Half a dozen things under way. */
static void
with_a_crowd(struct world *w)
{
	struct ledger_permit p = permit(2, 1);

	with_a_claim(w);
	w->s = open_at(w->l, &p, T0);
	spend(w->l, &w->s, 5, T0);
	act_reserve(w);
	act_charge(w);
	p = permit(3, 1);
	open_at(w->l, &p, T0);
}

/* --- what may be found; *stage only goes up --- */

enum { BEFORE, AFTER };

struct found {
	struct ledger *l;
	struct ledger_repair did;
	struct ledger_stats now;
	uint64_t owed, settled, written_off;
};

/* Each returns the stage, or -1. */
static int
judge_open(const struct found *f)
{
	struct ledger_permit p = permit(7, 7);
	enum ledger_verdict v = ledger_look(f->l, &p, T0 + 10);

	if (f->now.sessions == 0)
		return v == LEDGER_FRESH ? BEFORE : -1;
	return f->now.sessions == 1 && v == LEDGER_OK ? AFTER : -1;
}

/* One makes room for the other; never both, never a fifth. */
static int
judge_evict(const struct found *f)
{
	struct ledger_permit p = permit(7, 7);

	if (f->now.sessions == SESSIONS)
		return session_find(f->l, &p.key) == NULL ? BEFORE : AFTER;
	return f->now.sessions == SESSIONS - 1 ? BEFORE : -1;
}

/* Reservations and promises die with the worker: nothing is seen of it. */
static int
judge_same(const struct found *f)
{
	struct ledger_permit p = permit(1, 1);
	struct ledger_session s;
	struct ledger_hold h;
	struct u256 left;

	if (f->owed != 10 || f->now.sessions != 1 || ledger_open(f->l, &p, T0, &s) != LEDGER_OK ||
	    ledger_reserve(f->l, &s, u256_of(990), T0, &h, &left) != LEDGER_OK)
		return -1;
	ledger_release(f->l, &h);
	return BEFORE;
}

static int
judge_commit(const struct found *f)
{
	if (f->now.sessions != 1 || f->now.in_flight != 0)
		return -1;
	return f->owed == 10 ? BEFORE : f->owed == 17 ? AFTER : -1;
}

static int
judge_claim(const struct found *f)
{
	return f->owed != 10 ? -1 : f->did.unknown == 0 ? BEFORE : AFTER;
}

/* K5: what was charged is owed or settled, once; and the permit is spent in every case. */
static int
judge_settled(const struct found *f)
{
	struct ledger_permit p = permit(1, 1);

	if (f->owed + f->settled != 10 || f->now.n_settled != f->settled / 10 ||
	    ledger_look(f->l, &p, T0 + 102) != LEDGER_SPENT)
		return -1;
	if (f->settled == 0)
		return f->now.sessions == 1 && f->did.unknown == 1 ? BEFORE : -1;
	return f->now.sessions == 0 && f->now.spent == 1 ? AFTER : -1;
}

static int
judge_failed(const struct found *f)
{
	struct ledger_permit p = permit(1, 2);

	if (f->owed != 10 || f->now.barred > 1)
		return -1;
	if (f->now.barred == 1 && ledger_look(f->l, &p, T0 + 102) != LEDGER_BARRED)
		return -1;
	return f->did.unknown == 1 ? BEFORE : f->now.barred == 1 ? AFTER : -1;
}

static int
judge_pending(const struct found *f)
{
	if (f->owed != 10 || !ledger_claim(f->l, T0 + 150, false, &task))
		return -1;
	if (f->did.unknown == 1)
		return task.action == LEDGER_ASK ? BEFORE : -1;
	return task.action == LEDGER_POLL && strcmp(task.job, "payment-1") == 0 ? AFTER : -1;
}

static int
judge_write_off(const struct found *f)
{
	struct ledger_permit p = permit(1, 1);

	p.deadline_s += LIFE_S;
	if (f->owed + f->written_off != 10 || f->settled != 0 ||
	    ledger_look(f->l, &p, T0 + LIFE_S) != LEDGER_SPENT)
		return -1;
	return f->owed == 10 ? BEFORE : AFTER;
}

static int
judge_empty(const struct found *f)
{
	if (f->owed + f->settled + f->written_off != 0)
		return -1;
	return f->now.sessions == SESSIONS ? BEFORE : f->now.sessions == 0 ? AFTER : BEFORE;
}

static int
judge_forget(const struct found *f)
{
	return f->settled != 10 ? -1 : f->now.spent == 1 ? BEFORE : AFTER;
}

static int
judge_attach(const struct found *f)
{
	if (f->owed != 15 || f->now.sessions != 3 || f->now.in_flight != 0 ||
	    !u256_is_zero(f->now.reserved))
		return -1;
	return BEFORE;
}

static const struct row {
	const char *rule;
	void (*before)(struct world *);
	void (*act)(struct world *);
	int (*judge)(const struct found *);
	int end; /* the stage in the end */
} rows[] = {
	{ "a session is there or not", with_nothing, act_open, judge_open, AFTER },
	{ "one makes room", with_a_full_table, act_open, judge_evict, AFTER },
	{ "a reservation dies", with_ten_owed, act_reserve, judge_same, BEFORE },
	{ "a promise dies", with_a_hold, act_charge, judge_same, BEFORE },
	{ "a commit is whole", with_a_promise, act_commit, judge_commit, AFTER },
	{ "a release", with_a_promise, act_release, judge_same, BEFORE },
	{ "a claim", with_ten_owed, act_claim, judge_claim, AFTER },
	{ "settled once", with_a_claim, act_settled, judge_settled, AFTER },
	{ "a debtor settles", with_a_debtor, act_settled, judge_settled, AFTER },
	{ "a failure", with_a_claim, act_failed, judge_failed, AFTER },
	{ "a job", with_a_claim, act_pending, judge_pending, AFTER },
	{ "written off once", with_a_refusal, act_write_off, judge_write_off, AFTER },
	{ "empty sessions go", with_a_full_table, act_write_off, judge_empty, AFTER },
	{ "a spent permit is forgotten", with_a_spent_permit, act_forget, judge_forget, AFTER },
	{ "taking over, interrupted", with_a_crowd, act_attach, judge_attach, BEFORE },
};

/* --- one store at a time --- */

enum { PAGE = 4096, CHANGES_MAX = 1 << 17, TRAP_FLAG = 0x100 };

/* Eight bytes of the mapping, as an instruction left them; `last`: its last ones. */
struct change {
	uint32_t at;
	bool last;
	uint64_t bytes;
};

static struct {
	uint8_t *base, *shadow; /* the mapping, and as it was after the last change */
	size_t n;
	uint8_t *page[2]; /* which the instruction may write to; NULL: none */
	struct change *change;
	size_t n_changes;
} watched;

/* Its instruction may write to this page; after it, the next trap. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	uint8_t *p = info->si_addr;

	if (p < watched.base || p >= watched.base + watched.n || watched.page[1] != NULL)
		abort();
	p = watched.base + (size_t)(p - watched.base) / PAGE * PAGE;
	watched.page[watched.page[0] != NULL] = p;
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	u->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void
note_page(uint8_t *page)
{
	for (size_t i = 0; i < PAGE; i += 8) {
		size_t at = (size_t)(page - watched.base) + i;
		uint64_t now;

		memcpy(&now, page + i, 8);
		if (span_eq(span_of(&now, 8), span_of(watched.shadow + at, 8)))
			continue;
		if (watched.n_changes == CHANGES_MAX)
			abort();
		watched.change[watched.n_changes++] = (struct change){ (uint32_t)at, false, now };
		memcpy(watched.shadow + at, &now, 8);
	}
}

static void
on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	size_t before = watched.n_changes;

	u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	for (size_t i = 0; i < 2 && watched.page[i] != NULL; i++) {
		note_page(watched.page[i]);
		mprotect(watched.page[i], PAGE, PROT_READ);
		watched.page[i] = NULL;
	}
	if (watched.n_changes > before)
		watched.change[watched.n_changes - 1].last = true;
}

static void *
memory(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void
watch(struct world *w, void (*act)(struct world *))
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, old[2];

	watched.base = (uint8_t *)w->l->shared;
	watched.n = w->l->bytes;
	watched.n_changes = 0;
	memcpy(watched.shadow, watched.base, watched.n);
	assert_int_equal(sigaction(SIGSEGV, &fault, &old[0]), 0);
	assert_int_equal(sigaction(SIGTRAP, &trap, &old[1]), 0);
	assert_int_equal(mprotect(watched.base, watched.n, PROT_READ), 0);
	act(w);
	assert_int_equal(mprotect(watched.base, watched.n, PROT_READ | PROT_WRITE), 0);
	sigaction(SIGSEGV, &old[0], NULL);
	sigaction(SIGTRAP, &old[1], NULL);
	/* Nothing was missed, but that the kernel takes payloads back of slots that are free. */
	for (uint32_t i = 0; i < SESSIONS; i++)
		if (atomic_load(&w->l->session[i].generation) == 0)
			memset(watched.shadow + (w->l->payload - watched.base) +
				i * LEDGER_PAYLOAD_MAX_BYTES,
			    0, LEDGER_PAYLOAD_MAX_BYTES);
	assert_true(span_eq(span_of(watched.shadow, watched.n), span_of(watched.base, watched.n)));
}

/* Takes a copy over as the next worker does; its stage. */
static int
take_over(const struct row *row, const struct ledger *l, const void *memory_then, void *copy)
{
	struct found f;
	struct ledger next;
	int stage;

	memcpy(copy, memory_then, l->bytes);
	ledger_lay_out(&next, &l->opt, copy);
	f.l = &next;
	assert_int_equal(ledger_attach(&next, &f.did).code, ERR_OK);
	assert_int_equal(f.did.dropped, 0);
	f.now = stats(&next);
	f.owed = small(f.now.owed);
	f.settled = small(f.now.settled);
	f.written_off = small(f.now.written_off);
	if ((stage = row->judge(&f)) < 0)
		fail_msg("%s: owed %u settled %u written off %u sessions %u spent %u", row->rule,
		    (unsigned)f.owed, (unsigned)f.settled, (unsigned)f.written_off, f.now.sessions,
		    f.now.spent);
	ledger_check(&next);
	return stage;
}

static void
walk(const struct row *row)
{
	struct world w = { .l = ledger_of(SESSIONS, CAP) };
	size_t n = w.l->bytes, stores = 0;
	void *then = memory(n), *copy = memory(n);
	int stage, now;

	watched.shadow = memory(n);
	row->before(&w);
	memcpy(then, w.l->shared, n);
	watch(&w, row->act);
	stage = take_over(row, w.l, then, copy);
	assert_int_equal(stage, BEFORE);
	for (size_t i = 0; i < watched.n_changes; i++) {
		const struct change *c = &watched.change[i];

		memcpy((uint8_t *)then + c->at, &c->bytes, 8);
		if (!c->last)
			continue;
		stores++;
		now = take_over(row, w.l, then, copy);
		if (now < stage)
			fail_msg("%s: what was there is gone again", row->rule);
		stage = now;
	}
	if (stage != row->end || stores < 10)
		fail_msg("%s: ended at %d after %zu stores", row->rule, stage, stores);
	munmap(then, n);
	munmap(copy, n);
	munmap(watched.shadow, n);
	ledger_unmap(w.l);
}

static void
every_instruction(void **state)
{
	watched.change = memory(CHANGES_MAX * sizeof(struct change));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		walk(&rows[i]);
	munmap(watched.change, CHANGES_MAX * sizeof(struct change));
}

/* One request after the other, for ever. */
static void
act_requests(struct world *w)
{
	struct u256 charged, total;

	for (;;) {
		ledger_reserve(w->l, &w->s, u256_of(5), T0, &w->h, NULL);
		ledger_charge(w->l, &w->h, u256_of(1), &charged, &total);
		ledger_commit(w->l, &w->h, T0);
	}
}

/*
 * And really killed, also with the mutex in hand: whoever locks it next, in a process that lives
 * on, finds the table whole.
 */
static void
killed_with_the_mutex(void **state)
{
	enum { KILLS = 60 };
	struct world w = { .l = ledger_of(SESSIONS, CAP) };
	uint64_t owed = 0;

	for (unsigned i = 0; i < KILLS; i++) {
		struct ledger_permit p = permit(i, 1);
		struct ledger_repair did;
		struct ledger_stats now;
		uint32_t turn;
		int status;
		pid_t pid;

		w.s = open_at(w.l, &p, T0);
		turn = atomic_load(&w.l->session[0].turn);
		assert_true((pid = fork()) >= 0);
		if (pid == 0)
			act_requests(&w);
		while (atomic_load(&w.l->session[0].turn) - turn < 1 + i)
			;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		now = stats(w.l); /* EOWNERDEAD, if it was in hand */
		assert_true(now.in_flight <= 1);
		assert_true(small(now.owed) >= owed && small(now.owed) <= CAP);
		assert_int_equal(ledger_attach(w.l, &did).code, ERR_OK);
		assert_int_equal(did.holds, now.in_flight);
		now = stats(w.l);
		assert_int_equal(small(now.reserved), 0);
		while (ledger_claim(w.l, T0, true, &task))
			ledger_settled(w.l, &task, T0);
		act_write_off(&w);
		assert_int_equal(stats(w.l).sessions, 0);
		act_forget(&w);
	}
	ledger_unmap(w.l);
}

/* A worker under a stranger's control may have written anything: the next one stays whole. */
static void
nonsense(void **state)
{
	uint8_t *noise = malloc(1 << 16);

	for (unsigned round = 0; round < 60; round++) {
		struct world w = { .l = ledger_of(SESSIONS, CAP) };
		uint8_t *base = (uint8_t *)w.l->shared;
		struct ledger_repair did;

		with_a_crowd(&w);
		if (round < 20) {
			for (size_t at = 0; at < w.l->bytes; at += 1 << 16) {
				size_t n = w.l->bytes - at < 1 << 16 ? w.l->bytes - at : 1 << 16;

				rng_bytes(noise, n);
				memcpy(base + at, noise, n);
			}
		} else {
			for (unsigned i = 0; i < 200; i++) {
				uint32_t where;

				rng_bytes((uint8_t *)&where, sizeof(where));
				rng_bytes(base +
					where %
					    (sizeof(struct shared) + 4096 +
						SESSIONS * sizeof(struct session)),
				    1);
			}
		}
		assert_int_equal(ledger_attach(w.l, &did).code, ERR_OK);
		act_claim(&w);
		act_open(&w);
		act_write_off(&w);
		act_forget(&w);
		ledger_unmap(w.l);
	}
	free(noise);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction),
		cmocka_unit_test(killed_with_the_mutex),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
