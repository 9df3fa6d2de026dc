#include "provider/request.h"

#include <stdio.h>

#include "core/limits.h"
#include "provider/messages.h"

/* A check finds that a value is there, or that it says nothing (C2), or that it is wrong. */
enum verdict { VALUE, NEUTRAL, WRONG };

enum { B = ENDPOINT_CHAT | ENDPOINT_COMPLETIONS, C = ENDPOINT_CHAT, L = ENDPOINT_COMPLETIONS };

struct reader {
	struct request *rq;
	const struct json *doc;
	struct arena *arena;
	struct refusal *no;
};

static enum verdict
wrong(struct reader *r, const char *name, const char *want)
{
	refuse(r->no, "invalid_value", name, "%s must be %s.", name, want);
	return WRONG;
}

static enum verdict
within(struct reader *r, const char *name, uint32_t at, double low, double high, const char *want)
{
	double v;

	if (!json_double(r->doc, at, &v) || v < low || v > high)
		return wrong(r, name, want);
	return VALUE;
}

static enum verdict
check_flag(struct reader *r, const char *name, uint32_t at, enum json_type neutral)
{
	enum json_type type = json_type(r->doc, at);

	if (type != JSON_TRUE && type != JSON_FALSE)
		return wrong(r, name, "a boolean");
	return type == neutral ? NEUTRAL : VALUE;
}

static enum verdict
check_flag_off(struct reader *r, const char *name, uint32_t at)
{
	return check_flag(r, name, at, JSON_FALSE);
}

static enum verdict
check_flag_on(struct reader *r, const char *name, uint32_t at)
{
	return check_flag(r, name, at, JSON_TRUE);
}

static enum verdict
check_type(struct reader *r, const char *name, uint32_t at, enum json_type type, const char *want)
{
	return json_type(r->doc, at) == type ? VALUE : wrong(r, name, want);
}

static enum verdict
check_object(struct reader *r, const char *name, uint32_t at)
{
	return check_type(r, name, at, JSON_OBJECT, "an object");
}

static enum verdict
check_array(struct reader *r, const char *name, uint32_t at)
{
	return check_type(r, name, at, JSON_ARRAY, "an array");
}

static enum verdict
check_text(struct reader *r, const char *name, uint32_t at)
{
	return check_type(r, name, at, JSON_STRING, "a string");
}

static enum verdict
check_any(struct reader *r, const char *name, uint32_t at)
{
	return VALUE;
}

static enum verdict
check_integer(struct reader *r, const char *name, uint32_t at)
{
	return check_type(r, name, at, JSON_INT, "an integer");
}

static enum verdict
check_count(struct reader *r, const char *name, uint32_t at)
{
	uint64_t v;

	if (!json_u64(r->doc, at, INT32_MAX, &v))
		return wrong(r, name, "an integer from 0 to 2147483647");
	return VALUE;
}

static enum verdict
check_choices(struct reader *r, const char *name, uint32_t at)
{
	uint64_t v;

	if (!json_u64(r->doc, at, 128, &v) || v < 1)
		return wrong(r, name, "an integer from 1 to 128");
	return v == 1 ? NEUTRAL : VALUE;
}

static enum verdict
check_temperature(struct reader *r, const char *name, uint32_t at)
{
	return within(r, name, at, 0, 2, "a number from 0 to 2");
}

static enum verdict
check_fraction(struct reader *r, const char *name, uint32_t at)
{
	return within(r, name, at, 0, 1, "a number from 0 to 1");
}

static enum verdict
check_penalty(struct reader *r, const char *name, uint32_t at)
{
	double v;

	if (within(r, name, at, -2, 2, "a number from -2 to 2") == WRONG)
		return WRONG;
	return json_double(r->doc, at, &v) && v == 0 ? NEUTRAL : VALUE;
}

static enum verdict
check_model(struct reader *r, const char *name, uint32_t at)
{
	if (failed(json_string(r->doc, at, r->arena, &r->rq->model)) || r->rq->model.n == 0)
		return wrong(r, name, "a non-empty string");
	if (r->rq->model.n > 256)
		return wrong(r, name, "at most 256 bytes");
	return VALUE;
}

static enum verdict
check_messages(struct reader *r, const char *name, uint32_t at)
{
	struct messages_facts facts;

	if (!messages_check(r->doc, at, &facts, r->no))
		return WRONG;
	r->rq->prompt_bytes += facts.prompt_bytes;
	r->rq->other_bytes = facts.other_bytes;
	r->rq->n_messages = facts.n;
	r->rq->parts = facts.parts;
	return VALUE;
}

static enum verdict
check_prompt(struct reader *r, const char *name, uint32_t at)
{
	if (json_type(r->doc, at) != JSON_STRING)
		return wrong(r, name, "a string");
	r->rq->prompt_bytes += messages_text_bytes(r->doc, at);
	return VALUE;
}

static enum verdict
check_stream_options(struct reader *r, const char *name, uint32_t at)
{
	static const char *const flags[] = { "include_usage", "include_obfuscation" };

	if (json_type(r->doc, at) != JSON_OBJECT)
		return wrong(r, name, "an object");
	for (uint32_t c = json_first(r->doc, at); c != JSON_NONE; c = json_after(r->doc, at, c))
		if (!json_is(r->doc, c, flags[0]) && !json_is(r->doc, c, flags[1]))
			return wrong(r, name, "an object with include_usage, include_obfuscation");
	for (size_t i = 0; i < 2; i++) {
		uint32_t flag = json_get(r->doc, at, flags[i]);

		if (flag != JSON_NONE && json_type(r->doc, flag) != JSON_TRUE &&
		    json_type(r->doc, flag) != JSON_FALSE && json_type(r->doc, flag) != JSON_NULL)
			return wrong(r, name, "an object of booleans");
	}
	/* Usage always comes (S2), padding never: there is nothing left to honour (C2). */
	return NEUTRAL;
}

static enum verdict
check_stop(struct reader *r, const char *name, uint32_t at)
{
	static const char want[] = "a string or an array of at most 4 non-empty strings";
	uint32_t n = 0;

	if (json_type(r->doc, at) == JSON_STRING)
		return json_inner(r->doc, at).n == 0 ? NEUTRAL : VALUE;
	if (json_type(r->doc, at) != JSON_ARRAY)
		return wrong(r, name, want);
	for (uint32_t c = json_first(r->doc, at); c != JSON_NONE; c = json_after(r->doc, at, c)) {
		if (json_type(r->doc, c) != JSON_STRING || json_inner(r->doc, c).n == 0 || ++n > 4)
			return wrong(r, name, want);
	}
	return n == 0 ? NEUTRAL : VALUE;
}

static enum verdict
check_logit_bias(struct reader *r, const char *name, uint32_t at)
{
	uint32_t first = json_first(r->doc, at);

	if (json_type(r->doc, at) != JSON_OBJECT)
		return wrong(r, name, "an object of numbers from -100 to 100");
	for (uint32_t c = first; c != JSON_NONE; c = json_after(r->doc, at, c))
		if (within(r, name, c + 1, -100, 100, "an object of numbers from -100 to 100") ==
		    WRONG)
			return WRONG;
	return first == JSON_NONE ? NEUTRAL : VALUE;
}

static enum verdict
check_logprobs(struct reader *r, const char *name, uint32_t at)
{
	uint64_t v;

	if (r->rq->endpoint == ENDPOINT_CHAT)
		return check_flag_off(r, name, at);
	if (!json_u64(r->doc, at, 5, &v))
		return wrong(r, name, "an integer from 0 to 5");
	return VALUE;
}

static enum verdict
check_top_logprobs(struct reader *r, const char *name, uint32_t at)
{
	uint64_t v;

	if (!json_u64(r->doc, at, 20, &v))
		return wrong(r, name, "an integer from 0 to 20");
	return v == 0 ? NEUTRAL : VALUE;
}

static enum verdict
check_tools(struct reader *r, const char *name, uint32_t at)
{
	uint32_t first = json_first(r->doc, at);

	if (!tools_check(r->doc, at, r->no))
		return WRONG;
	return first == JSON_NONE ? NEUTRAL : VALUE;
}

static enum verdict
check_tool_choice(struct reader *r, const char *name, uint32_t at)
{
	if (json_is(r->doc, at, "auto"))
		return NEUTRAL;
	if (json_is(r->doc, at, "none") || json_is(r->doc, at, "required") ||
	    json_type(r->doc, at) == JSON_OBJECT)
		return VALUE;
	return wrong(r, name, "\"none\", \"auto\", \"required\" or an object");
}

static enum verdict
check_response_format(struct reader *r, const char *name, uint32_t at)
{
	uint32_t type = json_get(r->doc, at, "type"), schema = json_get(r->doc, at, "json_schema");

	if (type == JSON_NONE)
		return wrong(r, name, "an object with a type");
	if (json_is(r->doc, type, "text"))
		return NEUTRAL;
	if (json_is(r->doc, type, "json_object"))
		return VALUE;
	if (!json_is(r->doc, type, "json_schema"))
		return wrong(r, name, "of type \"text\", \"json_object\" or \"json_schema\"");
	if (schema == JSON_NONE || json_type(r->doc, schema) != JSON_OBJECT ||
	    json_get(r->doc, schema, "name") == JSON_NONE)
		return wrong(r, "response_format.json_schema", "an object with a name");
	return VALUE;
}

static enum verdict
check_modalities(struct reader *r, const char *name, uint32_t at)
{
	bool only_text = true;

	if (json_type(r->doc, at) != JSON_ARRAY || json_first(r->doc, at) == JSON_NONE)
		return wrong(r, name, "a non-empty array of strings");
	for (uint32_t c = json_first(r->doc, at); c != JSON_NONE; c = json_after(r->doc, at, c)) {
		if (json_type(r->doc, c) != JSON_STRING)
			return wrong(r, name, "a non-empty array of strings");
		only_text = only_text && json_is(r->doc, c, "text");
	}
	return only_text ? NEUTRAL : VALUE;
}

/* As OpenRouter spells it: {"aspect_ratio":"16:9","image_size":"2K"} */
static enum verdict
check_image_config(struct reader *r, const char *name, uint32_t at)
{
	if (json_type(r->doc, at) != JSON_OBJECT)
		return wrong(r, name, "an object");
	for (uint32_t c = json_first(r->doc, at); c != JSON_NONE; c = json_after(r->doc, at, c))
		if ((!json_is(r->doc, c, "aspect_ratio") && !json_is(r->doc, c, "image_size")) ||
		    json_type(r->doc, c + 1) != JSON_STRING)
			return wrong(r, name, "an object of strings: aspect_ratio, image_size");
	return json_first(r->doc, at) == JSON_NONE ? NEUTRAL : VALUE;
}

static enum verdict
one_of(struct reader *r, const char *name, uint32_t at, const char *const *word, size_t n,
    const char *want)
{
	for (size_t i = 0; i < n; i++)
		if (json_is(r->doc, at, word[i]))
			return VALUE;
	return wrong(r, name, want);
}

static enum verdict
check_effort(struct reader *r, const char *name, uint32_t at)
{
	static const char *const words[] = { "none", "minimal", "low", "medium", "high", "xhigh",
		"max" };

	return one_of(r, name, at, words, sizeof(words) / sizeof(words[0]),
	    "one of none, minimal, low, medium, high, xhigh, max");
}

static enum verdict
check_verbosity(struct reader *r, const char *name, uint32_t at)
{
	static const char *const words[] = { "low", "medium", "high" };

	return one_of(r, name, at, words, 3, "one of low, medium, high");
}

static enum verdict
check_metadata(struct reader *r, const char *name, uint32_t at)
{
	static const char want[] = "an object of at most 16 strings";
	uint32_t n = 0;

	if (json_type(r->doc, at) != JSON_OBJECT)
		return wrong(r, name, want);
	for (uint32_t c = json_first(r->doc, at); c != JSON_NONE; c = json_after(r->doc, at, c))
		if (json_type(r->doc, c + 1) != JSON_STRING || ++n > 16)
			return wrong(r, name, want);
	return n == 0 ? NEUTRAL : VALUE;
}

static enum verdict
check_service_tier(struct reader *r, const char *name, uint32_t at)
{
	if (json_is(r->doc, at, "auto") || json_is(r->doc, at, "default"))
		return NEUTRAL;
	return check_text(r, name, at);
}

static enum verdict
check_suffix(struct reader *r, const char *name, uint32_t at)
{
	if (check_text(r, name, at) == WRONG)
		return WRONG;
	return json_inner(r->doc, at).n == 0 ? NEUTRAL : VALUE;
}

static const struct {
	const char *name;
	int endpoints;
	enum verdict (*check)(struct reader *r, const char *name, uint32_t at);
} params[PARAM_COUNT] = {
#define PARAM_ROW(id, name, endpoints, check) { name, endpoints, check_##check },
	PARAMS(PARAM_ROW)
#undef PARAM_ROW
};

const char *
param_name(enum param p)
{
	return params[p].name;
}

static enum param
param_of(const struct request *rq, uint32_t name)
{
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if ((params[p].endpoints & (int)rq->endpoint) != 0 &&
		    json_is(&rq->doc, name, params[p].name))
			return p;
	return PARAM_COUNT;
}

/*
 * A parameter of the other endpoint: never passed on as unknown. `messages` beside `prompt` would
 * reach the provider's chat path without being hashed.
 */
static bool
is_elsewhere(const struct request *rq, uint32_t name)
{
	for (enum param p = 0; p < PARAM_COUNT; p++)
		if ((params[p].endpoints & (int)rq->endpoint) == 0 &&
		    json_is(&rq->doc, name, params[p].name))
			return true;
	return false;
}

bool
request_knows(const struct request *rq, uint32_t name)
{
	return param_of(rq, name) != PARAM_COUNT;
}

bool
request_counts(const struct json *doc, uint32_t object, uint32_t name)
{
	struct span inner = json_inner(doc, name);
	struct json_points a, b;
	uint32_t ca, cb;
	bool more_a, more_b;

	for (uint32_t c = json_after(doc, object, name); c != JSON_NONE;
	     c = json_after(doc, object, c)) {
		a = (struct json_points){ .s = inner };
		b = (struct json_points){ .s = json_inner(doc, c) };
		do {
			more_a = json_point(&a, &ca);
			more_b = json_point(&b, &cb);
		} while (more_a && more_b && ca == cb);
		if (!more_a && !more_b)
			return false;
	}
	return true;
}

/* The member's place in the table; of equal names the last one counts, as in Python. */
static bool
collect(struct reader *r)
{
	struct request *rq = r->rq;
	uint32_t members = 0;

	for (uint32_t c = json_first(&rq->doc, 0); c != JSON_NONE; c = json_after(&rq->doc, 0, c)) {
		enum param p = param_of(rq, c);

		if (++members > 256)
			return refuse(
			    r->no, "invalid_value", "", "The body has more than 256 members.");
		if (p == PARAM_COUNT && is_elsewhere(rq, c) &&
		    json_type(&rq->doc, c + 1) != JSON_NULL) {
			char name[65];

			refusal_name(name, json_inner(&rq->doc, c));
			return refuse(r->no, "unsupported_parameter", name,
			    "%s is not a parameter of this endpoint.", name);
		}
		if (p < PARAM_COUNT)
			rq->at[p] = json_type(&rq->doc, c + 1) == JSON_NULL ? JSON_NONE : c + 1;
		else if (rq->unknown == JSON_NONE && json_type(&rq->doc, c + 1) != JSON_NULL)
			rq->unknown = c;
	}
	return true;
}

static bool
check_all(struct reader *r)
{
	struct request *rq = r->rq;

	for (enum param p = 0; p < PARAM_COUNT; p++) {
		if (rq->at[p] == JSON_NONE)
			continue;
		switch (params[p].check(r, params[p].name, rq->at[p])) {
		case WRONG:
			return false;
		case NEUTRAL:
			rq->at[p] = JSON_NONE;
			break;
		case VALUE:
			rq->present |= UINT64_C(1) << p;
			break;
		}
	}
	return true;
}

/* What one parameter asks of another. */
static bool
check_together(struct reader *r)
{
	struct request *rq = r->rq;
	enum param prompt = rq->endpoint == ENDPOINT_CHAT ? PARAM_MESSAGES : PARAM_PROMPT;

	if (rq->at[PARAM_MODEL] == JSON_NONE)
		return refuse(r->no, "missing_required_parameter", "model", "model is required.");
	if (rq->at[prompt] == JSON_NONE)
		return refuse(r->no, "missing_required_parameter", params[prompt].name,
		    "%s is required.", params[prompt].name);
	if (rq->at[PARAM_TOOL_CHOICE] != JSON_NONE && rq->at[PARAM_TOOLS] == JSON_NONE) {
		if (!json_is(&rq->doc, rq->at[PARAM_TOOL_CHOICE], "none"))
			return refuse(
			    r->no, "invalid_value", "tool_choice", "tool_choice needs tools.");
		rq->at[PARAM_TOOL_CHOICE] = JSON_NONE;
		rq->present &= ~PARAM_BIT(TOOL_CHOICE);
	}
	if (rq->at[PARAM_TOP_LOGPROBS] != JSON_NONE && rq->at[PARAM_LOGPROBS] == JSON_NONE)
		return refuse(r->no, "invalid_value", "top_logprobs",
		    "top_logprobs needs logprobs to be true.");
	if (rq->present & PARAM_BIT(STORE))
		return refuse(r->no, "unsupported_parameter", "store",
		    "store: answers are not stored anywhere; leave it out or send false.");
	if (rq->present & PARAM_BIT(WEB_SEARCH))
		return refuse(r->no, "unsupported_parameter", "web_search",
		    "web_search is not offered by this gateway.");
	if (rq->present & (PARAM_BIT(FUNCTIONS) | PARAM_BIT(FUNCTION_CALL))) {
		const char *name = rq->present & PARAM_BIT(FUNCTIONS) ? "functions"
								      : "function_call";

		return refuse(r->no, "unsupported_parameter", name,
		    "%s is not supported; use tools and tool_choice.", name);
	}
	return true;
}

/* The request hash prints every float in its shortest form, on the loop that serves others. */
static bool
few_floats(struct reader *r)
{
	uint32_t floats = 0;

	for (uint32_t i = 0; i < r->doc->n; i++)
		floats += r->doc->node[i].type == JSON_FLOAT;
	if (floats > JSON_MAX_FLOATS)
		return refuse(r->no, "invalid_value", "",
		    "The body has more than %u fractional numbers.", JSON_MAX_FLOATS);
	return true;
}

bool
request_parse(struct request *rq, enum endpoint endpoint, struct span body, struct arena *arena,
    struct refusal *no)
{
	struct reader r = { rq, &rq->doc, arena, no };
	struct err e;

	*rq = (struct request){
		.endpoint = endpoint, .unknown = JSON_NONE, .n = 1, .output_limit = UINT64_MAX
	};
	for (enum param p = 0; p < PARAM_COUNT; p++)
		rq->at[p] = JSON_NONE;
	if (failed(e = json_parse(&rq->doc, body, JSON_MAX_NODES)))
		return refuse(no, "invalid_json", "", "The body is not valid JSON (%s).", e.what);
	if (json_type(&rq->doc, 0) != JSON_OBJECT) {
		request_fini(rq);
		return refuse(no, "invalid_json", "", "The body must be a JSON object.");
	}
	if (!few_floats(&r) || !collect(&r) || !check_all(&r) || !check_together(&r)) {
		request_fini(rq);
		return false;
	}
	rq->stream = rq->at[PARAM_STREAM] != JSON_NONE;
	if (rq->at[PARAM_N] != JSON_NONE) {
		uint64_t n = 1;

		json_u64(&rq->doc, rq->at[PARAM_N], 128, &n);
		rq->n = (unsigned)n;
	}
	for (enum param p = PARAM_MAX_TOKENS; p <= PARAM_MAX_COMPLETION_TOKENS; p++)
		if (rq->at[p] != JSON_NONE)
			json_u64(&rq->doc, rq->at[p], INT32_MAX, &rq->output_limit);
	return true;
}

void
request_fini(struct request *rq)
{
	json_fini(&rq->doc);
}
