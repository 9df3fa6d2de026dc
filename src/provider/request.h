/*
 * request.h - what a client asked, validated: OpenAI's chat and legacy completions schemas. Pure.
 * Source: interfaces.md section 5 (C1-C8); providers.md 3 and 4.
 *
 * Every parameter of the schemas has one row in PARAMS; a member that is neutral (C2) counts as
 * absent. What a provider does with the others, its own file says.
 */
#ifndef PROVIDER_REQUEST_H
#define PROVIDER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/arena.h"
#include "core/err.h"
#include "provider/parts.h"
#include "provider/refusal.h"

enum endpoint { ENDPOINT_CHAT = 1, ENDPOINT_COMPLETIONS = 2 };

/* PARAM(id, name, endpoints: C chat, L legacy completions, B both, check in request.c) */
#define PARAMS(PARAM)                                                    \
	PARAM(MODEL, "model", B, model)                                  \
	PARAM(MESSAGES, "messages", C, messages)                         \
	PARAM(PROMPT, "prompt", L, prompt)                               \
	PARAM(STREAM, "stream", B, flag_off)                             \
	PARAM(STREAM_OPTIONS, "stream_options", B, stream_options)       \
	PARAM(MAX_TOKENS, "max_tokens", B, count)                        \
	PARAM(MAX_COMPLETION_TOKENS, "max_completion_tokens", C, count)  \
	PARAM(TEMPERATURE, "temperature", B, temperature)                \
	PARAM(TOP_P, "top_p", B, fraction)                               \
	PARAM(N, "n", B, choices)                                        \
	PARAM(STOP, "stop", B, stop)                                     \
	PARAM(SEED, "seed", B, integer)                                  \
	PARAM(PRESENCE_PENALTY, "presence_penalty", B, penalty)          \
	PARAM(FREQUENCY_PENALTY, "frequency_penalty", B, penalty)        \
	PARAM(LOGIT_BIAS, "logit_bias", B, logit_bias)                   \
	PARAM(LOGPROBS, "logprobs", B, logprobs)                         \
	PARAM(TOP_LOGPROBS, "top_logprobs", C, top_logprobs)             \
	PARAM(TOOLS, "tools", C, tools)                                  \
	PARAM(TOOL_CHOICE, "tool_choice", C, tool_choice)                \
	PARAM(PARALLEL_TOOL_CALLS, "parallel_tool_calls", C, flag_on)    \
	PARAM(RESPONSE_FORMAT, "response_format", C, response_format)    \
	PARAM(MODALITIES, "modalities", C, modalities)                   \
	PARAM(REASONING_EFFORT, "reasoning_effort", C, effort)           \
	PARAM(VERBOSITY, "verbosity", C, verbosity)                      \
	PARAM(USER, "user", B, text)                                     \
	PARAM(METADATA, "metadata", C, metadata)                         \
	PARAM(SAFETY_IDENTIFIER, "safety_identifier", C, text)           \
	PARAM(PROMPT_CACHE_KEY, "prompt_cache_key", C, text)             \
	PARAM(PROMPT_CACHE_RETENTION, "prompt_cache_retention", C, text) \
	PARAM(SERVICE_TIER, "service_tier", C, service_tier)             \
	PARAM(STORE, "store", C, flag_off)                               \
	PARAM(WEB_SEARCH, "web_search", C, flag_off)                     \
	PARAM(WEB_SEARCH_OPTIONS, "web_search_options", C, object)       \
	PARAM(AUDIO, "audio", C, object)                                 \
	PARAM(PREDICTION, "prediction", C, object)                       \
	PARAM(FUNCTIONS, "functions", C, array)                          \
	PARAM(FUNCTION_CALL, "function_call", C, any)                    \
	PARAM(BEST_OF, "best_of", L, choices)                            \
	PARAM(IMAGE_CONFIG, "image_config", C, image_config)             \
	PARAM(SIZE, "size", C, text)                                     \
	PARAM(WATERMARK, "watermark", C, flag_off)                       \
	PARAM(ECHO, "echo", L, flag_off)                                 \
	PARAM(SUFFIX, "suffix", L, suffix)

enum param {
#define PARAM_ENUM(id, name, endpoints, check) PARAM_##id,
	PARAMS(PARAM_ENUM)
#undef PARAM_ENUM
	    PARAM_COUNT
};
#define PARAM_BIT(id) (UINT64_C(1) << PARAM_##id)

/* The parameter's name as clients write it. */
const char *param_name(enum param p);

struct request {
	enum endpoint endpoint;
	struct json doc;	  /* owned; its text is the received body */
	struct span model;	  /* as received, decoded */
	uint32_t at[PARAM_COUNT]; /* value node; JSON_NONE when absent or neutral */
	uint64_t present;	  /* PARAM_BIT of every value that is there */
	uint32_t unknown;	  /* name node of the first unknown member, JSON_NONE */
	bool stream;
	unsigned n;	       /* choices asked for, at least 1 */
	uint64_t output_limit; /* max_completion_tokens, else max_tokens; UINT64_MAX: absent */
	uint64_t prompt_bytes; /* UTF-8 bytes of the prompt's strings (S4, M2) */
	uint64_t other_bytes;  /* of what else in messages a model may be shown (M2) */
	uint32_t n_messages;
	struct parts_facts parts; /* content parts that are no text */
};

/*
 * Indexes and validates `body`, which must outlive *rq; strings that have escapes are decoded into
 * `arena`. On success the caller owns *rq: request_fini(). On false *no says why, and *rq is empty.
 */
bool request_parse(struct request *rq, enum endpoint endpoint, struct span body,
    struct arena *arena, struct refusal *no);
void request_fini(struct request *rq);

/* Is this member name (a name node) one that request_parse() knows for the endpoint? */
bool request_knows(const struct request *rq, uint32_t name);
/* Is this name node the last of equal names of its object (the one that counts)? */
bool request_counts(const struct json *doc, uint32_t object, uint32_t name);

#endif
