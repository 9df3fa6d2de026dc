/*
 * report.h - what tee-verify says: one line that names the outcome, then one a check; or one JSON
 * object. And the exit status that goes with it. Source: interfaces.md V1, V2, V4.
 */
#ifndef CMD_REPORT_H
#define CMD_REPORT_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/err.h"
#include "core/span.h"

/* V1. */
enum { EXIT_VERIFIED = 0, EXIT_NOT_VERIFIED = 1, EXIT_USAGE = 2, EXIT_NOT_CHECKED = 3 };
enum { REPORT_MAX_CHECKS = 64, REPORT_MAX_NOTES = 4 };

struct report {
	struct buf outcome; /* what follows "verified: " */
	struct buf members; /* the same for machines: JSON members, each with a comma before it */
	struct buf facts;   /* what was met, good or bad: lines */
	struct buf facts_json;
	const struct buf *result; /* JSON that a verified report ends with; NULL: none */
	const char *result_name;  /* the member that it is in the JSON form */
	bool of_image;		  /* the facts are an image's; else an attestation document's */
	const char *about;	  /* what could not be fetched; NULL: nothing was */
	const char *note[REPORT_MAX_NOTES];
	size_t n_notes;
	struct check check[REPORT_MAX_CHECKS];
	size_t n_checks;
};

void report_init(struct report *r);
/* Safe twice. */
void report_fini(struct report *r);

/* Adds checks, in the order in which they were made. */
void report_check(struct report *r, const struct check *checks, size_t n);
/* Adds a line, a literal, that follows the outcome's; once. */
void report_note(struct report *r, const char *note);
/* Adds something that was found, such as a PCR: printed whatever the verdict. */
void report_fact(struct report *r, const char *name, struct span text);
/* Adds a member of the JSON form. */
void report_member(struct report *r, const char *name, struct span text);
void report_member_u64(struct report *r, const char *name, uint64_t v);
void report_member_bool(struct report *r, const char *name, bool v);

/*
 * Prints the report to standard output and, when e is an error, its rule to standard error.
 * Returns the exit status: a report that could not be written whole is never EXIT_VERIFIED.
 */
int report_finish(const struct report *r, bool json, struct err e);

#endif
