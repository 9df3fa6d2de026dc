/*
 * refusal.h - why a request is not taken, in words for the client. Pure.
 *
 * Names the field and what was wrong with it; never quotes values (they are somebody's prompt).
 */
#ifndef PROVIDER_REFUSAL_H
#define PROVIDER_REFUSAL_H

#include "core/err.h"
#include "core/span.h"

struct refusal {
	unsigned status;   /* HTTP status: 400 or 404 */
	const char *code;  /* machine-readable: "invalid_value", ... */
	char param[96];	   /* path of the field, "" when none */
	char message[320]; /* one sentence */
};

/* Fills *no with a 400 and returns false, so that checks can end with `return refuse(...)`. */
bool refuse(struct refusal *no, const char *code, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A stranger's name made fit for a message: printable ASCII, at most 64 bytes, no quotes. */
void refusal_name(char out[static 65], struct span name);

#endif
