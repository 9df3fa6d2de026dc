/* signed_answer.c on the published vectors: what the legacy signature covers cannot change. */
#include "receipt/signed_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "crypto/pss.h"
#include "texts.h"

struct answer {
	struct buf request, response, spki;
};

static struct err
verify(const struct answer *a)
{
	struct signed_answer v;

	return signed_answer_judge(
	    &v, buf_span(&a->spki), buf_span(&a->request), buf_span(&a->response));
}

static struct answer
load(const char *request, const char *response)
{
	struct answer a = { .request = text_vector(request), .response = text_vector(response) };
	struct buf pem = text_vector("signing-key.pem");
	struct pss_pub *key;

	buf_init(&a.spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(pss_pub_from_pem(&key, buf_span(&pem), &a.spki).code, ERR_OK);
	pss_pub_free(key);
	buf_fini(&pem);
	assert_int_equal(verify(&a).code, ERR_OK);
	return a;
}

static void
unload(struct answer *a)
{
	buf_fini(&a->request);
	buf_fini(&a->response);
	buf_fini(&a->spki);
}

/* Changes each byte of the value that follows the `nth` `before`, up to the byte `end`. */
static void
flip_value(struct answer *a, struct buf *where, const char *before, unsigned nth, uint8_t end)
{
	size_t at = 0, changed = 0;

	for (unsigned i = 0; i <= nth; i++) {
		at = span_find(buf_span(where), span_str(before), at);
		assert_true(at != SIZE_MAX);
		at += span_str(before).n;
	}
	for (; where->p[at] != end; at++, changed++) {
		struct err e;

		where->p[at] ^= 1;
		e = verify(a);
		where->p[at] ^= 1;
		if (e.code != ERR_MALFORMED && e.code != ERR_REFUSED)
			fail_msg("%s: byte %zu changed unnoticed", before, changed);
	}
	assert_true(changed > 0);
}

static void
flip_fields(struct answer *a)
{
	flip_value(a, &a->response, "\"tee_signature\":\"", 0, '"');
	flip_value(a, &a->response, "\"tee_request_hash\":\"", 0, '"');
	flip_value(a, &a->response, "\"tee_output_hash\":\"", 0, '"');
	flip_value(a, &a->response, "\"tee_timestamp\":", 0, ',');
	flip_value(a, &a->response, "\"tee_id\":\"", 0, '"');
	flip_value(a, &a->request, "\"model\":\"", 0, '"');
	flip_value(a, &a->request, "\"content\":\"", 0, '"');
}

static void
body(void **state)
{
	struct answer a = load("nonstream.request.json", "nonstream.response.json");

	flip_fields(&a);
	flip_value(&a, &a.response, "\"content\":\"", 0, '"');
	unload(&a);
}

static void
stream(void **state)
{
	struct answer a = load("stream.request.json", "stream.response.sse");

	flip_fields(&a);
	for (unsigned delta = 0; delta < 3; delta++)
		flip_value(&a, &a.response, "\"content\":\"", delta, '"');
	unload(&a);
}

/* A stream that lost its final event, or a delta, is not an answer. */
static void
cut(void **state)
{
	struct answer a = load("stream.request.json", "stream.response.sse");
	size_t whole = a.response.n;
	size_t final = span_find(buf_span(&a.response), SPAN_LIT("\"tee_receipt\""), 0);

	for (size_t n = 0; n < final; n++) {
		a.response.n = n;
		if (!failed(verify(&a)))
			fail_msg("%zu bytes verify", n);
	}
	a.response.n = whole;
	unload(&a);
}

static void
other_key(void **state)
{
	struct answer a = load("nonstream.request.json", "nonstream.response.json");
	struct pss_key *key;

	assert_int_equal(pss_key_generate(&key).code, ERR_OK);
	buf_clear(&a.spki);
	assert_int_equal(pss_key_spki(key, &a.spki).code, ERR_OK);
	assert_int_equal(verify(&a).code, ERR_REFUSED);
	pss_key_free(key);
	unload(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body),
		cmocka_unit_test(stream),
		cmocka_unit_test(cut),
		cmocka_unit_test(other_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
