/*
 * anthropic_state.h - what reading an answer of Anthropic's takes to remember. Pure.
 */
#ifndef PROVIDER_ANTHROPIC_STATE_H
#define PROVIDER_ANTHROPIC_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"

struct anthropic_answer {
	bool tool_is_text; /* the one tool stands for a response_format: its input is the content */
	bool started;	   /* message_start has come; another one says nothing */
	bool in_tool;	   /* a tool's block is open */
	uint64_t block;	   /* its index */
	struct buf input;  /* what it began with, as JSON; counts if nothing follows */
	uint64_t input_tokens, cache_read, cache_write;
};

#endif
