#include "cmd/verify_options.h"

#include <stdio.h>

#include "cmd/report.h"
#include "core/span.h"

static const char *const skip_names[N_SKIPS] = { "pcrs", "attestation", "request" };

static const struct {
	const char *name;
	int mask;
	bool has_value;
} option_table[N_OPTIONS] = {
#define OPTION_ROW(id, name, mask, value) { name, mask, value },
	OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

int
options_usage(const char *name, const char *problem)
{
	fprintf(stderr, "tee-verify: %s %s; see tee-verify --help\n", name, problem);
	return EXIT_USAGE;
}

const char *
options_name(enum option which)
{
	return option_table[which].name;
}

/* The option that `arg` names, `--name` or `--name=value`; N_OPTIONS when there is none. */
static enum option
find_option(const char *arg, int mask, const char **inline_value)
{
	*inline_value = NULL;
	for (int i = 0; i < N_OPTIONS; i++) {
		size_t n = strlen(option_table[i].name);

		if ((option_table[i].mask & mask) == 0 ||
		    strncmp(arg, option_table[i].name, n) != 0)
			continue;
		if (arg[n] == '=')
			*inline_value = arg + n + 1;
		if (arg[n] == '=' || arg[n] == '\0')
			return (enum option)i;
	}
	return N_OPTIONS;
}

static int
allow_skip(struct options *o, const char *name)
{
	for (int i = 0; i < N_SKIPS; i++) {
		if (span_eq(span_str(name), span_str(skip_names[i]))) {
			o->allow[i] = true;
			return 0;
		}
	}
	return options_usage("--allow-skip", "takes pcrs, attestation or request");
}

/* Options that may be given more than once. */
static int
repeated(struct options *o, enum option which, const char *value)
{
	if (which == OPTION_ALLOW_SKIP)
		return allow_skip(o, value);
	if (which == OPTION_PCRS ? o->n_pcrs == OPTION_MAX_PCRS : o->n_pcr == OPTION_MAX_PCR)
		return options_usage(option_table[which].name, "is given too often");
	if (which == OPTION_PCRS)
		o->pcrs[o->n_pcrs++] = value;
	else
		o->pcr[o->n_pcr++] = value;
	return 0;
}

int
options_parse(struct options *o, int mask, int argc, char **argv)
{
	*o = (struct options){ 0 };
	for (int i = 0; i < argc; i++) {
		const char *value;
		enum option found = find_option(argv[i], mask, &value);
		int bad;

		if (found == N_OPTIONS)
			return options_usage(argv[i], "is not an option of this command");
		if (!option_table[found].has_value && value != NULL)
			return options_usage(option_table[found].name, "takes no value");
		if (option_table[found].has_value && value == NULL) {
			if (++i == argc)
				return options_usage(option_table[found].name, "needs a value");
			value = argv[i];
		}
		if (found == OPTION_ALLOW_SKIP || found == OPTION_PCRS || found == OPTION_PCR) {
			if ((bad = repeated(o, found, value)) != 0)
				return bad;
			continue;
		}
		if (o->value[found] != NULL)
			return options_usage(option_table[found].name, "is given twice");
		o->value[found] = value != NULL ? value : "";
	}
	return 0;
}

int
options_need(const struct options *o, enum option which)
{
	return o->value[which] != NULL ? 0 : options_usage(option_table[which].name, "is missing");
}

int
options_need_url(const struct options *o)
{
	static const enum option live[] = { OPTION_NONCE, OPTION_AT, OPTION_MAX_AGE };

	for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (o->value[live[i]] != NULL)
			return options_usage(options_name(live[i]), "goes with --url");
	return 0;
}
