/*
 * eif_ramdisk.c - tee-eif ramdisk: a newc archive of what a manifest lists.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/eif.h"
#include "core/limits.h"
#include "eif/manifest.h"

enum { CHUNK_BYTES = 256 << 10, ENTRY_MAX_BYTES = 8192 };

struct packer {
	struct eif_output out;
	struct buf head;
	uint8_t *chunk;
	uint64_t written;
	struct span base; /* the manifest's directory with its slash; empty: the current one */
};

static struct err
put(struct packer *p, struct span s)
{
	p->written += s.n;
	return p->written > EIF_RAMDISKS_MAX_BYTES
	    ? FAIL(TOO_LARGE, "eif.md 1.4: ramdisks above 4 GiB")
	    : eif_output_write(&p->out, s);
}

static struct err
put_head(struct packer *p, const struct newc_entry *e)
{
	buf_clear(&p->head);
	newc_put_entry(&p->head, e);
	TRY(buf_check(&p->head));
	return put(p, buf_span(&p->head));
}

static struct err
put_padding(struct packer *p, uint64_t size)
{
	static const uint8_t zeros[NEWC_ALIGN];

	return put(p, span_of(zeros, newc_padding(size)));
}

/* Sources are found beside the manifest, wherever the command is called from. */
static bool
source_path(const struct packer *p, struct span source, char path[static EIF_PATH_MAX_BYTES])
{
	struct span base = source.n > 0 && source.p[0] == '/' ? SPAN_NONE : p->base;

	if (base.n + source.n >= EIF_PATH_MAX_BYTES)
		return false;
	if (base.n > 0)
		memcpy(path, base.p, base.n);
	memcpy(path + base.n, source.p, source.n);
	path[base.n + source.n] = '\0';
	return true;
}

static struct err
put_contents(struct packer *p, struct newc_entry head, struct eif_file *f)
{
	const struct eif_source *src = &f->source;

	if (src->size > NEWC_FILE_MAX_BYTES)
		return FAIL(TOO_LARGE, "eif.md 5.1: a file above 4 GiB");
	head.size = (uint32_t)src->size;
	TRY(put_head(p, &head));
	for (uint64_t done = 0; done < src->size;) {
		uint64_t left = src->size - done;
		size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;

		TRY(src->read(src->ctx, done, p->chunk, n));
		TRY(put(p, span_of(p->chunk, n)));
		done += n;
	}
	return put_padding(p, src->size);
}

/* False after having said why not. */
static bool
put_file(struct packer *p, const struct manifest_entry *entry)
{
	char path[EIF_PATH_MAX_BYTES];
	struct eif_file f = { .fd = -1 };
	struct err e;

	if (!source_path(p, entry->source, path)) {
		eif_bad(NULL, FAIL(TOO_LARGE, "the path of a source is too long"));
		return false;
	}
	if (!failed(e = eif_file_open(&f, path)))
		e = put_contents(p, entry->head, &f);
	if (failed(e))
		eif_bad_errno(path, e, f.error != 0 ? f.error : p->out.error);
	eif_file_close(&f);
	return !failed(e);
}

static struct err
put_other(struct packer *p, const struct manifest_entry *entry)
{
	TRY(put_head(p, &entry->head));
	TRY(put(p, entry->source)); /* a link's target; else empty */
	return put_padding(p, entry->source.n);
}

static int
pack(struct packer *p, const struct manifest *m, const char *path)
{
	struct err e = eif_output_open(&p->out, path);

	for (size_t i = 0; !failed(e) && i < m->n; i++) {
		if ((m->entry[i].head.mode & NEWC_TYPE) != NEWC_FILE)
			e = put_other(p, &m->entry[i]);
		else if (!put_file(p, &m->entry[i]))
			return EIF_EXIT_BAD;
	}
	if (!failed(e)) {
		buf_clear(&p->head);
		newc_put_trailer(&p->head, p->written);
		if (!failed(e = buf_check(&p->head)))
			e = put(p, buf_span(&p->head));
	}
	if (!failed(e))
		e = eif_output_commit(&p->out);
	return failed(e) ? eif_bad_errno(path, e, p->out.error) : EIF_EXIT_OK;
}

static int
pack_to(const char *path, const struct manifest *m, struct span base)
{
	struct packer p = { .base = base, .chunk = malloc(CHUNK_BYTES), .out.fd = -1 };
	int status;

	if (p.chunk == NULL)
		return eif_bad(NULL, FAIL(NOMEM, "no memory"));
	buf_init(&p.head, ENTRY_MAX_BYTES);
	status = pack(&p, m, path);
	eif_output_close(&p.out);
	buf_fini(&p.head);
	free(p.chunk);
	return status;
}

int
eif_run_ramdisk(const struct eif_options *o)
{
	const char *path = o->value[EIF_OPTION_MANIFEST];
	size_t slash = span_rfind(span_str(path), SPAN_LIT("/"));
	struct span base = span_of(path, slash == SIZE_MAX ? 0 : slash + 1);
	int status = EIF_EXIT_BAD;
	struct manifest m = { 0 };
	struct eif_file f;
	struct buf text;
	struct err e;

	buf_init(&text, MANIFEST_MAX_BYTES);
	if (failed(e = eif_file_open(&f, path)) || failed(e = eif_file_read(&f, &text)))
		eif_bad_errno(path, e, f.error);
	else if (failed(e = manifest_parse(&m, buf_span(&text))))
		fprintf(stderr, "tee-eif: %s: line %zu: %s\n", path, m.line, e.what);
	else
		status = pack_to(o->value[EIF_OPTION_OUT], &m, base);
	manifest_fini(&m);
	eif_file_close(&f);
	buf_fini(&text);
	return status;
}
