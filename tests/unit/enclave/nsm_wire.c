/* The module's messages: bytes both ways, and what is refused. Source: nitro-attestation.md 1.2. */
#include "enclave/nsm_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *rule;
	struct nsm_request r;
	struct span bytes;
} requests[] = {
	{ "DescribeNSM", { .type = NSM_DESCRIBE_NSM },
	    SPAN_LIT("\x6b"
		     "DescribeNSM") },
	{ "GetRandom", { .type = NSM_GET_RANDOM },
	    SPAN_LIT("\x69"
		     "GetRandom") },
	{ "DescribePCR 0", { .type = NSM_DESCRIBE_PCR },
	    SPAN_LIT("\xa1\x6b"
		     "DescribePCR"
		     "\xa1\x65"
		     "index"
		     "\x00") },
	{ "ExtendPCR 16, 01 02 03",
	    { .type = NSM_EXTEND_PCR, .index = 16, .data = { (const uint8_t *)"\1\2\3", 3 } },
	    SPAN_LIT("\xa1\x69"
		     "ExtendPCR"
		     "\xa2\x65"
		     "index"
		     "\x10\x64"
		     "data"
		     "\x43\1\2\3") },
	{ "LockPCR 16", { .type = NSM_LOCK_PCR, .index = 16 },
	    SPAN_LIT("\xa1\x67"
		     "LockPCR"
		     "\xa1\x65"
		     "index"
		     "\x10") },
	{ "LockPCRs 16", { .type = NSM_LOCK_PCRS, .range = 16 },
	    SPAN_LIT("\xa1\x68"
		     "LockPCRs"
		     "\xa1\x65"
		     "range"
		     "\x10") },
	{ "Attestation, all null", { .type = NSM_ATTESTATION },
	    SPAN_LIT("\xa1\x6b"
		     "Attestation"
		     "\xa3\x69"
		     "user_data"
		     "\xf6\x65"
		     "nonce"
		     "\xf6\x6a"
		     "public_key"
		     "\xf6") },
	{ "Attestation, user_data \"ab\"",
	    { .type = NSM_ATTESTATION, .user_data = { (const uint8_t *)"ab", 2 } },
	    SPAN_LIT("\xa1\x6b"
		     "Attestation"
		     "\xa3\x69"
		     "user_data"
		     "\x42"
		     "ab"
		     "\x65"
		     "nonce"
		     "\xf6\x6a"
		     "public_key"
		     "\xf6") },
};

static void
request_bytes(void **state)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct nsm_request back;
		struct buf b;

		buf_init(&b, NSM_REQUEST_MAX_BYTES);
		nsm_request_put(&b, &requests[i].r);
		if (!span_eq(buf_span(&b), requests[i].bytes))
			fail_msg("%s: written", requests[i].rule);
		if (nsm_request_parse(&back, requests[i].bytes).code != ERR_OK ||
		    back.type != requests[i].r.type || back.index != requests[i].r.index ||
		    back.range != requests[i].r.range || !span_eq(back.data, requests[i].r.data) ||
		    !span_eq(back.user_data, requests[i].r.user_data))
			fail_msg("%s: read", requests[i].rule);
		buf_fini(&b);
	}
}

static const struct {
	const char *rule;
	struct span bytes;
	enum err_code want;
	enum nsm_type type;
	struct span data;
} answers[] = {
	{ "an error",
	    SPAN_LIT("\xa1\x65"
		     "Error"
		     "\x6f"
		     "InvalidArgument"),
	    ERR_OK, NSM_ERROR, { 0 } },
	{ "an error without its code",
	    SPAN_LIT("\x65"
		     "Error"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "LockPCR, bare",
	    SPAN_LIT("\x67"
		     "LockPCR"),
	    ERR_OK, NSM_LOCK_PCR, { 0 } },
	{ "LockPCR, as a map of null",
	    SPAN_LIT("\xa1\x67"
		     "LockPCR"
		     "\xf6"),
	    ERR_OK, NSM_LOCK_PCR, { 0 } },
	{ "a document",
	    SPAN_LIT("\xa1\x6b"
		     "Attestation"
		     "\xa1\x68"
		     "document"
		     "\x42"
		     "ab"),
	    ERR_OK, NSM_ATTESTATION, { (const uint8_t *)"ab", 2 } },
	{ "maps of indefinite length",
	    SPAN_LIT("\xbf\x6b"
		     "Attestation"
		     "\xbf\x68"
		     "document"
		     "\x42"
		     "ab"
		     "\xff\xff"),
	    ERR_OK, NSM_ATTESTATION, { (const uint8_t *)"ab", 2 } },
	{ "0xff inside bytes is no break",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xbf\x66"
		     "random"
		     "\x42\xff\xff\xff"),
	    ERR_OK, NSM_GET_RANDOM, { (const uint8_t *)"\xff\xff", 2 } },
	{ "an unknown name, of any value",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa2\x63"
		     "new"
		     "\x82\x01\xa1\x61"
		     "a"
		     "\xf5\x66"
		     "random"
		     "\x41\1"),
	    ERR_OK, NSM_GET_RANDOM, { (const uint8_t *)"\1", 1 } },
	{ "names in another order",
	    SPAN_LIT("\xa1\x6b"
		     "DescribePCR"
		     "\xa2\x64"
		     "data"
		     "\x41\7\x64"
		     "lock"
		     "\xf5"),
	    ERR_OK, NSM_DESCRIBE_PCR, { (const uint8_t *)"\7", 1 } },
	{ "a name twice",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa2\x66"
		     "random"
		     "\x41\1\x66"
		     "random"
		     "\x41\2"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "a name is missing",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa0"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "text where bytes belong",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa1\x66"
		     "random"
		     "\x61"
		     "a"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "null where bytes belong",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa1\x66"
		     "random"
		     "\xf6"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "bytes in pieces",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa1\x66"
		     "random"
		     "\x5f\x41\1\xff"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "cut in the bytes",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa1\x66"
		     "random"
		     "\x42\1"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "a length beyond the end",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa1\x66"
		     "random"
		     "\x5b\xff\xff\xff\xff\xff\xff\xff\xff\1"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "a map of 2^63 pairs",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xbb\x80\0\0\0\0\0\0\0\x66"
		     "random"
		     "\x41\1"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "a byte behind",
	    SPAN_LIT("\x67"
		     "LockPCR"
		     "\0"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "two pairs",
	    SPAN_LIT("\xa2\x67"
		     "LockPCR"
		     "\xf6\x67"
		     "LockPCR"
		     "\xf6"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "no break",
	    SPAN_LIT("\xbf\x67"
		     "LockPCR"
		     "\xf6"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "a type nobody knows",
	    SPAN_LIT("\x64"
		     "Lock"),
	    ERR_MALFORMED, 0, { 0 } },
	{ "a number", SPAN_LIT("\x01"), ERR_MALFORMED, 0, { 0 } },
	{ "nothing", { 0 }, ERR_MALFORMED, 0, { 0 } },
	{ "an unknown name nine deep",
	    SPAN_LIT("\xa1\x69"
		     "GetRandom"
		     "\xa2\x61"
		     "x"
		     "\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00\x66"
		     "random"
		     "\x41\1"),
	    ERR_MALFORMED, 0, { 0 } },
};

static void
answer_bytes(void **state)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct nsm_answer a;
		struct err e = nsm_answer_parse(&a, answers[i].bytes);

		if (e.code != answers[i].want)
			fail_msg("%s: %s", answers[i].rule, e.what == NULL ? "read" : e.what);
		if (e.code == ERR_OK &&
		    (a.type != answers[i].type || !span_eq(a.data, answers[i].data)))
			fail_msg("%s: value", answers[i].rule);
	}
}

static void
error_codes(void **state)
{
	struct nsm_answer a, back;
	struct buf b;

	for (enum nsm_code c = 0; c < NSM_CODE_COUNT; c++) {
		buf_init(&b, 64);
		a = (struct nsm_answer){ .type = NSM_ERROR, .code = c };
		nsm_answer_put(&b, &a);
		assert_int_equal(nsm_answer_parse(&back, buf_span(&b)).code, ERR_OK);
		assert_int_equal(back.code, c);
		buf_fini(&b);
	}
	assert_int_equal(nsm_answer_parse(&back,
			     SPAN_LIT("\xa1\x65"
				      "Error"
				      "\x63"
				      "Odd"))
			     .code,
	    ERR_OK);
	assert_int_equal(back.code, NSM_CODE_INTERNAL_ERROR);
}

static void
every_cut_is_refused(void **state)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		for (size_t n = 0; n < requests[i].bytes.n; n++) {
			struct nsm_request r;

			if (!failed(nsm_request_parse(&r, span_cut(requests[i].bytes, 0, n))))
				fail_msg("%s: %zu bytes", requests[i].rule, n);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_bytes),
		cmocka_unit_test(answer_bytes),
		cmocka_unit_test(error_codes),
		cmocka_unit_test(every_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
