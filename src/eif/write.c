#include "eif/write.h"

enum { VERSION_AT = 4, FLAGS_AT = 6, MEMORY_AT = 8, CPUS_AT = 16, COUNT_AT = 26 };
enum { OFFSETS_AT = 28, SIZES_AT = 284, UNUSED_AT = 540 };

/* Nobody reads these two; nitro-cli writes them so. */
enum { DEFAULT_MEMORY_BYTES = 1 << 30, DEFAULT_CPUS = 2 };

static void
put_be(uint8_t *p, unsigned bytes, uint64_t v)
{
	for (unsigned i = bytes; i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

void
eif_head_init(uint8_t head[static EIF_HEAD_LEN], bool aarch64)
{
	memset(head, 0, EIF_HEAD_LEN);
	memcpy(head, ".eif", 4);
	put_be(head + VERSION_AT, 2, EIF_MAX_VERSION);
	put_be(head + FLAGS_AT, 2, aarch64);
	put_be(head + MEMORY_AT, 8, DEFAULT_MEMORY_BYTES);
	put_be(head + CPUS_AT, 8, DEFAULT_CPUS);
}

struct err
eif_head_table(uint8_t head[static EIF_HEAD_LEN], const struct eif_part *parts, size_t n)
{
	uint64_t offset = EIF_HEAD_LEN;

	if (n > EIF_MAX_SECTIONS)
		return FAIL(TOO_LARGE, "eif.md 1.1: more than 32 sections");
	put_be(head + COUNT_AT, 2, n);
	memset(head + OFFSETS_AT, 0, UNUSED_AT - OFFSETS_AT);
	for (size_t i = 0; i < n; i++) {
		put_be(head + OFFSETS_AT + 8 * i, 8, offset);
		put_be(head + SIZES_AT + 8 * i, 8, parts[i].size);
		offset += EIF_SECTION_HEAD_LEN + parts[i].size;
	}
	return OK;
}

void
eif_head_crc(uint8_t head[static EIF_HEAD_LEN], uint32_t crc)
{
	put_be(head + EIF_CRC_AT, 4, crc);
}

void
eif_section_head(uint8_t out[static EIF_SECTION_HEAD_LEN], const struct eif_part *part)
{
	put_be(out, 2, part->type);
	put_be(out + 2, 2, 0);
	put_be(out + 4, 8, part->size);
}
