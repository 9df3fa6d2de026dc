/*
 * gemini_request.c - a request in OpenAI's words as one in Gemini's. The client's strings, schemas
 * and numbers are spliced in, byte for byte.
 */
#include <stdio.h>

#include "provider/gemini.h"
#include "provider/gemini_calls.h"
#include "provider/gemini_contents.h"
#include "provider/gemini_schema.h"
#include "provider/image.h"
#include "provider/members.h"

/* Without a counterpart: left out and declared (C3). */
static const uint64_t hints = PARAM_BIT(LOGIT_BIAS) | PARAM_BIT(VERBOSITY) | PARAM_BIT(USER) |
    PARAM_BIT(METADATA) | PARAM_BIT(SAFETY_IDENTIFIER) | PARAM_BIT(PROMPT_CACHE_KEY);

/* Without a counterpart, and another question if they were left out (C4). */
static const uint64_t refused = PARAM_BIT(N) | PARAM_BIT(LOGPROBS) | PARAM_BIT(TOP_LOGPROBS) |
    PARAM_BIT(MODALITIES) | PARAM_BIT(AUDIO) | PARAM_BIT(PREDICTION) |
    PARAM_BIT(WEB_SEARCH_OPTIONS) | PARAM_BIT(PROMPT_CACHE_RETENTION) | PARAM_BIT(SERVICE_TIER) |
    PARAM_BIT(BEST_OF) | PARAM_BIT(ECHO) | PARAM_BIT(SUFFIX) | PARAM_BIT(IMAGE_CONFIG) |
    PARAM_BIT(SIZE) | PARAM_BIT(WATERMARK);

/* Models that make pictures: what they know beside the others, and what they do not. */
static const uint64_t picture_words = PARAM_BIT(MODALITIES) | PARAM_BIT(IMAGE_CONFIG);
static const uint64_t picture_refused = PARAM_BIT(TOOLS) | PARAM_BIT(TOOL_CHOICE) |
    PARAM_BIT(PARALLEL_TOOL_CALLS) | PARAM_BIT(RESPONSE_FORMAT);

static const uint64_t penalties = PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(FREQUENCY_PENALTY);

/* --- reasoning_effort (providers.md 6.6) --- */

struct effort {
	const char *name, *budget, *level;
};

/* What models with a budget take at least when they cannot do without. */
static const struct effort least = { .budget = "128" };

static const struct effort efforts[] = {
	{ "none", "0", "MINIMAL" },
	{ "minimal", "1024", "MINIMAL" },
	{ "low", "1024", "LOW" },
	{ "medium", "8192", "MEDIUM" },
	{ "high", "24576", "HIGH" },
};

static bool
takes(const struct model *model, const char *effort)
{
	for (size_t i = 0; i < model->n_efforts; i++)
		if (span_eq(model->effort[i], span_str(effort)))
			return true;
	return false;
}

/*
 * The effort that is sent; *same says whether it is the one asked for. NULL: the model has no
 * such thing. One that is missing becomes the next above, what is above all the highest.
 */
static const struct effort *
thinking_for(const struct request *rq, const struct model *model, bool *same)
{
	enum { N = sizeof(efforts) / sizeof(efforts[0]) };
	uint32_t at = rq->at[PARAM_REASONING_EFFORT];
	const struct effort *best = NULL;
	bool reached = false;

	*same = false;
	if (model->thinking != THINKING_BUDGET && model->thinking != THINKING_LEVEL)
		return NULL;
	if (model->thinking == THINKING_BUDGET && json_is(&rq->doc, at, "none") &&
	    !takes(model, "none"))
		return &least;
	for (size_t i = 0; i < N; i++) {
		bool asked = json_is(&rq->doc, at, efforts[i].name);

		reached = reached || asked;
		if (!takes(model, efforts[i].name))
			continue;
		best = &efforts[i];
		if (reached) {
			*same = asked;
			return best;
		}
	}
	return best;
}

/* --- may it be asked? --- */

static bool
names_a_tool(const struct request *rq, uint32_t name)
{
	const struct json *doc = &rq->doc;
	uint32_t tools = rq->at[PARAM_TOOLS];

	if (name == JSON_NONE || json_type(doc, name) != JSON_STRING)
		return false;
	for (uint32_t c = json_first(doc, tools); c != JSON_NONE; c = json_after(doc, tools, c))
		if (span_eq(json_inner(doc, json_get(doc, json_get(doc, c, "function"), "name")),
			json_inner(doc, name)))
			return true;
	return false;
}

static uint32_t
function_name(const struct json *doc, uint32_t tool)
{
	return json_get(doc, json_get(doc, tool, "function"), "name");
}

static bool
tools_fit(const struct request *rq, struct refusal *no)
{
	const struct json *doc = &rq->doc;
	uint32_t tools = rq->at[PARAM_TOOLS];
	unsigned index = 0;
	char param[96];

	if (tools == JSON_NONE)
		return true;
	for (uint32_t c = json_first(doc, tools); c != JSON_NONE;
	     c = json_after(doc, tools, c), index++) {
		struct span name;

		if (json_is(doc, json_get(doc, c, "type"), "custom")) {
			snprintf(param, sizeof(param), "tools[%u].type", index);
			return refuse(no, "unsupported_parameter", param,
			    "%s: custom tools are not supported by this model's provider.", param);
		}
		name = json_inner(doc, function_name(doc, c));
		if ((name.p[0] >= '0' && name.p[0] <= '9') || name.p[0] == '-') {
			snprintf(param, sizeof(param), "tools[%u].function.name", index);
			return refuse(no, "invalid_value", param,
			    "%s must begin with a letter or an underscore for this model's "
			    "provider.",
			    param);
		}
	}
	return true;
}

/* The functions that an object of tool_choice names: one, or those of allowed_tools. */
static bool
choice_fits(const struct request *rq, struct refusal *no)
{
	const struct json *doc = &rq->doc;
	uint32_t at = rq->at[PARAM_TOOL_CHOICE], type, allowed, list, mode;
	unsigned n = 0;

	if (at == JSON_NONE || json_type(doc, at) != JSON_OBJECT)
		return true;
	type = json_get(doc, at, "type");
	if (json_is(doc, type, "function"))
		return names_a_tool(rq, function_name(doc, at)) ||
		    refuse(no, "invalid_value", "tool_choice.function.name",
			"tool_choice.function.name must be the name of one of tools.");
	if (!json_is(doc, type, "allowed_tools"))
		return refuse(no, "unsupported_parameter", "tool_choice.type",
		    "tool_choice.type must be function or allowed_tools for this model's "
		    "provider.");
	allowed = json_get(doc, at, "allowed_tools");
	mode = json_get(doc, allowed, "mode");
	list = json_get(doc, allowed, "tools");
	if ((!json_is(doc, mode, "auto") && !json_is(doc, mode, "required")) || list == JSON_NONE ||
	    json_type(doc, list) != JSON_ARRAY || json_first(doc, list) == JSON_NONE)
		return refuse(no, "invalid_value", "tool_choice.allowed_tools",
		    "tool_choice.allowed_tools needs a mode, auto or required, and tools.");
	for (uint32_t c = json_first(doc, list); c != JSON_NONE; c = json_after(doc, list, c))
		if (++n > GEMINI_CALLS_MAX || !names_a_tool(rq, function_name(doc, c)))
			return refuse(no, "invalid_value", "tool_choice.allowed_tools.tools",
			    "tool_choice.allowed_tools.tools must name functions of tools, 128 at "
			    "most.");
	return true;
}

static bool
can_honour(const struct request *rq, const struct model *model, struct refusal *no)
{
	const bool pictures = model->kind == MODEL_IMAGE_INLINE;
	const uint64_t never = pictures ? (refused & ~picture_words) | picture_refused : refused;

	for (enum param p = 0; p < PARAM_COUNT; p++) {
		uint64_t bit = UINT64_C(1) << p;

		if ((rq->present & bit & never) != 0)
			return refuse(no, "unsupported_parameter", param_name(p),
			    "%s is not supported by this model%s.", param_name(p),
			    pictures ? "" : "'s provider");
	}
	if (pictures && !image_modalities_fit(rq, no))
		return false;
	if (pictures && rq->endpoint != ENDPOINT_CHAT)
		return refuse(no, "invalid_value", "model",
		    "model: this one makes pictures; ask it on /v1/chat/completions.");
	if (rq->unknown != JSON_NONE) {
		char name[65];

		refusal_name(name, json_inner(&rq->doc, rq->unknown));
		return refuse(no, "unsupported_parameter", name,
		    "%s is not known, and cannot be passed on to this model's provider.", name);
	}
	if ((rq->present & PARAM_BIT(STOP)) && model->no_stop)
		return refuse(
		    no, "unsupported_parameter", "stop", "stop is not supported by this model.");
	if ((rq->present & PARAM_BIT(RESPONSE_FORMAT)) && (rq->present & PARAM_BIT(TOOLS)) &&
	    model->thinking != THINKING_LEVEL)
		return refuse(no, "unsupported_parameter", "response_format",
		    "response_format beside tools is not supported by this model.");
	return tools_fit(rq, no) && choice_fits(rq, no) && gemini_contents_check(rq, no);
}

/* Gemini's seed is a signed 32-bit number. */
static bool
seed_fits(const struct request *rq)
{
	double v;

	return json_double(&rq->doc, rq->at[PARAM_SEED], &v) && v >= INT32_MIN && v <= INT32_MAX;
}

bool
gemini_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no)
{
	uint64_t out = rq->present & hints;
	bool same = true;

	if (!can_honour(rq, model, no))
		return false;
	if (model->no_penalties)
		out |= rq->present & penalties;
	if ((rq->present & PARAM_BIT(SEED)) && !seed_fits(rq))
		out |= PARAM_BIT(SEED);
	if (rq->present & PARAM_BIT(REASONING_EFFORT)) {
		thinking_for(rq, model, &same);
		if (!same)
			out |= PARAM_BIT(REASONING_EFFORT);
	}
	*adjusted = out;
	return true;
}

/* --- asking it --- */

static void
put_declaration(struct buf *b, const struct json *doc, uint32_t function)
{
	static const char *const names[] = { "name", "description" };
	uint32_t schema = json_get(doc, function, "parameters");
	struct members m = { .b = b };

	buf_put_byte(b, '{');
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint32_t at = json_get(doc, function, names[i]);

		if (at != JSON_NONE && json_type(doc, at) == JSON_STRING)
			put_raw(&m, i == 0 ? SPAN_LIT("\"name\"") : SPAN_LIT("\"description\""),
			    json_raw(doc, at));
	}
	if (!gemini_schema_is_empty(doc, schema)) {
		put_raw(&m, SPAN_LIT("\"parametersJsonSchema\""), SPAN_NONE);
		gemini_schema_put(b, doc, schema);
	}
	buf_put_byte(b, '}');
}

static void
put_tools(struct members *m, const struct request *rq)
{
	const struct json *doc = &rq->doc;
	uint32_t tools = rq->at[PARAM_TOOLS];
	bool any = false;

	if (tools == JSON_NONE)
		return;
	put_raw(m, SPAN_LIT("\"tools\""), SPAN_LIT("[{\"functionDeclarations\":["));
	for (uint32_t c = json_first(doc, tools); c != JSON_NONE; c = json_after(doc, tools, c)) {
		if (any)
			buf_put_byte(m->b, ',');
		any = true;
		put_declaration(m->b, doc, json_get(doc, c, "function"));
	}
	buf_put_str(m->b, "]}]");
}

static void
put_choice(struct members *m, const struct request *rq)
{
	const struct json *doc = &rq->doc;
	uint32_t at = rq->at[PARAM_TOOL_CHOICE], allowed, list;
	const char *mode = "ANY";
	bool any = false;

	if (at == JSON_NONE)
		return;
	allowed = json_get(doc, at, "allowed_tools");
	list = json_get(doc, allowed, "tools");
	if (json_is(doc, at, "none"))
		mode = "NONE";
	else if (json_is(doc, json_get(doc, allowed, "mode"), "auto"))
		mode = "VALIDATED"; /* the one mode, besides ANY, that takes a list of names */
	put_raw(m, SPAN_LIT("\"toolConfig\""), SPAN_LIT("{\"functionCallingConfig\":{\"mode\":\""));
	buf_put_str(m->b, mode);
	buf_put_byte(m->b, '"');
	if (json_type(doc, at) == JSON_OBJECT) {
		buf_put_str(m->b, ",\"allowedFunctionNames\":[");
		if (list == JSON_NONE)
			buf_put(m->b, json_raw(doc, function_name(doc, at)));
		else
			for (uint32_t c = json_first(doc, list); c != JSON_NONE;
			     c = json_after(doc, list, c)) {
				if (any)
					buf_put_byte(m->b, ',');
				any = true;
				buf_put(m->b, json_raw(doc, function_name(doc, c)));
			}
		buf_put_byte(m->b, ']');
	}
	buf_put_str(m->b, "}}");
}

static void
put_format(struct members *m, const struct request *rq)
{
	uint32_t at = rq->at[PARAM_RESPONSE_FORMAT], schema;

	if (at == JSON_NONE)
		return;
	put_raw(m, SPAN_LIT("\"responseMimeType\""), SPAN_LIT("\"application/json\""));
	schema = json_get(&rq->doc, json_get(&rq->doc, at, "json_schema"), "schema");
	if (json_is(&rq->doc, json_get(&rq->doc, at, "type"), "json_schema") &&
	    !gemini_schema_is_empty(&rq->doc, schema)) {
		put_raw(m, SPAN_LIT("\"responseJsonSchema\""), SPAN_NONE);
		gemini_schema_put(m->b, &rq->doc, schema);
	}
}

static void
put_thinking(struct members *m, const struct request *rq, const struct model *model)
{
	const struct effort *effort;
	bool same;

	if (rq->at[PARAM_REASONING_EFFORT] == JSON_NONE ||
	    (effort = thinking_for(rq, model, &same)) == NULL)
		return;
	put_raw(m, SPAN_LIT("\"thinkingConfig\""), SPAN_NONE);
	if (model->thinking == THINKING_LEVEL) {
		buf_put_str(m->b, "{\"thinkingLevel\":\"");
		buf_put_str(m->b, effort->level);
		buf_put_str(m->b, "\"}");
	} else {
		buf_put_str(m->b, "{\"thinkingBudget\":");
		buf_put_str(m->b, effort->budget);
		buf_put_byte(m->b, '}');
	}
}

/* Text and picture, unless only the picture was asked for (providers.md 6.1). */
static void
put_pictures(struct members *m, const struct request *rq)
{
	static const struct {
		const char *theirs;
		struct span ours;
	} words[] = {
		{ "aspect_ratio", SPAN_LIT("\"aspectRatio\"") },
		{ "image_size", SPAN_LIT("\"imageSize\"") },
	};
	const struct json *doc = &rq->doc;
	uint32_t at = rq->at[PARAM_MODALITIES], config = rq->at[PARAM_IMAGE_CONFIG];
	struct members inner = { .b = m->b };
	bool text = at == JSON_NONE;

	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		text = text || json_is(doc, c, "text");
	put_raw(m, SPAN_LIT("\"responseModalities\""),
	    text ? SPAN_LIT("[\"TEXT\",\"IMAGE\"]") : SPAN_LIT("[\"IMAGE\"]"));
	if (config == JSON_NONE)
		return;
	put_raw(m, SPAN_LIT("\"imageConfig\""), SPAN_LIT("{"));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint32_t value = json_get(doc, config, words[i].theirs);

		if (value != JSON_NONE)
			put_raw(&inner, words[i].ours, json_raw(doc, value));
	}
	buf_put_byte(m->b, '}');
}

static void
put_stop(struct members *m, const struct request *rq)
{
	uint32_t at = rq->at[PARAM_STOP];

	if (at == JSON_NONE)
		return;
	put_raw(m, SPAN_LIT("\"stopSequences\""), SPAN_NONE);
	if (json_type(&rq->doc, at) == JSON_ARRAY) {
		buf_put(m->b, json_raw(&rq->doc, at));
		return;
	}
	buf_put_byte(m->b, '[');
	buf_put(m->b, json_raw(&rq->doc, at));
	buf_put_byte(m->b, ']');
}

static void
put_config(
    struct members *outer, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	static const struct {
		enum param param;
		struct span name;
	} same[] = {
		{ PARAM_TEMPERATURE, SPAN_LIT("\"temperature\"") },
		{ PARAM_TOP_P, SPAN_LIT("\"topP\"") },
		{ PARAM_SEED, SPAN_LIT("\"seed\"") },
		{ PARAM_PRESENCE_PENALTY, SPAN_LIT("\"presencePenalty\"") },
		{ PARAM_FREQUENCY_PENALTY, SPAN_LIT("\"frequencyPenalty\"") },
	};
	struct members m = { .b = outer->b };

	put_raw(outer, SPAN_LIT("\"generationConfig\""), SPAN_LIT("{"));
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (rq->at[same[i].param] != JSON_NONE &&
		    (adjusted & UINT64_C(1) << same[i].param) == 0)
			put_raw(&m, same[i].name, json_raw(&rq->doc, rq->at[same[i].param]));
	if (rq->output_limit != UINT64_MAX) {
		put_raw(&m, SPAN_LIT("\"maxOutputTokens\""), SPAN_NONE);
		buf_put_u64(m.b, rq->output_limit);
	}
	put_stop(&m, rq);
	put_format(&m, rq);
	put_thinking(&m, rq, model);
	if (model->kind == MODEL_IMAGE_INLINE)
		put_pictures(&m, rq);
	buf_put_byte(m.b, '}');
}

void
gemini_encode(struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	struct members m = { .b = b, .any = true };

	buf_put_byte(b, '{');
	gemini_contents_put(b, rq, model);
	put_tools(&m, rq);
	put_choice(&m, rq);
	put_config(&m, rq, model, adjusted);
	buf_put_byte(b, '}');
}
