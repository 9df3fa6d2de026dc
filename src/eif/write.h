/*
 * write.h - the header and the section headers of an image that is being made. Pure: where the
 * data comes from is the caller's business. Source: eif.md 1.
 */
#ifndef EIF_WRITE_H
#define EIF_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "eif/eif.h"

/* A section to be written: its type and the size of its data. */
struct eif_part {
	enum eif_type type;
	uint64_t size;
};

/* A header of version 4 for no sections yet. */
void eif_head_init(uint8_t head[static EIF_HEAD_LEN], bool aarch64);
/*
 * Fills in number, offsets and sizes of the sections that follow the header in this order; what
 * stood there before is gone. The sizes must be those of files: their sum may not wrap.
 * Errors: TOO_LARGE (more than EIF_MAX_SECTIONS)
 */
MUST_USE struct err
eif_head_table(uint8_t head[static EIF_HEAD_LEN], const struct eif_part *parts, size_t n);
/* The CRC, over the header's first EIF_CRC_AT bytes and all that follows the header. */
void eif_head_crc(uint8_t head[static EIF_HEAD_LEN], uint32_t crc);
void eif_section_head(uint8_t out[static EIF_SECTION_HEAD_LEN], const struct eif_part *part);

#endif
