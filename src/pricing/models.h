/*
 * models.h - the model table: which names are served, by whom, at what price. Pure.
 * Source: models.json (schema in docs/models.md); interfaces.md C8, A6.
 */
#ifndef PRICING_MODELS_H
#define PRICING_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/arena.h"
#include "core/err.h"
#include "core/span.h"

/* The providers this build serves. PROVIDER(id, name, prefix that is stripped too, key in the environment) */
#define PROVIDERS(PROVIDER)                                                               \
	PROVIDER(ECHO, "echo", NULL, NULL, NULL)                                          \
	PROVIDER(OPENAI, "openai", NULL, "OPENAI_API_KEY", "OPENAI_BASE_URL")             \
	PROVIDER(ANTHROPIC, "anthropic", NULL, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL") \
	PROVIDER(GOOGLE, "google", NULL, "GOOGLE_API_KEY", "GOOGLE_BASE_URL")             \
	PROVIDER(XAI, "x-ai", "xai", "XAI_API_KEY", "XAI_BASE_URL")                       \
	PROVIDER(BYTEDANCE, "bytedance", NULL, "ARK_API_KEY", "ARK_BASE_URL")             \
	PROVIDER(NOUS, "nous", NULL, "NOUS_API_KEY", "NOUS_BASE_URL")

enum provider_id {
#define PROVIDER_ENUM(id, name, alias, key, url) PROVIDER_##id,
	PROVIDERS(PROVIDER_ENUM)
#undef PROVIDER_ENUM
	    PROVIDER_COUNT
};
const char *provider_name(enum provider_id id);

/* How a model is made to think before it answers, by providers that have their own words for it. */
enum thinking {
	THINKING_NONE = 0, /* not at all; or reasoning_effort says it as it is */
	THINKING_BUDGET,   /* a number of tokens (Claude to 4.5, Gemini 2.5) */
	THINKING_ADAPTIVE, /* it decides, an effort guides it (Claude from 4.6 on) */
	THINKING_LEVEL,	   /* a word (Gemini 3) */
};

/* What kind of API a model has. */
enum model_kind {
	MODEL_CHAT,	      /* it answers in text */
	MODEL_IMAGE_INLINE,   /* in text and pictures */
	MODEL_IMAGE_ENDPOINT, /* in pictures, by an API of their own, at a price for each */
};

/* Content parts that are no text. */
enum part_kind { PART_IMAGE, PART_AUDIO, PART_FILE, PART_KINDS };

struct model_part {
	bool taken;
	uint32_t max_tokens; /* the most that one can be (M2); 0: nobody knows */
};

struct model {
	struct span name;
	struct span alias[4];
	size_t n_aliases;
	enum provider_id provider;
	struct span api_name; /* what the provider calls it */
	enum model_kind kind;
	struct span input_usd, output_usd; /* USD per token, decimal text */
	struct span image_usd;		   /* USD per picture, of MODEL_IMAGE_ENDPOINT only */
	struct model_part part[PART_KINDS];
	/* Upstream refuses sampling parameters other than their defaults: they are left out (C3). */
	bool fixed_sampling;
	bool no_stop;	   /* refuses `stop` */
	bool no_penalties; /* refuses presence_penalty and frequency_penalty: left out (C3) */
	bool reasoning;	   /* may be silent for minutes: the longer deadlines (providers.md 2.5) */
	bool verbosity;	   /* takes `verbosity` */
	bool one_sampling; /* refuses temperature beside top_p: the latter is left out (C3) */
	bool structured_output; /* takes a JSON schema for its answer, and strict tools */
	bool no_forced_tools;	/* refuses to be made to call a tool */
	bool no_prefill;	/* refuses a conversation that ends with its own words */
	enum thinking thinking;
	struct span retired;   /* when the provider retired it, YYYY[-MM[-DD]]; .n 0: it has not */
	struct span effort[8]; /* values of reasoning_effort it takes */
	size_t n_efforts;
};

struct models {
	struct arena arena; /* holds the table */
	struct json doc;
	struct model *model;
	size_t n;
};

/*
 * Reads a table; `text` must outlive it. with_echo adds the built-in, free model "echo" in front.
 * Strict: unknown or missing members, unknown providers, names that are no lower-case text, equal
 * names and prices that are no decimals are errors. *where (optional) gets the index of the entry.
 * Errors: MALFORMED, REFUSED, NOMEM; on error *m is empty.
 */
MUST_USE struct err models_parse(struct models *m, struct span text, bool with_echo, size_t *where);
void models_fini(struct models *m);

/*
 * C8: trimmed, case-folded, a "provider/" prefix of its own provider stripped. NULL when there is
 * none; near (at least 1 byte) then gets up to three similar names, comma-separated, or "".
 */
const struct model *
models_find(const struct models *m, struct span name, char *near, size_t near_bytes);

#endif
