/* The datagrams of the key holder: both ways, and every length that is not one. */
#include "keyholder/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/limits.h"

enum { HEADER = 10, CHAT = 72 };

static struct buf b;

static int
set_up(void **state)
{
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	return 0;
}

static int
tear_down(void **state)
{
	buf_fini(&b);
	return 0;
}

static struct key_request
chat(void)
{
	struct key_request r = { .type = KEY_CHAT, .ticket = UINT64_C(0x0102030405060708) };

	memset(r.request_hash, 0xaa, KECCAK_LEN);
	memset(r.output_hash, 0xbb, KECCAK_LEN);
	r.timestamp_unix_s = 1747000000;
	return r;
}

static void
chat_layout(void **state)
{
	struct key_request r = chat(), back;

	key_request_put(&b, &r);
	assert_int_equal(b.n, HEADER + CHAT);
	assert_memory_equal(b.p, "\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08", HEADER);
	assert_memory_equal(b.p + HEADER + 64, "\0\0\0\0\x68\x21\x1a\xc0", 8);
	assert_int_equal(key_request_parse(&back, buf_span(&b)).code, ERR_OK);
	assert_int_equal(back.type, KEY_CHAT);
	assert_int_equal(back.ticket, r.ticket);
	assert_int_equal(back.timestamp_unix_s, r.timestamp_unix_s);
	assert_memory_equal(back.request_hash, r.request_hash, KECCAK_LEN);
	assert_memory_equal(back.output_hash, r.output_hash, KECCAK_LEN);
}

static void
text_requests(void **state)
{
	static const enum key_type types[] = { KEY_RECEIPT, KEY_CONFIG };

	for (size_t i = 0; i < 2; i++) {
		struct key_request r = { .type = types[i], .ticket = 7, .body = SPAN_LIT("{}") };
		struct key_request back;

		buf_clear(&b);
		key_request_put(&b, &r);
		assert_int_equal(key_request_parse(&back, buf_span(&b)).code, ERR_OK);
		assert_int_equal(back.type, types[i]);
		assert_int_equal(back.ticket, 7);
		assert_true(span_eq(back.body, r.body));
	}
}

static void
heartbeat_layout(void **state)
{
	struct key_request r = { .type = KEY_HEARTBEAT, .ticket = 7, .buffer_s = 1500 }, back;
	struct key_heartbeat h = { .timestamp_unix_s = 1747000000 }, same;

	key_request_put(&b, &r);
	assert_int_equal(b.n, HEADER + 2);
	assert_memory_equal(b.p + HEADER, "\x05\xdc", 2);
	assert_int_equal(key_request_parse(&back, buf_span(&b)).code, ERR_OK);
	assert_int_equal(back.type, KEY_HEARTBEAT);
	assert_int_equal(back.buffer_s, 1500);
	/* K3: 0 to 1500. */
	b.p[HEADER + 1]++;
	assert_int_equal(key_request_parse(&back, buf_span(&b)).code, ERR_MALFORMED);

	buf_clear(&b);
	memset(h.signature, 0xcc, sizeof(h.signature));
	key_heartbeat_put(&b, &h);
	assert_int_equal(b.n, 8 + PSS_SIG_LEN);
	assert_int_equal(key_heartbeat_parse(&same, buf_span(&b)).code, ERR_OK);
	assert_int_equal(same.timestamp_unix_s, h.timestamp_unix_s);
	assert_memory_equal(same.signature, h.signature, PSS_SIG_LEN);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    key_heartbeat_parse(&same, span_cut(buf_span(&b), 0, n)).code, ERR_MALFORMED);
	buf_put_byte(&b, 0);
	assert_int_equal(key_heartbeat_parse(&same, buf_span(&b)).code, ERR_MALFORMED);
}

/* A request of this version, type and number of further bytes. */
static const struct {
	const char *rule;
	uint8_t version, type;
	size_t n;
	enum err_code want;
} requests[] = {
	{ "identity takes nothing", 1, KEY_IDENTITY, 0, ERR_OK },
	{ "identity with a byte", 1, KEY_IDENTITY, 1, ERR_MALFORMED },
	{ "a chat has 72 bytes", 1, KEY_CHAT, CHAT, ERR_OK },
	{ "a chat with one too few", 1, KEY_CHAT, CHAT - 1, ERR_MALFORMED },
	{ "a chat with one too many", 1, KEY_CHAT, CHAT + 1, ERR_MALFORMED },
	{ "an empty chat", 1, KEY_CHAT, 0, ERR_MALFORMED },
	{ "an empty receipt", 1, KEY_RECEIPT, 0, ERR_MALFORMED },
	{ "the longest receipt", 1, KEY_RECEIPT, RECEIPT_MAX_BYTES, ERR_OK },
	{ "a longer receipt", 1, KEY_RECEIPT, RECEIPT_MAX_BYTES + 1, ERR_MALFORMED },
	{ "an empty configuration", 1, KEY_CONFIG, 0, ERR_MALFORMED },
	{ "the longest configuration", 1, KEY_CONFIG, CONFIG_MAX_BYTES, ERR_OK },
	{ "a longer configuration", 1, KEY_CONFIG, CONFIG_MAX_BYTES + 1, ERR_MALFORMED },
	{ "no such type: 0", 1, 0, 0, ERR_MALFORMED },
	{ "provisioned takes nothing", 1, KEY_PROVISIONED, 0, ERR_OK },
	{ "provisioned with a byte", 1, KEY_PROVISIONED, 1, ERR_MALFORMED },
	{ "attest without a nonce", 1, KEY_ATTEST, 0, ERR_MALFORMED },
	{ "attest over one byte", 1, KEY_ATTEST, 1, ERR_OK },
	{ "attest over the longest nonce", 1, KEY_ATTEST, ATTEST_NONCE_MAX_BYTES, ERR_OK },
	{ "attest over a longer one", 1, KEY_ATTEST, ATTEST_NONCE_MAX_BYTES + 1, ERR_MALFORMED },
	{ "own takes nothing", 1, KEY_OWN, 0, ERR_OK },
	{ "own with a byte", 1, KEY_OWN, 1, ERR_MALFORMED },
	{ "unseal nothing", 1, KEY_UNSEAL, 0, ERR_MALFORMED },
	{ "unseal the longest", 1, KEY_UNSEAL, PROVISION_MAX_BYTES, ERR_OK },
	{ "unseal more", 1, KEY_UNSEAL, PROVISION_MAX_BYTES + 1, ERR_MALFORMED },
	{ "provision nothing", 1, KEY_PROVISION, 0, ERR_MALFORMED },
	{ "provision the longest", 1, KEY_PROVISION, PROVISION_MAX_BYTES, ERR_OK },
	{ "provision more", 1, KEY_PROVISION, PROVISION_MAX_BYTES + 1, ERR_MALFORMED },
	{ "a heartbeat has 2 bytes", 1, KEY_HEARTBEAT, 2, ERR_OK },
	{ "a heartbeat with one too few", 1, KEY_HEARTBEAT, 1, ERR_MALFORMED },
	{ "a heartbeat with one too many", 1, KEY_HEARTBEAT, 3, ERR_MALFORMED },
	{ "a hash has 32 bytes", 1, KEY_APP_HASH, 32, ERR_OK },
	{ "a hash with one too few", 1, KEY_APP_HASH, 31, ERR_MALFORMED },
	{ "a hash with one too many", 1, KEY_APP_HASH, 33, ERR_MALFORMED },
	{ "no such type: 12", 1, 12, 1, ERR_MALFORMED },
	{ "an answer is no request", 1, 0x80 | KEY_CHAT, CHAT, ERR_MALFORMED },
	{ "version 0", 0, KEY_IDENTITY, 0, ERR_MALFORMED },
	{ "version 2", 2, KEY_IDENTITY, 0, ERR_MALFORMED },
};

static void
request_lengths(void **state)
{
	static const uint8_t zeros[CONFIG_MAX_BYTES + 1];

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct key_request r;

		buf_clear(&b);
		buf_put_byte(&b, requests[i].version);
		buf_put_byte(&b, requests[i].type);
		buf_put(&b, span_of(zeros, 8));
		buf_put(&b, span_of(zeros, requests[i].n));
		if (key_request_parse(&r, buf_span(&b)).code != requests[i].want)
			fail_msg("%s", requests[i].rule);
	}
}

static void
cut_short(void **state)
{
	struct key_request r = { .type = KEY_IDENTITY, .ticket = 1 };

	key_request_put(&b, &r);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    key_request_parse(&r, span_cut(buf_span(&b), 0, n)).code, ERR_MALFORMED);
	assert_int_equal(key_request_parse(&r, SPAN_NONE).code, ERR_MALFORMED);
}

static const struct {
	enum err_code sent, got;
} travels[] = {
	{ ERR_OK, ERR_OK },
	{ ERR_MALFORMED, ERR_MALFORMED },
	{ ERR_TOO_LARGE, ERR_TOO_LARGE },
	{ ERR_REFUSED, ERR_REFUSED },
	{ ERR_BUSY, ERR_BUSY },
	{ ERR_SYSTEM, ERR_SYSTEM },
	{ ERR_NOMEM, ERR_SYSTEM },
	{ ERR_UPSTREAM, ERR_SYSTEM },
};

static void
answers(void **state)
{
	for (size_t i = 0; i < sizeof(travels) / sizeof(travels[0]); i++) {
		struct key_answer a = { .type = KEY_RECEIPT,
			.ticket = 99,
			.code = travels[i].sent,
			.body = SPAN_LIT("a.b.c") };
		struct key_answer back;

		buf_clear(&b);
		key_answer_put(&b, &a);
		assert_int_equal(key_answer_parse(&back, buf_span(&b)).code, ERR_OK);
		assert_int_equal(back.type, KEY_RECEIPT);
		assert_int_equal(back.ticket, 99);
		assert_int_equal(back.code, travels[i].got);
		/* An error carries nothing, whatever was written before it happened. */
		assert_true(span_eq(
		    back.body, travels[i].sent == ERR_OK ? a.body : span_cut(a.body, 0, 0)));
	}
}

static const struct {
	const char *rule;
	uint8_t type, code;
	size_t n;
	enum err_code want;
} answer_rows[] = {
	{ "a chat's answer is a signature", 0x82, 0, PSS_SIG_LEN, ERR_OK },
	{ "a signature cut short", 0x82, 0, PSS_SIG_LEN - 1, ERR_MALFORMED },
	{ "no signature and no error", 0x82, 0, 0, ERR_MALFORMED },
	{ "refused", 0x82, 3, 0, ERR_OK },
	{ "refused, with bytes", 0x82, 3, 1, ERR_MALFORMED },
	{ "no such status", 0x82, 6, 0, ERR_MALFORMED },
	{ "a request is no answer", 0x02, 0, PSS_SIG_LEN, ERR_MALFORMED },
	{ "what was provisioned", 0x85, 0, 1, ERR_OK },
	{ "a document", 0x86, 0, 1, ERR_OK },
	{ "no document and no error", 0x86, 0, 0, ERR_MALFORMED },
	{ "what was sealed, or that it was provisioned", 0x88, 0, 1, ERR_OK },
	{ "neither", 0x89, 0, 0, ERR_MALFORMED },
	{ "no such type", 0x8c, 0, 1, ERR_MALFORMED },
};

static void
answer_lengths(void **state)
{
	static const uint8_t zeros[PSS_SIG_LEN + 8];

	for (size_t i = 0; i < sizeof(answer_rows) / sizeof(answer_rows[0]); i++) {
		struct key_answer a;

		buf_clear(&b);
		buf_put_byte(&b, 1);
		buf_put_byte(&b, answer_rows[i].type);
		buf_put(&b, span_of(zeros, 8));
		buf_put_byte(&b, answer_rows[i].code);
		buf_put(&b, span_of(zeros, answer_rows[i].n));
		if (key_answer_parse(&a, buf_span(&b)).code != answer_rows[i].want)
			fail_msg("%s", answer_rows[i].rule);
	}
}

static void
facts(void **state)
{
	struct key_facts f = {
		.signing_spki = SPAN_LIT("rsa"),
		.receipt_spki = SPAN_LIT("p256"),
		.receipt_key_signature = SPAN_LIT("signature"),
		.tls_cert = SPAN_LIT("certificate"),
		.tls_key = SPAN_LIT("k"),
	};
	struct key_facts back;

	memset(f.tee_id, 't', TEE_ID_LEN);
	memset(f.wallet_address, 'w', ADDRESS_LEN);
	key_facts_put(&b, &f);
	assert_int_equal(key_facts_parse(&back, buf_span(&b)).code, ERR_OK);
	assert_true(span_eq(back.signing_spki, f.signing_spki));
	assert_true(span_eq(back.receipt_spki, f.receipt_spki));
	assert_true(span_eq(back.receipt_key_signature, f.receipt_key_signature));
	assert_true(span_eq(back.tls_cert, f.tls_cert));
	assert_true(span_eq(back.tls_key, f.tls_key));
	assert_memory_equal(back.tee_id, f.tee_id, TEE_ID_LEN);
	assert_memory_equal(back.wallet_address, f.wallet_address, ADDRESS_LEN);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    key_facts_parse(&back, span_cut(buf_span(&b), 0, n)).code, ERR_MALFORMED);
	buf_put_byte(&b, 0);
	assert_int_equal(key_facts_parse(&back, buf_span(&b)).code, ERR_MALFORMED);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(chat_layout),
		ROW(text_requests),
		ROW(heartbeat_layout),
		ROW(heartbeat_layout),
		ROW(request_lengths),
		ROW(cut_short),
		ROW(answers),
		ROW(answer_lengths),
		ROW(facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
