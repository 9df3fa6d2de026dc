/*
 * eif_build.c - tee-eif build.
 */
#include <stdlib.h>

#include "cmd/eif.h"
#include "core/limits.h"
#include "eif/kernel.h"
#include "eif/metadata.h"
#include "eif/write.h"

enum { METADATA_OWN_MAX_BYTES = 64 << 10, NAME_MAX_BYTES = 4096 };
enum { N_PIECES_BESIDE_RAMDISKS = 3, N_FILES = 2 + EIF_MAX_RAMDISKS };

/* What a build holds open: the kernel, then the ramdisks. */
struct build {
	struct eif_file file[N_FILES];
	size_t n_files;
	struct buf peek; /* the kernel's first bytes */
	struct buf metadata;
	struct eif_piece piece[EIF_MAX_SECTIONS];
	size_t n;
};

/* SOURCE_DATE_EPOCH, or 0: the time of day never enters an image. */
static int
read_epoch(uint64_t *unix_s)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");

	*unix_s = 0;
	if (text == NULL || text[0] == '\0' ||
	    span_u64(span_str(text), METADATA_MAX_UNIX_S, unix_s))
		return 0;
	return eif_usage("SOURCE_DATE_EPOCH", "is not a number of seconds since 1970");
}

/* One line feed at the end is that of the file the text was kept in (eif.md 6). */
static int
read_cmdline(const struct eif_options *o, struct span *cmdline)
{
	struct span s = span_str(o->value[EIF_OPTION_CMDLINE]);

	if (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n == 0 || span_find(s, SPAN_LIT("\n"), 0) != SIZE_MAX)
		return eif_usage("--cmdline", "takes one line (eif.md 1.2)");
	if (s.n > EIF_CMDLINE_MAX_BYTES - EIF_CMDLINE_ROOM_BYTES)
		return eif_usage("--cmdline",
		    "is above 1535 bytes: the hypervisor appends its own (eif.md 1.4, 6)");
	*cmdline = s;
	return 0;
}

static bool
add_file(struct build *b, enum eif_type type, const char *path)
{
	struct eif_file *f = &b->file[b->n_files++];
	struct err e = eif_file_open(f, path);

	if (!failed(e) && f->source.size == 0)
		e = FAIL(REFUSED, "empty: an empty section is never written (eif.md 1.4)");
	if (failed(e)) {
		eif_bad_errno(path, e, f->error);
		return false;
	}
	b->piece[b->n++] = (struct eif_piece){ type, f->source.size, SPAN_NONE, &f->source, 0 };
	return true;
}

static void
add_bytes(struct build *b, enum eif_type type, struct span bytes)
{
	b->piece[b->n++] = (struct eif_piece){ type, bytes.n, bytes, NULL, 0 };
}

static struct err
peek_kernel(struct build *b)
{
	const struct eif_source *src = &b->file[0].source;
	size_t n = src->size < KERNEL_PEEK_BYTES ? (size_t)src->size : KERNEL_PEEK_BYTES;
	uint8_t *p = buf_grow(&b->peek, n);

	return p == NULL ? FAIL(NOMEM, "no memory") : src->read(src->ctx, 0, p, n);
}

/* Kernel, command line, metadata, ramdisks: the order of nitro-cli (eif.md 1.2). */
static int
gather(struct build *b, const struct eif_options *o, struct span cmdline, uint64_t epoch_s)
{
	uint8_t head[EIF_HEAD_LEN];
	struct metadata m = { .name = span_str(o->value[EIF_OPTION_NAME]),
		.version = span_str(o->value[EIF_OPTION_VERSION]),
		.built_unix_s = epoch_s,
		.tool_version = SPAN_LIT(TEE_VERSION) };
	struct kernel kernel;
	struct err e;

	if (!add_file(b, EIF_KERNEL, o->value[EIF_OPTION_KERNEL]))
		return EIF_EXIT_BAD;
	if (failed(e = peek_kernel(b)))
		return eif_bad_errno(b->file[0].path, e, b->file[0].error);
	kernel = kernel_look(buf_span(&b->peek));
	m.kernel_version = kernel.version;
	if (failed(metadata_put(&b->metadata, &m)))
		return eif_usage("--name or --version", "is too long, or not UTF-8");
	add_bytes(b, EIF_CMDLINE, cmdline);
	add_bytes(b, EIF_METADATA, buf_span(&b->metadata));
	if (!add_file(b, EIF_RAMDISK, o->value[EIF_OPTION_INIT_RAMDISK]))
		return EIF_EXIT_BAD;
	for (size_t i = 0; i < o->n_ramdisks; i++)
		if (!add_file(b, EIF_RAMDISK, o->ramdisk[i]))
			return EIF_EXIT_BAD;
	eif_head_init(head, kernel.aarch64);
	return eif_write_image(o->value[EIF_OPTION_OUT], head, b->piece, b->n);
}

int
eif_run_build(const struct eif_options *o)
{
	struct build b = { .n = 0 };
	struct span cmdline = SPAN_NONE;
	uint64_t epoch_s = 0;
	int status;

	if ((status = read_cmdline(o, &cmdline)) != 0 || (status = read_epoch(&epoch_s)) != 0)
		return status;
	buf_init(&b.peek, KERNEL_PEEK_BYTES);
	buf_init(&b.metadata, METADATA_OWN_MAX_BYTES);
	status = gather(&b, o, cmdline, epoch_s);
	for (size_t i = 0; i < b.n_files; i++)
		eif_file_close(&b.file[i]);
	buf_fini(&b.metadata);
	buf_fini(&b.peek);
	return status;
}
