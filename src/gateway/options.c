#include "gateway/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/nitriding.h"
#include "gateway/settings.h"
#include "net/listen.h"
#include "pricing/cost.h"

/* FLAG(name, environment twin, what is expected, needs a value) */
#define FLAGS(FLAG)                                                                                \
	FLAG(MODE, "--mode", "TEE_GATEWAY_MODE", "local or enclave", true)                         \
	FLAG(LISTEN, "--listen", "TEE_GATEWAY_LISTEN", "ADDR:PORT", true)                          \
	FLAG(TLS_LISTEN, "--tls-listen", "TEE_GATEWAY_TLS_LISTEN", "ADDR:PORT or none", true)      \
	FLAG(LOOPS, "--loops", "TEE_GATEWAY_LOOPS", "a number from 1 to 64", true)                 \
	FLAG(NITRIDING, "--nitriding", "TEE_GATEWAY_NITRIDING",                                    \
	    "http:// with an address of loopback and a port, as http://127.0.0.1:8080", true)      \
	FLAG(INTERNAL, "--enclave-internal", "TEE_GATEWAY_ENCLAVE_INTERNAL", "true or false",      \
	    false)                                                                                 \
	FLAG(MODELS, "--models", "TEE_GATEWAY_MODELS", "a file", true)                             \
	FLAG(SOFT_PCRS, "--soft-pcrs", "TEE_GATEWAY_SOFT_PCRS", "a file", true)                    \
	FLAG(POLICY, "--policy", "TEE_GATEWAY_POLICY", "a file", true)                             \
	FLAG(                                                                                      \
	    LOG_LEVEL, "--log-level", "TEE_GATEWAY_LOG_LEVEL", "error, warn, info or debug", true) \
	FLAG(LOG_FORMAT, "--log-format", "TEE_GATEWAY_LOG_FORMAT", "text or json", true)           \
	FLAG(LOG_TO, "--log-to", "TEE_GATEWAY_LOG_TO", "a file", true)                             \
	FLAG(CHECK_CONFIG, "--check-config", "TEE_GATEWAY_CHECK_CONFIG", "true or false", false)   \
	FLAG(VERSION, "--version", NULL, "no value", false)                                        \
	FLAG(HELP, "--help", NULL, "no value", false)

enum flag {
#define FLAG_ENUM(id, name, env, want, value) FLAG_##id,
	FLAGS(FLAG_ENUM)
#undef FLAG_ENUM
	    FLAG_COUNT
};

static const struct {
	const char *name, *env, *want;
	bool value;
} flags[FLAG_COUNT] = {
#define FLAG_ROW(id, name, env, want, value) { name, env, want, value },
	FLAGS(FLAG_ROW)
#undef FLAG_ROW
};

static const char help[] =
    "usage: tee-gateway [flags]\n"
    "A verifiable LLM gateway. Every flag has an environment twin; the flag wins.\n"
    "\n"
    "  --mode local|enclave        where it runs (TEE_GATEWAY_MODE); enclave needs /dev/nsm\n"
    "  --listen ADDR:PORT          plain listener, default 127.0.0.1:8000\n"
    "  --tls-listen ADDR:PORT|none TLS listener, default 127.0.0.1:8443\n"
    "  --loops N                   event loops, default the number of CPUs\n"
    "  --nitriding URL             behind this nitriding daemon: no TLS of our own\n"
    "  --enclave-internal          nitriding's internal interface, on 127.0.0.1:8080\n"
    "  --models FILE               model table instead of the embedded one\n"
    "  --policy FILE               policy instead of the embedded one\n"
    "  --soft-pcrs FILE            what the software module shows as PCRs (local mode)\n"
    "  --log-level LEVEL           error, warn, info (default) or debug\n"
    "  --log-format text|json      default text\n"
    "  --log-to FILE               default standard error\n"
    "  --check-config              read everything, say so, exit\n"
    "  --version, --help\n"
    "\n"
    "environment: {OPENAI,ANTHROPIC,GOOGLE,XAI,ARK,NOUS}_API_KEY, and _BASE_URL of each,\n"
    "EVM_PAYMENT_ADDRESS, FACILITATOR_URL, PUBLIC_URL, TEE_GATEWAY_PAYMENTS, _PRICE_URL,\n"
    "_FIXED_PRICE_USD, _CA_FILE, API_SERVER_HOST, API_SERVER_PORT; see docs/operating.md\n";

static bool complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool
complain(const char *fmt, ...)
{
	va_list ap;

	fputs("tee-gateway: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return false;
}

/* Where a value came from, for the message: the flag, or its environment twin. */
struct given {
	const char *value[FLAG_COUNT], *from[FLAG_COUNT];
};

static bool
bad(const struct given *g, enum flag f)
{
	return complain("%s: \"%s\" is not %s", g->from[f], g->value[f], flags[f].want);
}

static enum flag
flag_of(const char *arg, size_t n)
{
	for (enum flag f = 0; f < FLAG_COUNT; f++)
		if (span_eq(span_of(arg, n), span_str(flags[f].name)))
			return f;
	return FLAG_COUNT;
}

static bool
collect(struct given *g, int argc, char **argv)
{
	for (enum flag f = 0; f < FLAG_COUNT; f++) {
		const char *env = flags[f].env == NULL ? NULL : getenv(flags[f].env);

		if (env != NULL && *env != '\0') {
			g->value[f] = env;
			g->from[f] = flags[f].env;
		}
	}
	for (int i = 1; i < argc; i++) {
		const char *eq = strchr(argv[i], '=');
		enum flag f = flag_of(
		    argv[i], eq == NULL ? strlen(argv[i]) : (size_t)(eq - argv[i]));

		if (f == FLAG_COUNT)
			return complain("unknown flag \"%s\" (--help lists them)", argv[i]);
		if (g->from[f] == flags[f].name)
			return complain("%s: given twice", flags[f].name);
		g->from[f] = flags[f].name;
		if (!flags[f].value && eq != NULL)
			return complain("%s: takes no value", flags[f].name);
		if (!flags[f].value)
			g->value[f] = "true";
		else if (eq != NULL)
			g->value[f] = eq + 1;
		else if (i + 1 < argc)
			g->value[f] = argv[++i];
		else
			return complain("%s: expects %s", flags[f].name, flags[f].want);
	}
	return true;
}

/* "127.0.0.1:8000", "[::1]:8000". Whether the host is an address, bind will say. */
static bool
address_read(struct options_address *a, struct span s)
{
	size_t colon = span_rfind(s, SPAN_LIT(":"));
	uint64_t port;

	if (colon == SIZE_MAX || colon == 0 ||
	    !span_u64(span_cut(s, colon + 1, s.n), UINT16_MAX, &port) || port == 0)
		return false;
	*a = (struct options_address){ .host = span_cut(s, 0, colon), .port = (uint16_t)port };
	return true;
}

/* API_SERVER_HOST and API_SERVER_PORT move the plain listener; --listen wins. */
static bool
address_from_environment(struct options_address *a)
{
	const char *host = getenv("API_SERVER_HOST"), *port = getenv("API_SERVER_PORT");
	uint64_t number;

	if (host != NULL && *host != '\0')
		a->host = span_str(host);
	if (port == NULL || *port == '\0')
		return true;
	if (!span_u64(span_str(port), UINT16_MAX, &number) || number == 0)
		return complain("API_SERVER_PORT: \"%s\" is not a port", port);
	a->port = (uint16_t)number;
	return true;
}

static bool
log_read(struct options *o, const struct given *g)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };

	o->log.level = LOG_INFO;
	if (g->value[FLAG_LOG_LEVEL] != NULL) {
		size_t i = 0;

		while (i < 4 && strcmp(g->value[FLAG_LOG_LEVEL], levels[i]) != 0)
			i++;
		if (i == 4)
			return bad(g, FLAG_LOG_LEVEL);
		o->log.level = (enum log_level)i;
	}
	if (g->value[FLAG_LOG_FORMAT] != NULL) {
		o->log.json = strcmp(g->value[FLAG_LOG_FORMAT], "json") == 0;
		if (!o->log.json && strcmp(g->value[FLAG_LOG_FORMAT], "text") != 0)
			return bad(g, FLAG_LOG_FORMAT);
	}
	o->log.file = g->value[FLAG_LOG_TO];
	if (o->log.file != NULL && span_starts(span_str(o->log.file), SPAN_LIT("vsock:")))
		return complain("%s: vsock is not offered by this build", g->from[FLAG_LOG_TO]);
	return true;
}

/* What is said there is believed, so nobody else may hear or answer it. */
static bool
nitriding_read(struct options *o, const struct given *g)
{
	struct span url = span_str(g->value[FLAG_NITRIDING]);
	struct options_address a;

	if (url.p == NULL)
		return true;
	if (url.n > 0 && url.p[url.n - 1] == '/')
		url.n--;
	if (url.n > NITRIDING_URL_MAX || !span_starts(url, SPAN_LIT("http://")) ||
	    !address_read(&a, span_cut(url, strlen("http://"), url.n)) ||
	    !listen_is_loopback(a.host))
		return bad(g, FLAG_NITRIDING);
	o->nitriding = url;
	return true;
}

static bool
listeners_read(struct options *o, const struct given *g)
{
	struct span host = o->enclave ? SPAN_LIT("0.0.0.0") : SPAN_LIT("127.0.0.1");

	o->plain = (struct options_address){ .host = host, .port = 8000 };
	o->tls = (struct options_address){ .host = host, .port = o->enclave ? 443 : 8443 };
	if (g->value[FLAG_LISTEN] != NULL) {
		if (!address_read(&o->plain, span_str(g->value[FLAG_LISTEN])))
			return bad(g, FLAG_LISTEN);
	} else if (!address_from_environment(&o->plain)) {
		return false;
	}
	/* H1: the daemon in front of us has the TLS, and its certificate is the attested one. */
	o->tls.none = o->nitriding.n > 0;
	if (g->value[FLAG_TLS_LISTEN] == NULL)
		return true;
	if (strcmp(g->value[FLAG_TLS_LISTEN], "none") == 0)
		o->tls.none = true;
	else if (!address_read(&o->tls, span_str(g->value[FLAG_TLS_LISTEN])))
		return bad(g, FLAG_TLS_LISTEN);
	if (!o->tls.none && o->nitriding.n > 0)
		return complain("%s: is none with --nitriding", g->from[FLAG_TLS_LISTEN]);
	return true;
}

static bool
loops_read(struct options *o, const struct given *g)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t loops;

	o->loops = cpus < 1 ? 1 : cpus > LOOPS_MAX ? LOOPS_MAX : (unsigned)cpus;
	if (g->value[FLAG_LOOPS] == NULL)
		return true;
	if (!span_u64(span_str(g->value[FLAG_LOOPS]), LOOPS_MAX, &loops) || loops == 0)
		return bad(g, FLAG_LOOPS);
	o->loops = (unsigned)loops;
	return true;
}

static const char *
environment(const char *name)
{
	const char *value = name == NULL ? NULL : getenv(name);

	return value == NULL || *value == '\0' ? NULL : value;
}

static bool
providers_read(struct options *o)
{
	static const char *const key_env[] = {
#define KEY_ENV(id, name, alias, key, url) key,
		PROVIDERS(KEY_ENV)
#undef KEY_ENV
	};
	static const char *const url_env[] = {
#define URL_ENV(id, name, alias, key, url) url,
		PROVIDERS(URL_ENV)
#undef URL_ENV
	};

	for (size_t i = 0; i < PROVIDER_COUNT; i++) {
		const char *url = environment(url_env[i]), *key = environment(key_env[i]);
		struct span s = span_str(url);

		if (key != NULL && !settings_key_fits(span_str(key)))
			return complain("%s: holds bytes that no key has", key_env[i]);
		if (url != NULL && !settings_url_fits(&s))
			return complain("%s: \"%s\" is not an http or https URL", url_env[i], url);
		o->key[i] = key;
		o->base_url[i] = url;
	}
	o->ca_file = environment("TEE_GATEWAY_CA_FILE");
	return true;
}

/* The reference deployment's (x402.md, first table). */
#define DEFAULT_PAY_TO	    "0x9deEBB5D1b22e4a6e027977CeAd13893A7E4cC1a"
#define DEFAULT_FACILITATOR "https://facilitator.memchat.io"

static bool
url_read(struct span *url, const char *name, const char *otherwise)
{
	const char *text = environment(name);

	*url = span_str(text != NULL ? text : otherwise);
	if (url->n > 0 && !settings_url_fits(url))
		return complain("%s: \"%s\" is not an http or https URL", name, text);
	return true;
}

static bool
payment_read(struct options *o)
{
	const char *pay_to = environment("EVM_PAYMENT_ADDRESS");
	const char *payments = environment("TEE_GATEWAY_PAYMENTS");
	struct token_price fixed;
	struct span price;

	if (pay_to == NULL)
		pay_to = DEFAULT_PAY_TO;
	if (!settings_address_fits(&o->pay_to, span_str(pay_to)))
		return complain("EVM_PAYMENT_ADDRESS: \"%s\" is not an address", pay_to);
	if (!url_read(&o->facilitator_url, "FACILITATOR_URL", DEFAULT_FACILITATOR) ||
	    !url_read(&o->public_url, "PUBLIC_URL", NULL) ||
	    !url_read(&price, "TEE_GATEWAY_PRICE_URL", NULL))
		return false;
	o->price_url = environment("TEE_GATEWAY_PRICE_URL");
	o->fixed_price_usd = environment("TEE_GATEWAY_FIXED_PRICE_USD");
	if (o->fixed_price_usd != NULL &&
	    failed(token_price_parse(&fixed, span_str(o->fixed_price_usd))))
		return complain("TEE_GATEWAY_FIXED_PRICE_USD: \"%s\" is not a price above 0",
		    o->fixed_price_usd);
	if (payments != NULL && strcmp(payments, "on") != 0 && strcmp(payments, "off") != 0)
		return complain("TEE_GATEWAY_PAYMENTS: \"%s\" is not on or off", payments);
	o->payments = o->enclave || (payments != NULL && strcmp(payments, "on") == 0);
	return true;
}

/* A5: in an enclave nothing counts that its measurements do not cover. */
static bool
is_measured(const struct given *g)
{
	static const char *const local_env[] = {
#define LOCAL_ENV(id, name, alias, key, url) key, url,
		PROVIDERS(LOCAL_ENV)
#undef LOCAL_ENV
		    "TEE_GATEWAY_CA_FILE",
		"EVM_PAYMENT_ADDRESS", "FACILITATOR_URL", "PUBLIC_URL", "TEE_GATEWAY_PAYMENTS",
		"TEE_GATEWAY_PRICE_URL", "TEE_GATEWAY_FIXED_PRICE_USD"
	};
	static const enum flag local_flag[] = { FLAG_MODELS, FLAG_SOFT_PCRS };

	for (size_t i = 0; i < sizeof(local_flag) / sizeof(local_flag[0]); i++)
		if (g->value[local_flag[i]] != NULL)
			return complain("%s: in local mode only", g->from[local_flag[i]]);
	for (size_t i = 0; i < sizeof(local_env) / sizeof(local_env[0]); i++)
		if (environment(local_env[i]) != NULL)
			return complain("%s: in local mode only", local_env[i]);
	return true;
}

/* A flag without a value; its environment twin has one. */
static bool
switch_read(bool *on, const struct given *g, enum flag f)
{
	if (g->value[f] == NULL)
		return true;
	*on = strcmp(g->value[f], "true") == 0;
	return *on || strcmp(g->value[f], "false") == 0 || bad(g, f);
}

enum options_verdict
options_read(struct options *o, int argc, char **argv, const char *version)
{
	struct given g = { 0 };
	const char *mode;

	*o = (struct options){ 0 };
	if (!collect(&g, argc, argv))
		return OPTIONS_USAGE;
	if (g.value[FLAG_HELP] != NULL) {
		fputs(help, stdout);
		return OPTIONS_DONE;
	}
	if (g.value[FLAG_VERSION] != NULL) {
		printf("tee-gateway %s\n", version);
		return OPTIONS_DONE;
	}
	mode = g.value[FLAG_MODE];
	if (mode != NULL && strcmp(mode, "local") != 0 && strcmp(mode, "enclave") != 0) {
		bad(&g, FLAG_MODE);
		return OPTIONS_USAGE;
	}
	o->enclave = mode != NULL && strcmp(mode, "enclave") == 0;
	if (o->enclave && !is_measured(&g))
		return OPTIONS_USAGE;
	if (!switch_read(&o->check_config, &g, FLAG_CHECK_CONFIG) ||
	    !switch_read(&o->internal, &g, FLAG_INTERNAL))
		return OPTIONS_USAGE;
	if (o->internal && g.value[FLAG_NITRIDING] != NULL) {
		complain("%s: that is the daemon's with --nitriding", g.from[FLAG_INTERNAL]);
		return OPTIONS_USAGE;
	}
	o->models_file = g.value[FLAG_MODELS];
	o->policy_file = g.value[FLAG_POLICY];
	o->soft_pcrs_file = g.value[FLAG_SOFT_PCRS];
	if (!nitriding_read(o, &g) || !listeners_read(o, &g) || !loops_read(o, &g) ||
	    !log_read(o, &g) || !providers_read(o) || !payment_read(o))
		return OPTIONS_USAGE;
	return OPTIONS_RUN;
}
