/*
 * An enclave image from strangers. Its CRC is made to fit, so that what follows that check is
 * reached. What is accepted is covered by sections without a gap, is described, is measured as a
 * plain reading of eif.md 2 measures it, and written again from its parts is the same file.
 */
#include <stdint.h>
#include <stdlib.h>

#include "codec/json.h"
#include "core/limits.h"
#include "eif/crc32.h"
#include "eif/describe.h"
#include "eif/write.h"

enum { FUZZ_MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err
read_memory(void *ctx, uint64_t offset, uint8_t *out, size_t n)
{
	const struct buf *b = ctx;

	if (offset > b->n || n > b->n - offset)
		abort();
	memcpy(out, b->p + offset, n);
	return OK;
}

static void
seal(struct buf *b)
{
	struct crc32 crc;

	crc32_init(&crc);
	crc32_update(&crc, span_of(b->p, EIF_CRC_AT));
	crc32_update(&crc, span_cut(buf_span(b), EIF_HEAD_LEN, b->n));
	eif_head_crc(b->p, crc32_value(&crc));
}

static void
check_register(const struct eif *img, const struct buf *file, int pcr)
{
	uint8_t both[2 * SHA384_LEN] = { 0 }, want[SHA384_LEN];
	unsigned ramdisks = 0;
	struct buf content;

	buf_init(&content, FUZZ_MAX_BYTES);
	for (size_t i = 0; i < img->n; i++) {
		const struct eif_section *s = &img->section[i];
		bool later = s->type == EIF_RAMDISK && ramdisks++ > 0;
		bool base = s->type == EIF_KERNEL || s->type == EIF_CMDLINE ||
		    (s->type == EIF_RAMDISK && !later);

		if ((base && pcr != 2) || (later && pcr != 1))
			buf_put(&content, span_of(file->p + s->at, (size_t)s->size));
	}
	sha384_of(buf_span(&content), both + SHA384_LEN);
	sha384_of(span_of(both, sizeof(both)), want);
	if (!span_eq(span_of(want, sizeof(want)), span_of(img->pcr[pcr], SHA384_LEN)))
		abort();
	buf_fini(&content);
}

static void
check_written(const struct eif *img, const struct buf *file)
{
	struct eif_part part[EIF_MAX_SECTIONS];
	uint8_t head[EIF_HEAD_LEN];
	struct eif again;
	struct eif_source src;
	struct buf b;

	memcpy(head, file->p, sizeof(head));
	for (size_t i = 0; i < img->n; i++)
		part[i] = (struct eif_part){ img->section[i].type, img->section[i].size };
	buf_init(&b, FUZZ_MAX_BYTES);
	if (failed(eif_head_table(head, part, img->n)))
		abort();
	buf_put(&b, span_of(head, sizeof(head)));
	for (size_t i = 0; i < img->n; i++) {
		uint8_t section[EIF_SECTION_HEAD_LEN];

		eif_section_head(section, &part[i]);
		buf_put(&b, span_of(section, sizeof(section)));
		buf_put(&b, span_of(file->p + img->section[i].at, (size_t)img->section[i].size));
	}
	seal(&b);
	/* Flags of sections and unused table entries are not kept; all that is measured is. */
	if (b.n != file->n)
		abort();
	src = (struct eif_source){ read_memory, &b, b.n };
	eif_init(&again);
	if (failed(eif_read(&again, &src)) || failed(eif_measure(&again, &src)) ||
	    !span_eq(span_of(again.pcr, sizeof(again.pcr)), span_of(img->pcr, sizeof(img->pcr))) ||
	    again.signature.good != img->signature.good)
		abort();
	eif_fini(&again);
	buf_fini(&b);
}

static void
check_described(const struct eif *img)
{
	struct json doc;
	struct buf b;

	buf_init(&b, DESCRIBE_MAX_BYTES);
	if (failed(describe_text(&b, img)))
		abort();
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] != '\n' && (b.p[i] < 0x20 || b.p[i] == 0x7f))
			abort();
	buf_clear(&b);
	if (failed(describe_json(&b, img)) ||
	    failed(json_parse(&doc, buf_span(&b), JSON_MAX_NODES)))
		abort();
	json_fini(&doc);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eif_source src;
	struct eif img;
	struct buf b;
	struct err e;

	if (size > FUZZ_MAX_BYTES)
		return 0;
	buf_init(&b, FUZZ_MAX_BYTES);
	buf_put(&b, span_of(data, size));
	if (b.n >= EIF_HEAD_LEN)
		seal(&b);
	src = (struct eif_source){ read_memory, &b, b.n };
	eif_init(&img);
	if (!failed(e = eif_read(&img, &src)) && !failed(e = eif_measure(&img, &src))) {
		for (int pcr = 0; pcr < 3; pcr++)
			check_register(&img, &b, pcr);
		check_described(&img);
		check_written(&img, &b);
	} else if ((e.code == ERR_MALFORMED) != (img.fault != EIF_FAULT_NONE) ||
	    img.fault == EIF_FAULT_CRC || img.fault_at > UINT32_MAX) {
		abort();
	}
	eif_fini(&img);
	buf_fini(&b);
	return 0;
}
