#include "cmd/verify_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool
read_stream(FILE *f, const char *path, struct buf *out)
{
	uint8_t chunk[16384];
	size_t n;

	while (!out->over && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(out, span_of(chunk, n));
	if (ferror(f)) {
		fprintf(stderr, "tee-verify: cannot read %s: %s\n", path, strerror(errno));
		return false;
	}
	if (failed(buf_check(out))) {
		fprintf(stderr, "tee-verify: %s: above 64 MiB\n", path);
		return false;
	}
	return true;
}

bool
file_read(const char *path, struct buf *out)
{
	FILE *f;
	bool ok;

	if ((f = fopen(path, "rb")) == NULL) {
		fprintf(stderr, "tee-verify: cannot open %s: %s\n", path, strerror(errno));
		return false;
	}
	ok = read_stream(f, path, out);
	fclose(f);
	return ok;
}

bool
file_read_or_stdin(const char *path, struct buf *out)
{
	if (span_eq(span_str(path), SPAN_LIT("-")))
		return read_stream(stdin, "standard input", out);
	return file_read(path, out);
}

struct span
file_bytes(const struct buf *b)
{
	return b->n > 0 ? buf_span(b) : SPAN_LIT("");
}
