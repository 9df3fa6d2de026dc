/*
 * verify_options.h - the options of tee-verify, one table for all commands. Source: interfaces.md
 * section 10.
 */
#ifndef CMD_VERIFY_OPTIONS_H
#define CMD_VERIFY_OPTIONS_H

#include <stdbool.h>

/* A command takes the options of its mask. */
enum { FOR_RESPONSE = 1, FOR_RECEIPT = 2, FOR_BOTH = FOR_RESPONSE | FOR_RECEIPT };
enum skip { SKIP_PCRS, SKIP_ATTESTATION, SKIP_REQUEST, N_SKIPS };

#define OPTIONS(OPTION)                                            \
	OPTION(REQUEST, "--request", FOR_BOTH, true)               \
	OPTION(RESPONSE, "--response", FOR_BOTH, true)             \
	OPTION(KEY, "--key", FOR_RESPONSE, true)                   \
	OPTION(RECEIPT, "--receipt", FOR_RECEIPT, true)            \
	OPTION(JWKS, "--jwks", FOR_RECEIPT, true)                  \
	OPTION(NONCE, "--receipt-nonce", FOR_RECEIPT, true)        \
	OPTION(COMPLETE, "--require-complete", FOR_RECEIPT, false) \
	OPTION(ALLOW_SKIP, "--allow-skip", FOR_RECEIPT, true)      \
	OPTION(JSON, "--json", FOR_BOTH, false)                    \
	OPTION(HELP, "--help", FOR_BOTH, false)

enum option {
#define OPTION_ENUM(id, name, mask, value) OPTION_##id,
	OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
	    N_OPTIONS
};

struct options {
	const char *value[N_OPTIONS]; /* NULL: not given; "" for those without a value */
	bool allow[N_SKIPS];
};

/* Prints one line about the option or word `name`; EXIT_USAGE. */
int options_usage(const char *name, const char *problem);
/* 0, or the exit status of a usage error, which has been printed. */
int options_parse(struct options *o, int mask, int argc, char **argv);
/* The same when the option was not given. */
int options_need(const struct options *o, enum option which);

#endif
