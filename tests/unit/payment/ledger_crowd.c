/*
 * Many at once, in one process and in several: the cap holds, every charge is settled once.
 * Source: PAY-03, PAY-04, PAY-09; x402.md 5.1.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "permits.h"

enum { THREADS = 50, PROCESSES = 8, WORST = 300, ROUNDS = 40 };

/* What all of them count, also in several processes. */
struct tally {
	struct ledger *l;
	atomic_uint ready, wanted; /* nobody starts before all are there */
	atomic_uint served, refused, late, opened, bad;
	_Atomic uint64_t charged; /* by commits that lasted */
	_Atomic uint64_t at_work; /* reserved now: at most the cap, at any time */
	_Atomic uint64_t generation;
	atomic_bool stop;
};

static struct tally *
tally_of(uint32_t sessions, unsigned wanted)
{
	struct tally *t = mmap(
	    NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(t != MAP_FAILED);
	t->l = ledger_of(sessions, CAP);
	atomic_store(&t->wanted, wanted);
	return t;
}

static void
tally_end(struct tally *t)
{
	ledger_unmap(t->l);
	munmap(t, sizeof(*t));
}

static void
start_together(struct tally *t)
{
	atomic_fetch_add(&t->ready, 1);
	while (atomic_load(&t->ready) < atomic_load(&t->wanted))
		;
}

static void
expect(struct tally *t, bool good)
{
	if (!good)
		atomic_fetch_add(&t->bad, 1);
}

/* One request on the permit; its cost depends on who asks. FALSE: nothing fits any more. */
static bool
request(struct tally *t, const struct ledger_permit *p, unsigned cost)
{
	struct u256 charged, total, left;
	struct ledger_session s;
	struct ledger_hold h;
	enum ledger_verdict v;
	uint64_t none = 0;

	if (ledger_open(t->l, p, T0, &s) != LEDGER_OK)
		return false;
	atomic_fetch_add(&t->opened, 1);
	if (!atomic_compare_exchange_strong(&t->generation, &none, s.generation))
		expect(t, none == s.generation); /* PAY-04: one session */
	if ((v = ledger_reserve(t->l, &s, u256_of(WORST), T0, &h, &left)) == LEDGER_SHORT) {
		/* M3: what remains buys a smaller answer; none under 16. */
		if (small(left) < 16 || ledger_reserve(t->l, &s, left, T0, &h, NULL) != LEDGER_OK) {
			atomic_fetch_add(&t->refused, 1);
			return small(left) >= 16;
		}
	} else if (v != LEDGER_OK) {
		return false;
	}
	expect(t, atomic_fetch_add(&t->at_work, small(h.amount)) + small(h.amount) <= CAP);
	atomic_fetch_add(&t->served, 1);
	expect(t, ledger_charge(t->l, &h, u256_of(cost), &charged, &total) == LEDGER_OK);
	expect(t, small(charged) <= cost && small(total) <= CAP);
	atomic_fetch_sub(&t->at_work, small(h.amount));
	if (cost % 7 == 0) { /* no receipt */
		ledger_release(t->l, &h);
	} else if (ledger_commit(t->l, &h, T0) == LEDGER_OK) {
		atomic_fetch_add(&t->charged, small(charged));
	} else {
		atomic_fetch_add(&t->late, 1);
	}
	return true;
}

struct payer {
	struct tally *t;
	unsigned number;
};

static void *
one_permit(void *arg)
{
	const struct payer *who = arg;
	struct ledger_permit p = permit(1, 1);

	start_together(who->t);
	for (unsigned i = 0; i < ROUNDS; i++)
		if (!request(who->t, &p, 1 + who->number % 13))
			break;
	return NULL;
}

static void
judge_one_permit(struct tally *t)
{
	struct ledger_stats now = stats(t->l);

	assert_int_equal(t->bad, 0);
	assert_true(t->served > 3);
	assert_true(t->charged > 0 && t->charged <= CAP);
	assert_int_equal(now.sessions, 1);
	assert_int_equal(now.in_flight, 0);
	assert_int_equal(small(now.reserved), 0);
	assert_int_equal(small(now.owed), t->charged);
}

static void
fifty_threads_on_one_permit(void **state)
{
	struct tally *t = tally_of(4, THREADS);
	struct payer payer[THREADS];
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		payer[i] = (struct payer){ t, i };
		assert_int_equal(pthread_create(&thread[i], NULL, one_permit, &payer[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	judge_one_permit(t);
	tally_end(t);
}

static void
processes_on_one_permit(void **state)
{
	struct tally *t = tally_of(4, PROCESSES);
	int status;

	for (unsigned i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			one_permit(&(struct payer){ t, i });
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	judge_one_permit(t);
	tally_end(t);
}

/* Permits come and go, and are settled under the requests' feet. */
enum { SHOPPERS = 6, PERMITS = 300 };

static void *
shop(void *arg)
{
	const struct payer *who = arg;
	struct tally *t = who->t;

	start_together(t);
	for (unsigned i = 0; i < PERMITS; i++) {
		struct ledger_permit p = permit(i % 50, i);
		struct u256 charged, total;
		struct ledger_session s;
		struct ledger_hold h;

		p.eager = true;
		if (ledger_open(t->l, &p, T0, &s) != LEDGER_OK)
			continue;
		atomic_fetch_add(&t->opened, 1);
		(void)ledger_join(t->l, s.secret, ROUTE, T0, &s);
		if (ledger_reserve(t->l, &s, u256_of(10), T0, &h, NULL) != LEDGER_OK)
			continue;
		atomic_fetch_add(&t->served, 1);
		expect(t, ledger_charge(t->l, &h, u256_of(9), &charged, &total) == LEDGER_OK);
		if (ledger_commit(t->l, &h, T0) == LEDGER_OK)
			atomic_fetch_add(&t->charged, small(charged));
	}
	return NULL;
}

static void *
settle(void *arg)
{
	struct tally *t = arg;
	static struct ledger_task task;
	struct ledger_loss loss;
	struct ledger_stats now;

	while (!atomic_load(&t->stop)) {
		while (ledger_claim(t->l, T0, false, &task))
			ledger_settled(t->l, &task, T0);
		ledger_write_off(t->l, T0, &loss);
		ledger_stats(t->l, &now);
	}
	return NULL;
}

static void
settled_under_their_feet(void **state)
{
	struct tally *t = tally_of(60, SHOPPERS);
	struct payer payer[SHOPPERS];
	pthread_t thread[SHOPPERS], settler;
	struct ledger_stats now;

	assert_int_equal(pthread_create(&settler, NULL, settle, t), 0);
	for (unsigned i = 0; i < SHOPPERS; i++) {
		payer[i] = (struct payer){ t, i };
		assert_int_equal(pthread_create(&thread[i], NULL, shop, &payer[i]), 0);
	}
	for (unsigned i = 0; i < SHOPPERS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&t->stop, true);
	pthread_join(settler, NULL);
	now = stats(t->l);
	assert_int_equal(t->bad, 0);
	assert_true(t->served >= 50);
	assert_int_equal(now.in_flight, 0);
	assert_int_equal(now.n_late, 0); /* nothing is settled while it is in flight */
	assert_int_equal(small(now.settled) + small(now.owed), t->charged);
	tally_end(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fifty_threads_on_one_permit),
		cmocka_unit_test(processes_on_one_permit),
		cmocka_unit_test(settled_under_their_feet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
