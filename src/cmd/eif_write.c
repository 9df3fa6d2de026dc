/*
 * eif_write.c - an image from its pieces: tee-eif build and sign.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/eif.h"
#include "eif/crc32.h"
#include "eif/describe.h"
#include "eif/write.h"

enum { CHUNK_BYTES = 256 << 10 };

struct writer {
	struct eif_output out;
	struct crc32 crc;
	uint8_t *chunk;
};

static struct err
put(struct writer *w, struct span s)
{
	crc32_update(&w->crc, s);
	return eif_output_write(&w->out, s);
}

static struct err
put_piece(struct writer *w, const struct eif_piece *piece)
{
	struct eif_part part = { piece->type, piece->size };
	uint8_t head[EIF_SECTION_HEAD_LEN];

	eif_section_head(head, &part);
	TRY(put(w, span_of(head, sizeof(head))));
	if (piece->source == NULL)
		return put(w, piece->bytes);
	for (uint64_t done = 0; done < piece->size;) {
		uint64_t left = piece->size - done;
		size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;

		TRY(piece->source->read(piece->source->ctx, piece->at + done, w->chunk, n));
		TRY(put(w, span_of(w->chunk, n)));
		done += n;
	}
	return OK;
}

static struct err
write_all(
    struct writer *w, uint8_t head[static EIF_HEAD_LEN], const struct eif_piece *pieces, size_t n)
{
	struct eif_part parts[EIF_MAX_SECTIONS];

	if (n > EIF_MAX_SECTIONS)
		return FAIL(TOO_LARGE, "eif.md 1.1: more than 32 sections");
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].size == 0)
			return FAIL(REFUSED, "eif.md 1.4: an empty section is never written");
		parts[i] = (struct eif_part){ pieces[i].type, pieces[i].size };
	}
	TRY(eif_head_table(head, parts, n));
	crc32_init(&w->crc);
	crc32_update(&w->crc, span_of(head, EIF_CRC_AT));
	TRY(eif_output_write(&w->out, span_of(head, EIF_HEAD_LEN)));
	for (size_t i = 0; i < n; i++)
		TRY(put_piece(w, &pieces[i]));
	eif_head_crc(head, crc32_value(&w->crc));
	return eif_output_write_first(&w->out, span_of(head, EIF_HEAD_LEN));
}

/* Our own reader has the last word, before the image takes its place. */
static int
check_and_commit(struct eif_output *out)
{
	struct eif_image image;
	int status = EIF_EXIT_BAD;
	struct buf b;
	struct err e;

	buf_init(&b, DESCRIBE_MAX_BYTES);
	if (eif_image_open(&image, out->partial)) {
		describe_measurements(&b, &image.img);
		if (failed(e = eif_output_commit(out)))
			eif_bad_errno(out->path, e, out->error);
		else
			status = eif_print(&b);
	}
	eif_image_close(&image);
	buf_fini(&b);
	return status;
}

int
eif_write_image(
    const char *path, uint8_t head[static EIF_HEAD_LEN], const struct eif_piece *pieces, size_t n)
{
	struct writer w = { .chunk = malloc(CHUNK_BYTES) };
	int status = EIF_EXIT_BAD;
	struct err e;

	if (w.chunk == NULL)
		return eif_bad(NULL, FAIL(NOMEM, "no memory"));
	if (failed(e = eif_output_open(&w.out, path)) || failed(e = write_all(&w, head, pieces, n)))
		eif_bad_errno(path, e, w.out.error);
	else
		status = check_and_commit(&w.out);
	eif_output_close(&w.out);
	free(w.chunk);
	return status;
}
