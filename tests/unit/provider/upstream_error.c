#include "provider/upstream_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/buf.h"
#include "provider/retry_after.h"
#include "provider/scrub.h"

#define KEY    "marker/key:of+ours"
#define UNTOLD "This gateway's account at the provider is exhausted."

static const struct {
	const char *rule;
	unsigned status;
	const char *body;
	unsigned want_status;
	const char *type, *code, *message; /* message NULL: not looked at */
	bool read;
} rows[] = {
	/* The error table, by status alone: bodies that say nothing. */
	{ "E2: 400, empty body", 400, "", 400, "invalid_request_error", "",
	    "The provider does not take the request.", false },
	{ "E2: 413 stays 413", 413, "", 413, "invalid_request_error", "", NULL, false },
	{ "E2: 422 is 400", 422, "", 400, "invalid_request_error", "", NULL, false },
	{ "E2: 401 is the operator's fault", 401, "", 502, "upstream_error",
	    "upstream_authentication", NULL, false },
	{ "E2: 403 is the operator's fault", 403, "<html>Forbidden</html>", 502, "upstream_error",
	    "upstream_authentication", "The provider does not accept this gateway's key.", false },
	{ "E2: 402 is never passed on", 402, "", 502, "upstream_error", "upstream_quota_exhausted",
	    UNTOLD, false },
	{ "E2: 404", 404, "", 404, "not_found_error", "upstream_model_not_found", NULL, false },
	{ "E2: 408", 408, "", 504, "upstream_timeout", "upstream_timeout", NULL, false },
	{ "E2: 504", 504, "<html>", 504, "upstream_timeout", "upstream_timeout", NULL, false },
	{ "E2: 409", 409, "", 429, "rate_limit_error", "rate_limit_exceeded", NULL, false },
	{ "E2: 429", 429, "", 429, "rate_limit_error", "rate_limit_exceeded", NULL, false },
	{ "E2: 503", 503, "", 503, "overloaded_error", "overloaded", NULL, false },
	{ "E2: 529", 529, "", 503, "overloaded_error", "overloaded", NULL, false },
	{ "E2: 500", 500, "", 502, "upstream_error", "upstream_error", "The provider failed.",
	    false },
	{ "E2: any other status", 302, "", 502, "upstream_error", "upstream_error", NULL, false },
	{ "E2: any other status", 418, "{}", 502, "upstream_error", "upstream_error", NULL, false },
	{ "half a character is no text", 400, "{\"error\":{\"message\":\"\xe2\x82", 400,
	    "invalid_request_error", "", "The provider does not take the request.", false },
	{ "JSON that is no error", 400, "[]", 400, "invalid_request_error", "", NULL, false },
	{ "JSON that is no error", 400, "7", 400, "invalid_request_error", "", NULL, false },
	{ "an empty error object", 400, "{\"error\":{}}", 400, "invalid_request_error", "",
	    "The provider does not take the request.", true },
	/* Shapes of providers.md 2.1. */
	{ "OpenAI's shape", 400,
	    "{\"error\":{\"message\":\"Too long\",\"type\":\"invalid_request_error\",\"param\":"
	    "\"messages\",\"code\":\"context_length_exceeded\"}}",
	    400, "invalid_request_error", "context_length_exceeded", "Too long", true },
	{ "OpenAI: code null stays null", 400,
	    "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"code\":null}}", 400,
	    "invalid_request_error", "", "m", true },
	{ "OpenAI: insufficient_quota is no rate limit", 429,
	    "{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":"
	    "\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
	    502, "upstream_error", "upstream_quota_exhausted", UNTOLD, true },
	{ "OpenAI: the organisation is taken out", 429,
	    "{\"error\":{\"message\":\"Rate limit reached in organization org-a1B2c3D4 on TPM.\","
	    "\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
	    429, "rate_limit_error", "rate_limit_exceeded",
	    "Rate limit reached in organization [removed] on TPM.", true },
	{ "xAI: error is a string, code a phrase", 400,
	    "{\"code\":\"Client specified an invalid argument\",\"error\":\"No presencePenalty.\"}",
	    400, "invalid_request_error", "client_specified_an_invalid_argument",
	    "No presencePenalty.", true },
	{ "xAI: error alone", 400, "{\"error\":\"text\"}", 400, "invalid_request_error", "", "text",
	    true },
	{ "xAI: credits are quota", 429,
	    "{\"code\":\"Some resource has been exhausted\",\"error\":\"Your team has either used "
	    "all available credits or\"}",
	    502, "upstream_error", "upstream_quota_exhausted", UNTOLD, true },
	{ "Ark: dotted codes in snake form", 400,
	    "{\"error\":{\"code\":\"InvalidParameter.RPMExceeded\",\"message\":\"m\",\"param\":\"\""
	    ",\"type\":\"BadRequest\"}}",
	    400, "invalid_request_error", "invalid_parameter_rpm_exceeded", "m", true },
	{ "Ark: overdue is quota, though 403", 403,
	    "{\"error\":{\"code\":\"AccountOverdueError\",\"message\":\"m\"}}", 502,
	    "upstream_error", "upstream_quota_exhausted", UNTOLD, true },
	{ "Ark: a filtered prompt", 400,
	    "{\"error\":{\"code\":\"InputTextSensitiveContentDetected\",\"message\":\"m\"}}", 400,
	    "invalid_request_error", "input_text_sensitive_content_detected", "m", true },
	{ "aggregators: numeric code is text", 400,
	    "{\"error\":{\"code\":1234,\"message\":\"m\",\"metadata\":{}}}", 400,
	    "invalid_request_error", "1234", "m", true },
	{ "Nous: an x402 envelope is not passed on", 402,
	    "{\"x402Version\":1,\"error\":\"Payment required\",\"accepts\":[{\"payTo\":\"p\"}]}",
	    502, "upstream_error", "upstream_quota_exhausted", UNTOLD, true },
	{ "Gemini: a bad key is 400", 400,
	    "{\"error\":{\"code\":400,\"message\":\"API key not valid\",\"status\":"
	    "\"INVALID_ARGUMENT\",\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}",
	    502, "upstream_error", "upstream_authentication", NULL, true },
	{ "Gemini: array-wrapped", 400,
	    "[{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}]", 400,
	    "invalid_request_error", "invalid_argument", "m", true },
	{ "Anthropic: overloaded", 529,
	    "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Over\"}}",
	    503, "overloaded_error", "overloaded", "Over", true },
	{ "Anthropic: low balance as 400", 400,
	    "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is "
	    "too low to access\"}}",
	    502, "upstream_error", "upstream_quota_exhausted", UNTOLD, true },
	{ "FastAPI: detail", 422, "{\"detail\":\"no\"}", 400, "invalid_request_error", "", "no",
	    true },
	{ "500 that says overloaded", 500,
	    "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}", 503,
	    "overloaded_error", "overloaded", "m", true },
	{ "a code that holds a key is none", 400,
	    "{\"error\":{\"code\":\"sk-abcdefgh12345678\",\"message\":\"m\"}}", 400,
	    "invalid_request_error", "", "m", true },
	{ "E1: our key, however it is quoted", 400,
	    "{\"error\":{\"message\":\"bad marker\\/key:of+ours!\"}}", 400, "invalid_request_error",
	    "", "bad [removed]!", true },
	{ "E1: control bytes and lone surrogates", 400,
	    "{\"error\":{\"message\":\"a\\u0000b\\r\\nc\\ud800\"}}", 400, "invalid_request_error",
	    "", "a b  c\xef\xbf\xbd", true },
	/* FLT-14: inside an answer of status 200. */
	{ "FLT-14: an answer is no error", 200, "{\"choices\":[]}", 502, "upstream_error",
	    "upstream_error", NULL, false },
	{ "FLT-14: words of the type", 200,
	    "{\"error\":{\"type\":\"server_error\",\"message\":\"oops\",\"code\":null}}", 502,
	    "upstream_error", "upstream_error", "oops", true },
	{ "FLT-14: a numeric code is a status", 200,
	    "{\"error\":{\"code\":429,\"message\":\"busy\"}}", 429, "rate_limit_error",
	    "rate_limit_exceeded", "busy", true },
	{ "FLT-14: a string code", 200,
	    "{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"busy\"}}", 429,
	    "rate_limit_error", "rate_limit_exceeded", "busy", true },
	{ "FLT-14: the client's fault", 200,
	    "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\","
	    "\"message\":\"long\"}}",
	    400, "invalid_request_error", "context_length_exceeded", "long", true },
	{ "FLT-14: event: error without an error member", 200, "{\"message\":\"gone\"}", 502,
	    "upstream_error", "upstream_error", "gone", true },
	{ "FLT-14: quota inside a stream", 200,
	    "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}", 502,
	    "upstream_error", "upstream_quota_exhausted", UNTOLD, true },
};

static void
maps(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct upstream_refusal in = { .status = rows[i].status,
			.body = span_str(rows[i].body),
			.key = SPAN_LIT(KEY) };
		bool waits = rows[i].want_status == 429 || rows[i].want_status == 503;
		struct upstream_error e;

		upstream_error_read(&e, &in);
		if (e.status != rows[i].want_status || strcmp(e.type, rows[i].type) != 0 ||
		    strcmp(e.code, rows[i].code) != 0 || e.read != rows[i].read ||
		    (rows[i].message != NULL && strcmp(e.message, rows[i].message) != 0))
			fail_msg("%s (%s): %u %s \"%s\" \"%s\" %d", rows[i].rule, rows[i].body,
			    e.status, e.type, e.code, e.message, e.read);
		assert_true(e.message[0] != '\0');
		assert_int_equal(e.retry_after_s, waits ? UPSTREAM_RETRY_AFTER_S : 0);
	}
}

static void
long_messages(void **state)
{
	struct upstream_refusal in = { .status = 400, .key = SPAN_LIT(KEY) };
	struct upstream_error e;
	struct buf b;

	/* The cut falls into a character of three bytes, and a key stands where reading ends. */
	buf_init(&b, 1 << 20);
	buf_put_str(&b, "{\"error\":{\"param\":\"p\",\"message\":\"a");
	for (int i = 0; i < 2720; i++)
		buf_put_str(&b, "\xe2\x82\xac");
	buf_put_str(&b, " " KEY KEY KEY KEY "\"}}");
	in.body = buf_span(&b);
	upstream_error_read(&e, &in);
	assert_int_equal(strlen(e.message), 2047);
	assert_string_equal(e.param, "p");
	assert_memory_equal(e.message + 2044, "\xe2\x82\xac", 3);
	assert_null(strstr(e.message, "marker"));
	buf_fini(&b);
}

static const struct {
	const char *rule, *after, *ms, *body;
	unsigned want;
} waits[] = {
	{ "seconds", "2", NULL, "", 2 },
	{ "a fraction counts as one more", "1.25", NULL, "", 2 },
	{ "zero would be no field", "0", NULL, "", 1 },
	{ "milliseconds win", "7", "1500", "", 2 },
	{ "nonsense in one is not the other's", "7", "-3", "", 7 },
	{ "RFC 9110 5.6.7: a date ahead", "Sun, 06 Nov 1994 08:49:47 GMT", NULL, "", 10 },
	{ "RFC 9110 5.6.7: a date that has passed", "Sun, 06 Nov 1994 08:00:00 GMT", NULL, "", 1 },
	{ "a date that is none", "Sun, 36 Nov 1994 08:00:00 GMT", NULL, "", 5 },
	{ "a month that is none", "Sun, 06 Abc 1994 08:00:00 GMT", NULL, "", 5 },
	{ "negative", "-1", NULL, "", 5 },
	{ "words", "soon", NULL, "", 5 },
	{ "a day at most", "90000", NULL, "", 86400 },
	{ "a year of an endless date", "Fri, 31 Dec 9999 23:59:59 GMT", NULL, "", 86400 },
	{ "RetryInfo in the body", NULL, NULL,
	    "{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota\",\"status\":"
	    "\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"x\"},{\"retryDelay\":\"34.4s\"}]}}",
	    35 },
	{ "RetryInfo that is none", NULL, NULL,
	    "{\"error\":{\"details\":[{\"retryDelay\":\"long\"}]}}", 5 },
};

static void
retries(void **state)
{
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		struct upstream_refusal in = { .status = 429,
			.body = span_str(waits[i].body),
			.retry_after = span_str(waits[i].after),
			.retry_after_ms = span_str(waits[i].ms),
			.now_unix_s = 784111777 };
		struct upstream_error e;

		upstream_error_read(&e, &in);
		if (e.status != 429 || e.retry_after_s != waits[i].want)
			fail_msg("%s: %u, %u s", waits[i].rule, e.status, e.retry_after_s);
	}
}

static const struct {
	const char *text, *want;
} scrubbed[] = {
	{ "Use gpt-4.1-2025-04-14, grok-4-1-fast-non-reasoning or seed-2-0-lite-260228.", NULL },
	{ "user-defined key-value team-based sk-", NULL },
	{ "messages[0].content[1]: 'max_tokens' is 4096 > 2048 (50%)!", NULL },
	{ "Gr\xc3\xbc\xc3\x9f"
	  "e: internationalisation",
	    NULL },
	{ "key sk-proj-abcdefgh.", "key [removed]." },
	{ "sk-ab****wxyz: bad", "[removed]: bad" },
	{ "Bearer xai-abcdefgh", "Bearer [removed]" },
	{ "key=AIzaSyA1234", "[removed]" },
	{ "team 3fa85f64-5717-4562-b3fc-2c963f66afa6!", "team [removed]!" },
	{ "id 0123456789abcdef0123", "id [removed]" },
	{ "see https://api.example/v1?key=1, now", "see [removed], now" },
	{ "ask ops@example.com.", "ask [removed]." },
	{ "user-AbC123", "[removed]" },
};

static void
scrubs(void **state)
{
	for (size_t i = 0; i < sizeof(scrubbed) / sizeof(scrubbed[0]); i++) {
		const char *want = scrubbed[i].want != NULL ? scrubbed[i].want : scrubbed[i].text;
		struct buf b;

		buf_init(&b, 4096);
		scrub_put(&b, span_str(scrubbed[i].text), SPAN_NONE);
		if (!span_eq(buf_span(&b), span_str(want)))
			fail_msg("%s: %.*s", scrubbed[i].text, (int)b.n, (char *)b.p);
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps),
		cmocka_unit_test(long_messages),
		cmocka_unit_test(retries),
		cmocka_unit_test(scrubs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
