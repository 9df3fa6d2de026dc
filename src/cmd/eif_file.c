#include "cmd/eif_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK_BYTES = 64 << 10 };

static struct err
read_at(void *ctx, uint64_t offset, uint8_t *out, size_t n)
{
	struct eif_file *f = ctx;

	while (n > 0) {
		ssize_t got = pread(f->fd, out, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			f->error = got < 0 ? errno : 0;
			return got < 0 ? FAIL(SYSTEM, "cannot read")
				       : FAIL(SYSTEM, "the file became shorter while it was read");
		}
		out += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return OK;
}

struct err
eif_file_open(struct eif_file *f, const char *path)
{
	struct stat st;

	*f = (struct eif_file){ .path = path, .fd = -1 };
	/* What is no regular file may block, or have no size. */
	if ((f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0 || fstat(f->fd, &st) != 0) {
		f->error = errno;
		return FAIL(SYSTEM, "cannot open");
	}
	if (!S_ISREG(st.st_mode))
		return FAIL(REFUSED, "not a regular file");
	f->source = (struct eif_source){ read_at, f, (uint64_t)st.st_size };
	return OK;
}

void
eif_file_close(struct eif_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

struct err
eif_file_read(struct eif_file *f, struct buf *out)
{
	uint8_t chunk[READ_CHUNK_BYTES];
	uint64_t size = f->source.size;

	if (size > out->max - out->n)
		return FAIL(TOO_LARGE, "the file is too large for what it is");
	for (uint64_t done = 0; done < size;) {
		size_t n = size - done < sizeof(chunk) ? (size_t)(size - done) : sizeof(chunk);

		TRY(read_at(f, done, chunk, n));
		buf_put(out, span_of(chunk, n));
		done += n;
	}
	return buf_check(out);
}

/*
 * Writing.
 */
static struct err
write_failed(struct eif_output *out, const char *what)
{
	out->error = errno;
	return (struct err){ ERR_SYSTEM, what };
}

struct err
eif_output_open(struct eif_output *out, const char *path)
{
	struct stat st;
	mode_t mask;
	int n;

	*out = (struct eif_output){ .path = path, .fd = -1 };
	/* Renaming over a device would replace it. */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return FAIL(REFUSED, "in the way: not a regular file");
	n = snprintf(out->partial, sizeof(out->partial), "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(out->partial)) {
		out->partial[0] = '\0';
		return FAIL(TOO_LARGE, "the path is too long");
	}
	if ((out->fd = mkostemp(out->partial, O_CLOEXEC)) < 0) {
		out->partial[0] = '\0';
		return write_failed(out, "cannot create");
	}
	/* mkostemp() gives 0600; this is what open() would have given. */
	mask = umask(0);
	umask(mask);
	if (fchmod(out->fd, 0666 & ~mask) != 0)
		return write_failed(out, "cannot set the mode");
	return OK;
}

struct err
eif_output_write(struct eif_output *out, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(out->fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return write_failed(out, "cannot write");
		s = span_cut(s, (size_t)n, s.n);
	}
	return OK;
}

struct err
eif_output_write_first(struct eif_output *out, struct span s)
{
	if (lseek(out->fd, 0, SEEK_SET) != 0)
		return write_failed(out, "cannot seek");
	return eif_output_write(out, s);
}

struct err
eif_output_commit(struct eif_output *out)
{
	int fd = out->fd;

	out->fd = -1;
	if (close(fd) != 0)
		return write_failed(out, "cannot write");
	if (rename(out->partial, out->path) != 0)
		return write_failed(out, "cannot put into its place");
	out->partial[0] = '\0';
	return OK;
}

void
eif_output_close(struct eif_output *out)
{
	if (out->fd >= 0)
		close(out->fd);
	out->fd = -1;
	if (out->partial[0] != '\0')
		unlink(out->partial);
	out->partial[0] = '\0';
}
