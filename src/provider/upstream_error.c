#include "provider/upstream_error.h"

#include <stdio.h>

#include "core/buf.h"
#include "core/limits.h"
#include "provider/retry_after.h"
#include "provider/scrub.h"

enum { TEXT_MAX_BYTES = 8192, ERROR_MAX_NODES = 65536 };

enum kind {
	KIND_UNKNOWN,
	KIND_INVALID,
	KIND_TOO_LARGE,
	KIND_AUTH,
	KIND_QUOTA,
	KIND_MODEL,
	KIND_TIMEOUT,
	KIND_RATE,
	KIND_OVERLOADED,
	KIND_BROKEN,
};

/* The error table of interfaces.md, after admission. code NULL: the provider's own. */
static const struct {
	unsigned status;
	const char *type, *code, *message;
	bool quotes, waits; /* the provider's message is passed on; Retry-After is sent */
} answers[] = {
	[KIND_INVALID] = { 400, "invalid_request_error", NULL,
	    "The provider does not take the request.", true, false },
	[KIND_TOO_LARGE] = { 413, "invalid_request_error", NULL,
	    "The request is too large for the provider.", true, false },
	/* Whose key it was, and whose money, is nothing to tell a stranger about. */
	[KIND_AUTH] = { 502, "upstream_error", "upstream_authentication",
	    "The provider does not accept this gateway's key.", false, false },
	[KIND_QUOTA] = { 502, "upstream_error", "upstream_quota_exhausted",
	    "This gateway's account at the provider is exhausted.", false, false },
	[KIND_MODEL] = { 404, "not_found_error", "upstream_model_not_found",
	    "The provider no longer has this model.", true, false },
	[KIND_TIMEOUT] = { 504, "upstream_timeout", "upstream_timeout",
	    "The provider did not answer in time.", true, false },
	[KIND_RATE] = { 429, "rate_limit_error", "rate_limit_exceeded",
	    "The provider has had too many requests.", true, true },
	[KIND_OVERLOADED] = { 503, "overloaded_error", "overloaded", "The provider is overloaded.",
	    true, true },
	[KIND_BROKEN] = { 502, "upstream_error", "upstream_error", "The provider failed.", true,
	    false },
};

/* How providers' codes, types and names of status begin, in snake form; the first hit counts. */
static const struct {
	const char *word;
	enum kind kind;
} words[] = {
	{ "insufficient_quota", KIND_QUOTA },
	{ "insufficient_credit", KIND_QUOTA },
	{ "insufficient_balance", KIND_QUOTA },
	{ "quota_exceeded", KIND_QUOTA },
	{ "billing_", KIND_QUOTA },
	{ "account_overdue", KIND_QUOTA },
	{ "payment_required", KIND_QUOTA },
	{ "api_key_invalid", KIND_AUTH },
	{ "invalid_api_key", KIND_AUTH },
	{ "incorrect_api_key", KIND_AUTH },
	{ "authentication", KIND_AUTH },
	{ "invalid_authentication", KIND_AUTH },
	{ "unauthenticated", KIND_AUTH },
	{ "unauthorized", KIND_AUTH },
	{ "permission_", KIND_AUTH },
	{ "access_denied", KIND_AUTH },
	{ "overloaded", KIND_OVERLOADED },
	{ "server_overloaded", KIND_OVERLOADED },
	{ "engine_overloaded", KIND_OVERLOADED },
	{ "unavailable", KIND_OVERLOADED },
	{ "service_unavailable", KIND_OVERLOADED },
	{ "rate_limit", KIND_RATE },
	{ "resource_exhausted", KIND_RATE },
	{ "too_many_requests", KIND_RATE },
	{ "timeout", KIND_TIMEOUT },
	{ "deadline_exceeded", KIND_TIMEOUT },
	{ "gateway_timeout", KIND_TIMEOUT },
	{ "upstream_timeout", KIND_TIMEOUT },
	{ "model_not_found", KIND_MODEL },
	{ "model_not_open", KIND_MODEL },
	{ "not_found", KIND_MODEL },
	{ "invalid_endpoint", KIND_MODEL },
	{ "request_too_large", KIND_TOO_LARGE },
	{ "context_length_exceeded", KIND_INVALID },
	{ "content_policy", KIND_INVALID },
	{ "content_filter", KIND_INVALID },
	{ "sensitive_content", KIND_INVALID },
	{ "input_text_sensitive", KIND_INVALID },
	{ "input_image_sensitive", KIND_INVALID },
	{ "output_text_sensitive", KIND_INVALID },
	{ "output_image_sensitive", KIND_INVALID },
	{ "invalid_", KIND_INVALID },
	{ "missing_", KIND_INVALID },
	{ "unsupported_", KIND_INVALID },
	{ "bad_request", KIND_INVALID },
	{ "failed_precondition", KIND_INVALID },
	{ "out_of_range", KIND_INVALID },
};

/* Some providers say it in the message alone (providers.md 2.1). */
static const struct span quota_phrases[] = { SPAN_LIT("credit balance is too low"),
	SPAN_LIT("used all available credits"), SPAN_LIT("exceeded your current quota"),
	SPAN_LIT("insufficient credits") };

static enum kind
kind_of_status(uint64_t status)
{
	switch (status) {
	case 400:
	case 422:
		return KIND_INVALID;
	case 413:
		return KIND_TOO_LARGE;
	case 401:
	case 403:
		return KIND_AUTH;
	case 402:
		return KIND_QUOTA;
	case 404:
		return KIND_MODEL;
	case 408:
	case 504:
		return KIND_TIMEOUT;
	case 409:
	case 429:
		return KIND_RATE;
	case 503:
	case 529:
		return KIND_OVERLOADED;
	default:
		return KIND_BROKEN;
	}
}

static enum kind
kind_of_word(const char *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_starts(span_str(word), span_str(words[i].word)))
			return words[i].kind;
	return KIND_UNKNOWN;
}

/* What stands in the body, wherever it stands. */
struct found {
	uint32_t error;	  /* object or string */
	uint32_t message; /* string */
	char code[UPSTREAM_CODE_MAX + 1], status[UPSTREAM_CODE_MAX + 1],
	    type[UPSTREAM_CODE_MAX + 1], reason[UPSTREAM_CODE_MAX + 1];
	uint64_t number; /* a numeric code; 0: none */
};

static bool
is_upper(uint32_t c)
{
	return c >= 'A' && c <= 'Z';
}

/* "InvalidParameter.RPMExceeded", "Invalid argument" -> invalid_parameter_rpm_exceeded, ... */
static void
snake(char out[static UPSTREAM_CODE_MAX + 1], struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < UPSTREAM_CODE_MAX; i++) {
		uint8_t c = s.p[i], last = i > 0 ? s.p[i - 1] : 0,
			next = i + 1 < s.n ? s.p[i + 1] : 0;
		bool lower_last = (last >= 'a' && last <= 'z') || (last >= '0' && last <= '9');
		bool lower_next = next >= 'a' && next <= 'z';

		if (is_upper(c)) {
			if (n > 0 && out[n - 1] != '_' &&
			    (lower_last || (is_upper(last) && lower_next)))
				out[n++] = '_';
			if (n < UPSTREAM_CODE_MAX)
				out[n++] = (char)(c | 0x20);
		} else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
			out[n++] = (char)c;
		} else if (n > 0 && out[n - 1] != '_') {
			out[n++] = '_';
		}
	}
	while (n > 0 && out[n - 1] == '_')
		n--;
	out[n] = '\0';
}

static void
name_of(
    const struct json *doc, uint32_t at, char out[static UPSTREAM_CODE_MAX + 1], struct span key)
{
	struct span inner;
	struct buf b;

	out[0] = '\0';
	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING)
		return;
	inner = json_inner(doc, at);
	buf_init(&b, 4096);
	scrub_put(&b, inner, key);
	/* A code is no place for a secret: one that holds any is none. */
	if (inner.n <= 256 && span_eq(buf_span(&b), inner))
		snake(out, inner);
	buf_fini(&b);
}

/* google.rpc.ErrorInfo of Gemini: {"details":[{"reason":"API_KEY_INVALID"}]} */
static uint32_t
detail(const struct json *doc, uint32_t error, const char *name)
{
	uint32_t list = json_get(doc, error, "details"), at;

	if (list == JSON_NONE || json_type(doc, list) != JSON_ARRAY)
		return JSON_NONE;
	for (uint32_t c = json_first(doc, list); c != JSON_NONE; c = json_after(doc, list, c))
		if ((at = json_get(doc, c, name)) != JSON_NONE && json_type(doc, at) == JSON_STRING)
			return at;
	return JSON_NONE;
}

static uint32_t
get_string(const struct json *doc, uint32_t at, const char *name)
{
	uint32_t v = json_get(doc, at, name);

	return v != JSON_NONE && json_type(doc, v) == JSON_STRING ? v : JSON_NONE;
}

/* The node that holds an error, or JSON_NONE; *top gets the object around it. */
static uint32_t
find_error(const struct json *doc, uint32_t *top)
{
	uint32_t at = 0, error;

	if (json_type(doc, 0) == JSON_ARRAY)
		at = json_first(doc, 0);
	*top = at;
	if (at == JSON_NONE || json_type(doc, at) != JSON_OBJECT)
		return JSON_NONE;
	error = json_get(doc, at, "error");
	if (error != JSON_NONE &&
	    (json_type(doc, error) == JSON_OBJECT || json_type(doc, error) == JSON_STRING ||
		json_type(doc, error) == JSON_TRUE))
		return error;
	/* FastAPI and others: the object itself is the error. */
	if (json_get(doc, at, "choices") != JSON_NONE)
		return JSON_NONE;
	return get_string(doc, at, "message") != JSON_NONE ||
		get_string(doc, at, "detail") != JSON_NONE
	    ? at
	    : JSON_NONE;
}

bool
upstream_error_is(const struct json *doc)
{
	uint32_t top;

	return find_error(doc, &top) != JSON_NONE;
}

static bool
look(const struct json *doc, struct found *f, struct span key)
{
	uint32_t top, code, inside;

	if ((f->error = find_error(doc, &top)) == JSON_NONE)
		return false;
	inside = json_type(doc, f->error) == JSON_OBJECT ? f->error : top;
	code = json_get(doc, inside, "code");
	if (code != JSON_NONE && !json_u64(doc, code, 999999, &f->number))
		name_of(doc, code, f->code, key);
	name_of(doc, json_get(doc, inside, "status"), f->status, key);
	name_of(doc, json_get(doc, inside, "type"), f->type, key);
	name_of(doc, detail(doc, f->error, "reason"), f->reason, key);
	f->message = json_type(doc, f->error) == JSON_STRING ? f->error
							     : get_string(doc, inside, "message");
	if (f->message == JSON_NONE)
		f->message = get_string(doc, inside, "detail");
	return true;
}

/* A string decoded as far as TEXT_MAX_BYTES, never in the middle of a word. */
static void
decode(struct buf *b, struct span inner)
{
	struct json_points it = { .s = inner };
	uint8_t utf8[4];
	uint32_t cp;

	while (json_point(&it, &cp)) {
		size_t n = json_utf8(cp >= 0xd800 && cp <= 0xdfff ? 0xfffd : cp, utf8);

		if (b->n + n > TEXT_MAX_BYTES) {
			/* The first half of a key would not look like one. */
			while (b->n > 0 && b->p[b->n - 1] != ' ')
				buf_truncate(b, b->n - 1);
			return;
		}
		buf_put(b, span_of(utf8, n));
	}
}

static void
put_message(struct upstream_error *out, const struct json *doc, uint32_t at, struct span key)
{
	struct buf text, clean;
	struct span s;
	size_t n;

	buf_init(&text, TEXT_MAX_BYTES);
	buf_init(&clean, 10 * (size_t)TEXT_MAX_BYTES);
	decode(&text, json_inner(doc, at));
	scrub_put(&clean, buf_span(&text), key);
	s = span_trim(buf_span(&clean));
	n = s.n < UPSTREAM_MESSAGE_MAX ? s.n : UPSTREAM_MESSAGE_MAX;
	while (n < s.n && n > 0 && (s.p[n] & 0xc0) == 0x80)
		n--;
	if (n > 0 && !failed(buf_check(&clean))) {
		memcpy(out->message, s.p, n);
		out->message[n] = '\0';
	}
	buf_fini(&text);
	buf_fini(&clean);
}

static bool
says_quota(const struct json *doc, uint32_t message)
{
	for (size_t i = 0;
	     message != JSON_NONE && i < sizeof(quota_phrases) / sizeof(quota_phrases[0]); i++)
		if (span_find(json_inner(doc, message), quota_phrases[i], 0) != SIZE_MAX)
			return true;
	return false;
}

/* Inside an answer there is no status: the words say what it was. */
static enum kind
kind_of_event(const struct found *f)
{
	const char *const said[] = { f->reason, f->code, f->status };
	enum kind k = KIND_UNKNOWN;

	for (size_t i = 0; i < 3 && k == KIND_UNKNOWN; i++)
		k = kind_of_word(said[i]);
	if (k == KIND_UNKNOWN && f->number >= 400 && f->number < 600)
		k = kind_of_status(f->number);
	if (k == KIND_UNKNOWN)
		k = kind_of_word(f->type);
	return k == KIND_UNKNOWN ? KIND_BROKEN : k;
}

static bool
says_policy(const struct found *f)
{
	static const char *const begins[] = { "content_policy", "content_filter",
		"sensitive_content", "input_text_sensitive", "input_image_sensitive",
		"output_text_sensitive", "output_image_sensitive", "moderation_blocked" };

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (span_starts(span_str(f->code), span_str(begins[i])) ||
		    span_starts(span_str(f->type), span_str(begins[i])))
			return true;
	return false;
}

/* Words may turn a refusal of us into what it is, and a plain failure into a busy moment. */
static enum kind
kind_of_answer(unsigned status, const struct found *f)
{
	const char *const said[] = { f->reason, f->code, f->status, f->type };
	enum kind k = kind_of_status(status);

	for (size_t i = 0; i < 4; i++) {
		enum kind word = kind_of_word(said[i]);

		if (word == KIND_QUOTA && status >= 400 && status < 500)
			return KIND_QUOTA;
		if (word == KIND_AUTH && k == KIND_INVALID)
			return KIND_AUTH;
		if (word == KIND_OVERLOADED && k == KIND_BROKEN && status >= 500)
			return KIND_OVERLOADED;
	}
	return k;
}

static void
put_code(struct upstream_error *out, const struct found *f, const char *fixed)
{
	const char *own = f->code[0] != '\0' ? f->code : f->status;

	if (fixed != NULL)
		snprintf(out->code, sizeof(out->code), "%s", fixed);
	else if (own[0] != '\0')
		snprintf(out->code, sizeof(out->code), "%s", own);
	else if (f->number != 0)
		snprintf(out->code, sizeof(out->code), "%u", (unsigned)f->number);
	else if (strcmp(f->type, "invalid_request_error") != 0)
		snprintf(out->code, sizeof(out->code), "%s", f->type);
}

static void
put_param(struct upstream_error *out, const struct json *doc, const struct found *f)
{
	uint32_t at = get_string(doc, f->error, "param");
	struct span inner = at == JSON_NONE ? SPAN_NONE : json_inner(doc, at);

	if (inner.n == 0 || inner.n > UPSTREAM_CODE_MAX)
		return;
	for (size_t i = 0; i < inner.n; i++)
		if (inner.p[i] <= 0x20 || inner.p[i] >= 0x7f || inner.p[i] == '\\')
			return;
	memcpy(out->param, inner.p, inner.n);
	out->param[inner.n] = '\0';
}

static void
put_wait(struct upstream_error *out, const struct upstream_refusal *in, const struct json *doc,
    const struct found *f)
{
	uint32_t delay = f->error == JSON_NONE ? JSON_NONE : detail(doc, f->error, "retryDelay");
	unsigned s = 0;

	if (!retry_after_ms(in->retry_after_ms, &s) &&
	    !retry_after(in->retry_after, in->now_unix_s, &s) &&
	    (delay == JSON_NONE || !retry_delay(json_inner(doc, delay), &s)))
		s = UPSTREAM_RETRY_AFTER_S;
	if (s == 0)
		s = 1;
	out->retry_after_s = s < UPSTREAM_RETRY_AFTER_MAX_S ? s : UPSTREAM_RETRY_AFTER_MAX_S;
}

void
upstream_error_read(struct upstream_error *out, const struct upstream_refusal *in)
{
	struct found f = { .error = JSON_NONE, .message = JSON_NONE };
	struct json doc = { 0 };
	enum kind k;

	*out = (struct upstream_error){ 0 };
	if (!failed(json_parse(&doc, in->body, ERROR_MAX_NODES)))
		out->read = look(&doc, &f, in->key);
	k = in->status == 200 ? kind_of_event(&f) : kind_of_answer(in->status, &f);
	/* Gemini says "exceeded your current quota" for a busy minute, too, and then when to return. */
	if ((k == KIND_RATE || k == KIND_INVALID || (k == KIND_BROKEN && in->status == 200)) &&
	    says_quota(&doc, f.message) && detail(&doc, f.error, "retryDelay") == JSON_NONE)
		k = KIND_QUOTA;
	out->policy = k == KIND_INVALID && says_policy(&f);
	out->status = answers[k].status;
	out->type = answers[k].type;
	snprintf(out->message, sizeof(out->message), "%s", answers[k].message);
	put_code(out, &f, answers[k].code);
	if (answers[k].quotes && f.message != JSON_NONE)
		put_message(out, &doc, f.message, in->key);
	if ((k == KIND_INVALID || k == KIND_TOO_LARGE) && f.error != JSON_NONE)
		put_param(out, &doc, &f);
	if (answers[k].waits)
		put_wait(out, in, &doc, &f);
	json_fini(&doc);
}
