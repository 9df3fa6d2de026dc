/* RSA-PSS: the recorded signatures, and everything that is nearly one. */
#include "crypto/pss.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "codec/b64.h"
#include "../vectors.h"

static struct vectors v;

static int
set_up(void **state)
{
	vectors_open(&v, "signing/responses.json");
	return 0;
}

static int
tear_down(void **state)
{
	vectors_close(&v);
	return 0;
}

static struct pss_pub *
vector_key(void)
{
	struct span der = vectors_hex(&v, 0, "public_key_spki_der_hex");
	struct pss_pub *pub;

	assert_int_equal(pss_pub_parse(&pub, der).code, ERR_OK);
	return pub;
}

static void
check_list(const char *list, enum err_code want)
{
	uint32_t at = vectors_get(&v, 0, list);
	struct pss_pub *pub = vector_key();
	unsigned seen = 0;

	for (uint32_t c = json_first(&v.doc, at); c != JSON_NONE; c = json_after(&v.doc, at, c)) {
		struct span msg = vectors_hex(&v, c, "msg_hash");
		struct span text = vectors_text(&v, c, "example_tee_signature_b64");
		struct buf sig;

		buf_init(&sig, 1024);
		assert_int_equal(b64_parse(&sig, text).code, ERR_OK);
		if (pss_verify(pub, msg, buf_span(&sig)).code != want)
			fail_msg("%s", (const char *)vectors_text(&v, c, "name").p);
		buf_fini(&sig);
		seen++;
	}
	assert_true(seen > 0);
	pss_pub_free(pub);
}

static void
recorded_signatures(void **state)
{
	check_list("vectors", ERR_OK);
}

static void
recorded_forgery(void **state)
{
	uint32_t at = vectors_get(&v, 0, "negative");

	assert_true(json_first(&v.doc, at) != JSON_NONE);
	check_list("negative", ERR_REFUSED);
}

/* The vectors' private key, for signatures of other kinds than ours. */
static EVP_PKEY *
vector_private_key(void)
{
	struct span pem = vectors_text(&v, 0, "test_private_key_pem");
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(pkey);
	return pkey;
}

static const struct {
	const char *rule;
	int padding, salt;
	const EVP_MD *(*md)(void), *(*mgf1)(void);
	enum err_code want;
} kinds[] = {
	{ "4.3: salt of 32 bytes", RSA_PKCS1_PSS_PADDING, 32, EVP_sha256, EVP_sha256, ERR_OK },
	{ "4.3: no salt", RSA_PKCS1_PSS_PADDING, 0, EVP_sha256, EVP_sha256, ERR_REFUSED },
	{ "4.3: salt of 31 bytes", RSA_PKCS1_PSS_PADDING, 31, EVP_sha256, EVP_sha256, ERR_REFUSED },
	{ "4.3: the longest salt", RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_MAX, EVP_sha256,
	    EVP_sha256, ERR_REFUSED },
	{ "4.3: MGF1 with SHA-1", RSA_PKCS1_PSS_PADDING, 32, EVP_sha256, EVP_sha1, ERR_REFUSED },
	{ "4.3: SHA-512", RSA_PKCS1_PSS_PADDING, 32, EVP_sha512, EVP_sha512, ERR_REFUSED },
	{ "4.3: PKCS #1 v1.5", RSA_PKCS1_PADDING, 0, EVP_sha256, NULL, ERR_REFUSED },
};

static void
other_kinds(void **state)
{
	EVP_PKEY *pkey = vector_private_key();
	struct pss_pub *pub = vector_key();
	struct span msg = SPAN_LIT("message");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pctx;
		uint8_t sig[PSS_SIG_LEN];
		size_t n = sizeof(sig);

		assert_int_equal(EVP_DigestSignInit(ctx, &pctx, kinds[i].md(), NULL, pkey), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, kinds[i].padding), 1);
		if (kinds[i].mgf1 != NULL) {
			assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, kinds[i].mgf1()), 1);
			assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, kinds[i].salt), 1);
		}
		assert_int_equal(EVP_DigestSign(ctx, sig, &n, msg.p, msg.n), 1);
		if (pss_verify(pub, msg, span_of(sig, n)).code != kinds[i].want)
			fail_msg("%s", kinds[i].rule);
		EVP_MD_CTX_free(ctx);
	}
	EVP_PKEY_free(pkey);
	pss_pub_free(pub);
}

static void
sign_and_verify(void **state)
{
	uint8_t sig[PSS_SIG_LEN + 1] = { 0 };
	struct pss_pub *pub;
	struct pss_key *key;
	struct buf spki;

	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(pss_key_generate(&key).code, ERR_OK);
	assert_int_equal(pss_key_spki(key, &spki).code, ERR_OK);
	assert_int_equal(pss_pub_parse(&pub, buf_span(&spki)).code, ERR_OK);
	assert_int_equal(pss_sign(key, SPAN_LIT("one"), sig).code, ERR_OK);
	assert_int_equal(pss_verify(pub, SPAN_LIT("one"), span_of(sig, PSS_SIG_LEN)).code, ERR_OK);
	assert_int_equal(
	    pss_verify(pub, SPAN_LIT("two"), span_of(sig, PSS_SIG_LEN)).code, ERR_REFUSED);
	/* RFC 8017 8.1.2 step 1: the length is the key's. */
	assert_int_equal(
	    pss_verify(pub, SPAN_LIT("one"), span_of(sig, PSS_SIG_LEN - 1)).code, ERR_REFUSED);
	assert_int_equal(
	    pss_verify(pub, SPAN_LIT("one"), span_of(sig, PSS_SIG_LEN + 1)).code, ERR_REFUSED);
	assert_int_equal(pss_verify(pub, SPAN_LIT("one"), SPAN_NONE).code, ERR_REFUSED);
	pss_pub_free(pub);
	pss_key_free(key);
	pss_key_free(NULL);
	pss_pub_free(NULL);
	buf_fini(&spki);
}

struct signer {
	const struct pss_key *key;
	const struct pss_pub *pub;
	unsigned good;
};

static void *
sign_many(void *arg)
{
	struct signer *s = arg;

	for (uint8_t i = 0; i < 20; i++) {
		uint8_t sig[PSS_SIG_LEN];
		struct span msg = span_of(&i, 1);

		if (!failed(pss_sign(s->key, msg, sig)) &&
		    !failed(pss_verify(s->pub, msg, span_of(sig, sizeof(sig)))))
			s->good++;
	}
	return NULL;
}

static void
threads_at_once(void **state)
{
	enum { THREADS = 4 };
	struct signer signer[THREADS];
	pthread_t thread[THREADS];
	struct pss_pub *pub;
	struct pss_key *key;
	struct buf spki;

	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	assert_int_equal(pss_key_generate(&key).code, ERR_OK);
	assert_int_equal(pss_key_spki(key, &spki).code, ERR_OK);
	assert_int_equal(pss_pub_parse(&pub, buf_span(&spki)).code, ERR_OK);
	for (int i = 0; i < THREADS; i++) {
		signer[i] = (struct signer){ .key = key, .pub = pub };
		assert_int_equal(pthread_create(&thread[i], NULL, sign_many, &signer[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(signer[i].good, 20);
	}
	pss_pub_free(pub);
	pss_key_free(key);
	buf_fini(&spki);
}

/* SPKI of a key made here; freed with OPENSSL_free(). */
static struct span
spki_of(EVP_PKEY *pkey)
{
	unsigned char *der = NULL;
	int n;

	assert_non_null(pkey);
	n = i2d_PUBKEY(pkey, &der);
	EVP_PKEY_free(pkey);
	assert_true(n > 0);
	return span_of(der, (size_t)n);
}

static EVP_PKEY *
rsa_key(unsigned bits, unsigned exponent)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *e = BN_new();
	EVP_PKEY *pkey = NULL;

	BN_set_word(e, exponent);
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits), 1);
	assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &pkey), 1);
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static void
other_keys(void **state)
{
	const struct {
		const char *rule;
		struct span der;
	} rows[] = {
		{ "1: P-256 is no RSA key", spki_of(EVP_EC_gen("P-256")) },
		{ "1: Ed25519 is no RSA key", spki_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")) },
		{ "1: 1024 bits", spki_of(rsa_key(1024, 65537)) },
		{ "1: 2047 bits", spki_of(rsa_key(2047, 65537)) },
		{ "1: e = 3", spki_of(rsa_key(2048, 3)) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pss_pub *pub;

		if (pss_pub_parse(&pub, rows[i].der).code != ERR_REFUSED || pub != NULL)
			fail_msg("%s", rows[i].rule);
		OPENSSL_free((void *)(uintptr_t)rows[i].der.p);
	}
}

static void
encodings(void **state)
{
	struct span der = vectors_hex(&v, 0, "public_key_spki_der_hex");
	uint8_t copy[512];
	struct pss_pub *pub;

	assert_true(der.n + 3 < sizeof(copy));
	for (size_t n = 0; n < der.n; n++)
		assert_int_equal(pss_pub_parse(&pub, span_cut(der, 0, n)).code, ERR_MALFORMED);
	memcpy(copy, der.p, der.n);
	copy[der.n] = 0;
	assert_int_equal(pss_pub_parse(&pub, span_of(copy, der.n + 1)).code, ERR_MALFORMED);
	/* X.690 10.1: the length in the fewest bytes; 30 82 01 22 as 30 83 00 01 22. */
	memmove(copy + 3, der.p + 2, der.n - 2);
	copy[1] = 0x83;
	copy[2] = 0;
	assert_int_equal(pss_pub_parse(&pub, span_of(copy, der.n + 1)).code, ERR_MALFORMED);
	assert_null(pub);
}

static void
assert_pem(const char *rule, const struct buf *text, enum err_code want)
{
	struct span der = vectors_hex(&v, 0, "public_key_spki_der_hex");
	struct pss_pub *pub;
	struct buf spki;

	buf_init(&spki, RSA_SPKI_MAX_BYTES);
	if (pss_pub_from_pem(&pub, buf_span(text), &spki).code != want)
		fail_msg("%s", rule);
	assert_true((pub != NULL) == (want == ERR_OK));
	assert_true(span_eq(buf_span(&spki), want == ERR_OK ? der : SPAN_NONE));
	pss_pub_free(pub);
	buf_fini(&spki);
}

static void
pem_forms(void **state)
{
	struct span pem = vectors_text(&v, 0, "public_key_pem");
	struct buf text;

	buf_init(&text, 4096);
	assert_pem("RFC 7468: nothing", &text, ERR_MALFORMED);
	buf_put(&text, pem);
	assert_pem("RFC 7468: one block", &text, ERR_OK);
	buf_put_str(&text, "\n \n");
	assert_pem("RFC 7468: white space after it", &text, ERR_OK);
	buf_put_str(&text, "x");
	assert_pem("RFC 7468: text after it", &text, ERR_MALFORMED);
	buf_truncate(&text, text.n - 1);
	buf_put(&text, pem);
	assert_pem("RFC 7468: two blocks", &text, ERR_MALFORMED);
	buf_clear(&text);
	buf_put_str(&text, "x\n");
	buf_put(&text, pem);
	assert_pem("RFC 7468: text before it", &text, ERR_MALFORMED);
	buf_clear(&text);
	buf_put(&text, pem);
	text.p[40] = '*';
	assert_pem("RFC 7468: not base64", &text, ERR_MALFORMED);
	buf_clear(&text);
	buf_put(&text, vectors_text(&v, 0, "test_private_key_pem"));
	assert_pem("RFC 7468: a private key", &text, ERR_MALFORMED);
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_signatures),
		cmocka_unit_test(recorded_forgery),
		cmocka_unit_test(other_kinds),
		cmocka_unit_test(sign_and_verify),
		cmocka_unit_test(threads_at_once),
		cmocka_unit_test(other_keys),
		cmocka_unit_test(encodings),
		cmocka_unit_test(pem_forms),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
