/* signature.c: what the section's CBOR may be, on the vector that is signed. */
#include "eif/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/hex.h"
#include "core/limits.h"
#include "images.h"

#define PCR0                                                                                       \
	"3815e27b39f41ac1128d267026ca452d9a4f73c2e420b4f061a0cadea8c0fdab2648f7fbdf75c55ee9282835" \
	"e83e2be0"

/* The signature section of ok-signed-es384.eif. */
static struct buf
section(uint8_t pcr0[static SHA384_LEN])
{
	struct buf b = image_vector("ok-signed-es384.eif");
	struct eif_source src = image_source(&b);
	const struct eif_section *s;
	struct eif img;

	eif_init(&img);
	assert_int_equal(eif_read(&img, &src).code, ERR_OK);
	s = eif_find(&img, EIF_SIGNATURE);
	assert_non_null(s);
	buf_drop(&b, s->at);
	assert_int_equal(b.n, s->size);
	eif_fini(&img);
	assert_int_equal(hex_parse(pcr0, SHA384_LEN, SPAN_LIT(PCR0)).code, ERR_OK);
	return b;
}

/* The first `from` of the section is replaced; both as bytes. */
static const struct {
	const char *rule;
	struct span from, to;
	bool malformed, good;
} rows[] = {
	{ "as it stands", SPAN_LIT(""), SPAN_LIT(""), false, true },
	{ "no array", SPAN_LIT("\x81\xa2"), SPAN_LIT("\xa2"), true, false },
	{ "an empty array", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x80\xa2"), true, false },
	{ "an indefinite array", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x9f\xa2"), true, false },
	{ "a length that could be shorter", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x98\x01\xa2"), true,
	    false },
	{ "in two bytes", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x99\x00\x01\xa2"), true, false },
	{ "in four", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x9a\x00\x00\x00\x01\xa2"), true, false },
	{ "two signatures, one there", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x82\xa2"), true, false },
	{ "a map of three", SPAN_LIT("\x81\xa2"), SPAN_LIT("\x81\xa3"), true, false },
	{ "a tag", SPAN_LIT("\x81\xa2"), SPAN_LIT("\xd2\x81\xa2"), true, false },
	{ "another key", SPAN_LIT("signing_certificate"), SPAN_LIT("signing_certificatf"), true,
	    false },
	{ "a key as bytes", SPAN_LIT("\x73signing"), SPAN_LIT("\x53signing"), true, false },
	{ "another second key", SPAN_LIT("\x69signature"), SPAN_LIT("\x69signaturf"), true, false },
	{ "an integer of 256", SPAN_LIT("\x18\x2d\x18\x2d"), SPAN_LIT("\x19\x01\x00\x18\x2d"), true,
	    false },
	{ "a padded integer", SPAN_LIT("\x0a\x18"), SPAN_LIT("\x18\x0a\x18"), true, false },
	{ "a negative one", SPAN_LIT("\x0a\x18"), SPAN_LIT("\x2a\x18"), true, false },
	{ "no PEM", SPAN_LIT("\x18\x2d\x18\x2d\x18\x2d"), SPAN_LIT("\x18\x2e\x18\x2d\x18\x2d"),
	    true, false },
	{ "a tagged COSE_Sign1", SPAN_LIT("\x18\x84\x18\x44\x18\xa1"),
	    SPAN_LIT("\x18\xd2\x18\x84\x18\x44\x18\xa1"), true, false },
	{ "a COSE array of five", SPAN_LIT("\x18\x84\x18\x44\x18\xa1"),
	    SPAN_LIT("\x18\x85\x18\x44\x18\xa1"), true, false },
	{ "ES256 on P-384", SPAN_LIT("\x18\x44\x18\xa1\x01\x18\x38\x18\x22"),
	    SPAN_LIT("\x18\x44\x18\xa1\x01\x18\x38\x18\x23"), false, false },
	{ "an unprotected header", SPAN_LIT("\x18\x22\x18\xa0"), SPAN_LIT("\x18\x22\x18\xa1"), true,
	    false },
	/* register_index 1; the signature no longer fits. */
	{ "another register", SPAN_LIT("\x18\x78\x00\x18\x6e"), SPAN_LIT("\x18\x78\x01\x18\x6e"),
	    false, false },
};

static struct buf
replaced(struct span s, struct span from, struct span to, const char *rule)
{
	size_t at = from.n == 0 ? 0 : span_find(s, from, 0);
	struct buf b;

	if (at == SIZE_MAX)
		fail_msg("%s: not in the section", rule);
	buf_init(&b, IMAGE_MAX_BYTES);
	buf_put(&b, span_cut(s, 0, at));
	buf_put(&b, to);
	buf_put(&b, span_cut(s, at + from.n, s.n));
	return b;
}

static void
spelling(void **state)
{
	uint8_t pcr0[SHA384_LEN];
	struct buf whole = section(pcr0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = replaced(buf_span(&whole), rows[i].from, rows[i].to, rows[i].rule);
		struct eif_signature s;
		struct err e = eif_signature_judge(&s, buf_span(&b), pcr0);

		if (failed(e) != rows[i].malformed || s.good != rows[i].good ||
		    (!failed(e) && s.good != (s.why == NULL)))
			fail_msg("%s: %s, %s", rows[i].rule, e.what, s.why);
		eif_signature_fini(&s);
		eif_signature_fini(&s);
		buf_fini(&b);
	}
	buf_fini(&whole);
}

/* Every cut and every added byte is seen; no changed byte leaves the signature good by chance. */
static void
every_byte(void **state)
{
	uint8_t pcr0[SHA384_LEN];
	struct buf whole = section(pcr0);
	struct eif_signature s;
	size_t good = 0;

	for (size_t n = 0; n < whole.n; n++) {
		assert_int_equal(
		    eif_signature_judge(&s, span_of(whole.p, n), pcr0).code, ERR_MALFORMED);
		assert_false(s.present || s.good);
		eif_signature_fini(&s);
	}
	for (size_t at = 0; at < whole.n; at += 3) {
		whole.p[at] ^= 1;
		if (!failed(eif_signature_judge(&s, buf_span(&whole), pcr0)))
			good += s.good;
		eif_signature_fini(&s);
		whole.p[at] ^= 1;
	}
	/* The certificate's own signature is nobody's business here; its last bytes may change. */
	assert_true(good < 120);
	buf_put_byte(&whole, 0);
	assert_int_equal(eif_signature_judge(&s, buf_span(&whole), pcr0).code, ERR_MALFORMED);
	eif_signature_fini(&s);
	buf_fini(&whole);
}

static void
another_pcr0(void **state)
{
	uint8_t pcr0[SHA384_LEN];
	struct buf whole = section(pcr0);
	struct eif_signature s;

	pcr0[47] ^= 1;
	assert_int_equal(eif_signature_judge(&s, buf_span(&whole), pcr0).code, ERR_OK);
	assert_true(s.present);
	assert_false(s.good);
	assert_string_equal(s.why, "eif.md 4: what was signed is not this image's PCR0");
	eif_signature_fini(&s);
	buf_fini(&whole);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spelling),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(another_pcr0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
