/* What an operator tells the gateway, there and back. Source: K3, P1; interfaces.md section 2. */
#include "gateway/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/limits.h"
#include "gateway/options.h"

#define CONTRACT "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

static struct settings *
full(void)
{
	struct settings *s = settings_new();

	assert_non_null(s);
	s->how = PROVISIONING_SEALED;
	s->payments = true;
	s->heartbeat_interval_s = 900;
	s->heartbeat_buffer_s = 300;
	assert_true(address_parse(&s->pay_to_address, span_str(CONTRACT)));
	address_text(&s->pay_to_address, s->pay_to);
	settings_put_text(s->public_url, sizeof(s->public_url), SPAN_LIT("https://a.example"));
	settings_put_text(
	    s->facilitator_url, sizeof(s->facilitator_url), SPAN_LIT("http://127.0.0.1:9/x"));
	settings_put_text(s->heartbeat_contract, sizeof(s->heartbeat_contract), SPAN_LIT(CONTRACT));
	memset(s->provisioner, 'A', SETTINGS_THUMBPRINT_LEN);
	settings_put_key(s, PROVIDER_OPENAI, SPAN_LIT("sk-1"));
	settings_put_key(s, PROVIDER_GOOGLE, SPAN_LIT("g-2"));
	return s;
}

static void
there_and_back(void **state)
{
	struct settings *s = full(), *t;
	struct buf b;

	buf_init(&b, PROVISION_MAX_BYTES);
	settings_encode(&b, s);
	assert_int_equal(settings_parse(&t, buf_span(&b)).code, ERR_OK);
	assert_memory_equal(s, t, sizeof(*s));
	assert_string_equal(t->auth[PROVIDER_OPENAI], "Authorization: Bearer sk-1");
	assert_true(span_eq(settings_key(t, PROVIDER_GOOGLE), SPAN_LIT("g-2")));
	assert_true(settings_serve(t, PROVIDER_OPENAI) && settings_serve(t, PROVIDER_ECHO));
	assert_false(settings_serve(t, PROVIDER_NOUS));
	assert_false(settings_provisioned(NULL));
	settings_free(s);
	settings_free(t);
	buf_fini(&b);
}

/* Every one of them and every length fits. */
static void
the_largest(void **state)
{
	static char key[SETTINGS_KEY_MAX];
	struct settings *s = full(), *t;
	struct buf b;

	memset(key, 'k', sizeof(key));
	memset(s->public_url, 'a', SETTINGS_URL_MAX);
	memcpy(s->public_url, "https://", 8);
	memcpy(s->facilitator_url, s->public_url, sizeof(s->public_url));
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++)
		if (i != PROVIDER_ECHO)
			settings_put_key(s, i, span_of(key, sizeof(key)));
	buf_init(&b, PROVISION_MAX_BYTES);
	settings_encode(&b, s);
	assert_int_equal(buf_check(&b).code, ERR_OK);
	assert_int_equal(settings_parse(&t, buf_span(&b)).code, ERR_OK);
	assert_memory_equal(s, t, sizeof(*s));
	settings_free(s);
	settings_free(t);
	buf_fini(&b);
}

/* No prefix of what is written can be read, nor can it with a byte more. */
static void
cut(void **state)
{
	struct settings *s = full(), *t;
	size_t one_key = 2 + strlen("google") + 2 + strlen("g-2");
	struct buf b;

	buf_init(&b, PROVISION_MAX_BYTES);
	settings_encode(&b, s);
	for (size_t n = 0; n < b.n; n++) {
		bool without_keys = n == b.n - one_key ||
		    n == b.n - one_key - (2 + strlen("openai") + 2 + strlen("sk-1"));

		if (failed(settings_parse(&t, span_of(b.p, n))) != !without_keys)
			fail_msg("%zu of %zu bytes", n, b.n);
		settings_free(t);
	}
	buf_put_byte(&b, 0);
	assert_int_equal(settings_parse(&t, buf_span(&b)).code, ERR_MALFORMED);
	assert_null(t);
	settings_free(s);
	buf_fini(&b);
}

#define HEAD	"\x02\x01\x00\0\0\x03\x84\0\0\x01\x2c"
#define NOTHING "\0\0"
#define NAMES	NOTHING NOTHING NOTHING NOTHING NOTHING

static const struct {
	const char *rule;
	struct span bytes;
	enum err_code want;
} rows[] = {
	{ "nothing is set", SPAN_LIT(HEAD NAMES), ERR_OK },
	{ "one key", SPAN_LIT(HEAD NAMES "\0\x06openai\0\x01k"), ERR_OK },
	{ "another version", SPAN_LIT("\x01\x01\x00\0\0\x03\x84\0\0\x01\x2c" NAMES),
	    ERR_MALFORMED },
	{ "a fifth way", SPAN_LIT("\x02\x04\x00\0\0\x03\x84\0\0\x01\x2c" NAMES), ERR_MALFORMED },
	{ "neither yes nor no", SPAN_LIT("\x02\x01\x02\0\0\x03\x84\0\0\x01\x2c" NAMES),
	    ERR_MALFORMED },
	{ "an address in another spelling",
	    SPAN_LIT(
		HEAD "\0\x2a"
		     "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed" NOTHING NOTHING NOTHING NOTHING),
	    ERR_MALFORMED },
	{ "a URL that is none", SPAN_LIT(HEAD NOTHING "\0\x08http://\"" NOTHING NOTHING NOTHING),
	    ERR_MALFORMED },
	{ "a URL with a slash at its end",
	    SPAN_LIT(HEAD NOTHING "\0\x09http://a/" NOTHING NOTHING NOTHING), ERR_MALFORMED },
	{ "half a thumbprint",
	    SPAN_LIT(HEAD NOTHING NOTHING NOTHING NOTHING "\0\x02"
							  "AA"),
	    ERR_MALFORMED },
	{ "an empty key", SPAN_LIT(HEAD NAMES "\0\x06openai\0\0"), ERR_MALFORMED },
	{ "a key that is two fields", SPAN_LIT(HEAD NAMES "\0\x06openai\0\x05k\r\nx:"),
	    ERR_MALFORMED },
	{ "nobody's key", SPAN_LIT(HEAD NAMES "\0\x06openax\0\x01k"), ERR_MALFORMED },
	{ "a key for who takes none",
	    SPAN_LIT(HEAD NAMES "\0\x04"
				"echo\0\x01k"),
	    ERR_MALFORMED },
	{ "twice", SPAN_LIT(HEAD NAMES "\0\x06openai\0\x01k\0\x06openai\0\x01k"), ERR_MALFORMED },
};

static void
strict(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings *s;
		struct err e = settings_parse(&s, rows[i].bytes);

		if (e.code != rows[i].want)
			fail_msg("%s: code %d", rows[i].rule, (int)e.code);
		settings_free(s);
	}
}

static void
of_options(void **state)
{
	struct options o = { .key = { [PROVIDER_OPENAI] = "sk-1", [PROVIDER_NOUS] = "" },
		.pay_to = { { 1 } },
		.facilitator_url = SPAN_LIT("https://f.example") };
	struct settings *s;

	assert_int_equal(settings_of_environment(&s, &o).code, ERR_OK);
	assert_int_equal(s->how, PROVISIONING_ENVIRONMENT);
	assert_true(span_eq(settings_key(s, PROVIDER_OPENAI), SPAN_LIT("sk-1")));
	/* A key that was wiped from the environment: it was there, and that is published. */
	assert_true(settings_serve(s, PROVIDER_NOUS));
	assert_int_equal(settings_key(s, PROVIDER_NOUS).n, 0);
	assert_string_equal(s->pay_to, "0x0100000000000000000000000000000000000000");
	assert_string_equal(s->facilitator_url, "https://f.example");
	assert_string_equal(s->public_url, "");
	assert_int_equal(s->heartbeat_interval_s, HEARTBEAT_INTERVAL_S);
	settings_free(s);

	o.key[PROVIDER_OPENAI] = o.key[PROVIDER_NOUS] = NULL;
	assert_int_equal(settings_of_environment(&s, &o).code, ERR_OK);
	assert_int_equal(s->how, PROVISIONING_NONE);
	assert_false(settings_provisioned(s));
	settings_free(s);
}

static void
urls(void **state)
{
	static const struct {
		const char *url, *kept; /* NULL: refused */
	} url[] = {
		{ "https://a.example", "https://a.example" },
		{ "http://127.0.0.1:80/v1//", "http://127.0.0.1:80/v1" },
		{ "https://[::1]:443/", "https://[::1]:443" },
		{ "https://", NULL },
		{ "https:///x", NULL },
		{ "https://:443", NULL },
		{ "ftp://a.example", NULL },
		{ "a.example", NULL },
		{ "https://user@a.example", NULL },
		{ "https://a.example?q", NULL },
		{ "https://a.example#f", NULL },
		{ "https://a.example/\"", NULL },
		{ "https://a.example/ x", NULL },
		{ "https://a.ex\xc3\xa4mple", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof(url) / sizeof(url[0]); i++) {
		struct span s = span_str(url[i].url);
		bool fits = settings_url_fits(&s);

		if (fits != (url[i].kept != NULL) || (fits && !span_eq(s, span_str(url[i].kept))))
			fail_msg("%s", url[i].url);
	}
}

static void
addresses(void **state)
{
	static const struct {
		const char *rule, *text;
		bool fits;
	} address[] = {
		{ "EIP-55: the checksum", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", true },
		{ "EIP-55: all capitals by nature", "0x52908400098527886E0F7030069857D2E4169EE7",
		    true },
		{ "small letters claim none", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359", true },
		{ "capitals claim none", "0xDBF03B407C01E7CD3CBEA99509D93F8DDDC8C6FB", true },
		{ "a mistyped digit", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee", false },
		{ "a letter's case", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", false },
		{ "one digit less", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", false },
	};
	struct address a;

	for (size_t i = 0; i < sizeof(address) / sizeof(address[0]); i++)
		if (settings_address_fits(&a, span_str(address[i].text)) != address[i].fits)
			fail_msg("%s", address[i].rule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(the_largest),
		cmocka_unit_test(cut),
		cmocka_unit_test(strict),
		cmocka_unit_test(of_options),
		cmocka_unit_test(urls),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
