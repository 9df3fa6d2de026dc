/*
 * tee-verify - checks who a gateway is and what it answered: attestation, identity, the legacy
 * fields of a response, receipts. Links the pure half and a small fetch. Source: interfaces.md section 10; docs/verification.md.
 */
#include <signal.h>
#include <stdio.h>

#include "cmd/report.h"
#include "cmd/verify.h"
#include "core/span.h"

static const char help[] =
    "usage: tee-verify attestation (--url URL | --file F) POLICY... [--json]\n"
    "       tee-verify identity --url URL POLICY... [--config F] [--json]\n"
    "       tee-verify response --request F --response F (--key PEM | --url URL POLICY...) "
    "[--json]\n"
    "       tee-verify receipt --request F --response F [--receipt F|-]\n"
    "                  (--jwks F | --url URL) POLICY... [--receipt-nonce N] [--require-complete]\n"
    "                  [--json]\n"
    "       tee-verify image --eif F --pcrs F [--pcrs F]... [--json]\n"
    "       tee-verify registration --url URL POLICY... [--config F] [--registry ADDRESS] "
    "[--json]\n"
    "       tee-verify --help | --version\n"
    "POLICY: [--pcrs F]... [--pcr N=HEX]... [--nonce HEX] [--user-data HEX] [--root PEM]\n"
    "        [--at TIME] [--max-age S] [--allow-debug] [--allow-skip NAME]...\n"
    "\n"
    "attestation  the document is genuine, recent, and of the expected code; with --url it is\n"
    "             fetched for a fresh nonce and must name the connection's certificate\n"
    "identity     attestation, TLS certificate, signing key, receipt key and published\n"
    "             configuration belong together\n"
    "response     the tee_* fields of an answer (a body or a stream) fit the request, the text\n"
    "             that was delivered, and the signing key\n"
    "receipt      the receipt fits the request, the response and the receipt key, and the key\n"
    "             set's attestation names that key; without --receipt it is taken from the end of\n"
    "             the stream\n"
    "registration\n             identity first; then the arguments of the network's registry call, "
    "and the call\n"
    "             itself, as one line of JSON\n"
    "image        hardware will report the expected registers for this file; if it is signed, the\n"
    "             signature holds\n"
    "\n"
    "--url URL           https://host[:port] of the gateway; no certificate authority is asked\n"
    "--file F            a document, CBOR or Base64; - reads it from standard input\n"
    "--pcrs F            measurements.json of the expected image; several: any one may match\n"
    "--pcr N=HEX         one PCR, beside those of the files\n"
    "--nonce HEX         the document must answer this nonce (with --url: sent instead of a new "
    "one)\n"
    "--user-data HEX     the document's user_data must be these bytes\n"
    "--root PEM          another root than AWS's: NOT HARDWARE\n"
    "--at TIME           2026-01-31T12:00:00Z or @UNIX-SECONDS instead of now\n"
    "--max-age S         a document may be this old (300)\n"
    "--allow-debug       an enclave in debug mode will do: its host reads everything\n"
    "--config F          the configuration must be this one (/.well-known/tee-config)\n"
    "--registry ADDRESS  of the network's registry, instead of the published one\n"
    "--eif F             an enclave image\n"
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
	{ "attestation", FOR_ATTESTATION, verify_attestation },
	{ "identity", FOR_IDENTITY, verify_identity },
	{ "response", FOR_RESPONSE, verify_response },
	{ "receipt", FOR_RECEIPT, verify_receipt },
	{ "image", FOR_IMAGE, verify_image },
	{ "registration", FOR_REGISTRATION, verify_registration },
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

	/* A server that hangs up, or a reader of the report, must not end us without a word. */
	(void)signal(SIGPIPE, SIG_IGN);
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
