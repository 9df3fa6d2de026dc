/* The settler over a real loop, a facilitator that is scripted, and a clock that is the test's. */
#include "payment/settle.h"

#include <stdlib.h>

#include "permits.h"
#include "core/buf.h"
#include "sys/metrics.h"

enum { CALLS_MAX = 256, TURNS_MAX = 2000 };

/* What each further call is answered with; the last one is repeated. */
struct answer {
	struct facilitator_outcome o;
	bool never; /* no answer at all, until it is cancelled */
	bool no_memory;
};

struct facilitator_call {
	struct stub *stub;
	facilitator_done done;
	void *ctx;
	const struct answer *a;
	bool pending;
};

struct stub {
	uv_timer_t turn;
	const struct answer *script;
	size_t n_script, n;
	char made[CALLS_MAX + 1]; /* 's', 'p', 'v', in the order they came */
	uint64_t amount[CALLS_MAX], at_s[CALLS_MAX];
	struct facilitator_call call[CALLS_MAX];
	unsigned open, most_open, cancelled;
};

static uint64_t now_s;
/* Of the loop's own clock; only the test of it waits for it. */
static unsigned shutdown_ms;

static uint64_t
test_now(void)
{
	return now_s;
}

static void
answer_all(uv_timer_t *timer)
{
	struct stub *b = timer->data;

	for (size_t i = 0, n = b->n; i < n; i++)
		if (b->call[i].pending && !b->call[i].a->never) {
			b->call[i].pending = false;
			b->open--;
			b->call[i].done(b->call[i].ctx, &b->call[i].a->o);
		}
}

static struct facilitator_call *
call(struct stub *b, char what, uint64_t amount, facilitator_done done, void *ctx)
{
	const struct answer *a = &b->script[b->n < b->n_script ? b->n : b->n_script - 1];
	struct facilitator_call *c = &b->call[b->n];

	assert_true(b->n < CALLS_MAX);
	b->made[b->n] = what;
	b->amount[b->n] = amount;
	b->at_s[b->n++] = now_s;
	if (a->no_memory)
		return NULL;
	*c = (struct facilitator_call){
		.stub = b, .done = done, .ctx = ctx, .a = a, .pending = true
	};
	if (++b->open > b->most_open)
		b->most_open = b->open;
	uv_timer_start(&b->turn, answer_all, 0, 0);
	return c;
}

static struct facilitator_call *
stub_settle(void *self, const struct facilitator_payment *p, struct u256 amount,
    facilitator_done done, void *ctx)
{
	assert_true(p->payload.n > 0);
	assert_true(u256_cmp(amount, p->terms.cap) <= 0);
	return call(self, 's', small(amount), done, ctx);
}

static struct facilitator_call *
stub_poll(void *self, struct span job, const struct facilitator_payment *p, struct u256 expect,
    facilitator_done done, void *ctx)
{
	assert_true(span_eq(job, SPAN_LIT("payment-7")));
	return call(self, 'p', small(expect), done, ctx);
}

static struct facilitator_call *
stub_verify(void *self, const struct facilitator_payment *p, facilitator_done done, void *ctx)
{
	return call(self, 'v', 0, done, ctx);
}

static void
stub_cancel(struct facilitator_call *c)
{
	assert_true(c->pending);
	c->pending = false;
	c->stub->open--;
	c->stub->cancelled++;
}

#define ANSWER(r)                                                   \
	{                                                           \
		.o = {.result = FACILITATOR_##r, .reason = "test" } \
	}
#define AGREED                                                            \
	{                                                                 \
		.o = {.result = FACILITATOR_AGREED,                       \
			.reason = "",                                     \
			.transaction = { (const uint8_t *)"0xabcd", 6 } } \
	}
#define BY_THE_PAYER                                                                          \
	{                                                                                     \
		.o = {.result = FACILITATOR_REFUSED, .reason = "test", .payer_caused = true } \
	}
#define A_JOB                                                        \
	{                                                            \
		.o = {.result = FACILITATOR_PENDING,                 \
			.reason = "test",                            \
			.job = { (const uint8_t *)"payment-7", 9 } } \
	}
#define COME_LATER(s)                                                                             \
	{                                                                                         \
		.o = {.result = FACILITATOR_UNAVAILABLE, .reason = "test", .retry_after_s = (s) } \
	}

struct scene {
	uv_loop_t loop;
	struct stub stub;
	struct ledger *l;
	struct settler *s;
};

static void
scene_open(struct scene *x, uint32_t sessions, const struct answer *script, size_t n)
{
	struct settler_options opt;

	memset(x, 0, sizeof(*x));
	now_s = T0;
	assert_int_equal(uv_loop_init(&x->loop), 0);
	uv_timer_init(&x->loop, &x->stub.turn);
	x->stub.turn.data = &x->stub;
	x->stub.script = script;
	x->stub.n_script = n;
	x->l = ledger_of(sessions, CAP);
	opt = (struct settler_options){ .loop = &x->loop,
		.ledger = x->l,
		.facilitator = { &x->stub, stub_settle, stub_poll, stub_verify, stub_cancel },
		.now_s = test_now,
		.period_ms = 1,
		.shutdown_ms = shutdown_ms };
	assert_int_equal(settler_new(&x->s, &opt).code, ERR_OK);
}
#define SCENE(x, sessions, ...)                                 \
	static const struct answer script_[] = { __VA_ARGS__ }; \
	struct scene *x = calloc(1, sizeof(*x));                \
	scene_open(x, sessions, script_, sizeof(script_) / sizeof(script_[0]))

static void
scene_close(struct scene *x)
{
	settler_free(x->s);
	uv_close((uv_handle_t *)&x->stub.turn, NULL);
	assert_int_equal(uv_run(&x->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&x->loop), 0);
	ledger_unmap(x->l);
	free(x);
}

static void
owe(struct scene *x, unsigned payer, uint64_t amount)
{
	struct ledger_permit p = permit(payer, payer);
	struct ledger_session s;

	p.deadline_s = now_s + LIFE_S;
	s = open_at(x->l, &p, now_s);
	spend(x->l, &s, amount, now_s);
}

/* A look at the ledger, and the answers to what it started, at a time after T0. */
static void
at(struct scene *x, uint64_t after_s)
{
	now_s = T0 + after_s;
	settler_nudge(x->s);
	do
		uv_run(&x->loop, UV_RUN_ONCE);
	while (uv_is_active((uv_handle_t *)&x->stub.turn));
	uv_run(&x->loop, UV_RUN_ONCE);
}

static void
until(struct scene *x, uint64_t from_s, uint64_t to_s)
{
	for (uint64_t t = from_s; t <= to_s; t++)
		at(x, t);
}

static void
assert_metric(const char *line)
{
	struct buf b;

	buf_init(&b, 65536);
	metrics_print(&b);
	if (span_find(buf_span(&b), span_str(line), 0) == SIZE_MAX)
		fail_msg("no %s in %.*s", line, (int)b.n, (const char *)b.p);
	buf_fini(&b);
}

static void
an_idle_session_is_settled_once(void **state)
{
	SCENE(x, 4, AGREED);

	owe(x, 1, 10);
	until(x, 0, 100);
	assert_int_equal(x->stub.n, 0);
	assert_int_equal(small(stats(x->l).owed), 10);
	until(x, 101, 400);
	assert_string_equal(x->stub.made, "s");
	assert_int_equal(x->stub.amount[0], 10);
	assert_int_equal(small(stats(x->l).settled), 10);
	assert_metric("tee_gateway_settlements_total{result=\"settled\"} 1\n");
	assert_int_equal(small(stats(x->l).owed), 0);
	scene_close(x);
}

static void
outages_are_waited_out(void **state)
{
	SCENE(x, 4, ANSWER(UNAVAILABLE), { .no_memory = true }, COME_LATER(20), AGREED);

	owe(x, 1, 10);
	until(x, 0, 250);
	assert_string_equal(x->stub.made, "ssss");
	assert_int_equal(x->stub.at_s[0], T0 + 101);
	assert_int_equal(x->stub.at_s[1], T0 + 102);
	assert_int_equal(x->stub.at_s[2], T0 + 104);
	assert_int_equal(x->stub.at_s[3], T0 + 124);
	assert_int_equal(small(stats(x->l).settled), 10);
	assert_int_equal(stats(x->l).barred, 0);
	scene_close(x);
}

static void
a_facilitator_that_is_down_for_good_is_written_off(void **state)
{
	SCENE(x, 4, ANSWER(UNAVAILABLE));

	owe(x, 1, 10);
	until(x, 0, LIFE_S - PERMIT_LAST_S - 1);
	assert_true(x->stub.n > 5 && x->stub.n < 15);
	assert_int_equal(small(stats(x->l).owed), 10);
	at(x, LIFE_S);
	assert_int_equal(small(stats(x->l).written_off), 10);
	assert_metric("tee_gateway_settlements_total{result=\"written_off\"} 1\n");
	assert_int_equal(small(stats(x->l).owed), 0);
	scene_close(x);
}

static void
pay_01_a_refused_settlement(void **state)
{
	struct ledger_permit next = permit(1, 99);
	SCENE(x, 4, BY_THE_PAYER);

	owe(x, 1, 10);
	until(x, 0, 250);
	assert_string_equal(x->stub.made, "ssss");
	next.deadline_s = now_s + LIFE_S;
	assert_int_equal(ledger_look(x->l, &next, now_s), LEDGER_BARRED);
	assert_int_equal(small(stats(x->l).owed), 10);
	assert_metric("tee_gateway_settlements_total{result=\"failed\"} 4\n");
	at(x, LIFE_S);
	assert_int_equal(small(stats(x->l).written_off), 10);
	scene_close(x);
}

static void
pay_15_a_lost_answer_is_asked_for(void **state)
{
	/* lost; the permit still verifies; settled */
	SCENE(x, 4, ANSWER(UNKNOWN), AGREED, AGREED);

	owe(x, 1, 10);
	until(x, 0, 200);
	assert_string_equal(x->stub.made, "svs");
	assert_int_equal(x->stub.amount[2], 10);
	assert_int_equal(small(stats(x->l).settled), 10);
	scene_close(x);
}

static void
pay_15_a_nonce_that_is_used_is_never_sent_again(void **state)
{
	/* lost; the permit does not verify any more, for ever */
	SCENE(x, 4, ANSWER(UNKNOWN), ANSWER(REFUSED));

	owe(x, 1, 10);
	until(x, 0, LIFE_S - 1);
	assert_true(x->stub.n > 3);
	for (size_t i = 1; i < x->stub.n; i++)
		assert_int_equal(x->stub.made[i], 'v');
	assert_int_equal(small(stats(x->l).owed), 10);
	at(x, LIFE_S);
	assert_int_equal(small(stats(x->l).written_off), 10);
	assert_int_equal(small(stats(x->l).settled), 0);
	scene_close(x);
}

static void
a_job_that_ends(void **state)
{
	SCENE(x, 4, A_JOB, ANSWER(PENDING), ANSWER(UNAVAILABLE), ANSWER(PENDING), AGREED);

	owe(x, 1, 10);
	until(x, 0, 150);
	assert_string_equal(x->stub.made, "spppp");
	assert_int_equal(small(stats(x->l).settled), 10);
	scene_close(x);
}

static void
a_job_that_fails_and_one_that_nobody_knows(void **state)
{
	/* failed: settled anew; then unknown: does it still verify? it does; settled at last */
	SCENE(x, 4, A_JOB, ANSWER(REFUSED), A_JOB, ANSWER(UNKNOWN), AGREED, AGREED);

	owe(x, 1, 10);
	until(x, 0, 200);
	assert_string_equal(x->stub.made, "spspvs");
	assert_int_equal(small(stats(x->l).settled), 10);
	scene_close(x);
}

static void
a_job_for_ever(void **state)
{
	SCENE(x, 4, A_JOB, ANSWER(PENDING));

	owe(x, 1, 10);
	until(x, 0, LIFE_S + PERMIT_SLACK_S - 1);
	assert_int_equal(small(stats(x->l).owed), 10);
	at(x, LIFE_S + PERMIT_SLACK_S);
	assert_int_equal(small(stats(x->l).written_off), 10);
	assert_int_equal(strchr(x->stub.made + 1, 's'), NULL); /* never sent again */
	scene_close(x);
}

static void
a_job_without_a_name_is_unknown(void **state)
{
	SCENE(x, 4, ANSWER(PENDING), AGREED, AGREED);

	owe(x, 1, 10);
	until(x, 0, 200);
	assert_string_equal(x->stub.made, "svs");
	scene_close(x);
}

/* PAY-11: fast takers, a slow facilitator: all are settled, so many at a time. */
static void
pay_11_many_sessions(void **state)
{
	SCENE(x, 200, AGREED);

	for (unsigned i = 1; i <= 200; i++)
		owe(x, i, i);
	until(x, 0, 160);
	assert_int_equal(x->stub.n, 200);
	assert_int_equal(x->stub.most_open, SETTLE_CALLS_MAX);
	assert_int_equal(small(stats(x->l).settled), 200 * 201 / 2);
	assert_int_equal(stats(x->l).sessions, 0);
	scene_close(x);
}

static void
on_drained(void *ctx)
{
	++*(unsigned *)ctx;
}

static void
a3_a_shutdown_settles_what_is_open(void **state)
{
	unsigned drained = 0;
	struct ledger_permit p = permit(50, 50);
	SCENE(x, 40, ANSWER(UNAVAILABLE), AGREED);

	for (unsigned i = 1; i <= 30; i++)
		owe(x, i, i);
	open_at(x->l, &p, now_s); /* owes nothing */
	at(x, 1);
	assert_int_equal(x->stub.n, 0);
	settler_drain(x->s, on_drained, &drained);
	for (uint64_t t = 1; t < 10; t++)
		at(x, t);
	assert_int_equal(drained, 1);
	assert_int_equal(small(stats(x->l).settled), 30 * 31 / 2);
	assert_int_equal(stats(x->l).sessions, 0);
	scene_close(x);
}

static void
a3_a_shutdown_without_debts_ends_at_once(void **state)
{
	unsigned drained = 0;
	SCENE(x, 4, AGREED);

	settler_drain(x->s, on_drained, &drained);
	assert_int_equal(drained, 0); /* from the loop, not from the call */
	at(x, 0);
	assert_int_equal(drained, 1);
	scene_close(x);
}

static void
a3_what_is_hopeless_is_not_waited_for(void **state)
{
	unsigned drained = 0;
	SCENE(x, 4, BY_THE_PAYER);

	owe(x, 1, 10);
	settler_drain(x->s, on_drained, &drained);
	for (uint64_t t = 0; t < 20; t++)
		at(x, t);
	assert_int_equal(drained, 1);
	assert_int_equal(x->stub.n, SETTLE_REFUSALS_MAX);
	assert_int_equal(small(stats(x->l).owed), 10);
	scene_close(x);
}

/* PAY-15: a settlement whose answer was lost, and whose nonce is used: nobody can know more. */
static void
a3_what_nobody_can_know_is_not_waited_for(void **state)
{
	unsigned drained = 0;
	SCENE(x, 4, ANSWER(UNKNOWN), ANSWER(UNAVAILABLE), ANSWER(REFUSED));

	owe(x, 1, 10);
	settler_drain(x->s, on_drained, &drained);
	for (uint64_t t = 0; t < 30 && drained == 0; t++)
		at(x, t);
	assert_int_equal(drained, 1);
	assert_string_equal(x->stub.made, "svv");
	assert_int_equal(small(stats(x->l).owed), 10);
	scene_close(x);
}

static void
a3_a_shutdown_does_not_wait_for_ever(void **state)
{
	unsigned drained = 0;

	shutdown_ms = 100;
	SCENE(x, 4, { .never = true });
	shutdown_ms = 0;

	owe(x, 1, 10);
	settler_drain(x->s, on_drained, &drained);
	while (drained == 0)
		uv_run(&x->loop, UV_RUN_ONCE);
	assert_int_equal(x->stub.open, 1);
	assert_int_equal(small(stats(x->l).owed), 10);
	scene_close(x);
}

/* What was on the wire when we ended is of unknown outcome for the next worker. */
static void
a_call_that_is_cut_off_is_unknown(void **state)
{
	struct ledger_repair did;
	SCENE(x, 4, { .never = true });

	owe(x, 1, 10);
	at(x, 101);
	assert_int_equal(x->stub.open, 1);
	settler_free(x->s);
	assert_int_equal(x->stub.cancelled, 1);
	assert_int_equal(ledger_attach(x->l, &did).code, ERR_OK);
	assert_int_equal(did.sessions, 1);
	assert_int_equal(did.unknown, 1);
	x->s = NULL;
	scene_close(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_session_is_settled_once),
		cmocka_unit_test(a_facilitator_that_is_down_for_good_is_written_off),
		cmocka_unit_test(outages_are_waited_out),
		cmocka_unit_test(pay_01_a_refused_settlement),
		cmocka_unit_test(pay_15_a_lost_answer_is_asked_for),
		cmocka_unit_test(pay_15_a_nonce_that_is_used_is_never_sent_again),
		cmocka_unit_test(a_job_that_ends),
		cmocka_unit_test(a_job_that_fails_and_one_that_nobody_knows),
		cmocka_unit_test(a_job_for_ever),
		cmocka_unit_test(a_job_without_a_name_is_unknown),
		cmocka_unit_test(pay_11_many_sessions),
		cmocka_unit_test(a3_a_shutdown_settles_what_is_open),
		cmocka_unit_test(a3_a_shutdown_without_debts_ends_at_once),
		cmocka_unit_test(a3_what_is_hopeless_is_not_waited_for),
		cmocka_unit_test(a3_what_nobody_can_know_is_not_waited_for),
		cmocka_unit_test(a3_a_shutdown_does_not_wait_for_ever),
		cmocka_unit_test(a_call_that_is_cut_off_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
