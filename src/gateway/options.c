#include "gateway/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* FLAG(name, environment twin, what is expected, needs a value) */
#define FLAGS(FLAG)                                                                                \
	FLAG(MODE, "--mode", "TEE_GATEWAY_MODE", "local or enclave", true)                         \
	FLAG(LISTEN, "--listen", "TEE_GATEWAY_LISTEN", "ADDR:PORT or vsock:PORT", true)            \
	FLAG(TLS_LISTEN, "--tls-listen", "TEE_GATEWAY_TLS_LISTEN",                                 \
	    "ADDR:PORT, vsock:PORT or none", true)                                                 \
	FLAG(LOOPS, "--loops", "TEE_GATEWAY_LOOPS", "a number from 1 to 64", true)                 \
	FLAG(EGRESS, "--egress", "TEE_GATEWAY_EGRESS", "direct or vsock:CID:PORT", true)           \
	FLAG(MODELS, "--models", "TEE_GATEWAY_MODELS", "a file", true)                             \
	FLAG(SOFT_PCRS, "--soft-pcrs", "TEE_GATEWAY_SOFT_PCRS", "a file", true)                    \
	FLAG(POLICY, "--policy", "TEE_GATEWAY_POLICY", "a file", true)                             \
	FLAG(                                                                                      \
	    LOG_LEVEL, "--log-level", "TEE_GATEWAY_LOG_LEVEL", "error, warn, info or debug", true) \
	FLAG(LOG_FORMAT, "--log-format", "TEE_GATEWAY_LOG_FORMAT", "text or json", true)           \
	FLAG(LOG_TO, "--log-to", "TEE_GATEWAY_LOG_TO", "a file or vsock:CID:PORT", true)           \
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
    "  --listen ADDR:PORT          plain listener, default 127.0.0.1:8000; or vsock:PORT\n"
    "  --tls-listen ADDR:PORT|none TLS listener, default 127.0.0.1:8443; or vsock:PORT\n"
    "  --loops N                   event loops, default the number of CPUs\n"
    "  --egress vsock:CID:PORT     to providers by HTTP CONNECT on the host; default direct\n"
    "  --models FILE               model table instead of the embedded one\n"
    "  --policy FILE               policy instead of the embedded one\n"
    "  --soft-pcrs FILE            what the software module shows as PCRs (local mode)\n"
    "  --log-level LEVEL           error, warn, info (default) or debug\n"
    "  --log-format text|json      default text\n"
    "  --log-to FILE|vsock:CID:PORT  default standard error\n"
    "  --check-config              read everything, say so, exit\n"
    "  --version, --help\n"
    "\n"
    "environment: {OPENAI,ANTHROPIC,XAI,ARK,NOUS}_API_KEY, and _BASE_URL of each,\n"
    "TEE_GATEWAY_CA_FILE, API_SERVER_HOST, API_SERVER_PORT; see docs/operating.md\n";

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

/* "127.0.0.1:8000", "[::1]:8000", "vsock:8000". Whether the host is an address, bind will say. */
static bool
address_read(struct options_address *a, const char *text)
{
	struct span s = span_str(text);
	size_t colon = span_rfind(s, SPAN_LIT(":"));
	uint64_t port;

	if (span_starts(s, SPAN_LIT("vsock:"))) {
		*a = (struct options_address){ 0 };
		return vsock_read_port(&a->vsock_port, s);
	}
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
	if (o->log.file == NULL || !span_starts(span_str(o->log.file), SPAN_LIT("vsock:")))
		return true;
	if (!vsock_read(&o->log.host, span_str(o->log.file)))
		return bad(g, FLAG_LOG_TO);
	return true;
}

static bool
listeners_read(struct options *o, const struct given *g)
{
	struct span host = o->enclave ? SPAN_LIT("0.0.0.0") : SPAN_LIT("127.0.0.1");

	o->plain = (struct options_address){ .host = host, .port = 8000 };
	o->tls = (struct options_address){ .host = host, .port = o->enclave ? 443 : 8443 };
	if (g->value[FLAG_LISTEN] != NULL) {
		if (!address_read(&o->plain, g->value[FLAG_LISTEN]))
			return bad(g, FLAG_LISTEN);
	} else if (!address_from_environment(&o->plain)) {
		return false;
	}
	if (g->value[FLAG_TLS_LISTEN] == NULL)
		return true;
	if (strcmp(g->value[FLAG_TLS_LISTEN], "none") == 0)
		o->tls.none = true;
	else if (!address_read(&o->tls, g->value[FLAG_TLS_LISTEN]))
		return bad(g, FLAG_TLS_LISTEN);
	return true;
}

static bool
egress_read(struct options *o, const struct given *g)
{
	const char *text = g->value[FLAG_EGRESS];

	if (text == NULL || strcmp(text, "direct") == 0)
		return true;
	return vsock_read(&o->egress, span_str(text)) || bad(g, FLAG_EGRESS);
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

/* A key goes into a header line as it is: printable ASCII, or it would be another header. */
static bool
key_fits(const char *key)
{
	for (; *key != '\0'; key++)
		if (*key <= 0x20 || *key >= 0x7f)
			return false;
	return true;
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

		if (key != NULL && !key_fits(key))
			return complain("%s: holds bytes that no key has", key_env[i]);
		if (url != NULL &&
		    (s.n > 512 || !key_fits(url) ||
			(!span_starts(s, SPAN_LIT("https://")) &&
			    !span_starts(s, SPAN_LIT("http://")))))
			return complain("%s: \"%s\" is not an http or https URL", url_env[i], url);
		o->key[i] = key;
		o->base_url[i] = url;
	}
	o->ca_file = environment("TEE_GATEWAY_CA_FILE");
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

void
options_address_print(const struct options_address *a, char text[static ADDRESS_TEXT_BYTES])
{
	if (a->vsock_port != 0)
		snprintf(text, ADDRESS_TEXT_BYTES, "vsock:%u", a->vsock_port);
	else
		snprintf(text, ADDRESS_TEXT_BYTES, "%.*s:%u", (int)a->host.n, a->host.p, a->port);
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
	if (g.value[FLAG_CHECK_CONFIG] != NULL) {
		o->check_config = strcmp(g.value[FLAG_CHECK_CONFIG], "true") == 0;
		if (!o->check_config && strcmp(g.value[FLAG_CHECK_CONFIG], "false") != 0) {
			bad(&g, FLAG_CHECK_CONFIG);
			return OPTIONS_USAGE;
		}
	}
	o->models_file = g.value[FLAG_MODELS];
	o->policy_file = g.value[FLAG_POLICY];
	o->soft_pcrs_file = g.value[FLAG_SOFT_PCRS];
	if (!listeners_read(o, &g) || !egress_read(o, &g) || !loops_read(o, &g) ||
	    !log_read(o, &g) || !providers_read(o))
		return OPTIONS_USAGE;
	return OPTIONS_RUN;
}
