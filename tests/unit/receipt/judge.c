/* judge.c on the published vectors: what must be accepted, what must be refused, and that no single
 * byte of anything can change. */
#include "receipt/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "texts.h"

/* One client's files; the spans borrow. A stream's receipt is in the response. */
struct files {
	struct span request, response, receipt, jwks;
	struct receipt_verdict verdict;
};

/* What tee-verify does with them. */
static struct err
verify(struct files *f)
{
	struct receipt_case held = { .request = f->request, .response = f->response };
	struct span jws = f->receipt, content;
	struct receipt_anchor anchor;
	struct buf kid;
	struct err e;
	bool done;

	if (jws.p == NULL)
		TRY(receipt_split_stream(f->response, &content, &jws, &done));
	buf_init(&kid, 64);
	if (!failed(e = receipt_kid(jws, &kid)) &&
	    !failed(e = receipt_anchor_read(&anchor, f->jwks, buf_span(&kid)))) {
		e = receipt_judge(&f->verdict, &anchor, jws, &held);
		receipt_anchor_fini(&anchor);
	}
	buf_fini(&kid);
	return e;
}

/* index.json: accept. */
static const struct {
	const char *request, *response, *receipt;
	enum receipt_outcome outcome;
	const char *jti;
} accepted[] = {
	{ "nonstream.request.json", "nonstream.response.json", "nonstream.receipt.jws",
	    RECEIPT_COMPLETE, "chatcmpl-00000000-0000-4000-8000-000000000001" },
	{ "stream.request.json", "stream.response.sse", NULL, RECEIPT_COMPLETE,
	    "chatcmpl-00000000-0000-4000-8000-000000000002" },
	{ "stream.request.json", "failed.response.sse", NULL, RECEIPT_FAILED,
	    "chatcmpl-00000000-0000-4000-8000-000000000002" },
};
enum { N_ACCEPTED = sizeof(accepted) / sizeof(accepted[0]) };

/* Buffers of one accepted row, and files that borrow them. */
struct loaded {
	struct buf request, response, receipt, jwks;
	struct files files;
};

static void
load(struct loaded *l, size_t row)
{
	*l = (struct loaded){
		.request = text_vector(accepted[row].request),
		.response = text_vector(accepted[row].response),
		.jwks = text_vector("jwks.json"),
	};
	if (accepted[row].receipt != NULL)
		l->receipt = text_vector(accepted[row].receipt);
	l->files = (struct files){
		.request = buf_span(&l->request),
		.response = buf_span(&l->response),
		.receipt = buf_span(&l->receipt),
		.jwks = buf_span(&l->jwks),
	};
}

static void
unload(struct loaded *l)
{
	buf_fini(&l->request);
	buf_fini(&l->response);
	buf_fini(&l->receipt);
	buf_fini(&l->jwks);
}

static enum check_verdict
verdict_of(const struct receipt_verdict *v, const char *name)
{
	for (size_t i = 0; i < RECEIPT_N_CHECKS; i++)
		if (span_eq(span_str(v->check[i].name), span_str(name)))
			return v->check[i].verdict;
	fail_msg("no check of this name: %s", name);
	return CHECK_PENDING;
}

static void
accept_vectors(void **state)
{
	for (size_t i = 0; i < N_ACCEPTED; i++) {
		struct receipt_verdict *v;
		struct loaded l;
		struct err e;

		load(&l, i);
		e = verify(&l.files);
		if (failed(e))
			fail_msg("%s: %s", accepted[i].response, e.what);
		v = &l.files.verdict;
		assert_int_equal(v->outcome, accepted[i].outcome);
		assert_string_equal(v->jti, accepted[i].jti);
		assert_true(v->covered);
		assert_false(v->hardware);
		assert_int_equal(v->iat_unix_s, 1790000000);
		assert_int_equal(verdict_of(v, "request"), CHECK_PASSED);
		assert_int_equal(verdict_of(v, "tee_signature"),
		    v->outcome == RECEIPT_COMPLETE ? CHECK_PASSED : CHECK_NONE);
		unload(&l);
	}
}

/* index.json: reject, with the rule that must be the one to catch it. */
static const struct {
	const char *file, *why;
} rejected[] = {
	{ "neg-stream-one-byte.sse", "R7: res is the hash of another response" },
	{ "neg-stream-usage.sse", "R7: res is the hash of another response" },
	{ "neg-stream-dropped-event.sse", "R7: res_len" },
	{ "neg-stream-comment-removed.sse", "R7: res_len" },
	{ "neg-stream-after.sse", "R5: more than [DONE]" },
	{ "neg-stream-no-done.sse", "R5: complete, but [DONE] is missing" },
	{ "neg-stream-cut.sse", "R5: no receipt" },
	{ "neg-stream-member-after.sse", "R5: tee_receipt does not end its event" },
	{ "neg-receipt-alg-none.jws", "R8: alg" },
	{ "neg-receipt-typ.jws", "R8: another typ" },
	{ "neg-receipt-dup-member.jws", "two members of one name" },
	{ "neg-receipt-sig-bit.jws", "signature does not fit" },
	{ "neg-receipt-padding.jws", "signature does not fit" },
};

static void
reject_vectors(void **state)
{
	for (size_t i = 0; i < sizeof(rejected) / sizeof(rejected[0]); i++) {
		struct buf file = text_vector(rejected[i].file);
		struct loaded l;
		struct err e;

		if (span_ends(span_str(rejected[i].file), SPAN_LIT(".jws"))) {
			load(&l, 0);
			l.files.receipt = buf_span(&file);
		} else {
			load(&l, 1);
			l.files.response = buf_span(&file);
		}
		e = verify(&l.files);
		if (e.code != ERR_MALFORMED && e.code != ERR_REFUSED)
			fail_msg("%s: %d", rejected[i].file, e.code);
		if (span_find(span_str(e.what), span_str(rejected[i].why), 0) == SIZE_MAX)
			fail_msg("%s: %s", rejected[i].file, e.what);
		unload(&l);
		buf_fini(&file);
	}
}

/* Not our own trouble, but a judgement: what tee-verify ends with status 1 for. */
static bool
refused(struct err e)
{
	return e.code == ERR_MALFORMED || e.code == ERR_REFUSED || e.code == ERR_TOO_LARGE;
}

/* Every byte of `b`, which `f` borrows, is changed in one bit; none may go unnoticed. */
static void
flip_each(struct files *f, const char *name, struct buf *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct err e;

		b->p[i] ^= (uint8_t)(1u << i % 8);
		e = verify(f);
		if (!refused(e))
			fail_msg("%s: byte %zu changed, %d %s", name, i, e.code, e.what);
		b->p[i] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(verify(f).code, ERR_OK);
}

static void
flips(void **state)
{
	for (size_t i = 0; i < N_ACCEPTED; i++) {
		struct loaded l;

		load(&l, i);
		flip_each(&l.files, accepted[i].request, &l.request);
		flip_each(&l.files, accepted[i].response, &l.response);
		if (accepted[i].receipt != NULL)
			flip_each(&l.files, accepted[i].receipt, &l.receipt);
		/* Every member of this key set is read, so not even a name may change. */
		if (i == 0)
			flip_each(&l.files, "jwks.json", &l.jwks);
		unload(&l);
	}
}

/* No part of a response is taken for the whole, with its own receipt or one that was fetched. */
static void
cuts(void **state)
{
	for (size_t i = 0; i < N_ACCEPTED; i++) {
		struct span whole, embedded, content;
		struct loaded l;
		bool done;

		load(&l, i);
		whole = l.files.response;
		for (size_t n = 0; n < whole.n; n++) {
			l.files.response = span_cut(whole, 0, n);
			if (!refused(verify(&l.files)))
				fail_msg("%s: %zu bytes verify", accepted[i].response, n);
		}
		if (accepted[i].receipt == NULL) {
			assert_int_equal(
			    receipt_split_stream(whole, &content, &embedded, &done).code, ERR_OK);
			l.files.receipt = embedded;
			for (size_t n = 0; n < whole.n; n++) {
				l.files.response = span_cut(whole, 0, n);
				if (!refused(verify(&l.files)))
					fail_msg("%s: fetched, %zu bytes verify",
					    accepted[i].response, n);
			}
			l.files.response = whole;
			assert_int_equal(verify(&l.files).code, ERR_OK);
		}
		unload(&l);
	}
}

#define R5(tail) "data: {\"a\":1,\"tee_receipt\":" tail
#define END	 "\"}\n\n"
#define LAST	 "data: [DONE]\n\n"

static const struct {
	const char *rule, *stream;
	enum err_code want;
	const char *jws;
	bool done;
} splits[] = {
	{ "R5: a whole stream", R5("\"x.y\"}\n\n" LAST), ERR_OK, "x.y", true },
	{ "R5: absent when failed", R5("\"x.y\"}\n\n"), ERR_OK, "x.y", false },
	{ "R5: the last one counts",
	    "data: {\"a\":1,\"tee_receipt\":\"old\"}\n\n" R5("\"x.y" END LAST), ERR_OK, "x.y",
	    true },
	{ "none", "data: {\"a\":1}\n\n" LAST, ERR_REFUSED, NULL, false },
	{ "nothing", "", ERR_REFUSED, NULL, false },
	{ "the first member of its event", "data: {\"tee_receipt\":\"x.y\"}\n\n" LAST, ERR_REFUSED,
	    NULL, false },
	{ "white space", R5(" \"x.y" END LAST), ERR_MALFORMED, NULL, false },
	{ "a number", R5("1}\n\n" LAST), ERR_MALFORMED, NULL, false },
	{ "another byte for the quote", R5("1x.y" END LAST), ERR_MALFORMED, NULL, false },
	{ "cut before the string", R5(""), ERR_MALFORMED, NULL, false },
	{ "cut in the string", R5("\"x.y"), ERR_MALFORMED, NULL, false },
	{ "cut after the string", R5("\"x.y\""), ERR_MALFORMED, NULL, false },
	{ "cut in the blank line", R5("\"x.y\"}\n"), ERR_MALFORMED, NULL, false },
	{ "cut in [DONE]", R5("\"x.y" END "data: [DONE]\n"), ERR_MALFORMED, NULL, false },
	{ "a member after it", R5("\"x.y\",\"b\":1}\n\n" LAST), ERR_MALFORMED, NULL, false },
	{ "a comment after it", R5("\"x.y" END ": x\n\n" LAST), ERR_MALFORMED, NULL, false },
	{ "an event after it", R5("\"x.y" END "data: {}\n\n" LAST), ERR_MALFORMED, NULL, false },
	{ "something after [DONE]", R5("\"x.y" END LAST "\n"), ERR_MALFORMED, NULL, false },
	{ "CRLF", R5("\"x.y\"}\r\n\r\n" LAST), ERR_MALFORMED, NULL, false },
	{ "an outer object", R5("\"x.y\"}}\n\n" LAST), ERR_MALFORMED, NULL, false },
};

static void
split(void **state)
{
	for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
		struct span stream = span_str(splits[i].stream), content, jws;
		struct err e;
		bool done;

		e = receipt_split_stream(stream, &content, &jws, &done);
		if (e.code != splits[i].want)
			fail_msg("%s: %d", splits[i].rule, e.code);
		if (failed(e))
			continue;
		if (!span_eq(jws, span_str(splits[i].jws)) || done != splits[i].done ||
		    content.n != span_rfind(stream, SPAN_LIT(",\"tee_receipt\"")))
			fail_msg("%s", splits[i].rule);
	}
}

static void
nonces(void **state)
{
	static const struct {
		const char *rule, *nonce;
		enum err_code want;
	} rows[] = {
		{ "the one that was sent", "bm9uY2Utbm9uY2Utbm9uY2U", ERR_OK },
		{ "another", "bm9uY2Utbm9uY2Utbm9uY2V", ERR_REFUSED },
		{ "a part of it", "bm9uY2Utbm9uY2Utbm9u", ERR_REFUSED },
		{ "none", "", ERR_REFUSED },
	};
	struct receipt_verdict v;
	struct receipt_anchor a;
	struct loaded l;

	load(&l, 0);
	assert_int_equal(receipt_anchor_read(&a, l.files.jwks, SPAN_NONE).code, ERR_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct receipt_case held = { l.files.request, l.files.response,
			span_str(rows[i].nonce) };

		if (receipt_judge(&v, &a, l.files.receipt, &held).code != rows[i].want)
			fail_msg("%s", rows[i].rule);
	}
	receipt_anchor_fini(&a);
	unload(&l);
}

/* V2: without the request its checks are skipped, and say so; what is left still holds. */
static void
without_request(void **state)
{
	struct loaded l;

	load(&l, 0);
	l.files.request = SPAN_NONE;
	assert_int_equal(verify(&l.files).code, ERR_OK);
	assert_int_equal(verdict_of(&l.files.verdict, "request"), CHECK_SKIPPED);
	assert_int_equal(verdict_of(&l.files.verdict, "request_hash"), CHECK_SKIPPED);
	assert_int_equal(verdict_of(&l.files.verdict, "response"), CHECK_PASSED);
	l.files.request = SPAN_LIT("");
	assert_int_equal(verify(&l.files).code, ERR_REFUSED);
	assert_int_equal(verdict_of(&l.files.verdict, "request"), CHECK_FAILED);
	assert_int_equal(verdict_of(&l.files.verdict, "response"), CHECK_PENDING);
	unload(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accept_vectors),
		cmocka_unit_test(reject_vectors),
		cmocka_unit_test(flips),
		cmocka_unit_test(cuts),
		cmocka_unit_test(split),
		cmocka_unit_test(nonces),
		cmocka_unit_test(without_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
