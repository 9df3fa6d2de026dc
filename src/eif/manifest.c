#include "eif/manifest.h"

#include <stdlib.h>

#include "core/limits.h"

enum { MAX_FIELDS = 6, MODE_MAX = 07777, DEVICE_MAJOR_MAX = 0xfff, DEVICE_MINOR_MAX = 0xfffff };

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool
is_octal(uint8_t c)
{
	return c >= '0' && c <= '7';
}

/* A field's bytes with \ooo and \\ resolved, and a NUL after them. */
static struct err
decode_field(struct manifest *m, struct span raw, struct span *out)
{
	uint8_t *p = arena_alloc(&m->arena, raw.n + 1);
	size_t n = 0;

	if (p == NULL)
		return FAIL(NOMEM, "manifest: memory");
	for (size_t i = 0; i < raw.n; n++) {
		unsigned v;

		if (raw.p[i] != '\\') {
			p[n] = raw.p[i++];
		} else if (raw.n - i >= 2 && raw.p[i + 1] == '\\') {
			p[n] = '\\';
			i += 2;
		} else if (raw.n - i >= 4 && raw.p[i + 1] <= '3' && is_octal(raw.p[i + 1]) &&
		    is_octal(raw.p[i + 2]) && is_octal(raw.p[i + 3])) {
			v = (raw.p[i + 1] - '0') * 64u + (raw.p[i + 2] - '0') * 8u +
			    (raw.p[i + 3] - '0');
			p[n] = (uint8_t)v;
			i += 4;
		} else {
			return FAIL(MALFORMED, "manifest: a backslash without three octal digits");
		}
		if (p[n] == 0)
			return FAIL(MALFORMED, "manifest: a NUL byte");
	}
	*out = span_of(p, n);
	return OK;
}

static struct err
split_line(struct manifest *m, struct span line, struct span field[static MAX_FIELDS], size_t *n)
{
	*n = 0;
	for (size_t at = 0;;) {
		size_t from;

		while (at < line.n && is_blank(line.p[at]))
			at++;
		if (at == line.n)
			return OK;
		for (from = at; at < line.n && !is_blank(line.p[at]);)
			at++;
		if (*n == MAX_FIELDS)
			return FAIL(MALFORMED, "manifest: too many fields");
		TRY(decode_field(m, span_cut(line, from, at), &field[(*n)++]));
	}
}

/* Three or four octal digits. */
static bool
read_mode(struct span s, uint32_t *mode)
{
	uint32_t v = 0;

	if (s.n < 3 || s.n > 4)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_octal(s.p[i]))
			return false;
		v = v << 3 | (uint32_t)(s.p[i] - '0');
	}
	*mode = v;
	return v <= MODE_MAX;
}

static bool
is_part(struct span s)
{
	return s.n > 0 && !span_eq(s, SPAN_LIT(".")) && !span_eq(s, SPAN_LIT(".."));
}

static bool
is_path(struct span s)
{
	size_t from = 0, slash;

	while ((slash = span_find(s, SPAN_LIT("/"), from)) != SIZE_MAX) {
		if (!is_part(span_cut(s, from, slash)))
			return false;
		from = slash + 1;
	}
	return is_part(span_cut(s, from, s.n)) && s.n <= NEWC_NAME_MAX_BYTES &&
	    !span_eq(s, SPAN_LIT("TRAILER!!!"));
}

static bool
read_device(struct newc_entry *h, struct span kind, struct span major, struct span minor)
{
	uint64_t v[2];

	if (!span_u64(major, DEVICE_MAJOR_MAX, &v[0]) || !span_u64(minor, DEVICE_MINOR_MAX, &v[1]))
		return false;
	h->rdev_major = (uint32_t)v[0];
	h->rdev_minor = (uint32_t)v[1];
	if (span_eq(kind, SPAN_LIT("c")))
		h->mode |= NEWC_CHAR;
	else if (span_eq(kind, SPAN_LIT("b")))
		h->mode |= NEWC_BLOCK_DEVICE;
	else
		return false;
	return true;
}

static struct err
read_entry(struct manifest_entry *e, const struct span *field, size_t n)
{
	struct newc_entry *h = &e->head;
	bool is_link = n == 3 && span_eq(field[0], SPAN_LIT("link"));

	if (n >= 2 && !is_path(field[1]))
		return FAIL(
		    MALFORMED, "eif.md 5.1: a path is relative, without empty, `.` or `..` parts");
	if (!is_link && n >= 3 && !read_mode(field[2], &h->mode))
		return FAIL(MALFORMED, "manifest: a mode is three or four octal digits");
	if (is_link && field[2].n > NEWC_NAME_MAX_BYTES)
		return FAIL(MALFORMED, "manifest: a link to more than 4095 bytes");
	if (is_link) {
		h->mode = NEWC_LINK | 0777;
		e->source = field[2];
		h->size = (uint32_t)field[2].n;
	} else if (n == 3 && span_eq(field[0], SPAN_LIT("dir"))) {
		h->mode |= NEWC_DIRECTORY;
	} else if (n == 4 && span_eq(field[0], SPAN_LIT("file"))) {
		h->mode |= NEWC_FILE;
		e->source = field[3];
	} else if (n != 6 || !span_eq(field[0], SPAN_LIT("node")) ||
	    !read_device(h, field[3], field[4], field[5])) {
		return FAIL(MALFORMED,
		    "manifest: not `dir PATH MODE`, `file PATH MODE SOURCE`, `link PATH TARGET` or "
		    "`node PATH MODE c|b MAJOR MINOR`");
	}
	h->name = field[1];
	return OK;
}

/* The next line from *at on, without its line feed; false at the end. */
static bool
next_line(struct span text, size_t *at, struct span *line)
{
	size_t end;

	if (*at >= text.n)
		return false;
	if ((end = span_find(text, SPAN_LIT("\n"), *at)) == SIZE_MAX)
		end = text.n;
	*line = span_cut(text, *at, end);
	*at = end + 1;
	return true;
}

static size_t
count_lines(struct span text)
{
	struct span line;
	size_t n = 0;

	for (size_t at = 0; next_line(text, &at, &line);)
		n++;
	return n;
}

static int
by_name(const void *a, const void *b)
{
	const struct manifest_entry *one = a, *other = b;

	return span_cmp(one->head.name, other->head.name);
}

static const struct manifest_entry *
find(const struct manifest *m, struct span name)
{
	struct manifest_entry key = { .head.name = name };

	return bsearch(&key, m->entry, m->n, sizeof(key), by_name);
}

/* Of sorted entries. Sorting puts a parent first, for its name is a beginning of the child's. */
static struct err
check_tree(struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct newc_entry *h = &m->entry[i].head;
		size_t slash = span_rfind(h->name, SPAN_LIT("/"));
		const struct manifest_entry *parent;

		m->line = m->entry[i].line;
		if (i > 0 && span_eq(h->name, m->entry[i - 1].head.name))
			return FAIL(REFUSED, "eif.md 5.1: a path that is there twice");
		h->ino = (uint32_t)(i + 1);
		if (slash == SIZE_MAX)
			continue;
		parent = find(m, span_cut(h->name, 0, slash));
		if (parent == NULL || (parent->head.mode & NEWC_TYPE) != NEWC_DIRECTORY)
			return FAIL(REFUSED,
			    "eif.md 5.1: the directory that this path is in is not listed");
	}
	return OK;
}

struct err
manifest_parse(struct manifest *m, struct span text)
{
	struct span line;

	*m = (struct manifest){ 0 };
	arena_init(&m->arena, MANIFEST_ARENA_BYTES);
	if (text.n > MANIFEST_MAX_BYTES)
		return FAIL(TOO_LARGE, "manifest: above 16 MiB");
	m->entry = arena_array(&m->arena, count_lines(text) + 1, sizeof(*m->entry));
	if (m->entry == NULL)
		return FAIL(NOMEM, "manifest: memory");
	for (size_t at = 0; next_line(text, &at, &line);) {
		struct span field[MAX_FIELDS];
		size_t n;

		m->line++;
		if (line.n > 0 && line.p[0] == '#')
			continue;
		TRY(split_line(m, line, field, &n));
		if (n == 0)
			continue;
		TRY(read_entry(&m->entry[m->n], field, n));
		m->entry[m->n++].line = m->line;
	}
	if (m->n == 0)
		return FAIL(REFUSED, "manifest: it lists nothing");
	qsort(m->entry, m->n, sizeof(*m->entry), by_name);
	return check_tree(m);
}

void
manifest_fini(struct manifest *m)
{
	arena_fini(&m->arena);
	m->entry = NULL;
	m->n = 0;
}
