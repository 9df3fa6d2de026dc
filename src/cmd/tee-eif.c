/*
 * tee-eif - builds, measures, inspects, takes apart and signs enclave images, and makes the
 * ramdisks in them. Needs no root, no Docker, no cloud account.
 * Source: interfaces.md section 11; docs/image-format.md; man/tee-eif.1.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/eif.h"
#include "core/span.h"

static const char help[] =
    "usage: tee-eif build --kernel F --cmdline S --init-ramdisk F --ramdisk F [--ramdisk F]...\n"
    "                     --name N --version V -o OUT\n"
    "       tee-eif measure F\n"
    "       tee-eif describe F [--json]\n"
    "       tee-eif extract F -d DIR\n"
    "       tee-eif ramdisk --manifest F -o OUT\n"
    "       tee-eif sign F --key PEM --cert PEM -o OUT\n"
    "       tee-eif --help | --version\n"
    "\n"
    "build      an image from its parts; prints its measurements. The metadata's time is\n"
    "           SOURCE_DATE_EPOCH (seconds since 1970; 0 when it is not set)\n"
    "measure    prints PCR0, PCR1, PCR2, and PCR8 of a signed image, as measurements.json\n"
    "describe   prints what the image holds; --json: with the keys of nitro-cli describe-eif\n"
    "extract    writes kernel, cmdline, ramdisk-0, ramdisk-1, ..., metadata.json and\n"
    "           signature.cbor into DIR\n"
    "ramdisk    a newc archive of what the manifest lists, and nothing else\n"
    "sign       an image with a signature over PCR0 (ES384 for a P-384 key) in place of any it\n"
    "           has; PCR0, PCR1 and PCR2 stay what they were\n"
    "\n"
    "The same input bytes and arguments give the same output bytes, but for signatures.\n"
    "A manifest has one entry a line, fields between blanks, \\ooo for any byte of a field,\n"
    "# at the start of a line for remarks:\n"
    "  dir PATH MODE | file PATH MODE SOURCE | link PATH TARGET | node PATH MODE c|b MAJOR MINOR\n"
    "\n"
    "Exit status: 0 done, 1 bad image or file, 2 usage.\n";

static const struct {
	const char *name;
	int mask;
	bool has_value;
} option_table[EIF_N_OPTIONS] = {
#define OPTION_ROW(id, name, mask, value) { name, mask, value },
	EIF_OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

int
eif_usage(const char *name, const char *problem)
{
	fprintf(stderr, "tee-eif: %s %s; see tee-eif --help\n", name, problem);
	return EIF_EXIT_USAGE;
}

int
eif_bad(const char *path, struct err e)
{
	if (path != NULL)
		fprintf(stderr, "tee-eif: %s: %s\n", path, e.what);
	else
		fprintf(stderr, "tee-eif: %s\n", e.what);
	return EIF_EXIT_BAD;
}

int
eif_bad_errno(const char *path, struct err e, int error)
{
	if (error == 0)
		return eif_bad(path, e);
	fprintf(stderr, "tee-eif: %s: %s: %s\n", path, e.what, strerror(error));
	return EIF_EXIT_BAD;
}

int
eif_print(const struct buf *b)
{
	if (failed(buf_check(b)) || fwrite(b->p, 1, b->n, stdout) != b->n || fflush(stdout) != 0) {
		fprintf(stderr, "tee-eif: cannot write to standard output\n");
		return EIF_EXIT_BAD;
	}
	return EIF_EXIT_OK;
}

bool
eif_image_open(struct eif_image *image, const char *path)
{
	struct eif *img = &image->img;
	struct err e;

	eif_init(img);
	if (!failed(e = eif_file_open(&image->file, path)) &&
	    !failed(e = eif_read(img, &image->file.source)))
		e = eif_measure(img, &image->file.source);
	if (!failed(e))
		return true;
	if (e.code == ERR_MALFORMED)
		fprintf(stderr, "tee-eif: %s: %s: offset %llu: %s\n", path,
		    eif_class_name(img->fault), (unsigned long long)img->fault_at, e.what);
	else
		eif_bad_errno(path, e, image->file.error);
	return false;
}

void
eif_image_close(struct eif_image *image)
{
	eif_fini(&image->img);
	eif_file_close(&image->file);
}

/* The option that `arg` names, `--name`, `--name=value` or `-x`; EIF_N_OPTIONS: none. */
static enum eif_option
find_option(const char *arg, int mask, const char **inline_value)
{
	*inline_value = NULL;
	for (int i = 0; i < EIF_N_OPTIONS; i++) {
		size_t n = strlen(option_table[i].name);

		if ((option_table[i].mask & mask) == 0 ||
		    strncmp(arg, option_table[i].name, n) != 0)
			continue;
		if (arg[1] == '-' && arg[n] == '=')
			*inline_value = arg + n + 1;
		if (arg[n] == '\0' || *inline_value != NULL)
			return (enum eif_option)i;
	}
	return EIF_N_OPTIONS;
}

static int
take_option(struct eif_options *o, enum eif_option which, const char *value)
{
	if (which == EIF_OPTION_RAMDISK) {
		if (o->n_ramdisks == EIF_MAX_RAMDISKS)
			return eif_usage(
			    "--ramdisk", "is given too often: an image has 32 sections");
		o->ramdisk[o->n_ramdisks++] = value;
	} else if (o->value[which] != NULL) {
		return eif_usage(option_table[which].name, "is given twice");
	}
	o->value[which] = value != NULL ? value : "";
	return 0;
}

static int
take_word(struct eif_options *o, int mask, const char *word)
{
	if (word[0] == '-')
		return eif_usage(word, "is not an option of this command");
	if ((mask & (FOR_BUILD | FOR_RAMDISK)) != 0 || o->image != NULL)
		return eif_usage(word, "is one word too many");
	o->image = word;
	return 0;
}

/* 0, or the exit status of a usage error, which has been printed. */
static int
parse_options(struct eif_options *o, int mask, int argc, char **argv)
{
	int bad = 0;

	*o = (struct eif_options){ 0 };
	for (int i = 0; i < argc && bad == 0; i++) {
		const char *value;
		enum eif_option found = find_option(argv[i], mask, &value);

		if (found == EIF_N_OPTIONS) {
			bad = take_word(o, mask, argv[i]);
			continue;
		}
		if (!option_table[found].has_value && value != NULL)
			return eif_usage(option_table[found].name, "takes no value");
		if (option_table[found].has_value && value == NULL) {
			if (++i == argc)
				return eif_usage(option_table[found].name, "needs a value");
			value = argv[i];
		}
		bad = take_option(o, found, value);
	}
	return bad;
}

/* Every option of a command is needed but --help and --json; so is the image of those with one. */
static int
check_complete(const struct eif_options *o, int mask)
{
	for (int i = 0; i < EIF_N_OPTIONS; i++)
		if ((option_table[i].mask & mask) != 0 && option_table[i].has_value &&
		    o->value[i] == NULL)
			return eif_usage(option_table[i].name, "is missing");
	if ((mask & (FOR_BUILD | FOR_RAMDISK)) == 0 && o->image == NULL)
		return eif_usage("an image", "is missing");
	return 0;
}

static int
print(const char *text)
{
	return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EIF_EXIT_OK : EIF_EXIT_BAD;
}

static const struct {
	const char *name;
	int mask;
	int (*run)(const struct eif_options *);
} commands[] = {
	{ "build", FOR_BUILD, eif_run_build },
	{ "measure", FOR_MEASURE, eif_run_measure },
	{ "describe", FOR_DESCRIBE, eif_run_describe },
	{ "extract", FOR_EXTRACT, eif_run_extract },
	{ "ramdisk", FOR_RAMDISK, eif_run_ramdisk },
	{ "sign", FOR_SIGN, eif_run_sign },
};

int
main(int argc, char **argv)
{
	struct span name = span_str(argc > 1 ? argv[1] : "");
	struct eif_options o;
	int bad;

	if (argc < 2)
		return eif_usage("a command", "is missing");
	if (span_eq(name, SPAN_LIT("--help")))
		return print(help);
	if (span_eq(name, SPAN_LIT("--version")))
		return print("tee-eif " TEE_VERSION "\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!span_eq(name, span_str(commands[i].name)))
			continue;
		if ((bad = parse_options(&o, commands[i].mask, argc - 2, argv + 2)) != 0)
			return bad;
		if (o.value[EIF_OPTION_HELP] != NULL)
			return print(help);
		if ((bad = check_complete(&o, commands[i].mask)) != 0)
			return bad;
		return commands[i].run(&o);
	}
	return eif_usage(argv[1], "is not a command");
}
