/*
 * rows.h - reads tests/vectors/http/strictness.txt, whose first lines explain it.
 */
#ifndef TEST_HTTP_ROWS_H
#define TEST_HTTP_ROWS_H

#include <stdio.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/span.h"

struct row {
	unsigned status;
	bool closes; /* the answer ends the connection */
	char *rule;
	struct buf bytes;
};

static inline int
row_hex(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* Decodes up to `until` or the end; returns where it stopped. */
static inline const char *
row_decode(struct buf *out, const char *p, char until)
{
	for (; *p != '\0' && *p != until; p++) {
		uint64_t times = 0;
		struct buf piece;

		if (*p != '\\') {
			buf_put_byte(out, (uint8_t)*p);
			continue;
		}
		switch (*++p) {
		case 'r':
			buf_put_byte(out, '\r');
			break;
		case 'n':
			buf_put_byte(out, '\n');
			break;
		case 't':
			buf_put_byte(out, '\t');
			break;
		case 'x':
			buf_put_byte(out, (uint8_t)(row_hex(p[1]) << 4 | row_hex(p[2])));
			p += 2;
			break;
		case '{':
			if (span_starts(span_str(p), SPAN_LIT("{get}"))) {
				buf_put_str(out, "GET /health HTTP/1.1\r\n");
				p += 4;
				break;
			}
			if (span_starts(span_str(p), SPAN_LIT("{post}"))) {
				buf_put_str(out,
				    "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
				    "Content-Type: application/json\r\n");
				p += 5;
				break;
			}
			for (p++; *p != '*'; p++)
				times = times * 10 + (uint64_t)(*p - '0');
			buf_init(&piece, 4096);
			/* The piece has no braces: one level. */
			p = row_decode(&piece, p + 1, '}');
			if (piece.n == 1) /* one of them is 20 MiB long */
				memset(buf_grow(out, times), piece.p[0], times);
			else
				while (times-- > 0)
					buf_put(out, buf_span(&piece));
			buf_fini(&piece);
			break;
		default:
			buf_put_byte(out, (uint8_t)*p);
		}
	}
	return p;
}

/* Calls run() for every row; returns how many there were. A missing file ends the test. */
static inline size_t
rows_each(void (*run)(void *ctx, const struct row *row), void *ctx)
{
	FILE *f = fopen(TEST_VECTORS "/http/strictness.txt", "r");
	char *line = NULL;
	size_t cap = 0, n = 0;
	ssize_t len;

	if (f == NULL) {
		perror("strictness.txt");
		exit(1);
	}
	while ((len = getline(&line, &cap, f)) > 0) {
		struct span status;
		struct row row;
		uint64_t code = 0;
		char *tab, *tab2;

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		tab = strchr(line, '\t');
		tab2 = strchr(tab + 1, '\t');
		*tab = *tab2 = '\0';
		status = span_str(line);
		row.closes = !span_eq(status, SPAN_LIT("200"));
		if (!span_u64(span_cut(status, 0, 3), 999, &code))
			exit(1);
		row.status = (unsigned)code;
		row.rule = tab + 1;
		buf_init(&row.bytes, 64 << 20);
		row_decode(&row.bytes, tab2 + 1, '\0');
		run(ctx, &row);
		buf_fini(&row.bytes);
		n++;
	}
	free(line);
	fclose(f);
	return n;
}

#endif
