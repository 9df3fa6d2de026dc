/* measure.c: the shared vectors in memory, and the registers of layouts that they do not have. */
#include "eif/eif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/hex.h"
#include "codec/json.h"
#include "images.h"

enum { INDEX_MAX_NODES = 1 << 16, N_VECTORS = 41 };

static bool
is_pcr(const struct json *doc, uint32_t at, const char *name, const uint8_t pcr[static SHA384_LEN])
{
	uint32_t text = json_get(doc, json_get(doc, at, "measurements"), name);
	uint8_t want[SHA384_LEN];

	return text != JSON_NONE && !failed(hex_parse(want, sizeof(want), json_inner(doc, text))) &&
	    span_eq(span_of(want, sizeof(want)), span_of(pcr, SHA384_LEN));
}

static bool
fits(const struct json *doc, uint32_t v, const struct eif *img)
{
	uint32_t sections = json_get(doc, v, "sections"), check, c;
	size_t n = 0;

	for (c = json_first(doc, sections); c != JSON_NONE; c = json_after(doc, sections, c), n++) {
		uint64_t size;

		if (n == img->n || !json_u64(doc, json_get(doc, c, "size"), UINT64_MAX, &size) ||
		    size != img->section[n].size ||
		    !json_is(doc, json_get(doc, c, "type"), eif_type_name(img->section[n].type)))
			return false;
	}
	check = json_get(doc, v, "signature_check");
	return n == img->n && is_pcr(doc, v, "PCR0", img->pcr[0]) &&
	    is_pcr(doc, v, "PCR1", img->pcr[1]) && is_pcr(doc, v, "PCR2", img->pcr[2]) &&
	    img->signature.present == (check != JSON_NONE) &&
	    (check == JSON_NONE ||
		(is_pcr(doc, v, "PCR8", img->signature.pcr8) &&
		    img->signature.good == (json_type(doc, check) == JSON_TRUE)));
}

static void
vectors(void **state)
{
	struct buf index = image_vector("index.json");
	struct json doc;
	uint32_t list;
	int n = 0;

	assert_int_equal(json_parse(&doc, buf_span(&index), INDEX_MAX_NODES).code, ERR_OK);
	list = json_get(&doc, 0, "vectors");
	for (uint32_t v = json_first(&doc, list); v != JSON_NONE; v = json_after(&doc, list, v)) {
		struct span file = json_inner(&doc, json_get(&doc, v, "file"));
		uint32_t error = json_get(&doc, v, "error");
		char name[128];
		struct eif img;
		struct buf b;
		struct err e;

		snprintf(name, sizeof(name), "%.*s", (int)file.n, (const char *)file.p);
		b = image_vector(name);
		e = image_judge(&img, &b);
		if (error != JSON_NONE
			? !failed(e) || !json_is(&doc, error, eif_class_name(img.fault))
			: failed(e) || !fits(&doc, v, &img))
			fail_msg("%s: %s: %s", name, eif_class_name(img.fault), e.what);
		eif_fini(&img);
		buf_fini(&b);
		n++;
	}
	assert_int_equal(n, N_VECTORS);
	json_fini(&doc);
	buf_fini(&index);
}

/* What each register covers, spelled out; NULL ends the parts. */
static const struct {
	const char *rule;
	struct image_part part[8];
	const char *content[3];
} layouts[] = {
	{ "in nitro-cli's order", { { 1, "K" }, { 2, "c" }, { 5, "{}" }, { 3, "r" }, { 3, "s" } },
	    { "Kcrs", "Kcr", "s" } },
	{ "one ramdisk", { { 1, "K" }, { 2, "c" }, { 5, "{}" }, { 3, "r" } },
	    { "Kcr", "Kcr", "" } },
	{ "the command line first", { { 2, "c" }, { 1, "K" }, { 5, "{}" }, { 3, "r" }, { 3, "s" } },
	    { "cKrs", "cKr", "s" } },
	{ "the command line last",
	    { { 1, "K" }, { 3, "r" }, { 3, "s" }, { 3, "t" }, { 2, "c" }, { 5, "{}" } },
	    { "Krstc", "Krc", "st" } },
	{ "the command line between",
	    { { 1, "K" }, { 3, "r" }, { 3, "s" }, { 2, "c" }, { 3, "t" }, { 5, "{}" } },
	    { "Krsct", "Krc", "st" } },
	{ "an empty second ramdisk", { { 1, "K" }, { 3, "r" }, { 3, "" }, { 2, "c" }, { 5, "{}" } },
	    { "Krc", "Krc", "" } },
	{ "an empty first ramdisk", { { 1, "K" }, { 3, "" }, { 3, "s" }, { 2, "c" }, { 5, "{}" } },
	    { "Ksc", "Kc", "s" } },
	{ "metadata between ramdisks",
	    { { 1, "K" }, { 2, "c" }, { 3, "r" }, { 5, "{}" }, { 3, "s" } },
	    { "Kcrs", "Kcr", "s" } },
	{ "boundaries are not measured", { { 1, "Kc" }, { 2, "r" }, { 5, "{}" }, { 3, "s" } },
	    { "Kcrs", "Kcrs", "" } },
};

static void
registers(void **state)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		struct buf b = image_of(4, layouts[i].part);
		struct eif img;

		assert_int_equal(image_judge(&img, &b).code, ERR_OK);
		for (int k = 0; k < 3; k++) {
			uint8_t both[2 * SHA384_LEN] = { 0 }, want[SHA384_LEN];

			sha384_of(span_str(layouts[i].content[k]), both + SHA384_LEN);
			sha384_of(span_of(both, sizeof(both)), want);
			if (!span_eq(span_of(want, sizeof(want)), span_of(img.pcr[k], SHA384_LEN)))
				fail_msg("%s: PCR%d", layouts[i].rule, k);
		}
		eif_fini(&img);
		buf_fini(&b);
	}
}

struct failing {
	struct buf *b;
	unsigned left;
};

static struct err
read_failing(void *ctx, uint64_t offset, uint8_t *out, size_t n)
{
	struct failing *f = ctx;

	if (f->left-- == 0)
		return FAIL(SYSTEM, "test: the disk is gone");
	return image_read(f->b, offset, out, n);
}

/* Every read can fail: no measurement, no leak, and nothing that calls the image bad. */
static void
every_read(void **state)
{
	struct buf b = image_vector("ok-signed-es384.eif");
	unsigned reads = 0;
	struct err e;

	do {
		struct failing f = { &b, reads++ };
		struct eif_source src = { read_failing, &f, b.n };
		struct eif img;

		eif_init(&img);
		e = eif_read(&img, &src);
		if (!failed(e))
			e = eif_measure(&img, &src);
		assert_int_equal(img.fault, EIF_FAULT_NONE);
		assert_true(!failed(e) || e.code == ERR_SYSTEM);
		eif_fini(&img);
	} while (failed(e) && reads < 100);
	/* The header, six section headers, six sections. */
	assert_int_equal(reads, 14);
	buf_fini(&b);
}

/* zlib's own example, and cuts that leave the steps of eight bytes anywhere. */
static void
crc(void **state)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	struct crc32 c;

	crc32_init(&c);
	assert_int_equal(crc32_value(&c), 0);
	crc32_update(&c, SPAN_LIT("123456789"));
	assert_int_equal(crc32_value(&c), 0xcbf43926);
	for (size_t cut = 0; cut <= strlen(text); cut++) {
		crc32_init(&c);
		crc32_update(&c, span_of(text, cut));
		crc32_update(&c, span_of(text + cut, strlen(text) - cut));
		assert_int_equal(crc32_value(&c), 0x414fa339);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(registers),
		cmocka_unit_test(every_read),
		cmocka_unit_test(crc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
