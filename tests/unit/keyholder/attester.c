/* Documents under load: the queue's bound, and whose turn it is. Source: K3, R3. */
#include "keyholder/attester.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/limits.h"
#include "enclave/softnsm.h"
#include "sys/clock.h"

enum { PATIENCE_MS = 60000 };

/* A software module that can be held up, and made to fail. */
static struct soft_nsm *soft;
static int gate[2]; /* a byte lets one document through, once `held` */
static bool held, broken;
static struct attester *attester;
static struct channel *channel;
static int peer;

static struct err
through_gate(void *ctx, struct span request, uint8_t *answer, size_t *n)
{
	struct nsm_port port = soft_nsm_port(soft);
	char c;

	if (broken)
		return FAIL(SYSTEM, "broken");
	if (held && read(gate[0], &c, 1) != 1)
		return FAIL(SYSTEM, "gate");
	return port.exchange(port.ctx, request, answer, n);
}

static const struct attester_options options = {
	.nsm = { through_gate, NULL },
	.tls_cert = { (const uint8_t *)"cert", 4 },
	.signing_spki = { (const uint8_t *)"sign", 4 },
	.receipt_spki = { (const uint8_t *)"receipt", 7 },
};

static int
set_up(void **state)
{
	int pair[2];

	held = broken = false;
	if (pipe(gate) != 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ||
	    failed(soft_nsm_new(&soft, NULL, clock_unix_ms)) ||
	    (channel = channel_new(pair[0], 0)) == NULL)
		return 1;
	peer = pair[1];
	return 0;
}

static int
tear_down(void **state)
{
	channel_close(channel);
	close(gate[1]);
	attester_free(attester);
	attester = NULL;
	channel_unref(channel);
	soft_nsm_free(soft);
	close(gate[0]);
	close(peer);
	return 0;
}

static bool
put(uint64_t ticket)
{
	struct key_request r = { .type = KEY_ATTEST, .ticket = ticket, .body = SPAN_LIT("nonce") };

	return attester_put(attester, channel, &r);
}

static void
expect(uint64_t ticket, enum err_code code)
{
	static uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	struct pollfd p = { .fd = peer, .events = POLLIN };
	struct key_answer a;
	ssize_t n;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	n = recv(peer, datagram, sizeof(datagram), 0);
	assert_true(n > 0);
	assert_int_equal(key_answer_parse(&a, span_of(datagram, (size_t)n)).code, ERR_OK);
	assert_int_equal(a.type, KEY_ATTEST);
	assert_int_equal(a.ticket, ticket);
	assert_int_equal(a.code, code);
}

static void
assert_own(void)
{
	struct key_own own;
	uint64_t time_ms;
	struct buf b;

	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	assert_int_equal(attester_put_own(attester, &b).code, ERR_OK);
	assert_int_equal(key_own_parse(&own, buf_span(&b)).code, ERR_OK);
	assert_int_equal(nsm_document_time(own.document, &time_ms).code, ERR_OK);
	assert_true(own.made_unix_s >= time_ms / 1000);
	assert_true(own.clock_offset_ms > -CLOCK_TRUST_MS && own.clock_offset_ms < CLOCK_TRUST_MS);
	buf_fini(&b);
}

static void
the_queue_is_bounded(void **state)
{
	char go[ATTEST_QUEUE_MAX] = { 0 };

	assert_int_equal(attester_new(&attester, &options).code, ERR_OK);
	/* Nobody takes any before the thread is started. */
	for (unsigned i = 0; i < ATTEST_QUEUE_MAX; i++)
		assert_true(put(i));
	assert_false(put(99));
	held = true;
	assert_int_equal(attester_start(attester).code, ERR_OK);
	/* While the module is held up, our own is at hand. */
	assert_own();
	assert_int_equal(write(gate[1], go, sizeof(go)), sizeof(go));
	for (unsigned i = 0; i < ATTEST_QUEUE_MAX; i++)
		expect(i, ERR_OK);
	assert_true(put(100));
	assert_int_equal(write(gate[1], go, 1), 1);
	expect(100, ERR_OK);
}

/* A document over the nonce, and ours, both name this hash second. */
static bool
documents_name(const uint8_t hash[static SHA256_LEN])
{
	static uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	struct span want = span_of(hash, SHA256_LEN);
	struct key_answer a;
	struct key_own own;
	struct buf b;
	bool names;
	ssize_t n;

	assert_true(put(7));
	assert_true((n = recv(peer, datagram, sizeof(datagram), 0)) > 0);
	assert_int_equal(key_answer_parse(&a, span_of(datagram, (size_t)n)).code, ERR_OK);
	assert_int_equal(a.code, ERR_OK);
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	assert_int_equal(attester_put_own(attester, &b).code, ERR_OK);
	assert_int_equal(key_own_parse(&own, buf_span(&b)).code, ERR_OK);
	names = span_find(a.body, want, 0) != SIZE_MAX;
	assert_int_equal(names, span_find(own.document, want, 0) != SIZE_MAX);
	buf_fini(&b);
	return names;
}

/* interfaces.md 4, /enclave/hash: only where another program may stand behind the documents. */
static void
another_programs_hash(void **state)
{
	static const uint8_t other[SHA256_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	struct attester_options free_options = options;
	uint8_t ours[SHA256_LEN];

	sha256_of(options.signing_spki, ours);
	free_options.app_hash_free = true;
	for (int is_free = 0; is_free < 2; is_free++) {
		assert_int_equal(
		    attester_new(&attester, is_free ? &free_options : &options).code, ERR_OK);
		assert_int_equal(attester_start(attester).code, ERR_OK);
		assert_true(documents_name(ours));
		assert_int_equal(attester_set_app_hash(attester, ours).code, ERR_OK);
		assert_true(documents_name(ours));
		assert_int_equal(
		    attester_set_app_hash(attester, other).code, is_free ? ERR_OK : ERR_REFUSED);
		assert_int_equal(documents_name(other), is_free);
		assert_int_equal(documents_name(ours), !is_free);
		attester_free(attester);
	}
	attester = NULL;
}

static void
a_module_that_fails(void **state)
{
	assert_int_equal(attester_new(&attester, &options).code, ERR_OK);
	broken = true;
	assert_true(put(1));
	assert_int_equal(attester_start(attester).code, ERR_OK);
	expect(1, ERR_SYSTEM);
	assert_own(); /* the one that was made before */
}

static void
what_cannot_attest_is_not_started(void **state)
{
	broken = true;
	assert_int_equal(attester_new(&attester, &options).code, ERR_SYSTEM);
	assert_null(attester);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_queue_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_programs_hash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_module_that_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_cannot_attest_is_not_started, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
