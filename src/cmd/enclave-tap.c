/*
 * enclave-tap - the enclave's network interface: tap0, its frames carried to gvproxy on the host. A
 * process of its own, that gives up all rights once the interface stands. Its environment does not
 * count.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "net/gvproxy.h"
#include "net/tap.h"
#include "sys/harden.h"
#include "sys/landlock.h"
#include "sys/log.h"
#include "sys/rights.h"
#include "sys/sandbox.h"

struct options {
	struct vsock_address host;
	uint16_t mtu;
	const char *resolv_conf; /* NULL: none */
	struct log_options log;
};

static const char help[] =
    "usage: enclave-tap [flags]\n"
    "Makes tap0 (" TAP_ADDRESS ", default route " TAP_GATEWAY
    ") and carries its frames to gvproxy.\n"
    "\n"
    "  --host vsock:CID:PORT     gvproxy, default vsock:3:1024\n"
    "  --mtu N                   576 to 65521, default 1500; gvproxy's -mtu should be the same\n"
    "  --resolv-conf FILE|none   the resolver's file, default " TAP_RESOLV_CONF "\n"
    "  --log-to vsock:CID:PORT   lines to the host, default standard error\n"
    "  --version, --help\n";

static int
usage(const char *flag, const char *value, const char *want)
{
	if (value == NULL)
		fprintf(stderr, "enclave-tap: %s: expects %s\n", flag, want);
	else
		fprintf(stderr, "enclave-tap: %s: \"%s\" is not %s\n", flag, value, want);
	return 2;
}

/* -1: go on; else the exit status. */
static int
read_flag(struct options *o, const char *flag, const char *value)
{
	uint64_t mtu;

	if (strcmp(flag, "--host") == 0)
		return value != NULL && vsock_read(&o->host, span_str(value))
		    ? -1
		    : usage(flag, value, "vsock:CID:PORT");
	if (strcmp(flag, "--mtu") == 0) {
		if (value == NULL || !span_u64(span_str(value), TAP_MTU_MAX, &mtu) ||
		    mtu < TAP_MTU_MIN)
			return usage(flag, value, "a number from 576 to 65521");
		o->mtu = (uint16_t)mtu;
		return -1;
	}
	if (strcmp(flag, "--resolv-conf") == 0) {
		if (value == NULL || (value[0] != '/' && strcmp(value, "none") != 0))
			return usage(flag, value, "a path from / on, or none");
		o->resolv_conf = value[0] == '/' ? value : NULL;
		return -1;
	}
	if (strcmp(flag, "--log-to") == 0)
		return value != NULL && vsock_read(&o->log.host, span_str(value))
		    ? -1
		    : usage(flag, value, "vsock:CID:PORT");
	fprintf(stderr, "enclave-tap: unknown flag \"%s\" (--help lists them)\n", flag);
	return 2;
}

static int
read_options(struct options *o, int argc, char **argv)
{
	int status = -1;

	for (int i = 1; i < argc && status < 0; i += 2) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0) {
			fputs(argv[i][2] == 'h' ? help : "enclave-tap " TEE_VERSION "\n", stdout);
			return 0;
		}
		status = read_flag(o, argv[i], argv[i + 1]); /* argv ends in NULL */
	}
	return status;
}

/* What is open stays usable; nothing else can be reached any more, but the host. */
static struct err
give_up_rights(void)
{
	TRY(harden_process());
	TRY(rights_become(TAP_ID));
	TRY(landlock_enter(SANDBOX_TAP));
	return sandbox_enter(SANDBOX_TAP);
}

int
main(int argc, char **argv)
{
	struct options o = { .host = { VSOCK_CID_HOST, GVPROXY_PORT },
		.mtu = TAP_MTU,
		.resolv_conf = TAP_RESOLV_CONF,
		.log = { .level = LOG_INFO } };
	int status = read_options(&o, argc, argv), tap;
	struct err e;

	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	if (failed(e = log_open(&o.log))) {
		fprintf(stderr, "enclave-tap: %s: %s\n", e.what, strerror(errno));
		return 1;
	}
	if (failed(e = tap_open(&tap, o.mtu)) ||
	    (o.resolv_conf != NULL && failed(e = tap_resolver(o.resolv_conf)))) {
		log_msg(LOG_ERROR, "tap: %s%s%s", e.what, e.code == ERR_SYSTEM ? ": " : "",
		    e.code == ERR_SYSTEM ? strerror(errno) : "");
		return 1;
	}
	if (failed(e = give_up_rights())) {
		log_msg(LOG_ERROR, "tap: %s", e.what);
		return 1;
	}
	gvproxy_carry(&o.host, tap, o.mtu);
}
