#include "eif/eif.h"

#include "core/limits.h"

enum { VERSION_AT = 4, FLAGS_AT = 6, COUNT_AT = 26, OFFSETS_AT = 28, SIZES_AT = 284 };
enum { FLAG_AARCH64 = 1 };

/*
 * Past these no image can be, whatever the file's length: the value is absurd (`bounds`). Below
 * them, a value past the file's end means that the end is missing (`truncated`).
 */
#define FILE_MAX_BYTES (EIF_RAMDISKS_MAX_BYTES + EIF_KERNEL_MAX_BYTES + (64u << 20))

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static uint64_t
be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static const char *const class_names[] = {
#define EIF_CLASS_NAME(id, name) name,
	EIF_CLASSES(EIF_CLASS_NAME)
#undef EIF_CLASS_NAME
};

static const char *const type_names[EIF_N_TYPES] = { "invalid", "kernel", "cmdline", "ramdisk",
	"signature", "metadata" };

const char *
eif_class_name(enum eif_class fault)
{
	return class_names[fault];
}

const char *
eif_type_name(enum eif_type type)
{
	return type_names[type];
}

struct err
eif_fault(struct eif *img, enum eif_class fault, uint64_t at, const char *what)
{
	img->fault = fault;
	img->fault_at = at;
	return (struct err){ ERR_MALFORMED, what };
}

void
eif_init(struct eif *img)
{
	*img = (struct eif){ 0 };
	buf_init(&img->cmdline, EIF_CMDLINE_MAX_BYTES);
	buf_init(&img->metadata, EIF_METADATA_MAX_BYTES);
}

void
eif_fini(struct eif *img)
{
	buf_fini(&img->cmdline);
	buf_fini(&img->metadata);
	eif_signature_fini(&img->signature);
}

const struct eif_section *
eif_find(const struct eif *img, enum eif_type type)
{
	for (size_t i = 0; i < img->n; i++)
		if (img->section[i].type == type)
			return &img->section[i];
	return NULL;
}

/* Steps 1 and 2. */
static struct err
read_head(struct eif *img, const struct eif_source *src)
{
	static const struct span magic = SPAN_LIT(".eif");
	unsigned flags;

	if (src->size < EIF_HEAD_LEN)
		return eif_fault(img, EIF_FAULT_TRUNCATED, src->size,
		    "eif.md 1.4.1: the file ends inside its header");
	TRY(src->read(src->ctx, 0, img->head, EIF_HEAD_LEN));
	if (!span_eq(span_of(img->head, magic.n), magic))
		return eif_fault(img, EIF_FAULT_MAGIC, 0, "eif.md 1.4.1: no .eif at the start");
	img->version = be16(img->head + VERSION_AT);
	if (img->version < EIF_MIN_VERSION || img->version > EIF_MAX_VERSION)
		return eif_fault(img, EIF_FAULT_VERSION, VERSION_AT,
		    "eif.md 1.4.1: the version is not 2, 3 or 4");
	flags = be16(img->head + FLAGS_AT);
	if ((flags & ~(unsigned)FLAG_AARCH64) != 0)
		return eif_fault(
		    img, EIF_FAULT_FLAGS, FLAGS_AT, "eif.md 1.4.1: a flag that nobody knows");
	img->aarch64 = (flags & FLAG_AARCH64) != 0;
	img->crc = be32(img->head + EIF_CRC_AT);
	img->n = be16(img->head + COUNT_AT);
	if (img->n < EIF_MIN_SECTIONS || img->n > EIF_MAX_SECTIONS) {
		img->n = 0;
		return eif_fault(
		    img, EIF_FAULT_NUM_SECTIONS, COUNT_AT, "eif.md 1.4.2: not 2 to 32 sections");
	}
	return OK;
}

/* Step 3. The file has EIF_HEAD_LEN bytes at least, so the subtractions cannot wrap. */
static struct err
read_entry(struct eif *img, const struct eif_source *src, size_t i)
{
	struct eif_section *s = &img->section[i];
	uint64_t offset_at = OFFSETS_AT + 8 * i, size_at = SIZES_AT + 8 * i;
	uint64_t offset = be64(img->head + offset_at), size = be64(img->head + size_at);

	if (offset < EIF_HEAD_LEN)
		return eif_fault(img, EIF_FAULT_BOUNDS, offset_at,
		    "eif.md 1.4.3: a section starts inside the header");
	if (offset > FILE_MAX_BYTES)
		return eif_fault(img, EIF_FAULT_BOUNDS, offset_at,
		    "eif.md 1.4.3: a section starts where no image reaches");
	if (offset > src->size - EIF_SECTION_HEAD_LEN)
		return eif_fault(img, EIF_FAULT_TRUNCATED, offset_at,
		    "eif.md 1.4.3: the file ends before a section header does");
	TRY(src->read(src->ctx, offset, s->head, sizeof(s->head)));
	if (be64(s->head + 4) != size)
		return eif_fault(img, EIF_FAULT_SIZE_MISMATCH, offset + 4,
		    "eif.md 1.4.3: the section header and the table give two sizes");
	if (size > EIF_RAMDISKS_MAX_BYTES)
		return eif_fault(img, EIF_FAULT_BOUNDS, size_at,
		    "eif.md 1.4.3: a section is larger than an image may be");
	if (size > src->size - offset - EIF_SECTION_HEAD_LEN)
		return eif_fault(img, EIF_FAULT_TRUNCATED, size_at,
		    "eif.md 1.4.3: the file ends before a section does");
	s->at = offset + EIF_SECTION_HEAD_LEN;
	s->size = size;
	return OK;
}

/* Step 4: whoever walks the file and whoever follows the table see the same sections. */
static struct err
check_walk(struct eif *img, uint64_t file_size)
{
	uint64_t expected = EIF_HEAD_LEN;

	for (size_t i = 0; i < img->n; i++) {
		uint64_t offset = img->section[i].at - EIF_SECTION_HEAD_LEN;

		if (offset < expected)
			return eif_fault(img, EIF_FAULT_OVERLAP, offset,
			    "eif.md 1.4.4: a section starts before the one before it ends");
		if (offset > expected)
			return eif_fault(img, EIF_FAULT_GAP, expected,
			    "eif.md 1.4.4: bytes between two sections belong to none");
		expected = img->section[i].at + img->section[i].size;
	}
	if (expected != file_size)
		return eif_fault(img, EIF_FAULT_TRAILING, expected,
		    "eif.md 1.4.4: bytes follow the last section");
	return OK;
}

/* Step 5, first half: each type is known, and there as often as it may be. */
static struct err
check_types(struct eif *img)
{
	static const struct {
		enum eif_type type;
		enum eif_class fault;
		const char *what;
	} needed[] = {
		{ EIF_KERNEL, EIF_FAULT_MISSING_KERNEL, "eif.md 1.2: there is no kernel" },
		{ EIF_CMDLINE, EIF_FAULT_MISSING_CMDLINE, "eif.md 1.2: there is no command line" },
		{ EIF_RAMDISK, EIF_FAULT_MISSING_RAMDISK, "eif.md 1.2: there is no ramdisk" },
		{ EIF_METADATA, EIF_FAULT_MISSING_METADATA,
		    "eif.md 1.2: version 4 without metadata" },
	};
	bool seen[EIF_N_TYPES] = { false };

	for (size_t i = 0; i < img->n; i++) {
		unsigned type = be16(img->section[i].head);

		if (type == EIF_INVALID || type >= EIF_N_TYPES)
			return eif_fault(img, EIF_FAULT_SECTION_TYPE,
			    img->section[i].at - EIF_SECTION_HEAD_LEN,
			    "eif.md 1.2: a section type that nobody knows");
		img->section[i].type = (enum eif_type)type;
	}
	for (size_t i = 0; i < img->n; i++) {
		enum eif_type type = img->section[i].type;

		if (seen[type] && type != EIF_RAMDISK)
			return eif_fault(img, EIF_FAULT_DUPLICATE,
			    img->section[i].at - EIF_SECTION_HEAD_LEN,
			    "eif.md 1.2: a second section of a type that may be there once");
		seen[type] = true;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!seen[needed[i].type] && (needed[i].type != EIF_METADATA || img->version >= 4))
			return eif_fault(img, needed[i].fault, COUNT_AT, needed[i].what);
	return OK;
}

/* Step 5, second half, and the limits of what one image may hold. */
static struct err
check_order(struct eif *img)
{
	const struct eif_section *kernel = eif_find(img, EIF_KERNEL);
	uint64_t ramdisks = 0;

	for (size_t i = 0; i < img->n; i++) {
		const struct eif_section *s = &img->section[i];
		uint64_t size_at = SIZES_AT + 8 * i;

		if (s->type == EIF_RAMDISK && s < kernel)
			return eif_fault(img, EIF_FAULT_ORDER, s->at - EIF_SECTION_HEAD_LEN,
			    "eif.md 1.2: a ramdisk before the kernel");
		if (s->type == EIF_RAMDISK)
			ramdisks += s->size; /* at most 32 times 4 GiB */
		if (ramdisks > EIF_RAMDISKS_MAX_BYTES ||
		    (s->type == EIF_KERNEL && s->size > EIF_KERNEL_MAX_BYTES) ||
		    (s->type == EIF_CMDLINE && s->size > EIF_CMDLINE_MAX_BYTES))
			return eif_fault(img, EIF_FAULT_BOUNDS, size_at,
			    "eif.md 1.4: ramdisks above 4 GiB, a kernel above 256 MiB, or a "
			    "command line above 2047 bytes");
	}
	return OK;
}

struct err
eif_read(struct eif *img, const struct eif_source *src)
{
	TRY(read_head(img, src));
	for (size_t i = 0; i < img->n; i++)
		TRY(read_entry(img, src, i));
	TRY(check_walk(img, src->size));
	TRY(check_types(img));
	return check_order(img);
}
