/* What the operator tells, once, and the key it may be sealed for. Source: K2, K3, P2, P3. */
#include "keyholder/provision.h"

#include "forked.h"

#include "../sealer.h"
#include "crypto/jwe.h"

#define TOLD "{\"openai_api_key\":\"sk-1\"}"

static struct keys *keys;
static struct provision provision;
static struct buf answer; /* what a worker is told at its start */
static struct key_provisioned told;
static struct es256_pub pub;

static struct es256_pub
point_of(struct span spki)
{
	struct es256_pub p = { 0 };

	assert_int_equal(spki.n, 91);
	memcpy(p.x, spki.p + 27, ES256_COORD_LEN);
	memcpy(p.y, spki.p + 59, ES256_COORD_LEN);
	return p;
}

static void
ask(void)
{
	buf_clear(&answer);
	provision_put(&provision, &answer);
	assert_int_equal(key_provisioned_parse(&told, buf_span(&answer)).code, ERR_OK);
}

static int
make(void **state)
{
	buf_init(&answer, KEY_MESSAGE_MAX_BYTES);
	if (failed(keys_make(&keys, "local-simulation", 1747000000)) ||
	    failed(provision_init(&provision, keys, SPAN_LIT("environment"))))
		return 1;
	ask();
	pub = point_of(told.seal_spki);
	return 0;
}

static int
unmake(void **state)
{
	provision_fini(&provision);
	provision_fini(&provision);
	keys_free(keys);
	buf_fini(&answer);
	return 0;
}

static void
sealed_for(struct buf *b, const struct es256_pub *to)
{
	buf_init(b, PROVISION_MAX_BYTES);
	assert_true(seal(b, to, SPAN_LIT(TOLD), NULL));
}

static enum err_code
unseal(struct span jwe, uint64_t now_ms, struct buf *plain)
{
	buf_clear(plain);
	return provision_unseal(&provision, jwe, now_ms, plain).code;
}

/* P3: the signing key vouches for the seal key, and for nothing that could be taken for another. */
static void
vouched_for(void **state)
{
	struct key_facts facts;
	struct pss_pub *signing;
	struct buf message;

	assert_true(told.open);
	assert_true(span_eq(told.bytes, SPAN_LIT("environment")));
	assert_int_equal(keys_facts(keys, &facts).code, ERR_OK);
	assert_int_equal(pss_pub_parse(&signing, facts.signing_spki).code, ERR_OK);
	buf_init(&message, 256);
	buf_put_str(&message, "tee-sealing-key-v1");
	buf_put(&message, told.seal_spki);
	assert_int_equal(pss_verify(signing, buf_span(&message), told.seal_signature).code, ERR_OK);
	buf_fini(&message);
	pss_pub_free(signing);
}

/* K3: what cannot be opened costs a second, and nothing else. */
static void
one_a_second(void **state)
{
	struct seal_key *other;
	struct es256_pub theirs;
	struct buf good, bad, plain;

	assert_int_equal(seal_key_generate(&other).code, ERR_OK);
	seal_key_pub(other, &theirs);
	sealed_for(&good, &pub);
	sealed_for(&bad, &theirs);
	buf_init(&plain, PROVISION_MAX_BYTES);
	assert_int_equal(unseal(buf_span(&bad), 1000, &plain), ERR_MALFORMED);
	assert_int_equal(plain.n, 0);
	assert_int_equal(unseal(buf_span(&good), 1999, &plain), ERR_BUSY);
	assert_int_equal(unseal(SPAN_LIT("a.b"), 2000, &plain), ERR_MALFORMED);
	assert_int_equal(unseal(buf_span(&good), 2999, &plain), ERR_BUSY);
	assert_int_equal(unseal(buf_span(&good), 3000, &plain), ERR_OK);
	assert_true(span_eq(buf_span(&plain), SPAN_LIT(TOLD)));
	/* Opening commits nothing. */
	assert_int_equal(unseal(buf_span(&good), 3000, &plain), ERR_OK);
	ask();
	assert_true(told.open);
	buf_fini(&good);
	buf_fini(&bad);
	buf_fini(&plain);
	seal_key_free(other);
}

static void
once(void **state)
{
	struct buf good, plain;

	sealed_for(&good, &pub);
	buf_init(&plain, PROVISION_MAX_BYTES);
	assert_int_equal(provision_commit(&provision, SPAN_LIT("first")).code, ERR_OK);
	assert_null(provision.seal);
	assert_int_equal(provision_commit(&provision, SPAN_LIT("second")).code, ERR_REFUSED);
	assert_int_equal(unseal(buf_span(&good), 5000, &plain), ERR_REFUSED);
	ask();
	assert_false(told.open);
	assert_int_equal(told.seal_spki.n + told.seal_signature.n, 0);
	assert_true(span_eq(told.bytes, SPAN_LIT("first")));
	buf_fini(&good);
	buf_fini(&plain);
}

/* --- the real key holder --- */

static void
begin(int i)
{
	static struct buf datagram;
	struct key_identity id;

	assert_int_equal(key_identity_fetch(&id, end[i], PATIENCE_MS).code, ERR_OK);
	key_identity_fini(&id);
	buf_fini(&datagram);
	buf_init(&datagram, KEY_MESSAGE_MAX_BYTES);
	assert_int_equal(key_provisioned_fetch(&datagram, &told, end[i], PATIENCE_MS).code, ERR_OK);
}

static enum err_code
tell(int i, enum key_type type, struct span bytes, struct buf *said)
{
	struct key_request r = { .type = type, .ticket = 9, .body = bytes };
	struct key_answer a;

	put(i, &r);
	assert_true(get(i, &a));
	assert_int_equal(a.type, type);
	buf_clear(said);
	buf_put(said, a.body);
	return a.code;
}

/* Two loops, whichever comes first; then a new worker. */
static void
two_at_once(void **state)
{
	struct buf jwe, said, longest;
	int theirs[CHANNELS];

	buf_init(&said, KEY_MESSAGE_MAX_BYTES);
	begin(0);
	assert_true(told.open && told.bytes.n == sizeof(secret));
	pub = point_of(told.seal_spki);
	sealed_for(&jwe, &pub);
	assert_int_equal(tell(1, KEY_UNSEAL, buf_span(&jwe), &said), ERR_OK);
	assert_true(span_eq(buf_span(&said), SPAN_LIT("\0" TOLD)));

	buf_init(&longest, PROVISION_MAX_BYTES);
	memset(buf_grow(&longest, PROVISION_MAX_BYTES), 'x', PROVISION_MAX_BYTES);
	for (int i = 0; i < CHANNELS; i++) {
		struct key_request r = { .type = KEY_PROVISION, .body = buf_span(&longest) };

		put(i, &r);
	}
	{
		struct key_answer a, b;

		assert_true(get(0, &a) && get(1, &b));
		assert_true((a.code == ERR_OK) != (b.code == ERR_OK));
		assert_int_equal(a.code == ERR_OK ? b.code : a.code, ERR_REFUSED);
	}
	assert_int_equal(tell(0, KEY_UNSEAL, buf_span(&jwe), &said), ERR_REFUSED);
	assert_serves(1);

	for (int i = 0; i < CHANNELS; i++)
		close_end(i);
	assert_int_equal(open_pairs(theirs), 0);
	assert_int_equal(passfd_send(control, theirs, CHANNELS).code, ERR_OK);
	for (int i = 0; i < CHANNELS; i++)
		close(theirs[i]);
	begin(0);
	assert_false(told.open);
	assert_true(span_eq(told.bytes, buf_span(&longest)));
	assert_int_equal(tell(1, KEY_PROVISION, SPAN_LIT("late"), &said), ERR_REFUSED);
	buf_fini(&longest);
	buf_fini(&jwe);
	buf_fini(&said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(vouched_for, make, unmake),
		cmocka_unit_test_setup_teardown(one_a_second, make, unmake),
		cmocka_unit_test_setup_teardown(once, make, unmake),
		cmocka_unit_test_setup_teardown(two_at_once, set_up_whole, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
