/*
 * eif_inspect.c - tee-eif measure, describe and extract.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/eif.h"
#include "eif/describe.h"

enum { COPY_CHUNK_BYTES = 256 << 10, NAME_MAX_BYTES = 32 };

int
eif_run_measure(const struct eif_options *o)
{
	struct eif_image image;
	int status = EIF_EXIT_BAD;
	struct buf b;

	buf_init(&b, DESCRIBE_MAX_BYTES);
	if (eif_image_open(&image, o->image)) {
		describe_measurements(&b, &image.img);
		status = eif_print(&b);
	}
	eif_image_close(&image);
	buf_fini(&b);
	return status;
}

int
eif_run_describe(const struct eif_options *o)
{
	struct eif_image image;
	int status = EIF_EXIT_BAD;
	struct buf b;
	struct err e;

	buf_init(&b, DESCRIBE_MAX_BYTES);
	if (eif_image_open(&image, o->image)) {
		e = o->value[EIF_OPTION_JSON] != NULL ? describe_json(&b, &image.img)
						      : describe_text(&b, &image.img);
		status = failed(e) ? eif_bad(o->image, e) : eif_print(&b);
	}
	eif_image_close(&image);
	buf_fini(&b);
	return status;
}

/*
 * tee-eif extract
 */
static struct err
copy_section(struct eif_output *out, const struct eif_source *src, const struct eif_section *s,
    uint8_t *chunk)
{
	for (uint64_t done = 0; done < s->size;) {
		uint64_t left = s->size - done;
		size_t n = left < COPY_CHUNK_BYTES ? (size_t)left : COPY_CHUNK_BYTES;

		TRY(src->read(src->ctx, s->at + done, chunk, n));
		TRY(eif_output_write(out, span_of(chunk, n)));
		done += n;
	}
	return eif_output_commit(out);
}

static bool
extract_section(const char *dir, const char *name, const struct eif_source *src,
    const struct eif_section *s, uint8_t *chunk)
{
	char path[EIF_PATH_MAX_BYTES];
	struct eif_output out;
	struct err e;
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path)) {
		eif_bad(dir, FAIL(TOO_LARGE, "the path is too long"));
		return false;
	}
	if (!failed(e = eif_output_open(&out, path)))
		e = copy_section(&out, src, s, chunk);
	if (failed(e))
		eif_bad_errno(path, e, out.error);
	eif_output_close(&out);
	return !failed(e);
}

static void
section_name(char out[static NAME_MAX_BYTES], enum eif_type type, unsigned *ramdisks)
{
	static const char *const endings[EIF_N_TYPES] = {
		[EIF_METADATA] = ".json", [EIF_SIGNATURE] = ".cbor"
	};

	if (type == EIF_RAMDISK)
		snprintf(out, NAME_MAX_BYTES, "ramdisk-%u", (*ramdisks)++);
	else
		snprintf(out, NAME_MAX_BYTES, "%s%s", eif_type_name(type),
		    endings[type] != NULL ? endings[type] : "");
}

static bool
extract(const struct eif_image *image, const char *dir)
{
	uint8_t *chunk;
	unsigned ramdisks = 0;
	bool ok;

	if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
		fprintf(stderr, "tee-eif: %s: cannot create: %s\n", dir, strerror(errno));
		return false;
	}
	ok = (chunk = malloc(COPY_CHUNK_BYTES)) != NULL;
	if (!ok)
		eif_bad(NULL, FAIL(NOMEM, "no memory"));
	for (size_t i = 0; ok && i < image->img.n; i++) {
		char name[NAME_MAX_BYTES];

		section_name(name, image->img.section[i].type, &ramdisks);
		ok = extract_section(dir, name, &image->file.source, &image->img.section[i], chunk);
	}
	free(chunk);
	return ok;
}

int
eif_run_extract(const struct eif_options *o)
{
	struct eif_image image;
	bool ok = eif_image_open(&image, o->image) &&
	    extract(&image, o->value[EIF_OPTION_DIRECTORY]);

	eif_image_close(&image);
	return ok ? EIF_EXIT_OK : EIF_EXIT_BAD;
}
