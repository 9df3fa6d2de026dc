/*
 * tee-verify image: the registers that hardware will report for an image file, against published
 * measurements. Source: interfaces.md V2, V6; eif.md 1.4, 2, 4; docs/image-format.md.
 */
#include <stdio.h>
#include <string.h>

#include "attest/pcrs.h"
#include "cmd/eif_file.h"
#include "cmd/report.h"
#include "cmd/verify.h"
#include "cmd/verify_policy.h"
#include "codec/hex.h"
#include "core/limits.h"
#include "eif/eif.h"

enum { CHECK_FORMAT, CHECK_PCRS, CHECK_SIGNATURE, N_IMAGE_CHECKS };
enum { PCR_SIGNER = 8, TEXT_MAX_BYTES = 128 };

static void
fact(struct report *r, const char *name, const uint8_t pcr[static SHA384_LEN])
{
	struct buf hex;

	buf_init(&hex, TEXT_MAX_BYTES);
	hex_put(&hex, span_of(pcr, SHA384_LEN));
	report_fact(r, name, buf_span(&hex));
	buf_fini(&hex);
}

static void
put_facts(struct report *r, const struct eif *img)
{
	struct buf text;

	fact(r, "PCR0", img->pcr[0]);
	fact(r, "PCR1", img->pcr[1]);
	fact(r, "PCR2", img->pcr[2]);
	if (img->signature.present)
		fact(r, "PCR8", img->signature.pcr8);
	buf_init(&text, EIF_CMDLINE_MAX_BYTES);
	/* It may not even be text. */
	for (size_t i = 0; i < img->cmdline.n; i++)
		buf_put_byte(&text,
		    img->cmdline.p[i] >= ' ' && img->cmdline.p[i] < 0x7f ? img->cmdline.p[i] : '?');
	report_fact(r, "command line", buf_span(&text));
	buf_fini(&text);
}

/* NULL: no file says it. */
static const uint8_t *
register_of(const struct eif *img, unsigned pcr)
{
	if (pcr <= 2)
		return img->pcr[pcr];
	return pcr == PCR_SIGNER && img->signature.present ? img->signature.pcr8 : NULL;
}

/* Every register that is expected is the image's; one that it does not fix cannot be. */
static bool
matches(const struct eif *img, const struct attest_pcrs *e)
{
	for (unsigned i = 0; i < PCR_COUNT; i++) {
		const uint8_t *pcr = register_of(img, i);

		if ((e->named >> i & 1) != 0 &&
		    (pcr == NULL ||
			!span_eq(span_of(pcr, SHA384_LEN), span_of(e->value[i], PCR_LEN))))
			return false;
	}
	return e->named != 0;
}

static struct err
judge_registers(
    struct check *check, const struct eif *img, const struct attest_pcrs *expected, size_t n)
{
	bool found = false;

	for (size_t i = 0; i < n; i++)
		found = found || matches(img, &expected[i]);
	check[CHECK_PCRS].verdict = found ? CHECK_PASSED : CHECK_FAILED;
	if (!found)
		return FAIL(
		    REFUSED, "interfaces.md V6: the image's registers are not the expected ones");
	if (!img->signature.present) {
		check[CHECK_SIGNATURE].verdict = CHECK_NONE;
		return OK;
	}
	check[CHECK_SIGNATURE].verdict = img->signature.good ? CHECK_PASSED : CHECK_FAILED;
	return img->signature.good ? OK : (struct err){ ERR_REFUSED, img->signature.why };
}

static struct err
judge_image(struct report *r, struct eif *img, const struct eif_source *src,
    const struct attest_pcrs *expected, size_t n)
{
	struct check check[N_IMAGE_CHECKS] = {
		[CHECK_FORMAT] = { "format", "eif.md 1.4",
		    "the file is an image that all readers take for the same one", CHECK_FAILED },
		[CHECK_PCRS] = { "pcrs", "interfaces.md V6, eif.md 2",
		    "its registers are the expected ones", CHECK_PENDING },
		[CHECK_SIGNATURE] = { "signature", "eif.md 4",
		    "the certificate's key signed this image's PCR0", CHECK_PENDING },
	};
	char where[TEXT_MAX_BYTES];
	struct err e;

	if (failed(e = eif_read(img, src)) || failed(e = eif_measure(img, src))) {
		if (e.code == ERR_MALFORMED) {
			snprintf(where, sizeof(where), "%s, offset %llu",
			    eif_class_name(img->fault), (unsigned long long)img->fault_at);
			report_fact(r, "fault", span_str(where));
		}
	} else {
		check[CHECK_FORMAT].verdict = CHECK_PASSED;
		put_facts(r, img);
		e = judge_registers(check, img, expected, n);
	}
	report_check(r, check, N_IMAGE_CHECKS);
	return e;
}

/* V2: an expectation fixes PCR0, or PCR1 and PCR2. */
static int
read_expected(struct attest_pcrs *expected, const struct options *o)
{
	int status;

	if (o->n_pcrs == 0)
		return options_usage("--pcrs", "is missing");
	for (size_t i = 0; i < o->n_pcrs; i++) {
		if ((status = verify_policy_read_pcrs(&expected[i], o->pcrs[i])) != 0)
			return status;
		if (!attest_pcrs_suffice(&expected[i]))
			return options_usage(
			    "--pcrs", "must fix PCR0, or PCR1 and PCR2 (interfaces.md V2)");
	}
	return 0;
}

static int
open_failed(const struct eif_file *f, struct err e)
{
	fprintf(stderr, "tee-verify: %s: %s%s%s\n", f->path, e.what, f->error != 0 ? ": " : "",
	    f->error != 0 ? strerror(f->error) : "");
	return EXIT_NOT_CHECKED;
}

int
verify_image(const struct options *o)
{
	struct attest_pcrs expected[OPTION_MAX_PCRS] = { 0 };
	struct eif_file file;
	struct report r;
	struct eif img;
	struct err e;
	int status;

	if ((status = options_need(o, OPTION_EIF)) != 0 ||
	    (status = read_expected(expected, o)) != 0)
		return status;
	report_init(&r);
	r.of_image = true;
	eif_init(&img);
	if (failed(e = eif_file_open(&file, o->value[OPTION_EIF]))) {
		status = open_failed(&file, e);
	} else {
		e = judge_image(&r, &img, &file.source, expected, o->n_pcrs);
		if (!failed(e)) {
			buf_put_str(&r.outcome, "image with the expected registers");
			report_member(&r, "outcome", SPAN_LIT("match"));
			report_member_bool(&r, "signed", img.signature.present);
		}
		status = report_finish(&r, o->value[OPTION_JSON] != NULL, e);
	}
	eif_fini(&img);
	eif_file_close(&file);
	report_fini(&r);
	return status;
}
