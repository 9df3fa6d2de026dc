/*
 * kernel.h - what the first bytes of a kernel say about it: architecture and version. Pure.
 * Source: Linux, Documentation/arch/x86/boot.rst and Documentation/arch/arm64/booting.rst.
 */
#ifndef EIF_KERNEL_H
#define EIF_KERNEL_H

#include <stdbool.h>

#include "core/span.h"

enum { KERNEL_PEEK_BYTES = 66048, KERNEL_VERSION_MAX_BYTES = 64 };

struct kernel {
	bool aarch64;	     /* else x86_64, also when the bytes do not say */
	struct span version; /* as in `6.12.107`; "unknown" when the bytes do not say. Borrowed */
};

/* Looks at the first KERNEL_PEEK_BYTES of a kernel, or at all of a shorter one. */
struct kernel kernel_look(struct span start);

#endif
