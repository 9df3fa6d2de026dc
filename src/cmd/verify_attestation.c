/*
 * tee-verify attestation: one document, from a file or from a gateway.
 */
#include <stdlib.h>

#include "cmd/report.h"
#include "cmd/verify.h"
#include "cmd/verify_files.h"
#include "cmd/verify_policy.h"
#include "cmd/verify_session.h"
#include "codec/hex.h"

static struct err
describe(struct report *r, const struct attest_document *d)
{
	buf_put_str(&r->outcome, "attestation of ");
	/* Signed, and UTF-8; still no text of ours. */
	for (size_t i = 0; i < d->module_id.n; i++) {
		uint8_t c = d->module_id.p[i];

		buf_put_byte(&r->outcome, c > ' ' && c < 0x7f ? c : '?');
	}
	report_member(r, "outcome", SPAN_LIT("attested"));
	report_member(r, "module_id", d->module_id);
	return OK;
}

static struct err
judge_file(struct report *r, const struct verify_policy *p, const struct buf *file)
{
	struct attest_document d;
	struct buf cbor;
	struct err e;

	buf_init(&cbor, COSE_MAX_BYTES + 1);
	e = document_decode(&cbor, file_bytes(file));
	if (e.code == ERR_TOO_LARGE)
		e = FAIL(TOO_LARGE, "too-large: nitro-attestation.md 3.1: more than 32768 bytes");
	else if (failed(e))
		e = FAIL(MALFORMED,
		    "cose-structure: nitro-attestation.md 2.1: neither COSE nor "
		    "Base64");
	else if (!failed(e = verify_policy_judge(p, &p->attest, buf_span(&cbor), &d, r)))
		e = describe(r, &d);
	buf_fini(&cbor);
	return e;
}

static int
verify_file(const struct options *o, const struct verify_policy *p)
{
	int status = EXIT_NOT_CHECKED;
	struct report r;
	struct buf file;

	report_init(&r);
	buf_init(&file, FILE_MAX_BYTES);
	if (file_read_or_stdin(o->value[OPTION_FILE], &file))
		status = report_finish(&r, o->value[OPTION_JSON] != NULL, judge_file(&r, p, &file));
	buf_fini(&file);
	report_fini(&r);
	return status;
}

static int
verify_url(const struct options *o, const struct verify_policy *p)
{
	struct session s;
	struct report r;
	struct err e;
	int status;

	report_init(&r);
	if ((status = session_init(&s, o)) == 0) {
		if (!failed(e = session_open(&s, p, &r)))
			e = describe(&r, &s.d);
		status = report_finish(&r, o->value[OPTION_JSON] != NULL, e);
	}
	session_fini(&s);
	report_fini(&r);
	return status;
}

int
verify_attestation(const struct options *o)
{
	bool url = o->value[OPTION_URL] != NULL;
	struct verify_policy *p;
	int status;

	if (url == (o->value[OPTION_FILE] != NULL))
		return options_usage("--url or --file", url ? "is one too many" : "is missing");
	if ((p = malloc(sizeof(*p))) == NULL)
		return EXIT_NOT_CHECKED;
	if ((status = verify_policy_init(p, o)) == 0)
		status = url ? verify_url(o, p) : verify_file(o, p);
	verify_policy_fini(p);
	free(p);
	return status;
}
