/*
 * eif.h - enclave image files: a strict reader, and the registers that the hardware will report.
 * Pure: bytes come through a source. Source: eif.md 1, 2 and 4.
 *
 * The file is hostile. Nothing is allocated from a size it claims, no offset is added before it
 * was compared, and memory stays the same whatever the file's size. The first rule that the file
 * breaks, in the order of eif.md 1.4, is the one that is reported.
 */
#ifndef EIF_EIF_H
#define EIF_EIF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/sha384.h"
#include "eif/signature.h"

enum { EIF_HEAD_LEN = 548, EIF_CRC_AT = 544, EIF_SECTION_HEAD_LEN = 12 };
enum { EIF_MIN_SECTIONS = 2, EIF_MAX_SECTIONS = 32 };
enum { EIF_MIN_VERSION = 2, EIF_MAX_VERSION = 4 };

enum eif_type {
	EIF_INVALID,
	EIF_KERNEL,
	EIF_CMDLINE,
	EIF_RAMDISK,
	EIF_SIGNATURE,
	EIF_METADATA,
	EIF_N_TYPES,
};

/* Which rule of eif.md 1.4 a file breaks, and the name under which it is reported. */
#define EIF_CLASSES(CLASS)                          \
	CLASS(NONE, "none")                         \
	CLASS(TRUNCATED, "truncated")               \
	CLASS(MAGIC, "magic")                       \
	CLASS(VERSION, "version")                   \
	CLASS(FLAGS, "flags")                       \
	CLASS(NUM_SECTIONS, "num_sections")         \
	CLASS(BOUNDS, "bounds")                     \
	CLASS(SIZE_MISMATCH, "size_mismatch")       \
	CLASS(OVERLAP, "overlap")                   \
	CLASS(GAP, "gap")                           \
	CLASS(TRAILING, "trailing")                 \
	CLASS(SECTION_TYPE, "section_type")         \
	CLASS(DUPLICATE, "duplicate")               \
	CLASS(MISSING_KERNEL, "missing_kernel")     \
	CLASS(MISSING_CMDLINE, "missing_cmdline")   \
	CLASS(MISSING_RAMDISK, "missing_ramdisk")   \
	CLASS(MISSING_METADATA, "missing_metadata") \
	CLASS(ORDER, "order")                       \
	CLASS(CRC, "crc")                           \
	CLASS(METADATA, "metadata")                 \
	CLASS(SIGNATURE, "signature")

enum eif_class {
#define EIF_CLASS_ENUM(id, name) EIF_FAULT_##id,
	EIF_CLASSES(EIF_CLASS_ENUM)
#undef EIF_CLASS_ENUM
};

/* Where bytes come from: all n of them at offset, or an error (SYSTEM). */
struct eif_source {
	struct err (*read)(void *ctx, uint64_t offset, uint8_t *out, size_t n);
	void *ctx;
	uint64_t size; /* of the whole file */
};

struct eif_section {
	enum eif_type type;
	uint64_t at;   /* offset of the data; its header is the 12 bytes before */
	uint64_t size; /* of the data */
	uint8_t head[EIF_SECTION_HEAD_LEN];
};

struct eif {
	uint8_t head[EIF_HEAD_LEN];
	unsigned version;
	bool aarch64;
	uint32_t crc; /* as stored; eif_measure() compares it */
	struct eif_section section[EIF_MAX_SECTIONS];
	size_t n;
	/* Of an ERR_MALFORMED: the class, and the offset in the file at which it shows. */
	enum eif_class fault;
	uint64_t fault_at;
	/* From here on: set by eif_measure(). */
	uint8_t pcr[3][SHA384_LEN];
	struct buf cmdline, metadata; /* owned */
	struct eif_signature signature;
};

void eif_init(struct eif *img);
/* Safe twice. */
void eif_fini(struct eif *img);

/*
 * Reads the header and every section header: steps 1 to 5 of eif.md 1.4.
 * Errors: MALFORMED (img->fault and fault_at say which rule and where), and what the source says.
 */
MUST_USE struct err eif_read(struct eif *img, const struct eif_source *src);
/*
 * Reads the data once, for everything: CRC, registers 0, 1, 2, and 8 if there is a signature;
 * steps 6 and 7. Whether the signature holds is in img->signature; that it does not is no error.
 * img must come from eif_read() of the same source. Nothing may be printed as a measurement
 * unless this returned OK.
 * Errors: MALFORMED as above, NOMEM, SYSTEM
 */
MUST_USE struct err eif_measure(struct eif *img, const struct eif_source *src);

/* Notes the rule that is broken; returns it as an error for the caller to return. */
struct err eif_fault(struct eif *img, enum eif_class fault, uint64_t at, const char *what);
const char *eif_class_name(enum eif_class fault);
const char *eif_type_name(enum eif_type type);
/* The section of a type that is there once at most; NULL when it is not. */
const struct eif_section *eif_find(const struct eif *img, enum eif_type type);

#endif
