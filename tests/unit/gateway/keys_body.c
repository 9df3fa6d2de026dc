/* The JSON of a provisioning. Source: P1, M6; opengradient.md 9. */
#include "gateway/keys_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/gateway.h"

#define ADDRESS "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

static const struct options local = { .pay_to = { { 1 } }, .payments = true };

static struct settings *
read_it(const char *text, const struct keys_rules *rules, struct refusal *no)
{
	struct settings *s;

	*no = (struct refusal){ 0 };
	assert_int_equal(settings_default(&s, &local).code, ERR_OK);
	if (keys_read(s, span_str(text), rules, no))
		return s;
	settings_free(s);
	return NULL;
}

static const struct {
	const char *rule, *text, *code, *param; /* code NULL: taken */
} rows[] = {
	{ "one key", "{\"openai_api_key\":\"k\"}", NULL, NULL },
	{ "an escape in it", "{\"openai_api_key\":\"\\u006b\"}", NULL, NULL },
	{ "a setting alone", "{\"pay_to\":\"" ADDRESS "\"}", NULL, NULL },
	{ "seconds as text", "{\"tee_heartbeat_buffer\":\"0\"}", NULL, NULL },
	{ "P1: unset beside set", "{\"xai_api_key\":\"\",\"openai_api_key\":\"k\"}", NULL, NULL },
	{ "nothing set", "{\"xai_api_key\":\"\"}", "invalid_value", "" },
	{ "an empty object", "{}", "invalid_value", "" },
	{ "a list", "[]", "invalid_json", "" },
	{ "two objects", "{}{}", "invalid_json", "" },
	{ "P1: unknown", "{\"openrouter_api_key\":\"k\"}", "unsupported_parameter",
	    "openrouter_api_key" },
	{ "a known name in capitals", "{\"OPENAI_API_KEY\":\"k\"}", "unsupported_parameter",
	    "OPENAI_API_KEY" },
	{ "twice", "{\"xai_api_key\":\"k\",\"xai_api_key\":\"l\"}", "invalid_json", "" },
	{ "a space", "{\"xai_api_key\":\"a b\"}", "invalid_value", "xai_api_key" },
	{ "not ASCII", "{\"xai_api_key\":\"\xc3\xa4\"}", "invalid_value", "xai_api_key" },
	{ "a NUL", "{\"xai_api_key\":\"a\\u0000\"}", "invalid_value", "xai_api_key" },
	{ "a key in a list", "{\"xai_api_key\":[\"k\"]}", "invalid_value", "xai_api_key" },
	{ "seconds below", "{\"tee_heartbeat_interval\":0}", "invalid_value",
	    "tee_heartbeat_interval" },
	{ "seconds above", "{\"tee_heartbeat_interval\":86401}", "invalid_value",
	    "tee_heartbeat_interval" },
	{ "K3: above 1500", "{\"tee_heartbeat_buffer\":1501}", "invalid_value",
	    "tee_heartbeat_buffer" },
	{ "negative", "{\"tee_heartbeat_buffer\":-1}", "invalid_value", "tee_heartbeat_buffer" },
	{ "1e3", "{\"tee_heartbeat_buffer\":1e3}", "invalid_value", "tee_heartbeat_buffer" },
};

static void
strict(void **state)
{
	const struct keys_rules rules = { .enclave = false };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refusal no;
		struct settings *s = read_it(rows[i].text, &rules, &no);

		if ((s != NULL) != (rows[i].code == NULL))
			fail_msg("%s: %s", rows[i].rule, no.message);
		if (s == NULL) {
			assert_int_equal(no.status, 400);
			assert_string_equal(no.code, rows[i].code);
			assert_string_equal(no.param, rows[i].param);
		}
		settings_free(s);
	}
}

static void
everything(void **state)
{
	const struct keys_rules rules = { .enclave = false };
	struct refusal no;
	struct settings *s = read_it(
	    "{\"openai_api_key\":\"a\",\"anthropic_api_key\":\"b\","
	    "\"google_api_key\":\"c\",\"xai_api_key\":\"d\","
	    "\"bytedance_api_key\":\"e\",\"nous_api_key\":\"f\","
	    "\"pay_to\":\"" ADDRESS "\",\"public_url\":\"https://n/\","
	    "\"facilitator_url\":\"http://f\",\"heartbeat_contract_address\":"
	    "\"" ADDRESS "\",\"tee_heartbeat_interval\":\"7\","
	    "\"tee_heartbeat_buffer\":1500}",
	    &rules, &no);
	struct buf answer;

	assert_non_null(s);
	assert_string_equal(s->auth[PROVIDER_ANTHROPIC], "x-api-key: b");
	assert_string_equal(s->auth[PROVIDER_BYTEDANCE], "Authorization: Bearer e");
	assert_string_equal(s->pay_to, ADDRESS);
	assert_string_equal(s->public_url, "https://n");
	assert_string_equal(s->facilitator_url, "http://f");
	assert_string_equal(s->heartbeat_contract, ADDRESS);
	assert_int_equal(s->heartbeat_interval_s, 7);
	assert_int_equal(s->heartbeat_buffer_s, 1500);
	assert_true(s->payments);
	buf_init(&answer, 512);
	keys_put_answer(&answer, s);
	assert_true(span_eq(buf_span(&answer),
	    SPAN_LIT("{\"status\":\"ok\",\"providers_initialized\":[\"openai\",\"anthropic\","
		     "\"google\",\"xai\",\"bytedance\",\"nous\"],\"heartbeat_enabled\":true}")));
	buf_fini(&answer);
	settings_free(s);
}

/* M6: what clients of an enclave rely on is measured. */
static void
facilitators(void **state)
{
	static const struct shop_policy policy = { .facilitator = { SPAN_LIT("https://a.example") },
		.n_facilitators = 1 };
	const struct keys_rules rules = { .enclave = true, .policy = &policy };
	static const struct {
		const char *text;
		bool taken;
	} said[] = {
		{ "{\"facilitator_url\":\"https://a.example/\"}", true },
		{ "{\"facilitator_url\":\"https://a.example/x\"}", false },
		{ "{\"facilitator_url\":\"http://b.example\"}", false },
		{ "{\"facilitator_url\":\"https://c.example\"}", false },
		{ "{\"openai_api_key\":\"k\"}", true },
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct refusal no;
		struct settings *s = read_it(said[i].text, &rules, &no);

		if ((s != NULL) != said[i].taken)
			fail_msg("%s", said[i].text);
		settings_free(s);
	}
}

static void
policies(void **state)
{
	static const struct {
		const char *rule, *text;
		enum err_code want;
		struct policy_provisioning p;
	} policy[] = {
		{ "both, unless it says otherwise", "{\"schema\":1}", ERR_OK,
		    { true, true, false } },
		{ "sealed alone", "{\"schema\":1,\"provisioning\":[\"sealed\"]}", ERR_OK,
		    { false, true, false } },
		{ "none", "{\"schema\":1,\"provisioning\":[]}", ERR_OK, { false, false, false } },
		{ "P4", "{\"schema\":1,\"provisioning_in_debug_mode\":true}", ERR_OK,
		    { true, true, true } },
		{ "a form nobody knows", "{\"schema\":1,\"provisioning\":[\"x\"]}", ERR_REFUSED,
		    { 0 } },
		{ "no list", "{\"schema\":1,\"provisioning\":\"plain\"}", ERR_REFUSED, { 0 } },
		{ "neither true nor false", "{\"schema\":1,\"provisioning_in_debug_mode\":1}",
		    ERR_REFUSED, { 0 } },
	};

	for (size_t i = 0; i < sizeof(policy) / sizeof(policy[0]); i++) {
		struct policy_provisioning p;
		struct span text = span_str(policy[i].text);
		struct err e = policy_check(text);

		if (!failed(e))
			e = policy_provisioning_read(&p, text);
		if (e.code != policy[i].want)
			fail_msg("%s: code %d", policy[i].rule, (int)e.code);
		if (!failed(e) &&
		    (p.plain != policy[i].p.plain || p.sealed != policy[i].p.sealed ||
			p.debug != policy[i].p.debug))
			fail_msg("%s", policy[i].rule);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strict),
		cmocka_unit_test(everything),
		cmocka_unit_test(facilitators),
		cmocka_unit_test(policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
