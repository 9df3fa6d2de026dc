/* read.c: the order of checks of eif.md 1.4, and where each shows. */
#include "eif/eif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "images.h"

/*
 * ok-two-ramdisks.eif with a few bytes changed. Sections start at 548, 566, 591, 838 and 859; the
 * table of offsets is at 28, that of sizes at 284.
 */
static const struct {
	const char *rule;
	size_t at;
	const char *bytes;
	size_t n;
	bool sealed; /* with the CRC made right */
	enum eif_class want;
	uint64_t where;
} rows[] = {
	{ "as it stands", 0, "", 0, true, EIF_FAULT_NONE, 0 },
	{ "1: magic", 3, "g", 1, true, EIF_FAULT_MAGIC, 0 },
	{ "1: version 1", 4, "\0\1", 2, true, EIF_FAULT_VERSION, 4 },
	{ "1: version 260", 4, "\1\4", 2, true, EIF_FAULT_VERSION, 4 },
	{ "1: magic before version", 3, "g\0\5", 3, true, EIF_FAULT_MAGIC, 0 },
	{ "1: flag 2", 6, "\0\2", 2, true, EIF_FAULT_FLAGS, 6 },
	{ "1: flag 32768", 6, "\x80\0", 2, true, EIF_FAULT_FLAGS, 6 },
	{ "1: both flags", 6, "\0\3", 2, true, EIF_FAULT_FLAGS, 6 },
	{ "1: aarch64", 6, "\0\1", 2, true, EIF_FAULT_NONE, 0 },
	{ "1: version before flags", 4, "\0\5\0\2", 4, true, EIF_FAULT_VERSION, 4 },
	{ "1.1: nobody reads default_mem", 8, "\xff\xff\xff\xff", 4, true, EIF_FAULT_NONE, 0 },
	{ "2: no sections", 26, "\0\0", 2, true, EIF_FAULT_NUM_SECTIONS, 26 },
	{ "2: 33 sections", 26, "\0\41", 2, true, EIF_FAULT_NUM_SECTIONS, 26 },
	{ "2: 65535 sections", 26, "\xff\xff", 2, true, EIF_FAULT_NUM_SECTIONS, 26 },
	{ "3: six sections where five are", 26, "\0\6", 2, true, EIF_FAULT_BOUNDS, 68 },
	{ "4: four sections where five are", 26, "\0\4", 2, true, EIF_FAULT_TRAILING, 859 },
	{ "3: an offset of 547", 28, "\0\0\0\0\0\0\2\43", 8, true, EIF_FAULT_BOUNDS, 28 },
	{ "3: an offset of 2^64 - 1", 60, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, true,
	    EIF_FAULT_BOUNDS, 60 },
	{ "3: an offset of 2^63", 60, "\x80\0\0\0\0\0\0\0", 8, true, EIF_FAULT_BOUNDS, 60 },
	{ "3: 11 bytes before the end", 60, "\0\0\0\0\0\0\3\x67", 8, true, EIF_FAULT_TRUNCATED,
	    60 },
	{ "3: 1 GiB into the file", 60, "\0\0\0\0\x40\0\0\0", 8, true, EIF_FAULT_TRUNCATED, 60 },
	{ "3: the table's size alone", 323, "\xc", 1, true, EIF_FAULT_SIZE_MISMATCH, 863 },
	{ "3: the section's size alone", 870, "\xa", 1, true, EIF_FAULT_SIZE_MISMATCH, 863 },
	{ "3: bounds of one entry before the next", 28, "\0\0\0\0\0\0\0\0\xff", 9, true,
	    EIF_FAULT_BOUNDS, 28 },
	{ "5: type 0", 567, "\0", 1, true, EIF_FAULT_SECTION_TYPE, 566 },
	{ "5: type 6", 567, "\6", 1, true, EIF_FAULT_SECTION_TYPE, 566 },
	{ "5: type 258", 566, "\1\2", 2, true, EIF_FAULT_SECTION_TYPE, 566 },
	{ "5: type before duplicate", 838, "\0\7", 2, true, EIF_FAULT_SECTION_TYPE, 838 },
	{ "5: a second kernel", 838, "\0\1", 2, true, EIF_FAULT_DUPLICATE, 838 },
	{ "5: a second command line", 838, "\0\2", 2, true, EIF_FAULT_DUPLICATE, 838 },
	{ "5: second metadata", 838, "\0\5", 2, true, EIF_FAULT_DUPLICATE, 838 },
	{ "5: no kernel", 548, "\0\3", 2, true, EIF_FAULT_MISSING_KERNEL, 26 },
	{ "5: no command line", 566, "\0\3", 2, true, EIF_FAULT_MISSING_CMDLINE, 26 },
	{ "5: no metadata", 591, "\0\3", 2, true, EIF_FAULT_MISSING_METADATA, 26 },
	{ "6: crc", 544, "\0", 1, false, EIF_FAULT_CRC, 544 },
	{ "6: a byte of the last ramdisk", 881, "\0", 1, false, EIF_FAULT_CRC, 544 },
	{ "6: flags of a section", 550, "\1", 1, false, EIF_FAULT_CRC, 544 },
	{ "6: after 5", 548, "\0\3", 2, false, EIF_FAULT_MISSING_KERNEL, 26 },
	{ "7: metadata", 603, "[", 1, true, EIF_FAULT_METADATA, 603 },
	{ "7: after 6", 603, "[", 1, false, EIF_FAULT_CRC, 544 },
	{ "7: a signature that is none", 859, "\0\4", 2, true, EIF_FAULT_SIGNATURE, 871 },
	{ "7: metadata before signature", 603, "]", 1, true, EIF_FAULT_METADATA, 603 },
};

static void
order_of_checks(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = image_vector("ok-two-ramdisks.eif");
		struct eif img;
		struct err e;

		memcpy(b.p + rows[i].at, rows[i].bytes, rows[i].n);
		if (rows[i].sealed)
			image_seal(&b);
		e = image_judge(&img, &b);
		if (failed(e) != (rows[i].want != EIF_FAULT_NONE) || img.fault != rows[i].want ||
		    img.fault_at != rows[i].where || (failed(e) && e.code != ERR_MALFORMED))
			fail_msg("%s: %s at %llu: %s", rows[i].rule, eif_class_name(img.fault),
			    (unsigned long long)img.fault_at, e.what);
		eif_fini(&img);
		eif_fini(&img);
		buf_fini(&b);
	}
}

static const struct {
	const char *rule;
	unsigned version;
	struct image_part part[8];
	enum eif_class want;
} made[] = {
	{ "v4", 4, { { 1, "K" }, { 2, "c" }, { 5, "{}" }, { 3, "r" } }, EIF_FAULT_NONE },
	{ "v3 needs no metadata", 3, { { 1, "K" }, { 2, "c" }, { 3, "r" } }, EIF_FAULT_NONE },
	{ "v2 needs none", 2, { { 1, "K" }, { 2, "c" }, { 3, "r" } }, EIF_FAULT_NONE },
	{ "v4 needs it", 4, { { 1, "K" }, { 2, "c" }, { 3, "r" } }, EIF_FAULT_MISSING_METADATA },
	{ "v3 may have it, as JSON", 3, { { 1, "K" }, { 2, "c" }, { 3, "r" }, { 5, "x" } },
	    EIF_FAULT_METADATA },
	{ "any order with ramdisks after the kernel", 4,
	    { { 5, "{}" }, { 2, "c" }, { 1, "K" }, { 3, "r" } }, EIF_FAULT_NONE },
	{ "a ramdisk first", 4, { { 3, "r" }, { 1, "K" }, { 2, "c" }, { 5, "{}" }, { 3, "r" } },
	    EIF_FAULT_ORDER },
	{ "missing before order", 4, { { 3, "r" }, { 1, "K" }, { 5, "{}" } },
	    EIF_FAULT_MISSING_CMDLINE },
	{ "kernel before command line", 4, { { 5, "{}" }, { 4, "x" } }, EIF_FAULT_MISSING_KERNEL },
	{ "ramdisk before metadata", 4, { { 1, "K" }, { 2, "c" } }, EIF_FAULT_MISSING_RAMDISK },
	{ "empty sections are read", 4, { { 1, "" }, { 2, "" }, { 5, "{}" }, { 3, "" } },
	    EIF_FAULT_NONE },
	{ "empty metadata is no object", 4, { { 1, "K" }, { 2, "c" }, { 5, "" }, { 3, "r" } },
	    EIF_FAULT_METADATA },
	{ "an array is no object", 4, { { 1, "K" }, { 2, "c" }, { 5, "[]" }, { 3, "r" } },
	    EIF_FAULT_METADATA },
	{ "an empty signature", 4, { { 1, "K" }, { 2, "c" }, { 5, "{}" }, { 3, "r" }, { 4, "" } },
	    EIF_FAULT_SIGNATURE },
};

static void
sections(void **state)
{
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		struct buf b = image_of(made[i].version, made[i].part);
		struct eif img;
		struct err e = image_judge(&img, &b);

		if (failed(e) != (made[i].want != EIF_FAULT_NONE) || img.fault != made[i].want)
			fail_msg("%s: %s: %s", made[i].rule, eif_class_name(img.fault), e.what);
		eif_fini(&img);
		buf_fini(&b);
	}
}

/* Moves the last section by `by` bytes in the table; all else is made to fit. */
static enum eif_class
moved(int by)
{
	struct buf b = image_vector("ok-two-ramdisks.eif");
	static const uint8_t head[EIF_SECTION_HEAD_LEN] = { 0, 3, [11] = 11 };
	struct eif_source src;
	struct eif img;

	buf_put_str(&b, "xxxx");
	memcpy(b.p + 859 + by, head, sizeof(head));
	b.p[28 + 8 * 4 + 7] = (uint8_t)(b.p[28 + 8 * 4 + 7] + by);
	image_seal(&b);
	src = image_source(&b);
	eif_init(&img);
	assert_int_equal(eif_read(&img, &src).code, ERR_MALFORMED);
	eif_fini(&img);
	buf_fini(&b);
	return img.fault;
}

/* Step 4: the walk and the table. */
static void
two_walks(void **state)
{
	assert_int_equal(moved(-1), EIF_FAULT_OVERLAP);
	assert_int_equal(moved(0), EIF_FAULT_TRAILING);
	assert_int_equal(moved(1), EIF_FAULT_GAP);
	assert_int_equal(moved(4), EIF_FAULT_GAP);
}

/* A file that is only large: headers where they belong, zeros for all else. */
struct large {
	uint8_t head[EIF_HEAD_LEN];
	struct eif_part part[4];
};

static struct err
read_large(void *ctx, uint64_t offset, uint8_t *out, size_t n)
{
	const struct large *l = ctx;
	uint64_t at = EIF_HEAD_LEN;

	if (offset == 0) {
		assert_int_equal(n, EIF_HEAD_LEN);
		memcpy(out, l->head, n);
		return OK;
	}
	for (int i = 0; i < 4; at += EIF_SECTION_HEAD_LEN + l->part[i++].size)
		if (at == offset) {
			assert_int_equal(n, EIF_SECTION_HEAD_LEN);
			eif_section_head(out, &l->part[i]);
			return OK;
		}
	fail_msg("data was read at %llu", (unsigned long long)offset);
	return OK;
}

/* Limits of eif.md 1.4 are found before a byte of data is read. */
static void
limits(void **state)
{
	static const struct {
		const char *rule;
		int which; /* kernel, command line, metadata, ramdisk */
		uint64_t size;
		enum eif_class want;
	} rows_large[] = {
		{ "4 GiB of ramdisk", 3, 4ull << 30, EIF_FAULT_NONE },
		{ "and one byte", 3, (4ull << 30) + 1, EIF_FAULT_BOUNDS },
		{ "256 MiB of kernel", 0, 256u << 20, EIF_FAULT_NONE },
		{ "and one byte", 0, (256u << 20) + 1, EIF_FAULT_BOUNDS },
		{ "2047 bytes of command line", 1, 2047, EIF_FAULT_NONE },
		{ "and one", 1, 2048, EIF_FAULT_BOUNDS },
		/* Step 7 judges it, but nothing that large is kept. */
		{ "4 GiB of metadata", 2, 4ull << 30, EIF_FAULT_NONE },
	};

	for (size_t i = 0; i < sizeof(rows_large) / sizeof(rows_large[0]); i++) {
		struct large l = { .part = { { EIF_KERNEL, 1 }, { EIF_CMDLINE, 1 },
				       { EIF_METADATA, 1 }, { EIF_RAMDISK, 1 } } };
		struct eif_source src = { read_large, &l, EIF_HEAD_LEN };
		struct eif img;
		struct err e;

		l.part[rows_large[i].which].size = rows_large[i].size;
		for (int k = 0; k < 4; k++)
			src.size += EIF_SECTION_HEAD_LEN + l.part[k].size;
		eif_head_init(l.head, false);
		assert_int_equal(eif_head_table(l.head, l.part, 4).code, ERR_OK);
		eif_init(&img);
		e = eif_read(&img, &src);
		if (failed(e) != (rows_large[i].want != EIF_FAULT_NONE) ||
		    img.fault != rows_large[i].want)
			fail_msg(
			    "%s: %s: %s", rows_large[i].rule, eif_class_name(img.fault), e.what);
		eif_fini(&img);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_of_checks),
		cmocka_unit_test(sections),
		cmocka_unit_test(two_walks),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
