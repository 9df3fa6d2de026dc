/*
 * log.h - one line an event, fixed keys in a fixed order. Source: interfaces.md F3.
 *
 * Text form:  2026-11-22T20:29:54.123Z info request_id=... route=/v1/chat/completions status=200
 * JSON form:  {"time":"...","level":"info","request_id":"...","status":200}
 * Text values that need it are quoted and escaped (control bytes, quotes, non-ASCII as \xNN), so
 * a peer cannot forge a line. In JSON such a byte is \u00NN, one by one, so that any bytes make
 * valid JSON. A value of a line with several fields is cut at 512 bytes as written, a line at 4096;
 * what was cut ends in "...". Prompts, completions, keys and payments never come here.
 */
#ifndef SYS_LOG_H
#define SYS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/span.h"
#include "sys/vsock.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_options {
	enum log_level level;
	bool json;
	const char *file;	   /* NULL: standard error; opened for appending, 0640 */
	struct vsock_address host; /* port not 0: there instead (log_carrier.h) */
	void (*forget)(void *ctx); /* in the process that this starts; NULL: nothing */
	void *forget_ctx;
};
/*
 * Errors: SYSTEM (cannot open). Before it, lines go to standard error as text. With a host it starts
 * a process: call while there is one thread.
 */
MUST_USE struct err log_open(const struct log_options *opt);
/* By who opened it, when all others that have it are gone: waits a moment for the host. */
void log_close(void);

struct log_field {
	const char *key;
	struct span text; /* .p NULL: number counts, unless absent */
	uint64_t number;
	bool absent; /* the field is left out */
};
#define LOG_TEXT(k, s)	 ((struct log_field){ .key = (k), .text = (s) })
#define LOG_NUMBER(k, v) ((struct log_field){ .key = (k), .number = (v) })

bool log_wants(enum log_level level);
/*
 * One line, written with one write(2); safe from every thread and after fork. One that nobody takes
 * is lost; the next that somebody takes is preceded by one that says how many were.
 */
void log_fields(enum log_level level, const struct log_field *field, size_t n);
/* One line with the single key "msg"; printf-like, for start-up and shutdown. */
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
