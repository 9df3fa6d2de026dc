/*
 * upstream_error.h - a provider's refusal, in any of the shapes providers use, as an answer of
 * ours. Pure. Source: interfaces.md section 4 (error table, E1); providers.md 2.1 to 2.3.
 *
 * Shapes: {"error":{...}}, {"error":"text","code":...}, the same in an array, {"message":...},
 * numeric codes, HTML, nothing, bytes that are no text. What cannot be read counts by its status.
 */
#ifndef PROVIDER_UPSTREAM_ERROR_H
#define PROVIDER_UPSTREAM_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/span.h"

enum {
	UPSTREAM_MESSAGE_MAX = 2048, /* E1: of a provider's text */
	UPSTREAM_CODE_MAX = 64,
	UPSTREAM_RETRY_AFTER_S = 5,	    /* where the provider names no time */
	UPSTREAM_RETRY_AFTER_MAX_S = 86400, /* what a longer one is cut to */
};

/* What came. */
struct upstream_refusal {
	unsigned status;  /* 200: an error inside an answer that began well */
	struct span body; /* as far as it was read */
	struct span retry_after, retry_after_ms; /* response fields; .p NULL: absent */
	uint64_t now_unix_s;			 /* what an HTTP date is compared with */
	struct span key; /* ours at this provider: never in a message. May be empty */
};

/* What the client gets. */
struct upstream_error {
	unsigned status;
	const char *type;		  /* static */
	char code[UPSTREAM_CODE_MAX + 1]; /* lower-case words joined by '_'; "": null */
	char param[UPSTREAM_CODE_MAX + 1];
	char message[UPSTREAM_MESSAGE_MAX + 1]; /* UTF-8, no control bytes, scrubbed */
	unsigned retry_after_s;			/* 0: no such field */
	bool policy;				/* what the client asked for is not allowed there */
	bool read; /* the body was an error in one of the shapes above */
};

void upstream_error_read(struct upstream_error *out, const struct upstream_refusal *in);

/* Does this document say that something failed? (An object, or an array that begins with one.) */
bool upstream_error_is(const struct json *doc);

#endif
