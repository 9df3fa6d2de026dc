#include "eif/eif.h"

#include <stdlib.h>

#include "core/limits.h"
#include "eif/crc32.h"
#include "eif/metadata.h"

/* Large enough to make calls cheap, small enough for the second hash to find it in the cache. */
enum { CHUNK_BYTES = 128 << 10 };

/*
 * PCR0 is over everything that is measured, PCR1 over all of it but the second and later
 * ramdisks. Up to the second ramdisk the two are one hash: then `first` is forked off.
 */
struct pass {
	struct crc32 crc;
	struct sha384 *all, *first, *others;
	bool forked;
	uint8_t *chunk;
	struct buf signature;
};

static struct err
pass_init(struct pass *p)
{
	crc32_init(&p->crc);
	p->forked = false;
	p->all = sha384_new();
	p->first = sha384_new();
	p->others = sha384_new();
	p->chunk = malloc(CHUNK_BYTES);
	buf_init(&p->signature, EIF_SIGNATURE_MAX_BYTES);
	return p->all != NULL && p->first != NULL && p->others != NULL && p->chunk != NULL
	    ? OK
	    : FAIL(NOMEM, "image: memory for hashes");
}

static void
pass_fini(struct pass *p)
{
	sha384_free(p->all);
	sha384_free(p->first);
	sha384_free(p->others);
	free(p->chunk);
	buf_fini(&p->signature);
}

static void
absorb(struct pass *p, enum eif_type type, bool first_ramdisk, struct span s)
{
	if (type != EIF_KERNEL && type != EIF_CMDLINE && type != EIF_RAMDISK)
		return;
	if (type == EIF_RAMDISK && !first_ramdisk) {
		if (!p->forked)
			sha384_copy(p->first, p->all);
		p->forked = true;
		sha384_update(p->others, s);
	} else if (p->forked) {
		sha384_update(p->first, s);
	}
	sha384_update(p->all, s);
}

/* What is looked at later, and small. A section past its limit is judged in its turn. */
static struct buf *
keep(struct eif *img, struct pass *p, const struct eif_section *s)
{
	struct buf *b = s->type == EIF_CMDLINE ? &img->cmdline
	    : s->type == EIF_METADATA	       ? &img->metadata
	    : s->type == EIF_SIGNATURE	       ? &p->signature
					       : NULL;

	return b != NULL && s->size <= b->max ? b : NULL;
}

static struct err
read_section(struct eif *img, struct pass *p, const struct eif_source *src,
    const struct eif_section *s, bool first_ramdisk)
{
	struct buf *kept = keep(img, p, s);
	uint64_t done = 0;

	crc32_update(&p->crc, span_of(s->head, sizeof(s->head)));
	while (done < s->size) {
		size_t n = s->size - done < CHUNK_BYTES ? (size_t)(s->size - done) : CHUNK_BYTES;
		struct span bytes = span_of(p->chunk, n);

		TRY(src->read(src->ctx, s->at + done, p->chunk, n));
		crc32_update(&p->crc, bytes);
		absorb(p, s->type, first_ramdisk, bytes);
		if (kept != NULL)
			buf_put(kept, bytes);
		done += n;
	}
	return OK;
}

/* PCR = SHA384(48 zero bytes || digest): a register that was extended once (eif.md 2). */
static void
extend(uint8_t pcr[static SHA384_LEN], const uint8_t digest[static SHA384_LEN])
{
	uint8_t both[2 * SHA384_LEN] = { 0 };

	memcpy(both + SHA384_LEN, digest, SHA384_LEN);
	sha384_of(span_of(both, sizeof(both)), pcr);
}

static void
finish_registers(struct eif *img, struct pass *p)
{
	struct sha384 *hashes[3] = { p->all, p->first, p->others };
	uint8_t digest[SHA384_LEN];

	if (!p->forked)
		sha384_copy(p->first, p->all);
	for (int i = 0; i < 3; i++) {
		sha384_finish(hashes[i], digest);
		extend(img->pcr[i], digest);
	}
}

/* Step 7. */
static struct err
judge_contents(struct eif *img, struct span signature_bytes)
{
	const struct eif_section *metadata = eif_find(img, EIF_METADATA);
	const struct eif_section *signature = eif_find(img, EIF_SIGNATURE);
	uint8_t digest[SHA384_LEN];
	struct err e;

	if (metadata != NULL) {
		if (metadata->size > EIF_METADATA_MAX_BYTES)
			return eif_fault(img, EIF_FAULT_METADATA, metadata->at,
			    "eif.md 1.4: metadata above 1 MiB");
		if (failed(e = metadata_check(buf_span(&img->metadata))))
			return e.code == ERR_NOMEM
			    ? e
			    : eif_fault(img, EIF_FAULT_METADATA, metadata->at, e.what);
	}
	if (signature == NULL)
		return OK;
	if (signature->size > EIF_SIGNATURE_MAX_BYTES)
		return eif_fault(img, EIF_FAULT_SIGNATURE, signature->at,
		    "eif.md 1.2: a signature above 32768 bytes");
	if (failed(e = eif_signature_judge(&img->signature, signature_bytes, img->pcr[0])))
		return e.code != ERR_MALFORMED
		    ? e
		    : eif_fault(img, EIF_FAULT_SIGNATURE, signature->at, e.what);
	sha384_of(buf_span(&img->signature.certificate_der), digest);
	extend(img->signature.pcr8, digest);
	return OK;
}

static struct err
read_all(struct eif *img, struct pass *p, const struct eif_source *src)
{
	unsigned ramdisks = 0;

	crc32_update(&p->crc, span_of(img->head, EIF_CRC_AT));
	for (size_t i = 0; i < img->n; i++) {
		const struct eif_section *s = &img->section[i];

		ramdisks += s->type == EIF_RAMDISK;
		TRY(read_section(img, p, src, s, s->type == EIF_RAMDISK && ramdisks == 1));
	}
	TRY(buf_check(&img->cmdline));
	TRY(buf_check(&img->metadata));
	TRY(buf_check(&p->signature));
	if (crc32_value(&p->crc) != img->crc)
		return eif_fault(
		    img, EIF_FAULT_CRC, EIF_CRC_AT, "eif.md 1.4.6: the CRC does not fit the file");
	finish_registers(img, p);
	return judge_contents(img, buf_span(&p->signature));
}

struct err
eif_measure(struct eif *img, const struct eif_source *src)
{
	struct pass p;
	struct err e;

	if (!failed(e = pass_init(&p)))
		e = read_all(img, &p, src);
	pass_fini(&p);
	return e;
}
