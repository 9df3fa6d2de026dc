/*
 * gemini_state.h - what reading an answer of Gemini's takes to remember. Pure.
 */
#ifndef PROVIDER_GEMINI_STATE_H
#define PROVIDER_GEMINI_STATE_H

#include <stdbool.h>
#include <stdint.h>

struct gemini_answer {
	bool one_call; /* parallel_tool_calls was false: only the first call is delivered */
	/* usageMetadata is cumulative and comes in parts: the latest word on each count. */
	uint64_t prompt, tool_prompt, candidates, thoughts, cached;
	bool has_prompt, has_output;
};

#endif
