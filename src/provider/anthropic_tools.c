/*
 * anthropic_tools.c - tools, tool_choice and response_format. Source: providers.md 5.1, 5.5.
 */
#include <stdio.h>

#include "provider/anthropic.h"
#include "provider/messages.h"

#define NO_SCHEMA "{\"type\":\"object\",\"properties\":{}}"

static uint32_t
schema_of_format(const struct request *rq)
{
	return json_get(&rq->doc, rq->at[PARAM_RESPONSE_FORMAT], "json_schema");
}

bool
anthropic_tool_is_text(const struct request *rq, const struct model *model)
{
	return rq->at[PARAM_RESPONSE_FORMAT] != JSON_NONE && !model->structured_output;
}

bool
anthropic_forces_tool(const struct request *rq, const struct model *model)
{
	uint32_t choice = rq->at[PARAM_TOOL_CHOICE];

	return anthropic_tool_is_text(rq, model) ||
	    (choice != JSON_NONE && !json_is(&rq->doc, choice, "none"));
}

/* An input_schema must be of type object; one that does not say is made to. */
static bool
put_input_schema(struct translation *t, uint32_t at, bool strict, const char *param)
{
	uint32_t type = json_get(t->doc, at, "type");
	struct span raw;

	if (at == JSON_NONE || json_type(t->doc, at) == JSON_NULL ||
	    json_first(t->doc, at) == JSON_NONE) {
		buf_put_str(t->b,
		    strict ? "{\"type\":\"object\",\"properties\":{},"
			     "\"additionalProperties\":false}"
			   : NO_SCHEMA);
		return true;
	}
	if (type != JSON_NONE && !json_is(t->doc, type, "object"))
		return refuse(
		    t->no, "invalid_value", param, "%s must be of type \"object\".", param);
	if (strict && type != JSON_NONE)
		return anthropic_put_schema(t, at, param);
	if (strict)
		return refuse(
		    t->no, "invalid_value", param, "%s must be of type \"object\".", param);
	raw = json_raw(t->doc, at);
	if (type == JSON_NONE) {
		buf_put_str(t->b, "{\"type\":\"object\",");
		raw = span_cut(raw, 1, raw.n);
	}
	buf_put(t->b, raw);
	return true;
}

static bool
put_tool(struct translation *t, uint32_t tool, unsigned index)
{
	uint32_t function = json_get(t->doc, tool, "function");
	uint32_t description = json_get(t->doc, function, "description");
	uint32_t strict_at = json_get(t->doc, function, "strict");
	uint32_t cache = json_get(t->doc, tool, "cache_control");
	bool strict = strict_at != JSON_NONE && json_type(t->doc, strict_at) == JSON_TRUE;
	char param[64];

	if (!json_is(t->doc, json_get(t->doc, tool, "type"), "function")) {
		snprintf(param, sizeof(param), "tools[%u].type", index);
		return refuse(t->no, "unsupported_parameter", param,
		    "%s: only functions are supported by this model's provider.", param);
	}
	if (strict && !t->model->structured_output) {
		snprintf(param, sizeof(param), "tools[%u].function.strict", index);
		return refuse(t->no, "unsupported_parameter", param,
		    "%s is not supported by this model.", param);
	}
	buf_put_str(t->b, "{\"name\":");
	buf_put(t->b, json_raw(t->doc, json_get(t->doc, function, "name")));
	if (description != JSON_NONE && json_type(t->doc, description) == JSON_STRING) {
		buf_put_str(t->b, ",\"description\":");
		buf_put(t->b, json_raw(t->doc, description));
	}
	buf_put_str(t->b, ",\"input_schema\":");
	snprintf(param, sizeof(param), "tools[%u].function.parameters", index);
	if (!put_input_schema(t, json_get(t->doc, function, "parameters"), strict, param))
		return false;
	if (strict)
		buf_put_str(t->b, ",\"strict\":true");
	if (cache != JSON_NONE && json_type(t->doc, cache) == JSON_OBJECT) {
		buf_put_str(t->b, ",\"cache_control\":");
		buf_put(t->b, json_raw(t->doc, cache));
	}
	buf_put_byte(t->b, '}');
	return true;
}

static bool
put_choice(struct translation *t)
{
	uint32_t choice = t->rq->at[PARAM_TOOL_CHOICE];
	uint32_t name = json_get(t->doc, json_get(t->doc, choice, "function"), "name");
	bool alone = t->rq->at[PARAM_PARALLEL_TOOL_CALLS] != JSON_NONE;

	if (choice == JSON_NONE && !alone)
		return true;
	if (json_is(t->doc, choice, "none")) {
		buf_put_str(t->b, ",\"tool_choice\":{\"type\":\"none\"}");
		return true;
	}
	if (choice != JSON_NONE && t->model->no_forced_tools)
		return refuse(t->no, "unsupported_parameter", "tool_choice",
		    "tool_choice: this model cannot be made to call a tool; \"auto\" and \"none\" "
		    "are supported.");
	buf_put_str(t->b, ",\"tool_choice\":{\"type\":");
	if (choice == JSON_NONE) {
		buf_put_str(t->b, "\"auto\"");
	} else if (json_is(t->doc, choice, "required")) {
		buf_put_str(t->b, "\"any\"");
	} else if (json_is(t->doc, json_get(t->doc, choice, "type"), "function") &&
	    name != JSON_NONE && json_type(t->doc, name) == JSON_STRING) {
		buf_put_str(t->b, "\"tool\",\"name\":");
		buf_put(t->b, json_raw(t->doc, name));
	} else {
		return refuse(t->no, "unsupported_parameter", "tool_choice",
		    "tool_choice: only \"auto\", \"none\", \"required\" and a named function are "
		    "supported by this model's provider.");
	}
	buf_put_str(t->b, alone ? ",\"disable_parallel_tool_use\":true}" : "}");
	return true;
}

/* The answer's schema as the only tool. */
static bool
put_format_tool(struct translation *t)
{
	uint32_t format = schema_of_format(t->rq), name = json_get(t->doc, format, "name");
	uint32_t said = json_get(t->doc, format, "description");
	struct span text = name == JSON_NONE || json_type(t->doc, name) != JSON_STRING
	    ? SPAN_NONE
	    : json_inner(t->doc, name);

	if (t->rq->at[PARAM_TOOLS] != JSON_NONE)
		return refuse(t->no, "unsupported_parameter", "response_format",
		    "response_format beside tools is not supported by this model.");
	if (!tool_name_fits(text))
		return refuse(t->no, "invalid_value", "response_format.json_schema.name",
		    "response_format.json_schema.name must be 1 to 64 letters, digits, "
		    "underscores or hyphens.");
	buf_put_str(t->b, ",\"tools\":[{\"name\":");
	buf_put(t->b, json_raw(t->doc, name));
	if (said != JSON_NONE && json_type(t->doc, said) == JSON_STRING) {
		buf_put_str(t->b, ",\"description\":");
		buf_put(t->b, json_raw(t->doc, said));
	}
	buf_put_str(t->b, ",\"input_schema\":");
	if (!put_input_schema(
		t, json_get(t->doc, format, "schema"), false, "response_format.json_schema.schema"))
		return false;
	buf_put_str(t->b, "}],\"tool_choice\":{\"type\":\"tool\",\"name\":");
	buf_put(t->b, json_raw(t->doc, name));
	buf_put_byte(t->b, '}');
	return true;
}

bool
anthropic_put_tools(struct translation *t)
{
	uint32_t tools = t->rq->at[PARAM_TOOLS];
	unsigned index = 0;

	if (anthropic_tool_is_text(t->rq, t->model))
		return put_format_tool(t);
	if (tools == JSON_NONE)
		return true;
	buf_put_str(t->b, ",\"tools\":[");
	for (uint32_t c = json_first(t->doc, tools); c != JSON_NONE;
	     c = json_after(t->doc, tools, c)) {
		if (index > 0)
			buf_put_byte(t->b, ',');
		if (!put_tool(t, c, index++))
			return false;
	}
	buf_put_byte(t->b, ']');
	return put_choice(t);
}

bool
anthropic_put_format(struct translation *t, bool *any)
{
	static const char param[] = "response_format.json_schema.schema";
	uint32_t format = t->rq->at[PARAM_RESPONSE_FORMAT];
	uint32_t schema = json_get(t->doc, schema_of_format(t->rq), "schema");

	if (format == JSON_NONE)
		return true;
	if (!json_is(t->doc, json_get(t->doc, format, "type"), "json_schema"))
		return refuse(t->no, "unsupported_parameter", "response_format",
		    "response_format: only json_schema is supported by this model's provider; send "
		    "a schema.");
	if (schema == JSON_NONE || json_type(t->doc, schema) != JSON_OBJECT)
		return refuse(t->no, "invalid_value", param, "%s must be an object.", param);
	if (anthropic_tool_is_text(t->rq, t->model))
		return true;
	if (*any)
		buf_put_byte(t->b, ',');
	*any = true;
	buf_put_str(t->b, "\"format\":{\"type\":\"json_schema\",\"schema\":");
	if (!anthropic_put_schema(t, schema, param))
		return false;
	buf_put_byte(t->b, '}');
	return true;
}
