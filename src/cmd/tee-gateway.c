/*
 * tee-gateway - the daemon: options, listeners, processes.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/wipe.h"
#include "enclave/device.h"
#include "enclave/entropy.h"
#include "gateway/config.h"
#include "gateway/options.h"
#include "gateway/worker.h"
#include "keyholder/child.h"
#include "net/listen.h"
#include "supervise/supervise.h"
#include "sys/harden.h"
#include "sys/landlock.h"
#include "sys/log.h"
#include "sys/rights.h"
#include "sys/sandbox.h"

struct program {
	struct options opt;
	struct gateway gw;
	struct listeners listeners;
	struct buf settings;   /* of the environment, encoded; the key holder's */
	struct nsm_device nsm; /* in an enclave; the key holder's */
};

static void
close_listeners(void *ctx)
{
	struct program *p = ctx;

	for (unsigned i = 0; i < p->opt.loops; i++) {
		if (p->listeners.plain[i] >= 0)
			close(p->listeners.plain[i]);
		if (p->listeners.tls[i] >= 0)
			close(p->listeners.tls[i]);
	}
	if (p->listeners.internal >= 0)
		close(p->listeners.internal);
}

/* The supervisor holds no provider's key and no module (K1); the tables stay, for further workers. */
static void
drop_credentials(void *ctx)
{
	struct program *p = ctx;

	buf_fini(&p->settings);
	nsm_device_close(&p->nsm);
}

/*
 * What the environment says, for the key holder (local mode: an enclave learns it from its operator).
 * The keys leave the environment, which all three processes have.
 */
static struct err
take_environment(struct buf *b, const struct options *opt)
{
	struct settings *s = NULL;
	struct err e = opt->enclave ? OK : settings_of_environment(&s, opt);

	buf_init(b, PROVISION_MAX_BYTES);
	if (s != NULL)
		settings_encode(b, s);
	settings_free(s);
	for (size_t i = 0; i < PROVIDER_COUNT; i++)
		if (opt->key[i] != NULL)
			wipe((char *)(uintptr_t)opt->key[i], strlen(opt->key[i]));
	return failed(e) ? e : buf_check(b);
}

static int
run_keyholder(void *ctx, const int *channel, int control)
{
	struct program *p = ctx;
	struct attest_pcrs soft_pcrs = p->gw.soft_pcrs;
	struct keyholder_options opt = { .channel = channel,
		.n_channels = p->opt.loops,
		.control = control,
		.provisioned = &p->settings,
		.nsm = p->opt.enclave ? &p->nsm : NULL,
		.soft_pcrs = &soft_pcrs,
		.app_hash_free = p->opt.internal && !p->opt.enclave,
		.platform = p->opt.enclave ? PLATFORM_ENCLAVE : PLATFORM_LOCAL,
		.threads = 2 };
	int status;

	config_unload(&p->gw);
	status = keyholder_main(&opt);
	buf_fini(&p->settings);
	return status;
}

static int
run_worker(void *ctx, const int *channel, struct supervise_note *note)
{
	struct program *p = ctx;
	int status;

	status = worker_main(&p->gw, &p->listeners, channel, note);
	config_unload(&p->gw);
	return status;
}

/* 0, or the exit status after one line on stderr. */
static int
open_listeners(const struct options_address *a, int *fd, unsigned loops)
{
	struct err e = listen_is_free(a->host, a->port);
	uint16_t port = a->port;

	for (unsigned i = 0; i < loops && !failed(e); i++)
		e = listen_tcp(&fd[i], a->host, &port);
	if (!failed(e))
		return 0;
	if (e.code == ERR_MALFORMED)
		fprintf(stderr, "tee-gateway: cannot listen on %.*s:%u: %s\n", (int)a->host.n,
		    a->host.p, a->port, e.what);
	else
		fprintf(stderr, "tee-gateway: cannot listen on %.*s:%u: %s: %s\n", (int)a->host.n,
		    a->host.p, a->port, e.what, strerror(errno));
	return e.code == ERR_MALFORMED ? 2 : 1;
}

/*
 * Clients and providers are descriptors; the shell's soft limit (often 1024) is not meant for us.
 * As root, the key holder may lock all its memory (K4), which its own user could not ask for.
 */
static void
raise_limits(void)
{
	static const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit r;

	if (rights_separate())
		(void)setrlimit(RLIMIT_MEMLOCK, &all);
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

/* What holds the two others beside users and lists of calls. */
static void
say_landlock(void)
{
	int version = landlock_version();

	if (version > 0)
		log_msg(LOG_INFO,
		    "supervisor: Landlock %d: no file for the key holder, /etc for the worker",
		    version);
	else
		log_msg(LOG_WARN, "supervisor: no Landlock here: users and lists of calls alone");
}

/*
 * K2, A5: an enclave's module, and what the hypervisor gives for randomness, before the first key.
 * While we are root: the key holder, which gets the descriptor, may neither credit entropy nor
 * keep others from the device.
 */
static struct err
enter_enclave(struct nsm_device *nsm)
{
	struct nsm_port port = nsm_device_port(nsm);
	struct nsm_about about;
	struct nsm_pcr pcr;
	bool credited;

	TRY(nsm_device_open(nsm, NSM_DEVICE_PATH));
	TRY(nsm_describe(&port, &about));
	TRY(entropy_seed(&port, &credited));
	TRY(nsm_device_restrict(nsm));
	TRY(nsm_describe_pcr(&port, 0, &pcr));
	log_msg(LOG_INFO, "enclave: module %s, version %u.%u.%u%s", about.module_id, about.major,
	    about.minor, about.patch, credited ? "" : ", entropy mixed in without credit");
	if (span_eq(
		span_of(pcr.value, NSM_PCR_LEN), span_of((uint8_t[NSM_PCR_LEN]){ 0 }, NSM_PCR_LEN)))
		log_msg(
		    LOG_WARN, "enclave: PCR0 is zero: debug mode, the parent reads the console");
	return OK;
}

int
main(int argc, char **argv)
{
	static struct program p = { .nsm = { .fd = -1 } };
	struct supervise_options s = { .keyholder = run_keyholder,
		.worker = run_worker,
		.started = drop_credentials,
		.close_listeners = close_listeners,
		.ctx = &p };
	/* Where programs that were written for nitriding look for it. */
	static const struct options_address internal = { .host = SPAN_LIT("127.0.0.1"),
		.port = INTERNAL_PORT };
	char why[256];
	struct err e;
	int status;

	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	switch (options_read(&p.opt, argc, argv, build_version)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_USAGE:
		return 2;
	case OPTIONS_FAILED:
		return 1;
	}
	if (failed(e = config_load(&p.gw, &p.opt, why, sizeof(why)))) {
		fprintf(stderr, "tee-gateway: %s\n", why);
		return 1;
	}
	if (p.opt.check_config) {
		printf("configuration is fine: %zu models\n", p.gw.models.n);
		config_unload(&p.gw);
		return 0;
	}
	if (failed(e = log_open(&p.opt.log))) {
		fprintf(stderr, "tee-gateway: %s: %s\n",
		    p.opt.log.file == NULL ? "standard error" : p.opt.log.file, e.what);
		return 1;
	}
	if (p.opt.enclave && failed(e = enter_enclave(&p.nsm))) {
		fprintf(stderr, "tee-gateway: --mode enclave: " NSM_DEVICE_PATH ": %s\n", e.what);
		return 1;
	}
	if (failed(e = take_environment(&p.settings, &p.opt))) {
		log_msg(LOG_ERROR, "supervisor: %s", e.what);
		return 1;
	}
	if (failed(e = harden_process())) {
		log_msg(LOG_ERROR, "supervisor: %s", e.what);
		return 1;
	}
	for (unsigned i = 0; i < LOOPS_MAX; i++)
		p.listeners.plain[i] = p.listeners.tls[i] = -1;
	p.listeners.internal = -1;
	status = open_listeners(&p.opt.plain, p.listeners.plain, p.opt.loops);
	if (status == 0 && !p.opt.tls.none)
		status = open_listeners(&p.opt.tls, p.listeners.tls, p.opt.loops);
	if (status == 0 && p.opt.internal)
		status = open_listeners(&internal, &p.listeners.internal, 1);
	if (status != 0)
		return status;
	if (failed(e = rights_keep_few())) {
		log_msg(LOG_ERROR, "supervisor: %s", e.what);
		return 1;
	}
	if (failed(e = sandbox_enter(SANDBOX_SUPERVISOR))) {
		log_msg(LOG_ERROR, "supervisor: %s", e.what);
		return 1;
	}
	if (!rights_separate())
		log_msg(LOG_WARN, "supervisor: not root: key holder and worker share its user");
	say_landlock();
	s.loops = p.opt.loops;
	status = supervise(&s);
	config_unload(&p.gw);
	log_close();
	return status;
}
