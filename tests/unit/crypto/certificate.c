/*
 * The TLS certificate, read back with OpenSSL, and verified with nothing but itself as the root, as
 * clients do that pin it (opengradient.md 1). Also the wallet key and the locked heap.
 */
#include "crypto/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "crypto/heap.h"
#include "crypto/wallet.h"

enum { NOW = 1747000000, DAY_S = 86400 };

struct made {
	X509 *cert;
	EVP_PKEY *key;
};

static struct made
make(bool loopback)
{
	struct buf cert, key;
	const unsigned char *at;
	struct made m;

	buf_init(&cert, CERTIFICATE_MAX_BYTES);
	buf_init(&key, CERTIFICATE_MAX_BYTES);
	assert_int_equal(certificate_make(&cert, &key, loopback, NOW).code, ERR_OK);
	at = cert.p;
	assert_non_null(m.cert = d2i_X509(NULL, &at, (long)cert.n));
	assert_ptr_equal(at, cert.p + cert.n);
	at = key.p;
	assert_non_null(m.key = d2i_AutoPrivateKey(NULL, &at, (long)key.n));
	assert_ptr_equal(at, key.p + key.n);
	buf_fini(&cert);
	buf_fini(&key);
	return m;
}

static void
made_fini(struct made *m)
{
	X509_free(m->cert);
	EVP_PKEY_free(m->key);
}

static void
contents(void **state)
{
	struct made m = make(true), other = make(false);
	char organisation[64];

	assert_int_equal(X509_check_private_key(m.cert, m.key), 1);
	assert_int_equal(X509_check_private_key(m.cert, other.key), 0);
	assert_int_equal(EVP_PKEY_get_bits(m.key), 256);
	assert_int_equal(X509_get_version(m.cert), 2);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(m.cert), NID_organizationName,
			organisation, sizeof(organisation)) > 0);
	assert_string_equal(organisation, "AWS Nitro enclave application");
	assert_int_equal(X509_get_key_usage(m.cert), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(m.cert), XKU_SSL_SERVER);
	assert_int_equal(X509_check_ca(m.cert), 0);
	assert_int_not_equal(
	    ASN1_INTEGER_cmp(X509_get0_serialNumber(m.cert), X509_get0_serialNumber(other.cert)),
	    0);
	made_fini(&m);
	made_fini(&other);
}

static void
names(void **state)
{
	struct made local = make(true), enclave = make(false);

	assert_int_equal(X509_check_host(local.cert, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(local.cert, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(local.cert, "::1", 0), 1);
	assert_int_equal(X509_check_host(local.cert, "example.com", 0, 0, NULL), 0);
	assert_int_equal(X509_check_host(enclave.cert, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(enclave.cert, "127.0.0.1", 0), 0);
	made_fini(&local);
	made_fini(&enclave);
}

static const struct {
	const char *rule;
	long at; /* seconds from its making */
	int want;
} times[] = {
	{ "valid when made", 0, X509_V_OK },
	{ "valid for a client whose clock is late", -600, X509_V_OK },
	{ "valid after 355 days", 355L * DAY_S, X509_V_OK },
	{ "not valid after 357 days", 357L * DAY_S, X509_V_ERR_CERT_HAS_EXPIRED },
	{ "not valid the day before", -1L * DAY_S, X509_V_ERR_CERT_NOT_YET_VALID },
};

static int
verify(X509 *cert, X509 *root, time_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error;

	assert_int_equal(X509_STORE_add_cert(store, root), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
	assert_int_equal(X509_STORE_CTX_set_default(ctx, "ssl_server"), 1);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), at);
	(void)X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}

static void
its_own_anchor(void **state)
{
	struct made m = make(true), other = make(true);

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (verify(m.cert, m.cert, NOW + times[i].at) != times[i].want)
			fail_msg("%s", times[i].rule);
	assert_int_not_equal(verify(other.cert, m.cert, NOW), X509_V_OK);
	made_fini(&m);
	made_fini(&other);
}

static void
wallet(void **state)
{
	uint8_t first[WALLET_POINT_LEN], second[WALLET_POINT_LEN];
	struct wallet_key *k;

	assert_int_equal(wallet_key_generate(&k).code, ERR_OK);
	wallet_key_point(k, first);
	wallet_key_free(k);
	assert_int_equal(wallet_key_generate(&k).code, ERR_OK);
	wallet_key_point(k, second);
	wallet_key_free(k);
	wallet_key_free(NULL);
	assert_memory_not_equal(first, second, sizeof(first));
}

/* With the heap open, keys are made in it; without locked memory they are made all the same. */
static void
heap(void **state)
{
	struct err e = heap_open();
	struct wallet_key *k;
	size_t with_key;

	assert_true(e.code == ERR_OK || e.code == ERR_SYSTEM);
	assert_int_equal(wallet_key_generate(&k).code, ERR_OK);
	with_key = CRYPTO_secure_used(); /* the random generator lives there too */
	wallet_key_free(k);
	if (!failed(e))
		assert_true(CRYPTO_secure_used() < with_key);
	heap_close();
	heap_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap), /* first: nothing may be in OpenSSL's memory yet */
		cmocka_unit_test(contents),
		cmocka_unit_test(names),
		cmocka_unit_test(its_own_anchor),
		cmocka_unit_test(wallet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
