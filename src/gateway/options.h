/*
 * options.h - flags and their environment twins. Source: interfaces.md section 2 (A1-A5).
 */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/span.h"
#include "pricing/models.h"
#include "sys/log.h"
#include "sys/vsock.h"

enum { LOOPS_MAX = 64 };

struct options_address {
	struct span host; /* literal address, [..] around IPv6 */
	uint16_t port;
	uint32_t vsock_port; /* else 0: vsock:PORT, and host and port are unset */
	bool none;	     /* --tls-listen none */
};
/* As it is given: "ADDR:PORT" or "vsock:PORT"; cut where it does not fit. */
enum { ADDRESS_TEXT_BYTES = 64 };
void options_address_print(const struct options_address *a, char text[static ADDRESS_TEXT_BYTES]);

/* Everything points into argv or the environment, which live as long as the process. */
struct options {
	bool enclave; /* --mode enclave: else local */
	struct options_address plain, tls;
	unsigned loops;
	struct vsock_address egress;	       /* the host's proxy; port 0: direct */
	const char *models_file, *policy_file; /* NULL: the embedded ones */
	const char *soft_pcrs_file;	       /* NULL: PCRs of zero */
	const char *ca_file;		       /* extra PEM roots; NULL: none */
	struct log_options log;
	const char *key[PROVIDER_COUNT];      /* provider keys; NULL: not configured. Secret */
	const char *base_url[PROVIDER_COUNT]; /* NULL: the provider's own */
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
