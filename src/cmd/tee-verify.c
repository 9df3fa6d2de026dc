/*
 * tee-verify - checks what a gateway answered, offline: the legacy fields of a response, or a
 * receipt. Links the pure half only. Source: interfaces.md section 10; docs/verification.md.
 */
#include <stdio.h>

#include "cmd/report.h"
#include "cmd/verify.h"
#include "core/span.h"

static const char help[] =
    "usage: tee-verify response --request F --response F --key PEM [--json]\n"
    "       tee-verify receipt --request F --response F [--receipt F|-] --jwks F\n"
    "                  [--receipt-nonce N] [--require-complete] [--allow-skip NAME]... [--json]\n"
    "       tee-verify --help | --version\n"
    "\n"
    "response   the tee_* fields of an answer (a body or a stream) fit the request, the text\n"
    "           that was delivered, and the signing key\n"
    "receipt    the receipt fits the request, the response and the receipt key; without\n"
    "           --receipt it is taken from the end of the stream\n"
    "\n"
    "--request F         the request's body, byte for byte\n"
    "--response F        the response's body, byte for byte, after transfer decoding\n"
    "--key PEM           the signing key (member public_key of /signing-key)\n"
    "--receipt F         the receipt (header TEE-Receipt, or /v1/receipts/{id}); - reads it from\n"
    "                    standard input\n"
    "--jwks F            the key set (/.well-known/jwks.json), archived with the receipt\n"
    "--receipt-nonce N   the receipt must be for this TEE-Nonce\n"
    "--require-complete  a truncated or failed answer is not verified\n"
    "--allow-skip NAME   succeed although a check is skipped: attestation (nothing then says what\n"
    "                    runs behind the key; includes pcrs), pcrs, request\n"
    "--json              every check and its verdict as one JSON object\n"
    "\n"
    "Exit status: 0 verified, 1 not verified, 2 usage, 3 could not check.\n";

static const struct {
	const char *name;
	int mask;
	int (*run)(const struct options *);
} commands[] = {
	{ "response", FOR_RESPONSE, verify_response },
	{ "receipt", FOR_RECEIPT, verify_receipt },
};

static int
print(const char *text)
{
	return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? 0 : EXIT_NOT_CHECKED;
}

int
main(int argc, char **argv)
{
	struct span name = span_str(argc > 1 ? argv[1] : "");
	struct options o;
	int bad;

	if (argc < 2)
		return options_usage("a command", "is missing");
	if (span_eq(name, SPAN_LIT("--help")))
		return print(help);
	if (span_eq(name, SPAN_LIT("--version")))
		return print("tee-verify " TEE_VERSION "\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!span_eq(name, span_str(commands[i].name)))
			continue;
		if ((bad = options_parse(&o, commands[i].mask, argc - 2, argv + 2)) != 0)
			return bad;
		return o.value[OPTION_HELP] != NULL ? print(help) : commands[i].run(&o);
	}
	return options_usage(argv[1], "is not a command");
}
