/*
 * images.h - images in memory: a source over them, and one that can be changed and made whole.
 */
#ifndef TESTS_EIF_IMAGES_H
#define TESTS_EIF_IMAGES_H

#include <stdio.h>

#include "core/buf.h"
#include "eif/crc32.h"
#include "eif/eif.h"
#include "eif/write.h"

enum { IMAGE_MAX_BYTES = 1 << 20 };

static inline struct err
image_read(void *ctx, uint64_t offset, uint8_t *out, size_t n)
{
	const struct buf *b = ctx;

	/* The reader may not ask for what is not there. */
	if (offset > b->n || n > b->n - offset)
		abort();
	memcpy(out, b->p + offset, n);
	return OK;
}

static inline struct eif_source
image_source(struct buf *b)
{
	return (struct eif_source){ image_read, b, b->n };
}

/* The vector `name` of tests/vectors/eif in a buffer of its own; it may be empty. */
static inline struct buf
image_vector(const char *name)
{
	char path[512], chunk[4096];
	struct buf b;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/eif/%s", TEST_VECTORS, name);
	buf_init(&b, IMAGE_MAX_BYTES);
	if ((f = fopen(path, "rb")) == NULL)
		fail_msg("cannot open %s", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(&b, span_of(chunk, n));
	fclose(f);
	assert_false(b.over);
	return b;
}

/* Makes the stored CRC fit. */
static inline void
image_seal(struct buf *b)
{
	struct crc32 crc;

	assert_true(b->n >= EIF_HEAD_LEN);
	crc32_init(&crc);
	crc32_update(&crc, span_of(b->p, EIF_CRC_AT));
	crc32_update(&crc, span_cut(buf_span(b), EIF_HEAD_LEN, b->n));
	eif_head_crc(b->p, crc32_value(&crc));
}

struct image_part {
	unsigned type;
	const char *data;
};

/* An image of these parts, all of it right but what the parts say. Ends at a part without data. */
static inline struct buf
image_of(unsigned version, const struct image_part *parts)
{
	struct eif_part part[EIF_MAX_SECTIONS + 1];
	uint8_t head[EIF_HEAD_LEN], section[EIF_SECTION_HEAD_LEN];
	struct buf b;
	size_t n = 0;

	for (; parts[n].data != NULL; n++)
		part[n] = (struct eif_part){ (enum eif_type)parts[n].type, strlen(parts[n].data) };
	eif_head_init(head, false);
	head[5] = (uint8_t)version;
	assert_int_equal(eif_head_table(head, part, n).code, ERR_OK);
	buf_init(&b, IMAGE_MAX_BYTES);
	buf_put(&b, span_of(head, sizeof(head)));
	for (size_t i = 0; i < n; i++) {
		eif_section_head(section, &part[i]);
		buf_put(&b, span_of(section, sizeof(section)));
		buf_put_str(&b, parts[i].data);
	}
	image_seal(&b);
	return b;
}

/* Reads and measures; the caller has eif_fini(). */
static inline struct err
image_judge(struct eif *img, struct buf *b)
{
	struct eif_source src = image_source(b);

	eif_init(img);
	TRY(eif_read(img, &src));
	return eif_measure(img, &src);
}

#endif
