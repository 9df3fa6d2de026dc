/*
 * err.h - errors are values that the compiler makes you look at. Pure.
 *
 * Each code says whose fault it was; gateway/answer.c holds the one table that turns codes into
 * HTTP statuses. `what` is a string literal that cites the rule that was broken; it is safe to
 * log and never secret.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

enum err_code {
	ERR_OK = 0,
	ERR_MALFORMED, /* peer: bytes break the grammar */
	ERR_TOO_LARGE, /* peer: past a limit we publish */
	ERR_REFUSED,   /* peer: well-formed, but not allowed or not true */
	ERR_UPSTREAM,  /* provider: closed, timed out, unverifiable */
	ERR_TIMEOUT,   /* whoever should have answered in time */
	ERR_BUSY,      /* us: a bounded queue is full */
	ERR_NOMEM,     /* us: this request's budget is spent */
	ERR_SYSTEM,    /* us: the kernel or a library refused */
};

struct err {
	enum err_code code;
	const char *what;
};

#define OK	   ((struct err){ ERR_OK, NULL })
#define FAIL(c, w) ((struct err){ ERR_##c, (w) })
#define TRY(call)                         \
	do {                              \
		struct err err_ = (call); \
		if (err_.code != ERR_OK)  \
			return err_;      \
	} while (0)

static inline int
failed(struct err e)
{
	return e.code != ERR_OK;
}

#endif
