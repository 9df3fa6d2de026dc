#include "eif/kernel.h"

enum { ARM64_MAGIC_AT = 0x38, X86_MAGIC_AT = 0x202, X86_VERSION_POINTER_AT = 0x20e };
enum { X86_SETUP_AT = 0x200 }; /* where that pointer counts from */

static bool
has(struct span s, size_t at, struct span magic)
{
	return s.n >= at + magic.n && span_eq(span_cut(s, at, at + magic.n), magic);
}

/* `6.12.107-amd64 (builder@host) #1 ...`: the first word; the rest names a machine and a date. */
static struct span
first_word(struct span s)
{
	size_t n = 0;

	while (n < s.n && n < KERNEL_VERSION_MAX_BYTES && s.p[n] > ' ' && s.p[n] < 0x7f)
		n++;
	return span_cut(s, 0, n);
}

struct kernel
kernel_look(struct span start)
{
	struct kernel k = { false, SPAN_LIT("unknown") };
	size_t at;

	if (has(start, ARM64_MAGIC_AT, SPAN_LIT("ARM\x64"))) {
		k.aarch64 = true;
	} else if (has(start, X86_MAGIC_AT, SPAN_LIT("HdrS")) &&
	    start.n >= X86_VERSION_POINTER_AT + 2) {
		at = (size_t)(start.p[X86_VERSION_POINTER_AT] |
			 start.p[X86_VERSION_POINTER_AT + 1] << 8) +
		    X86_SETUP_AT;
		if (at > X86_SETUP_AT && at < start.n &&
		    first_word(span_cut(start, at, start.n)).n > 0)
			k.version = first_word(span_cut(start, at, start.n));
	}
	return k;
}
