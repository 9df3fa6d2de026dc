/*
 * verify_options.h - the options of tee-verify, one table for all commands. Source: interfaces.md
 * section 10.
 */
#ifndef CMD_VERIFY_OPTIONS_H
#define CMD_VERIFY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* A command takes the options of its mask. */
enum {
	FOR_RESPONSE = 1,
	FOR_RECEIPT = 2,
	FOR_ATTESTATION = 4,
	FOR_IDENTITY = 8,
	FOR_REGISTRATION = 32,
	FOR_ANSWERS = FOR_RESPONSE | FOR_RECEIPT,
	FOR_WHOLE = FOR_IDENTITY | FOR_REGISTRATION,
	FOR_ALL = FOR_ANSWERS | FOR_ATTESTATION | FOR_WHOLE, /* that meet a document */
	FOR_IMAGE = 16,
};
enum skip { SKIP_PCRS, SKIP_ATTESTATION, SKIP_REQUEST, N_SKIPS };

#define OPTIONS(OPTION)                                             \
	OPTION(REQUEST, "--request", FOR_ANSWERS, true)             \
	OPTION(RESPONSE, "--response", FOR_ANSWERS, true)           \
	OPTION(KEY, "--key", FOR_RESPONSE, true)                    \
	OPTION(RECEIPT, "--receipt", FOR_RECEIPT, true)             \
	OPTION(JWKS, "--jwks", FOR_RECEIPT, true)                   \
	OPTION(RECEIPT_NONCE, "--receipt-nonce", FOR_RECEIPT, true) \
	OPTION(COMPLETE, "--require-complete", FOR_RECEIPT, false)  \
	OPTION(URL, "--url", FOR_ALL, true)                         \
	OPTION(FILE, "--file", FOR_ATTESTATION, true)               \
	OPTION(CONFIG, "--config", FOR_WHOLE, true)                 \
	OPTION(REGISTRY, "--registry", FOR_REGISTRATION, true)      \
	OPTION(EIF, "--eif", FOR_IMAGE, true)                       \
	OPTION(PCRS, "--pcrs", FOR_ALL | FOR_IMAGE, true)           \
	OPTION(PCR, "--pcr", FOR_ALL, true)                         \
	OPTION(NONCE, "--nonce", FOR_ALL, true)                     \
	OPTION(USER_DATA, "--user-data", FOR_ALL, true)             \
	OPTION(ROOT, "--root", FOR_ALL, true)                       \
	OPTION(AT, "--at", FOR_ALL, true)                           \
	OPTION(MAX_AGE, "--max-age", FOR_ALL, true)                 \
	OPTION(ALLOW_DEBUG, "--allow-debug", FOR_ALL, false)        \
	OPTION(ALLOW_SKIP, "--allow-skip", FOR_ALL, true)           \
	OPTION(JSON, "--json", FOR_ALL | FOR_IMAGE, false)          \
	OPTION(HELP, "--help", FOR_ALL | FOR_IMAGE, false)

enum option {
#define OPTION_ENUM(id, name, mask, value) OPTION_##id,
	OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
	    N_OPTIONS
};

/* Measurements files: releases that a client accepts side by side. */
enum { OPTION_MAX_PCRS = 8, OPTION_MAX_PCR = 32 };

struct options {
	const char *value[N_OPTIONS]; /* NULL: not given; "" for those without a value */
	bool allow[N_SKIPS];
	/* The options that may be repeated. */
	const char *pcrs[OPTION_MAX_PCRS], *pcr[OPTION_MAX_PCR];
	size_t n_pcrs, n_pcr;
};

/* Prints one line about the option or word `name`; EXIT_USAGE. */
int options_usage(const char *name, const char *problem);
/* The option as it is written, with its dashes. */
const char *options_name(enum option which);
/* 0, or the exit status of a usage error, which has been printed. */
int options_parse(struct options *o, int mask, int argc, char **argv);
/* The same when the option was not given. */
int options_need(const struct options *o, enum option which);
/* A usage error when an option was given that is about a gateway's answer of now: without --url. */
int options_need_url(const struct options *o);

#endif
