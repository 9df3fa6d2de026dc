/*
 * options.h - flags and their environment twins. Source: interfaces.md section 2 (A1-A5).
 */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/span.h"
#include "crypto/address.h"
#include "pricing/models.h"
#include "sys/log.h"

enum { LOOPS_MAX = 64, INTERNAL_PORT = 8080 };

struct options_address {
	struct span host; /* literal address, [..] around IPv6 */
	uint16_t port;
	bool none; /* --tls-listen none */
};

/* Everything points into argv or the environment, which live as long as the process. */
struct options {
	bool enclave; /* --mode enclave: else local */
	struct options_address plain, tls;
	struct span nitriding; /* URL of the daemon before us, no slash at its end; empty: none */
	unsigned loops;
	const char *models_file, *policy_file; /* NULL: the embedded ones */
	const char *soft_pcrs_file;	       /* NULL: PCRs of zero */
	const char *ca_file;		       /* extra PEM roots; NULL: none */
	struct log_options log;
	const char *key[PROVIDER_COUNT];      /* provider keys; NULL: not configured. Secret */
	const char *base_url[PROVIDER_COUNT]; /* NULL: the provider's own */
	/* Local mode; else, and where the environment is silent, the reference deployment's. */
	struct address pay_to;
	struct span public_url, facilitator_url; /* without a slash at the end; empty: unset */
	bool payments;				 /* always in an enclave */
	const char *price_url;			 /* NULL: the policy's source */
	const char *fixed_price_usd;		 /* decimal text above 0; NULL: the source says */
	bool internal;				 /* --enclave-internal */
	bool check_config;
};

enum options_verdict {
	OPTIONS_RUN,
	OPTIONS_DONE,	/* --help or --version was printed: exit 0 */
	OPTIONS_USAGE,	/* one line was printed on stderr: exit 2 */
	OPTIONS_FAILED, /* the same: exit 1 */
};
enum options_verdict options_read(struct options *o, int argc, char **argv, const char *version);

#endif
