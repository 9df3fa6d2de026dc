/*
 * metadata.h - the metadata section: JSON that describes an image and that nobody measures.
 * Pure. Source: eif.md 3.
 */
#ifndef EIF_METADATA_H
#define EIF_METADATA_H

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

/* Times that RFC 3339 can say: up to 9999-12-31T23:59:59Z. */
#define METADATA_MAX_UNIX_S 253402300799

struct metadata {
	struct span name, version; /* of the image */
	uint64_t built_unix_s;	   /* at most METADATA_MAX_UNIX_S */
	struct span tool_version;
	struct span kernel_version;
};

/* A JSON object, as the hypervisor wants it; nothing more is asked. Errors: MALFORMED, NOMEM */
MUST_USE struct err metadata_check(struct span text);

/*
 * The section's bytes, compact, keys in nitro-cli's order; appended. The strings must be UTF-8.
 * Errors: MALFORMED (one is not), TOO_LARGE
 */
MUST_USE struct err metadata_put(struct buf *b, const struct metadata *m);

#endif
