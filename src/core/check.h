/*
 * check.h - one thing that was compared, and how it went: what tee-verify prints. Pure.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

enum check_verdict {
	CHECK_PENDING, /* an earlier check failed, so this one was not made */
	CHECK_PASSED,
	CHECK_FAILED,
	CHECK_SKIPPED, /* it could have been made, but the caller did not give what it needs */
	CHECK_NONE,    /* there is nothing to compare in this answer */
};

struct check {
	const char *name, *source, *what; /* literals: a word, the rule, a sentence */
	enum check_verdict verdict;
};

#endif
